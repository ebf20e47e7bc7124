"""Canvases of one prompt refined together, step by step: ids in, ids out, and no text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.gemma.desk import Desk
from model.gemma.history import History
from model.gemma.sampler import Policy

NOISE = -1


@dataclass(frozen=True, slots=True)
class Row:
    """One canvas. Rows of different lengths may be refined together, they do not see each other.

    `ids` in holes are what a hole starts with, `NOISE` a token drawn at random. All outside the
    holes is clamped. `scored` are clamped places whose own probability is asked for. Noise is
    drawn by `seed`, no matter what other rows there are.
    """

    ids: tuple[int, ...]
    holes: tuple[range, ...]
    scored: tuple[range, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """A row after a step. Of hole tokens there is one entry each, from left to right."""

    ids: tuple[int, ...]  # all of the canvas, the likeliest tokens in its holes
    confidence: tuple[float, ...]  # the network's probability of each hole token
    accepted: tuple[bool, ...]  # whether it stays in the canvas for the next step
    hole_score: float  # mean log-probability of the hole tokens
    scored: float  # mean log-probability of what stands at `Row.scored`; 0 where that is empty
    done: bool


@dataclass(frozen=True, slots=True)
class Step:
    number: int  # from 1
    rows: tuple[Told, ...]
    final: bool  # all rows are done, or this was the last step


class Decoding:
    """An iterator of steps. To stop early, stop asking. A desk serves one at a time."""

    def __init__(
        self, desk: Desk, history: History, rows: Sequence[Row], policy: Policy
    ) -> None: ...

    def __iter__(self) -> Decoding: ...

    def __next__(self) -> Step: ...

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with these rows alone, in this order; others no longer cost anything."""
