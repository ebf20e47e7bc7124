"""A text told again with another name: one that waits to be used, or that is missing.

Counting knows how code goes on, but mostly with names that it has seen; a text that is right but
for one name is near enough to be weighed with the name that is due.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infill.code.binding import KEYWORDS
from infill.code.scope import WORD

NAMES = 3  # of each kind that are tried, the nearest


@dataclass(frozen=True, slots=True)
class Due:
    """Names that are due at a hole."""

    waiting: Sequence[str] = ()  # bound above and not used since
    missing: Sequence[str] = ()  # used below and bound nowhere


@dataclass(frozen=True, slots=True)
class Retold:
    """1 where a name was put in for another one; which has its own weight where it was missing."""

    retold: int = 0
    for_missing: int = 0


def retellings(text: str, due: Due, line: tuple[str, str]) -> Iterator[tuple[str, Retold]]:
    """`line` is what stands on both sides of the hole: half a name is not replaced."""
    left, right = line
    names = [(name, Retold(1, 0)) for name in due.waiting[:NAMES]]
    names += [(name, Retold(1, 1)) for name in due.missing[:NAMES]]
    words = [match for match in WORD.finditer(text) if match[0] not in KEYWORDS]
    there = {match[0] for match in words}
    for old in dict.fromkeys(match[0] for match in words):
        places = [match for match in words if match[0] == old]
        if places[0].start() == 0 and continues(left[-1:]):
            continue
        if places[-1].end() == len(text) and continues(right[:1]):
            continue
        for name, how in names:
            if name not in there:
                yield replaced(text, [match.span() for match in places], name), how


def replaced(text: str, spans: Sequence[tuple[int, int]], name: str) -> str:
    for start, end in reversed(spans):
        text = text[:start] + name + text[end:]
    return text


def continues(char: str) -> bool:
    return char.isalnum() or char == "_"
