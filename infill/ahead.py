"""The next fill, made before anyone asks, as if the one just shown were accepted. It ends up in the
memory, or nowhere. Knows neither editors nor models.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from infill.document import Document
from infill.edit import Edit, applied, line_end_of
from infill.fill import Fill
from model.canvas import ModelError

PAUSE = 0.05  # seconds: the fill is on its way to the screen first, and who types on does so sooner

Make = Callable[[Document, int], Coroutine[Any, Any, Fill]]


@dataclass(frozen=True, slots=True)
class Guess:
    """That the edit, made for this document, will be accepted; and perhaps Enter pressed."""

    document: Document
    edit: Edit

    @property
    def accepted(self) -> Document:
        return applied(self.document, self.edit)

    @property
    def enter(self) -> str:
        """What editors write for that key behind the edit; nothing in the middle of a line."""
        text, end = self.accepted.text, self.edit.start + len(self.edit.text)
        if text[end : end + 1] not in ("", "\r", "\n"):
            return ""
        line = re.split(r"[\r\n]", text[:end])[-1]
        return line_end_of(text) + line[: len(line) - len(line.lstrip())]

    def nexts(self) -> Iterator[tuple[Document, int]]:
        """Where text may be wanted next: behind the edit, or else in a new line below it."""
        yield self.accepted, self.edit.start + len(self.edit.text)
        if enter := self.enter:
            edit = replace(self.edit, text=self.edit.text + enter)
            yield applied(self.document, edit), edit.start + len(edit.text)

    def may_still_be(self, text: str) -> bool:
        """Whether nothing was done but to type the beginning of that, or all of it."""
        before, edit = self.document.text, self.edit
        written = edit.text + self.enter
        typed = len(text) - len(before) + edit.end - edit.start
        return (
            0 <= typed <= len(written)
            and text == before[: edit.start] + written[:typed] + before[edit.end :]
        )


class Ahead:
    """At most one guess of a window is worked on at a time."""

    def __init__(self) -> None:
        self._key = ""
        self._guess: Guess | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, key: str, guess: Guess, make: Make) -> None:
        """`key` is whose text the guess is about. One that says the same is left as it is."""
        if self._guess and key == self._key and guess.accepted == self._guess.accepted:
            return
        self.give_up()
        self._key, self._guess = key, guess
        self._task = asyncio.create_task(made(guess, make))

    def heed(self, key: str, text: Callable[[], str]) -> None:
        """The text is now that, or it is asked about: gives up what has become pointless."""
        if self._guess is None or self._task is None or self._task.done():
            return
        if key != self._key or not self._guess.may_still_be(text()):
            self.give_up()

    def give_up(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = self._guess = None


async def made(guess: Guess, make: Make) -> None:
    await asyncio.sleep(PAUSE)
    with suppress(ModelError):  # nobody asked; whoever does will hear of it
        for document, cursor in guess.nexts():
            fill = await make(document, cursor)
            if fill.edit and fill.edit.text:
                return
