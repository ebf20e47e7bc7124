"""How long a hole is, for networks that cannot grow or shrink it by themselves.

A chooser looks at a fresh board and says of each hole which numbers of masks are worth decoding;
`trial` decodes the best few. The grid of lengths is asked in one batched forward, one board a
length, and judged by one of three published rules. LR-DLLM goes on asking while it writes:
`regression` and `adjusted`. Knows ids and logits, no text and no network.
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

from model.masked.board import Board, Specials

GRID = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
POWERS = (1, 2, 4, 8, 16, 32, 64, 128)  # LR-DLLM's
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
    slope = slope_of(grid)
    return lambda glance: glance.order - slope * math.log(glance.length)


def slope_of(grid: Sequence[Glance]) -> float:
    """Of the line through the orders over the logarithms of the lengths, by least squares."""
    if len(grid) < 2:
        return 0.0
    logs = [math.log(glance.length) for glance in grid]
    mean, level = sum(logs) / len(grid), sum(glance.order for glance in grid) / len(grid)
    spread = sum((log - mean) ** 2 for log in logs)
    together = sum((log - mean) * (it.order - level) for log, it in zip(logs, grid, strict=True))
    return together / spread


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
    found: list[list[Glance]] = [[] for _ in lengths]
    for i, glances in enumerate(seen_on(boards, look)):
        for hole, mine in enumerate(lengths):
            glance = glances[hole]
            if i < len(mine) and glance is not None:
                found[hole].append(glance)
    return found


@torch.inference_mode()
def seen_on(boards: Sequence[Board], look: Look) -> list[list[Glance | None]]:
    """Of each board what one forward over all of them says of each hole; None if it has no mask."""
    places = [it.masks(max(map(len, it.cells))) for it in boards]
    found: list[list[Glance | None]] = []
    for board, mine, logits in zip(
        boards, places, look([it.row for it in boards], places), strict=True
    ):
        logs = text_only(logits, board.vocabulary.specials).log_softmax(-1)
        sure = logs.max(-1).values.exp().cpu()
        order = (logs.exp() * logs.clamp_min(-1e4)).sum(-1).cpu()  # 0 · -inf is no number
        holes = torch.tensor([hole for _, hole, _ in mine])
        glances: list[Glance | None] = []
        for hole in range(len(board.cells)):
            at = holes == hole
            means = float(sure[at].mean()), float(order[at].mean())
            glances.append(Glance(int(at.sum()), *means) if at.any() else None)
        found.append(glances)
    return found


def regression(board: Board, look: Look) -> tuple[Board, list[Score]]:
    """LR-DLLM, stage 1, as a loop of its own begins: the board with the best of its own grid of
    lengths, and of each hole the score by which `adjusted` goes on."""
    holes = zip(board.canvas.holes, board.open, strict=True)
    tried = [within(POWERS, hole.limit) if free else [] for hole, free in holes]
    grids = glances_at(board, look, tried)
    scores = [regressed(grid) for grid in grids]
    best = [
        ranked((it.length, score(it)) for it in grid)[0].length if grid else len(cells)
        for grid, score, cells in zip(grids, scores, board.cells, strict=True)
    ]
    return board.resized(best), scores


def adjusted(board: Board, look: Look, scores: Sequence[Score]) -> Board:
    """LR-DLLM, stage 2: the board with the length that is due before its next token is written.

    Of each hole one mask fewer and one more are held against as many as there are, by the trend of
    the first look, and the better taken until neither is. Written is from the left, which is
    for the caller: one token a call. There is no code of the authors'; this is how others have read
    the paper (arXiv 2602.07546). A hole of which something was given stays as long as it is.
    """
    holes = range(len(board.cells))
    masks = [len(list(board.masked(hole))) for hole in holes]
    moves = [masks[hole] > 0 and not any(it.given for it in board.cells[hole]) for hole in holes]
    room = [
        hole.limit - len(cells) + count
        for hole, cells, count in zip(board.canvas.holes, board.cells, masks, strict=True)
    ]
    known: list[dict[int, float]] = [{} for _ in holes]
    while True:
        near = [
            [it for it in (masks[hole] - 1, masks[hole], masks[hole] + 1) if 1 <= it <= room[hole]]
            if moves[hole]
            else []
            for hole in holes
        ]
        asked = [[it for it in near[hole] if it not in known[hole]] for hole in holes]
        boards = [
            board.stretched([asked[h][i] if i < len(asked[h]) else masks[h] for h in holes])
            for i in range(max(map(len, asked)))
        ]
        for glances in seen_on(boards, look) if boards else ():
            for hole, glance in enumerate(glances):
                if glance is not None:
                    known[hole].setdefault(glance.length, scores[hole](glance))
        # The shorter of two alike, but none that is no better than what there is.
        best = [
            min(near[hole], key=lambda it: (-known[hole][it], it != masks[hole], it))
            if near[hole]
            else masks[hole]
            for hole in holes
        ]
        if best == masks:
            return board.stretched(masks) if any(moves) else board
        masks = best


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
