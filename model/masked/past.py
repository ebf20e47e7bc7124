"""What a board's next step knows of those before it, where the policy asks for that.

For KLASS how each mask's probabilities moved; for frozen surroundings the keys and values of what
stands around the holes. Else nothing is carried from step to step but the board.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch is only partly typed.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.masked.board import Board, Cell

Place = tuple[int, int, int]  # position in the row, hole, index in the hole


@dataclass(slots=True)
class Past:
    """One board's. A mask is known again by its cell, wherever growing and cutting moved it."""

    cells: list[Cell] = field(default_factory=list[Cell])
    calm: list[bool] = field(default_factory=list[bool])
    probabilities: Tensor | None = None  # (masks, vocab)
    kept: Tensor | None = None  # (layers, 2, kv heads, length, head width)
    sizes: list[int] = field(default_factory=list[int])  # of the holes when they were kept
    age: int = 0  # steps that have used what is kept

    def recall(self, board: Board, places: Sequence[Place]) -> dict[int, int]:
        """For the masks that were there a step before: number now → number then."""
        there = {id(cell): number for number, cell in enumerate(self.cells)}
        cells = [id(board.cells[hole][index]) for _, hole, index in places]
        return {now: there[cell] for now, cell in enumerate(cells) if cell in there}

    def write_before(self, board: Board, places: Sequence[Place], before: Tensor) -> None:
        """The last step's probabilities into today's rows, (masks, vocab), of the masks known."""
        pairs = self.recall(board, places)
        if self.probabilities is not None and pairs:
            then = torch.tensor(list(pairs.values()), device=before.device)
            before[list(pairs)] = self.probabilities[then]

    def notice(
        self, board: Board, places: Sequence[Place], calm: Sequence[float], now: Tensor
    ) -> None:
        """Remembers this step's probabilities (masks, vocab), before anything is committed."""
        self.cells = [board.cells[hole][index] for _, hole, index in places]
        self.calm = [bool(it) for it in calm]
        self.probabilities = now.clone()

    def fits(self, board: Board, steps: int) -> bool:
        """Whether what is kept still stands: no hole has changed its length, and not too old."""
        sizes = [len(cells) for cells in board.cells]
        return self.kept is not None and self.sizes == sizes and self.age + 1 < steps

    def keep(self, board: Board, kept: Tensor) -> None:
        self.kept = kept.clone()
        self.sizes = [len(cells) for cells in board.cells]
        self.age = 0


def anew(board: Board, shift: bool) -> list[int]:
    """The positions that are computed anew beside frozen surroundings: the holes' own.

    With shifted logits a hole's first token is read from the row before it, so that one, too.
    """
    positions: list[int] = []
    start = len(board.texts[0])
    for cells, text in zip(board.cells, board.texts[1:], strict=True):
        first = max(0, start - shift)
        positions += range(max(first, positions[-1] + 1 if positions else 0), start + len(cells))
        start += len(cells) + len(text)
    return positions
