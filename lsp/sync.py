"""The open documents as the editor has them. Knows lines and code points, neither columns of any
encoding nor the protocol's types.

A line ends at \\n, \\r\\n or \\r and nowhere else, as the protocol has it: `str.splitlines` would
also cut at form feeds, U+2028 and others, and every later edit would land on the wrong line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

LINE_END = re.compile(r"\r\n?|\n")


class Place(NamedTuple):
    """A line and a column in code points, both from 0; there may be no such place in a text."""

    line: int
    column: int


@dataclass(frozen=True)
class Snapshot:
    """A document at one version. Lines keep their ends; the last has none and may be empty.

    Kept as lines, because then a keystroke in a file of 50,000 lines copies pointers, not text.
    """

    uri: str
    language: str
    version: int
    lines: tuple[str, ...]

    @cached_property
    def text(self) -> str:
        return "".join(self.lines)

    def clamped(self, place: Place) -> Place:
        """The nearest place the text has: never behind a line's end, never behind the last line."""
        if place.line >= len(self.lines):
            return Place(len(self.lines) - 1, len(self.lines[-1]))
        if place.line < 0:
            return Place(0, 0)
        return Place(place.line, max(0, min(place.column, content_length(self.lines[place.line]))))

    def offset_at(self, place: Place) -> int:
        line, column = self.clamped(place)
        return sum(map(len, self.lines[:line])) + column

    def place_at(self, offset: int) -> Place:
        """The place of an offset; one between \\r and \\n is the end of that line."""
        for line, text in enumerate(self.lines):
            if offset < len(text):
                return self.clamped(Place(line, offset))
            offset -= len(text)
        return Place(len(self.lines) - 1, len(self.lines[-1]))

    def replaced(self, start: Place, end: Place, text: str) -> Snapshot:
        """The document with `text` in place of what stands from `start` to `end`."""
        start, end = sorted((self.clamped(start), self.clamped(end)))
        head = self.lines[start.line][: start.column]
        tail = self.lines[end.line][end.column :]
        first = start.line
        if first and self.lines[first - 1].endswith("\r"):  # its \n may just have come next to it
            first -= 1
            head = self.lines[first] + head
        between = lines_of(head + text + tail)
        if end.line + 1 < len(self.lines):
            between = between[:-1]  # the tail ended its line, so what was split off is empty
        lines = (*self.lines[:first], *between, *self.lines[end.line + 1 :])
        return replace(self, lines=lines)


class Documents:
    """What is open, the most recently changed last. What was closed is forgotten."""

    def __init__(self) -> None:
        self._open: dict[str, Snapshot] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(tuple(self._open.values()))

    def get(self, uri: str) -> Snapshot | None:
        return self._open.get(uri)

    def put(self, snapshot: Snapshot) -> None:
        """Opens a document, or moves an open one on to its next version."""
        self._open.pop(snapshot.uri, None)
        self._open[snapshot.uri] = snapshot

    def forget(self, uri: str) -> None:
        self._open.pop(uri, None)

    def beside(self, snapshot: Snapshot) -> Iterator[Snapshot]:
        """The other documents of its language, the most recently changed first."""
        for other in reversed(self._open.values()):
            if other.uri != snapshot.uri and other.language == snapshot.language:
                yield other


def opened(uri: str, language: str, version: int, text: str) -> Snapshot:
    return Snapshot(uri, language, version, lines_of(text))


def lines_of(text: str) -> tuple[str, ...]:
    """The lines with their ends; always one more than there are line ends."""
    text = whole_characters(text)
    bounds = (0, *(end.end() for end in LINE_END.finditer(text)), len(text))
    return tuple(text[start:end] for start, end in pairwise(bounds))


def whole_characters(text: str) -> str:
    """The text with each pair of surrogates joined to the character it stands for.

    An editor that thinks in UTF-16 can send the two halves in two edits.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text


def content_length(line: str) -> int:
    """The code points of a line without its end."""
    return len(line) - (2 if line.endswith("\r\n") else line.endswith(("\r", "\n")))
