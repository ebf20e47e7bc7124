"""Canvases laid one behind the other, and the few sizes that they are padded to.

Packed like this, rows of different lengths need no padding of their own, and what they share, the
prompt, is read once. It knows no tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from model.gemma.history import Layer
from model.graphs import power_of_two

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
        canvas = max(SHORTEST_CANVAS, power_of_two(canvas))
        asked = max(FEWEST_ASKED, power_of_two(asked))
        rows = power_of_two(rows)
    return Size(prefix, canvas, asked, rows, stability)


def powers(most: int, least: int) -> list[int]:
    """The powers of two that fit so much, the largest first, down to the least."""
    above = max(most, least)
    return [power_of_two(above) >> i for i in range((power_of_two(above) // least).bit_length())]


def nothing(canvas: int, rows: int) -> Layout:
    """Rows that share a canvas and are holes all over."""
    ends = [canvas * row // rows for row in range(rows + 1)]
    spans = [range(start, end) for start, end in pairwise(ends)]
    return Layout(
        [0] * canvas,
        [place for span in spans for place in range(len(span))],
        [row for row, span in enumerate(spans) for _ in span],
        list(range(canvas)),
        spans,
    )
