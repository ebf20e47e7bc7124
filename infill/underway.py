"""Fills that go on behind their requests: one that was answered with what there was at the deadline
is finished for the next key, and typing along with a draft throws no work away.

Knows neither editors nor models.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from infill.answer import Watch
from infill.document import Document
from infill.fill import Fill
from model.canvas import Canvas, Draft

Make = Callable[[Watch], Coroutine[Any, Any, Fill]]


@dataclass(eq=False, slots=True)
class Run:
    """A fill in work, and its present draft. What is made of it ends up in the memory, too."""

    document: Document
    cursor: int
    kind: object  # what else the question says: for two of one kind it is the same
    task: asyncio.Task[Fill]
    began: float
    canvas: Canvas | None = None
    draft: Draft | None = None
    steps: int = 0

    def saw(self, canvas: Canvas, draft: Draft) -> None:
        self.steps += 1
        if self.canvas is None or canvas is self.canvas:  # another one mends what was written
            self.canvas, self.draft = canvas, draft

    @property
    def ms(self) -> float:
        return (perf_counter() - self.began) * 1000

    def typed_in(self, text: str) -> str | None:
        """What was typed since it began, where that is all there is to it, and the draft agrees."""
        before, after = self.document.text[: self.cursor], self.document.text[self.cursor :]
        count = len(text) - len(self.document.text)
        if count < 0 or not (text.startswith(before) and text[self.cursor + count :] == after):
            return None
        typed = text[self.cursor : self.cursor + count]
        return typed if not typed or self.drafted.startswith(typed) else None

    @property
    def drafted(self) -> str:
        """A space that stands before the cursor already is not shown again."""
        text = self.draft.texts[0] if self.draft is not None else ""
        return text.lstrip(" ") if self.document.text[: self.cursor].endswith(" ") else text


class Underway:
    """At most one a document."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    @property
    def busy(self) -> bool:
        return any(not run.task.done() for run in self._runs.values())

    def joined(self, key: str, document: Document, cursor: int, kind: object) -> Run | None:
        """The one that may answer this question. `key` is whose text it is about."""
        run = self._runs.get(key)
        if run is None or run.task.done() or run.kind != kind:
            return None
        typed = run.typed_in(document.text)
        return run if typed is not None and cursor == run.cursor + len(typed) else None

    def begin(self, key: str, document: Document, cursor: int, kind: object, make: Make) -> Run:
        self.give_up(key)

        def saw(canvas: Canvas, draft: Draft) -> None:
            run.saw(canvas, draft)

        task = asyncio.create_task(make(saw))
        task.add_done_callback(heard)
        run = self._runs[key] = Run(document, cursor, kind, task, perf_counter())
        return run

    def heed(self, key: str, text: Callable[[], str]) -> None:
        """The text is now that: gives up what has become pointless."""
        run = self._runs.get(key)
        if run is not None and (run.task.done() or run.typed_in(text()) is None):
            self.give_up(key)

    def give_up(self, key: str) -> None:
        if (run := self._runs.pop(key, None)) is not None:
            run.task.cancel()

    def give_all_up(self) -> None:
        for key in list(self._runs):
            self.give_up(key)


def heard(task: asyncio.Task[Fill]) -> None:
    """An error that nobody waits for any more, which asyncio would log with all its words."""
    if not task.cancelled():
        task.exception()
