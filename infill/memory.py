"""Fills already made, found again in microseconds, also while one is being typed. Asks no model.

A fill depends on the model, the settings, the language, the other open files and both sides of the
hole. All of it goes into the key, and the sides as a whole rather than the window that the model
saw: whether a fill may be shown also depends on what the rest of the file parses to, and hashing
ten thousand lines costs a tenth of a millisecond.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from functools import lru_cache

import xxhash

from infill.document import Document
from infill.settings import Settings
from model.canvas import Card

Key = tuple[bytes, bytes]  # of the text before the hole, and of all else
NEAR = 64  # characters on each side that are compared as they are: a digest is no identity


@dataclass(frozen=True, slots=True)
class Known:
    """A fill as it goes into the document; of one that is being typed, the rest of it.

    `others` are further texts for the same place, best first; None where there may be some that
    nobody has looked for.
    """

    text: str
    score: float
    others: tuple[Known, ...] | None = ()

    @property
    def all(self) -> tuple[Known, ...]:
        return replace(self, others=()), *(self.others or ())

    def rest_after(self, typed: str) -> Known | None:
        """What is left of the texts that begin with what was typed and go on."""
        left = [
            Known(it.text[len(typed) :], it.score)
            for it in self.all
            if it.text.startswith(typed) and it.text != typed
        ]
        if not left:
            return None
        others = tuple(left[1:]) if self.others is not None else None
        return replace(left[0], others=others)


@dataclass(frozen=True, slots=True)
class _Entry:
    start: int
    near: tuple[str, str]
    known: Known
    longest: int  # characters of the longest of its texts


class Memory:
    """The last `size` fills; the one that was not used for longest is forgotten first."""

    def __init__(self, size: int = 256) -> None:
        if size < 1:
            raise ValueError(f"a memory must hold at least 1 fill, not {size}")
        self.size = size
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()

    @property
    def count(self) -> int:  # a length would make an empty memory false, and `memory or …` a trap
        return len(self._entries)

    def remember(self, document: Document, cursor: int, made_with: bytes, known: Known) -> None:
        """`made_with` is `made_with(…)` of the model, settings and files that led to the fill."""
        key = _key(document, cursor, cursor, made_with)
        longest = max(len(it.text) for it in known.all)
        near = _near(document.text, cursor, cursor)
        self._entries[key] = _Entry(cursor, near, known, longest)
        self._entries.move_to_end(key)
        if len(self._entries) > self.size:
            self._entries.popitem(last=False)

    def recall(self, document: Document, cursor: int, made_with: bytes) -> Known | None:
        """The fill made for this very place, or the rest of the one that is being typed here.

        A fill typed to its end is not found: what comes next is another question.
        """
        for key in reversed(self._entries):  # the newest first
            entry = self._entries[key]
            if _may_be(entry, document.text, cursor) and key == _key(
                document, entry.start, cursor, made_with
            ):
                self._entries.move_to_end(key)
                return entry.known.rest_after(document.text[entry.start : cursor])
        return None


def _may_be(entry: _Entry, text: str, cursor: int) -> bool:
    """The cheap check, without which every miss would hash the document."""
    start = entry.start
    return (
        start <= cursor < start + entry.longest
        and entry.known.rest_after(text[start:cursor]) is not None
        and entry.near == _near(text, start, cursor)
    )


def made_with(card: Card, settings: Settings, others: Sequence[Document]) -> bytes:
    """A digest of what a fill depends on besides its own document."""
    files = [(str(other.path), _digest_of_other(other.text)) for other in others]
    return _digest(repr((card.name, card.version, astuple(settings), files)))


def _key(document: Document, start: int, end: int, made_with: bytes) -> Key:
    """Of a fill made at `start`, of which the document holds what is typed up to `end`."""
    rest = "\0".join((made_with.hex(), document.language, document.text[end:]))
    return _digest(document.text[:start]), _digest(rest)


def _near(text: str, start: int, end: int) -> tuple[str, str]:
    return text[max(0, start - NEAR) : start], text[end : end + NEAR]


def _digest(text: str) -> bytes:
    # Editors can send half of a surrogate pair; it is text like any other here.
    return xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=64)
def _digest_of_other(text: str) -> bytes:
    """Remembered by text: the other files rarely change while this one is being written."""
    return _digest(text)
