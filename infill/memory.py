"""Fills already made, found again in microseconds, also while one is being typed. Asks no model.

A fill depends on the model, the settings, the language, the other open files and both sides of the
hole. All of it goes into the key, and the sides as a whole rather than the window that the model
saw: whether a fill may be shown also depends on what the rest of the file parses to, and hashing
ten thousand lines costs a tenth of a millisecond.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache

import xxhash

from infill.document import Document
from infill.settings import Settings
from model.canvas import Card

NEAR = 64  # characters on each side that are compared as they are: a digest is no identity


@dataclass(frozen=True, slots=True)
class Known:
    """A fill as it goes into the document; of one that is being typed, the rest of it."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class _Entry:
    start: int
    near: tuple[str, str]
    known: Known


class Memory:
    """The last `size` fills; the one that was not used for longest is forgotten first."""

    def __init__(self, size: int = 256) -> None:
        if size < 1:
            raise ValueError(f"a memory must hold at least 1 fill, not {size}")
        self.size = size
        # By digests of what does not change while the fill is being typed: all but the text
        # before the hole, and that text.
        self._entries: OrderedDict[tuple[bytes, bytes], _Entry] = OrderedDict()

    @property
    def count(self) -> int:  # a length would make an empty memory false, and `memory or …` a trap
        return len(self._entries)

    def remember(self, document: Document, cursor: int, made_with: bytes, known: Known) -> None:
        """`made_with` is `made_with(…)` of the model, settings and files that led to the fill."""
        before, after = document.text[:cursor], document.text[cursor:]
        key = (_rest_of_key(made_with, document.language, after), _digest(before))
        self._entries[key] = _Entry(cursor, _near(before, after), known)
        self._entries.move_to_end(key)
        if len(self._entries) > self.size:
            self._entries.popitem(last=False)

    def recall(self, document: Document, cursor: int, made_with: bytes) -> Known | None:
        """The fill made for this very place, or the rest of the one that is being typed here.

        A fill typed to its end is not found: what comes next is another question.
        """
        text, after = document.text, document.text[cursor:]
        rest = _rest_of_key(made_with, document.language, after)
        for key in reversed(self._entries):  # the newest first
            entry = self._entries[key]
            typed = text[entry.start : cursor]
            if (
                key[0] == rest
                and entry.start <= cursor < entry.start + len(entry.known.text)
                and entry.known.text.startswith(typed)
                and entry.near == _near(text[: entry.start], after)
                and key[1] == _digest(text[: entry.start])
            ):
                self._entries.move_to_end(key)
                return Known(entry.known.text[len(typed) :], entry.known.score)
        return None


def made_with(card: Card, settings: Settings, others: Sequence[Document]) -> bytes:
    """A digest of what a fill depends on besides its own document."""
    files = [(str(other.path), _digest_of_other(other.text)) for other in others]
    return _digest(repr((card.name, card.version, astuple(settings), files)))


def _rest_of_key(made_with: bytes, language: str, after: str) -> bytes:
    return _digest("\0".join((made_with.hex(), language, after)))


def _near(before: str, after: str) -> tuple[str, str]:
    return before[-NEAR:], after[:NEAR]


def _digest(text: str) -> bytes:
    # Editors can send half of a surrogate pair; it is text like any other here.
    return xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=64)
def _digest_of_other(text: str) -> bytes:
    """Remembered by text: the other files rarely change while this one is being written."""
    return _digest(text)
