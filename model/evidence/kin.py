"""Which files of a project tell most about one of them: those that lie nearest to it, as many as
are counted beside it. Knows paths, and reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import PurePath

MOST = 300_000  # characters in all: some 0.3 s when they are counted for the first time
LARGEST = 100_000  # characters: longer files are mostly data, or made by a program


def steps_between(one: PurePath, other: PurePath) -> int:
    """How many folders up and down lie between two files."""
    folders = one.parent.parts, other.parent.parts
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(*folders, strict=False))
    return sum(map(len, folders)) - 2 * len(list(shared))


def fitting(texts: Iterable[str]) -> Iterator[str]:
    """The first that fit, and of the others those that still have room."""
    room = MOST
    for text in texts:
        if len(text) <= min(room, LARGEST):
            room -= len(text)
            yield text
