"""Canvases of one prompt refined together, step by step: ids in, ids out, and no text."""

# pyright: reportUnknownMemberType=false
# torch is only partly typed.

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from statistics import fmean

import torch

from model.gemma.desk import Desk, Heard, Layout
from model.gemma.history import History
from model.gemma.sampler import Policy

NOISE = -1  # in `Row.ids`


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

    def __post_init__(self) -> None:
        places = [place for hole in self.holes for place in hole]
        known = [place for some in self.scored for place in some]
        if not places:
            raise ValueError("a row without a hole has nothing to refine")
        if sorted({*places, *known}) != sorted(places + known):
            raise ValueError("holes and scored places of a row overlap")
        if min(places + known) < 0 or max(places + known) >= len(self.ids):
            raise ValueError(f"a hole or scored place is not within the {len(self.ids)} ids")
        noisy = [place for place, token in enumerate(self.ids) if token < 0]
        if not set(noisy) <= set(places):
            raise ValueError(f"clamped places {sorted(set(noisy) - set(places))} hold no token")

    @property
    def open(self) -> list[int]:
        """All hole tokens, from left to right."""
        return sorted(place for hole in self.holes for place in hole)

    @property
    def known(self) -> list[int]:
        return [place for some in self.scored for place in some]


@dataclass(frozen=True, slots=True)
class Told:
    """A row after a step. Of hole tokens there is one entry each, from left to right."""

    ids: tuple[int, ...]  # all of the canvas, the likeliest tokens in its holes
    confidence: tuple[float, ...]  # the network's probability of each hole token
    accepted: tuple[bool, ...]  # whether the network was sure enough to keep what was drawn there
    hole_score: float  # mean log-probability of the hole tokens
    scored: float  # mean log-probability of what stands at `Row.scored`; 0 where that is empty
    done: bool


@dataclass(frozen=True, slots=True)
class Step:
    number: int  # from 1
    rows: tuple[Told, ...]
    final: bool  # all rows are done, or this was the last step


class Decoding:
    """An iterator of steps. To stop early, stop asking. A desk serves one at a time.

    It needs the history only while it is made. A row that is done stays as it is and takes part
    until `keep` leaves it out.
    """

    @torch.inference_mode()
    def __init__(self, desk: Desk, history: History, rows: Sequence[Row], policy: Policy) -> None:
        if not rows:
            raise ValueError("there is no row to refine")
        self.desk, self.policy, self.rows = desk, policy, list(rows)
        self.prompt = history.length
        self.number = 0
        self.final = False
        self.generators = [torch.Generator(desk.device).manual_seed(row.seed) for row in rows]
        self.layout = laid(self.rows)
        self.temperatures = policy.temperatures(desk.device)
        desk.holder = self
        desk.start(history, self.layout, self.generators, policy)

    def __iter__(self) -> Decoding:
        return self

    @torch.inference_mode()
    def __next__(self) -> Step:
        if self.final:
            raise StopIteration
        self.check()
        temperature = self.temperatures[self.number]
        heard = self.desk.step(temperature, self.layout, self.generators, self.policy)
        self.number += 1
        rows = tuple(self.told(heard))
        self.final = self.number == self.policy.steps or all(row.done for row in rows)
        return Step(self.number, rows, self.final)

    @torch.inference_mode()
    def keep(self, rows: Sequence[int], *, scored: bool = True) -> None:
        """Goes on with these rows alone, in this order; others no longer cost anything. What is
        kept goes on as if it had been alone from the start. `scored`: whether given tokens are
        still asked about."""
        self.check()
        old = self.layout
        starts = [old.rows.index(row) for row in rows]
        tokens = [start + i for start, row in zip(starts, rows, strict=True)
                  for i in range(len(self.rows[row].ids))]  # fmt: skip
        asked = [i for row in rows for i in old.spans[row]]
        self.rows = [self.rows[row] for row in rows]
        if not scored:
            self.rows = [replace(row, scored=()) for row in self.rows]
        self.generators = [self.generators[row] for row in rows]
        self.layout = laid(self.rows)
        self.desk.keep(self.layout, self.prompt, tokens, asked, list(rows), self.policy)

    def check(self) -> None:
        if self.desk.holder is not self:
            raise RuntimeError("another decoding has taken the desk over: this one cannot go on")

    def told(self, heard: Heard) -> Iterator[Told]:
        given = self.layout.written  # where in what was asked the given tokens of the next row are
        for row, span, done in zip(self.rows, self.layout.spans, heard.done, strict=True):
            ids = list(row.ids)
            for place, token in zip(row.open, heard.ids[span.start : span.stop], strict=True):
                ids[place] = token
            logs = heard.logs[span.start : span.stop]
            known = heard.logs[given : given + len(row.known)]
            given += len(known)
            yield Told(
                tuple(ids),
                tuple(map(math.exp, logs)),
                tuple(heard.accepted[span.start : span.stop]),
                fmean(logs),
                fmean(known) if known else 0.0,
                done,
            )


def laid(rows: Sequence[Row]) -> Layout:
    """The rows one behind the other."""
    starts = list(accumulate((len(row.ids) for row in rows), initial=0))
    ends = list(accumulate((len(row.open) for row in rows), initial=0))
    return Layout(
        [token for row in rows for token in row.ids],
        [place for row in rows for place in range(len(row.ids))],
        [number for number, row in enumerate(rows) for _ in row.ids],
        [start + place for start, row in zip(starts, rows, strict=False) for place in row.open]
        + [start + place for start, row in zip(starts, rows, strict=False) for place in row.known],
        [range(*pair) for pair in pairwise(ends)],
    )
