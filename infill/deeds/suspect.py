"""Which rows of a broken file the mistake may be in: those that a parser names, and those that look
odd by their brackets, quotes and spaces. Knows tokens, no trees.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from infill.code.brackets import CLOSERS
from infill.code.idiom import tokens_of
from infill.edit import Span

ROUND = 8  # rows above and below an error that are looked at
ODD_ROWS = 24  # rows that look odd, anywhere
LONG_ROW = 400  # characters: a longer row is not code that anyone wrote by hand
# What it costs, in nats, that the mistake is there: tuned on files that no measurement is made on.
FAR, A_ROW, PER_ODD = 1.0, 0.25, 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the file without its end, and what it costs that the mistake is in it."""

    start: int
    end: int
    cost: float
    number: int


def rows_near(text: str, language: str, errors: Sequence[Span]) -> Iterator[list[Row]]:
    """Those of the errors and next to them; those where brackets, quotes or spaces look odd; and
    the others near."""
    starts = [0, *(m.end() for m in re.finditer(r"\r\n|\r|\n", text))]
    ends = [*(m.start() for m in re.finditer(r"\r\n|\r|\n", text)), len(text)]
    costs: dict[int, float] = {}

    def suspect(row: int, cost: float) -> None:
        if 0 <= row < len(starts) and ends[row] - starts[row] <= LONG_ROW:
            costs[row] = min(cost, costs.get(row, cost))

    for start, end in errors:
        first, last = bisect_right(starts, start) - 1, bisect_right(starts, end) - 1
        for away in range(-ROUND, ROUND + 1):
            for row in {first, last}:
                suspect(row + away, 0.0 if away == 0 else FAR + A_ROW * abs(away))
    for row in odd_rows(text, language, starts, ends)[:ODD_ROWS]:
        suspect(row, PER_ODD)
    rows = sorted((Row(starts[n], ends[n], costs[n], n) for n in costs), key=lambda it: it.cost)
    for near, far in pairwise((-1.0, PER_ODD, FAR + A_ROW, FAR + 3 * A_ROW, math.inf)):
        if some := [row for row in rows if near < row.cost <= far]:
            yield some


def odd_rows(text: str, language: str, starts: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Rows with a quote that stands alone, a bracket without its match, or strange spaces."""
    odd: list[int] = []
    stack: list[tuple[str, int]] = []
    closed: list[int] = []  # rows of brackets that closed one of another row, and of those
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        line = text[start:end]
        strange = any(line.count(quote) % 2 for quote in "\"'`")
        strange |= language == "python" and HALF_QUOTE.search(line) is not None
        strange |= line.endswith((" ", "\t")) or WIDE.search(line) is not None
        for token in tokens_of(line, language):
            sign = token.kind.strip()
            if sign in CLOSERS.values():
                stack.append((sign, row))
            elif sign in CLOSERS:
                opener, opened = stack.pop() if stack else ("", row)
                if opener != CLOSERS[sign]:
                    strange = True
                    odd += [opened, *closed[-6:]]
                    closed.clear()
                elif opened != row:
                    closed += [opened, row]
        if strange:
            odd.append(row)
    return list(dict.fromkeys([*(row for _, row in stack), *odd]))


HALF_QUOTE = re.compile(r"(?<!\")\"\"(?!\")|(?<!')''(?!')")
WIDE = re.compile(r"\S {2,}[^\s#/]")


def misplaced(text: str, language: str) -> int:
    """How many brackets at the beginning of a line are not as deep as the line with their match."""
    stack: list[tuple[str, int]] = []
    count = depth = 0
    at_start = True
    for token in tokens_of(text, language):
        sign = token.kind.strip()
        if token.kind.startswith("\n"):
            line = text[text.rfind("\n", 0, token.start) + 1 : token.start]
            depth, at_start = len(line.expandtabs(4)), True
            continue
        if sign in CLOSERS.values():
            stack.append((sign, depth))
        elif sign in CLOSERS and stack:
            opener, opened_at = stack.pop()
            count += opener != CLOSERS[sign] or (at_start and opened_at != depth)
        at_start = False
    return count + len(stack)
