"""How a fill's line is like the lines round it: a copy, of the same shape, made of names that stand
near. Code repeats itself, and what repeats nothing is seldom right. Knows lines and words only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from infill.code.binding import KEYWORDS
from infill.code.scope import WORD, WORD_BEGUN, WORD_ENDED, plain

NEARBY = 20_000  # characters on each side that lines are compared with: some 5 ms
NEAREST = 15  # lines on each side that are near
SHORT = 3  # tokens: so short a line has its shape by chance
LONG = 200  # characters: the shape of such a line is not kept
MOST_WORDS = 12  # beyond which more say no more
# In a shape all names are one, and so are all strings and all numbers; keywords and signs stay.
NUMBER = re.compile(r"\b\d[\w.]*")
NAMED = re.compile(
    r"(\"|')(?:(?!\1)[^\n])*+\1|\b(?!(?:" + "|".join(sorted(KEYWORDS)) + r")\b)[^\W\d]\w*+"
)
CONSTANT = re.compile(r"\b(?:True|False|None)\b|\d|[\"']")
TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The lines round a hole."""

    left: str  # what stands on the hole's own line
    right: str
    lines: frozenset[str]
    nearest: frozenset[str]  # of `lines`
    shapes: frozenset[str]
    beside: frozenset[str]  # the shapes of the nearest line above and below
    words: frozenset[str]  # that stand near


@dataclass(frozen=True, slots=True)
class Likeness:
    """What of a fill's line is like its neighbours, and how many names the fill has."""

    copies: int = 0  # 1 where the line stands elsewhere, too
    like: int = 0  # 1 where one of its shape does
    beside: int = 0  # 1 where the line above or below has its shape
    again: int = 0  # 1 where it stands near already, and is no mere `else:`: who writes it twice?
    familiar: float = 0.0  # the share of its names that stand near
    words: int = 0  # names in it


def neighbours_of(text: str, start: int, end: int) -> Neighbours:
    line_start, line_end = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    line_end = line_end if line_end >= 0 else len(text)
    above = plain(text[max(0, line_start - NEARBY) : line_start])
    below = plain(text[line_end : line_end + NEARBY])
    lines = [[line.strip() for line in part.split("\n")] for part in (above, below)]
    shapes = {shape_of(line) for part in lines for line in part}
    nearest = [next(filter(None, part), "") for part in (reversed(lines[0]), lines[1])]
    left, right = text[line_start:start], text[end:line_end]
    near = [*lines[0][-NEAREST:], *lines[1][:NEAREST]]
    return Neighbours(
        left,
        right,
        frozenset(lines[0] + lines[1]),
        frozenset(near),
        frozenset(shapes),
        frozenset(map(shape_of, nearest)),
        frozenset(WORD.findall(" ".join([left, right, *near]))),
    )


def likeness_of(fill: str, around: Neighbours) -> Likeness:
    line = (around.left + fill + around.right).strip()
    shape = shape_of(line)
    names = names_in(fill, around.left, around.right)
    known = sum(name in around.words for name in names)
    return Likeness(
        copies=int(line in around.lines),
        like=int(shape in around.shapes),
        beside=int(shape in around.beside and len(TOKEN.findall(line)) > SHORT),
        again=int(line in around.nearest and bool(names or CONSTANT.search(fill))),
        familiar=known / len(names) if names else 0.5,
        words=min(len(names), MOST_WORDS),
    )


def names_in(fill: str, left: str, right: str) -> list[str]:
    """The words of a fill that are no keywords, those that it completes as a whole."""
    begun, ended = WORD_BEGUN.search(left), WORD_ENDED.match(right)
    whole = (begun[0] if begun else "") + fill + (ended[0] if ended else "")
    return [word for word in WORD.findall(whole) if word not in KEYWORDS]


def shape_of(code: str) -> str:
    return _remembered(code) if len(code) <= LONG else _shape(code)


def _shape(code: str) -> str:
    return NAMED.sub(r"\1N", NUMBER.sub("0", code))


# Each fill is compared with some thousand lines, nearly all of them those of the fill before.
_remembered = lru_cache(maxsize=4096)(_shape)
