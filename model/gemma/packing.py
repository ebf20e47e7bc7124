"""Canvases laid one behind the other, and the few sizes that they are padded to.

Packed like this, rows of different lengths need no padding of their own, and what they share, the
prompt, is read once. It knows no tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from model.gemma.history import Layer
from model.masked.graphs import power_of_two

SHORTEST_PREFIX, SHORTEST_CANVAS, FEWEST_ASKED = 256, 32, 16


@dataclass(frozen=True, slots=True)
class Size:
    """What graphs are told apart by; `stability` is `Policy.stability`."""

    prefix: int
    canvas: int
    asked: int
    rows: int
    stability: int

    def seen(self, layer: Layer) -> int:
        """How many tokens of the prompt there is room for where a layer is asked."""
        return self.prefix if layer.reach is None else min(self.prefix, layer.reach + 1)


@dataclass(frozen=True, slots=True)
class Layout:
    """Canvases laid one behind the other. A row's hole tokens stand together in `asked`, in the
    order of the rows; behind all of them come the given tokens that are asked about, too."""

    ids: list[int]
    places: list[int]  # of each token in its row
    rows: list[int]  # which that is
    asked: list[int]  # tokens
    spans: list[range]  # of each row in `asked`

    @property
    def written(self) -> int:
        return sum(map(len, self.spans))


def size_of(prefix: int, layout: Layout, stability: int, *, padded: bool) -> Size:
    """What canvases behind so long a prompt are padded to, if they are."""
    canvas, asked, rows = len(layout.ids), len(layout.asked), len(layout.spans)
    if padded:
        prefix = max(SHORTEST_PREFIX, power_of_two(prefix))
        canvas, asked = fitting(canvas, SHORTEST_CANVAS), fitting(asked, FEWEST_ASKED)
        rows = power_of_two(rows)
    return Size(prefix, canvas, asked, rows, stability)


def fitting(number: int, least: int) -> int:
    """The next power of two or one and a half of one: a third of it is padding at most."""
    power = max(least, power_of_two(number))
    return power * 3 // 4 if number <= power * 3 // 4 >= least else power


def sizes(prefix: int, canvas: int, asked: int, rows: int, stability: int) -> list[Size]:
    """By these all graphs come about that steps of up to so much may need.

    A body is told apart by prompt and canvas, a judgement by the tokens asked about and rows. The
    first is the largest in all of them, so that no buffer has to grow later.
    """
    long, wide = max(SHORTEST_PREFIX, power_of_two(prefix)), fitting(canvas, SHORTEST_CANVAS)
    many, beside = fitting(asked, FEWEST_ASKED), power_of_two(rows)
    bodies = [
        Size(long >> i, width, FEWEST_ASKED, 1, stability)
        for i in range((long // SHORTEST_PREFIX).bit_length())
        for width in falling(wide, SHORTEST_CANVAS)
    ]
    judgements = [
        Size(SHORTEST_PREFIX, fitting(number, SHORTEST_CANVAS), number, beside >> i, stability)
        for i in range(beside.bit_length())
        for number in falling(many, FEWEST_ASKED)
    ]
    return [Size(long, wide, many, beside, stability), *bodies, *judgements]


def falling(most: int, least: int) -> list[int]:
    """All that `fitting` gives for up to that many, the largest first."""
    found = [fitting(most, least)]
    while (below := fitting(found[-1] * 2 // 3, least)) < found[-1]:
        found.append(below)
    return found


def nothing(size: Size) -> Layout:
    """Rows that share a canvas of that size and are asked about as many tokens."""
    ends = [size.asked * row // size.rows for row in range(size.rows + 1)]
    spans = [range(start, end) for start, end in pairwise(ends)]
    owners = [row for row, span in enumerate(spans) for _ in span]
    behind = [size.rows - 1] * (size.canvas - size.asked)
    return Layout(
        [0] * size.canvas,
        list(range(size.canvas)),
        owners + behind,
        list(range(size.asked)),
        spans,
    )
