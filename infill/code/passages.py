"""The statements of a long Python text, read passage by passage: what was read once need not be
read again when another line has changed. Knows rows of statements, no holes.
"""

from __future__ import annotations

import re
from functools import lru_cache

from infill.code.binding import Reader, State, Statement

LONGEST = 4_000  # characters: what is read takes some forty times its text, so the long is not kept
KEPT = 128  # passages, a few megabytes: those round two holes and more

# Where a reader forgets what came before, whatever it was, unless a string is open.
ANEW = re.compile(r"\n(?<!\\\n)(?<!\\\r\n)(?=[ \t]*(?:def|class)\b)")
NO_STRING = ("", "#")  # a state's string: the line ends a comment

FRESH = State()

Passage = tuple[tuple[Statement, ...], State]


def statements_of(text: str, state: State = FRESH) -> tuple[list[Statement], State]:
    """What `Reader(state)` reads in the text, and its state after that. The statements are shared
    with whoever reads the same: they are not to be changed."""
    begins = [0, *(match.start() for match in ANEW.finditer(text, 1)), len(text)]
    last = len(begins) - 1
    statements: list[Statement] = []
    first, many = 0, 1
    while first < last:
        end = min(first + many, last)
        read, left = passage_of(text[begins[first] : begins[end]], state)
        if end < last and left.string not in NO_STRING:
            many *= 2  # not one more: a long string would be read as often as it has such lines
            continue
        statements += read
        state = left if end == last else FRESH
        first, many = end, 1
    return statements, state


def passage_of(text: str, state: State) -> Passage:
    return _remembered(text, state) if len(text) <= LONGEST else _passage(text, state)


def _passage(text: str, state: State) -> Passage:
    reader = Reader(state)
    return tuple(reader.statements(text)), reader.state


_remembered = lru_cache(maxsize=KEPT)(_passage)
