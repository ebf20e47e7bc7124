"""Somebody typing: keystrokes with the time between them, over real code. Knows no server.

Not recorded from people: the code is real, and is typed from its beginning to its end as it stands;
the gaps are drawn. Within a line they are log-normal with a median of 0.16 s, which is about 50
words a minute; after a line one thinks for 1.2 s at the median; one key in thirty is wrong, seen,
and deleted. The same seed gives the same trace.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

WITHIN, AFTER = 0.16, 1.2  # seconds, medians
SPREAD = 0.5  # of the logarithm
WRONG = 1 / 30
WRONG_KEYS = "abcdefghijklmnopqrstuvwxyz_"
START = 400  # characters: so much of a file is there at least before anything is typed
FUNCTION = re.compile(r"^ *def ", re.M)


@dataclass(frozen=True, slots=True)
class Keystroke:
    """`text` replaces the characters from `start` to `end`; the cursor is behind it."""

    after: float  # seconds since the keystroke before
    start: int
    end: int
    text: str

    @property
    def cursor(self) -> int:
        return self.start + len(self.text)


def opened(code: str) -> str:
    """What of a file is there at the beginning: all up to its first function after some lines."""
    first = FUNCTION.search(code, min(START, len(code) // 2))
    return code[: first.start()] if first else code[: code.find("\n", len(code) // 2) + 1]


def typed(code: str, seed: int) -> Iterator[Keystroke]:
    """The rest of it, key by key. The indentation of a line comes with its line end, as editors do
    it."""
    chance = random.Random(seed)
    at, gap = len(opened(code)), AFTER
    while at < len(code):
        end = at + 1
        if code[at] == "\n":
            while end < len(code) and code[end] in " \t\n":
                end += 1
        elif chance.random() < WRONG:
            yield Keystroke(drawn(chance, gap), at, at, chance.choice(WRONG_KEYS))
            yield Keystroke(drawn(chance, WITHIN), at, at + 1, "")
            gap = WITHIN
        yield Keystroke(drawn(chance, gap), at, at, code[at:end])
        gap = AFTER if code[at] == "\n" else WITHIN
        at = end


def drawn(chance: random.Random, median: float) -> float:
    return median * math.exp(chance.gauss(0, SPREAD))


def files(folders: Sequence[Path], count: int, seed: int, least: int = 1_500) -> list[Path]:
    """Python files of a usual size, drawn from the folders, the same ones for the same seed."""
    found = sorted(
        path
        for folder in folders
        for path in folder.rglob("*.py")
        if least <= path.stat().st_size <= 40_000 and "test" not in path.name
    )
    return random.Random(seed).sample(found, min(count, len(found)))
