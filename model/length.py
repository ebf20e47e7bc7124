"""How long a hole is, for networks that cannot grow or shrink it by themselves.

A chooser looks at a fresh board and says of each hole which numbers of masks are worth decoding;
`trial` decodes the best few. The grid of lengths is asked in one batched forward, one board a
length, and judged by one of three published rules. Knows ids and logits, no text and no network.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch is only partly typed.

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from model.board import Board, Specials

GRID = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
Place = tuple[int, int, int]  # position in the row, hole, index in the hole

# Rows of ids, and in each the places asked for; for each row its logits there, (places, vocab). All
# of it is one forward.
Look = Callable[[Sequence[list[int]], Sequence[Sequence[Place]]], list[Tensor]]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A length in masks and how good it is; scores are compared within one chooser only."""

    length: int
    score: float


class Chooser(Protocol):
    def __call__(self, board: Board, look: Look) -> list[list[Ranked]]:
        """For each hole of a fresh board the lengths worth decoding, best first, at least one."""
        ...


@dataclass(frozen=True, slots=True)
class Glance:
    """What one forward says of a hole of `length` masks: the mean over them of the largest
    probability, and of the negative entropy in nats."""

    length: int
    sure: float
    order: float


Score = Callable[[Glance], float]
Rule = Callable[[Sequence[Glance]], Score]  # from all of the grid to what its members are worth


@dataclass(frozen=True, slots=True)
class Curve:
    """How sure a network is of a hole of L masks whatever the right length, for calibration:
    B(L) = a·exp(-b·L) + c·exp(-d·L) + e. The usual values are those that CAL published for LLaDA,
    Dream-Coder and DiffuCoder alike (arXiv 2602.00476); `calibrate` fits a model's own."""

    a: float = 1.0
    b: float = 1.77
    c: float = 0.56
    d: float = 0.06
    e: float = 0.24

    def __call__(self, length: float) -> float:
        near, far = math.exp(-self.b * length), math.exp(-self.d * length)
        return max(1e-6, self.a * near + self.c * far + self.e)


def calibrated(curve: Curve) -> Rule:
    """CAL: how sure the network is, held against how sure it is of any hole so long."""
    return lambda _: lambda glance: glance.sure / curve(glance.length)


def powered(exponent: float = 0.1) -> Rule:
    """Length power: the exponent was chosen on HumanEval's single lines, so how well it does there
    says little."""
    return lambda _: lambda glance: glance.sure * glance.length**exponent


def regressed(grid: Sequence[Glance]) -> Score:
    """LR-DLLM, stage 1 (arXiv 2602.07546): what is left of the order when its trend over the
    logarithm of the length is taken away; the trend is that of this very hole."""
    if len(grid) < 2:
        return lambda glance: glance.order
    logs = [math.log(glance.length) for glance in grid]
    mean, level = sum(logs) / len(grid), sum(glance.order for glance in grid) / len(grid)
    spread = sum((log - mean) ** 2 for log in logs)
    together = sum((log - mean) * (it.order - level) for log, it in zip(logs, grid, strict=True))
    slope = together / spread
    return lambda glance: glance.order - slope * math.log(glance.length)


@dataclass(frozen=True, slots=True)
class Grid:
    """The chooser that looks at a grid of lengths, and with `near` once more around the best.

    All holes of a canvas are looked at on the same boards, so several cost no more than one.
    """

    rule: Rule
    near: bool = True
    lengths: tuple[int, ...] = GRID

    def __call__(self, board: Board, look: Look) -> list[list[Ranked]]:
        holes = zip(board.canvas.holes, board.open, strict=True)
        tried = [within(self.lengths, hole.limit) if free else [] for hole, free in holes]
        coarse = glances_at(board, look, tried)
        scores = [self.rule(glances) for glances in coarse]
        seen = coarse
        if self.near:
            around = [near_to(*it) for it in zip(coarse, scores, strict=True)]
            closer = glances_at(board, look, around)
            seen = [a + b for a, b in zip(coarse, closer, strict=True)]
        # What is only re-noised keeps the length that it has.
        return [
            ranked((it.length, score(it)) for it in glances) or [Ranked(len(cells), 0.0)]
            for glances, score, cells in zip(seen, scores, board.cells, strict=True)
        ]


def within(lengths: Iterable[int], limit: int) -> list[int]:
    return sorted({min(length, limit) for length in lengths})


def near_to(grid: Sequence[Glance], score: Score) -> list[int]:
    """The neighbours of the best of the grid, and the middles of the gaps on its two sides."""
    if not grid:
        return []
    lengths = [it.length for it in grid]
    best = max(grid, key=lambda it: (score(it), -it.length)).length
    gaps = [(low, high) for low, high in pairwise(lengths) if best in (low, high)]
    found = {best - 1, best + 1, *((low + high) // 2 for low, high in gaps)}
    return sorted(it for it in found - set(lengths) if lengths[0] < it < lengths[-1])


def ranked(scores: Iterable[tuple[int, float]]) -> list[Ranked]:
    """Best first, the shorter one first of two alike."""
    return sorted((Ranked(*it) for it in scores), key=lambda it: (-it.score, it.length))


@torch.inference_mode()
def glances_at(board: Board, look: Look, lengths: Sequence[Sequence[int]]) -> list[list[Glance]]:
    """One forward over as many boards as the hole with the most `lengths` has."""
    count = max(map(len, lengths), default=0)
    if not count:
        return [[] for _ in lengths]
    # A hole with fewer lengths than another waits at its last one; `in_hole` says which to read.
    some = [list(mine) or [len(cells)] for mine, cells in zip(lengths, board.cells, strict=True)]
    boards = [board.resized([mine[min(i, len(mine) - 1)] for mine in some]) for i in range(count)]
    places = [it.masks(max(map(len, it.cells))) for it in boards]
    found: list[list[Glance]] = [[] for _ in lengths]
    for i, logits in enumerate(look([it.row for it in boards], places)):
        logs = text_only(logits, board.vocabulary.specials).log_softmax(-1)
        sure = logs.max(-1).values.exp().cpu()
        order = (logs.exp() * logs.clamp_min(-1e4)).sum(-1).cpu()  # 0 · -inf is no number
        holes = torch.tensor([hole for _, hole, _ in places[i]])
        for hole, mine in enumerate(lengths):
            at = holes == hole
            if i < len(mine) and at.any():
                means = float(sure[at].mean()), float(order[at].mean())
                found[hole].append(Glance(mine[i], *means))
    return found


def text_only(logits: Tensor, specials: Specials) -> Tensor:
    """The logits without the tokens that are never written."""
    never = torch.tensor([specials.mask, *specials.banned], device=logits.device)
    return logits.index_fill(-1, never, -torch.inf)


def best_together(holes: Sequence[Sequence[Ranked]], most: int) -> list[tuple[int, ...]]:
    """The best few choices of one length a hole, by the sum of their scores."""
    kept: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for rankings in holes:
        grown = [
            (sum_ + it.score, (*chosen, it.length)) for sum_, chosen in kept for it in rankings
        ]
        kept = sorted(grown, key=lambda it: (-it[0], it[1]))[:most]
    return [chosen for _, chosen in kept]
