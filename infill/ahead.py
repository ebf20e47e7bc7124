"""The next fill, made before anyone asks, as if the one just shown were accepted. It ends up in the
memory, or nowhere. Knows neither editors nor models.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from infill.document import Document
from infill.edit import Edit, applied
from model.canvas import ModelError

PAUSE = 0.05  # seconds: the fill is on its way to the screen first, and who types on does so sooner

Make = Callable[[Document, int], Coroutine[Any, Any, object]]


@dataclass(frozen=True, slots=True)
class Guess:
    """That the edit, made for this document, will be accepted."""

    document: Document
    edit: Edit

    @property
    def next(self) -> tuple[Document, int]:
        """The document and the cursor behind what was accepted."""
        return applied(self.document, self.edit), self.edit.start + len(self.edit.text)

    def may_still_be(self, text: str) -> bool:
        """Whether nothing was done but to type the edit's beginning, or all of it."""
        before, edit = self.document.text, self.edit
        typed = len(text) - len(before) + edit.end - edit.start
        return (
            0 <= typed <= len(edit.text)
            and text == before[: edit.start] + edit.text[:typed] + before[edit.end :]
        )


class Ahead:
    """At most one guess of a window is worked on at a time."""

    def __init__(self) -> None:
        self._key = ""
        self._guess: Guess | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, key: str, guess: Guess, make: Make) -> None:
        """`key` is whose text the guess is about. One that says the same is left as it is."""
        if self._guess and key == self._key and guess.next == self._guess.next:
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
        await make(*guess.next)
