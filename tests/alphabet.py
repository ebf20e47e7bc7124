"""A network that knows one thing, the alphabet, and so how many letters are missing."""

from __future__ import annotations

import torch
from torch import Tensor

from model.masked.board import Specials
from model.masked.network import Network, Shape, picked
from tests.boards import VOCABULARY, Letters

FIRST, LAST, MASK = 6, 31, 3


class Fixed(Letters):
    """The letters without expand and delete."""

    specials = Specials(mask=MASK, bos=1, eos=2, banned=(0, 1, 2, 4, 5))


SHAPE = Shape(vocab=VOCABULARY, dim=VOCABULARY, layers=0, heads=1, kv_heads=1, ff=1, tied=False)


class Alphabet(Network):
    """At a mask the letter that follows from both sides. Where they disagree, as the hole is too
    short or too long, one guess is by the nearer side, the less sure the more is amiss."""

    def __init__(self) -> None:
        super().__init__(SHAPE)
        self.model = Answers()
        with torch.no_grad():
            self.lm_head.weight.copy_(torch.eye(VOCABULARY))

    @property
    def forwards(self) -> int:
        return len(self.model.sizes)


class Answers(torch.nn.Module):
    """States that are logits already. `sizes` are the boards of each forward."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(
        self,
        tokens: Tensor,
        lengths: Tensor | None,
        kept: Tensor | None = None,
        where: Tensor | None = None,
        wanted: Tensor | None = None,
    ) -> Tensor:
        assert kept is where is None
        self.sizes.append(len(tokens))
        found = torch.zeros(*tokens.shape, VOCABULARY)
        ends = [tokens.shape[1]] * len(tokens) if lengths is None else lengths.tolist()
        for i, (row, end) in enumerate(zip(tokens.tolist(), ends, strict=True)):
            for at in range(end):
                if row[at] == MASK and (guess := guess_at(row[:end], at)):
                    found[i, at, guess[0]] = guess[1]
        return picked(found, wanted)


def guess_at(row: list[int], at: int) -> tuple[int, float] | None:
    """The letter and its logit; that of all others is 0."""
    left = next((i for i in range(at, -1, -1) if letter(row, i)), None)
    right = next((i for i in range(at, len(row)) if letter(row, i)), None)
    guesses = [(abs(at - i), row[i] + at - i) for i in (left, right) if i is not None]
    if not guesses:
        return None
    amiss = abs(guesses[0][1] - guesses[-1][1])
    return wrapped(min(guesses)[1]), max(0.0, 9.0 - 4.5 * amiss)


def letter(row: list[int], at: int) -> bool:
    return FIRST <= row[at] <= LAST


def wrapped(token: int) -> int:
    return FIRST + (token - FIRST) % (LAST - FIRST + 1)
