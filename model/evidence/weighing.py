"""Counts as evidence in the refinement loop: proposals for each hole, weighed with the network.

Before a board's first step each hole gets proposals by counting (`proposals`). At every step they
are weighed anew: by their counts, by what the network now gives their tokens at the masks, and by
what is committed already. Their share at each mask is then mixed into the network's probabilities.
The weights are fitted on held-out code, with the case that no proposal is right (`Blend`). The
loop, its drafts, holes and lengths stay what they are.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch is only partly typed.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.canvas import Canvas, Rival
from model.evidence.proposals import Proposal, Proposer
from model.masked.board import Board

Place = tuple[int, int, int]  # position in the row, hole, index in the hole
MOST_RIVALS = 12
LEAST = 1e-6  # the probability of a rival worth telling
UNHEARD = -20.0  # the least that the network's word counts for, in nats


@dataclass(frozen=True, slots=True)
class Blend:
    """How counts and network are weighed, fitted on held-out code (`blending`).

    A proposal's weight is exp(counts · its score + network · its log-probability at the masks +
    token · its tokens); that of none being exactly right is exp(none). Of the probability of a
    token at a mask `share` comes from the proposals, right or not, the rest from the network.
    """

    counts: float = 0.6
    network: float = 0.1
    token: float = 0.0
    none: float = -3.0
    share: float = 0.75


@dataclass(frozen=True, slots=True)
class Candidates:
    """A hole's proposals in the board's tokens, each row padded with -1."""

    proposals: tuple[Proposal, ...]
    tokens: Tensor  # (candidates, longest)
    lengths: Tensor  # (candidates)
    scores: Tensor  # (candidates), those of the proposals

    @classmethod
    def of(cls, proposals: Sequence[Proposal], board: Board, limit: int) -> Candidates:
        rows = [(it, board.vocabulary.encode(it.text)) for it in proposals]
        rows = [(it, row) for it, row in rows if 0 < len(row) <= limit]
        longest = max((len(row) for _, row in rows), default=0)
        padded = [row + [-1] * (longest - len(row)) for _, row in rows]
        return cls(
            tuple(it for it, _ in rows),
            torch.tensor(padded, dtype=torch.long).reshape(len(rows), longest),
            torch.tensor([len(row) for _, row in rows], dtype=torch.long),
            torch.tensor([it.score for it, _ in rows]),
        )

    def allowed(self, board: Board, number: int) -> Tensor:
        """Which agree with what the hole holds already, (candidates) of booleans."""
        specials = board.vocabulary.specials
        cells = board.cells[number]
        allowed = torch.ones(len(self.proposals), dtype=torch.bool)
        if specials.delete is None:
            allowed &= self.lengths == len(cells)
        if specials.expand is None or not board.may_expand(number):
            allowed &= self.lengths <= len(cells)
        for index, cell in enumerate(cells):
            if cell.token != specials.mask:
                inside = index < self.tokens.shape[1]
                allowed &= self.tokens[:, index] == cell.token if inside else torch.tensor(False)
        return allowed

    def wanted(self, indices: Tensor, board: Board, number: int) -> Tensor:
        """What each says of the masks at `indices`, (candidates, masks): its token; delete where it
        is over; expand at the hole's last mask where the hole is too short for it."""
        specials = board.vocabulary.specials
        last = self.tokens.shape[1] - 1
        wanted = self.tokens[:, indices.clamp(max=last)]
        over = indices >= self.lengths[:, None]
        # Where there is no delete, a text that is over before its hole is not allowed anyway.
        wanted = wanted.where(~over, specials.delete if specials.delete is not None else 0)
        size = len(board.cells[number])
        if specials.expand is not None and int(indices[-1]) == size - 1:
            wanted[self.lengths > size, -1] = specials.expand
        return wanted

    def heard(self, indices: Tensor, said: Tensor) -> Tensor:
        """The network's log-probability of each, (candidates): of its tokens at the masks, and of
        the hole ending behind them. `said` (candidates, masks) is that of what it wants."""
        over = indices >= self.lengths[:, None]
        counted = ~over | (over & (over.cumsum(-1) == 1))
        return (said * counted).sum(-1)


@dataclass(slots=True)
class Evidence:
    """The candidates of each hole of one board, and what they weighed when all were still open."""

    holes: list[Candidates]
    blend: Blend
    rivals: list[tuple[Rival, ...]]

    @classmethod
    def of(cls, board: Board, proposer: Proposer, blend: Blend) -> Evidence:
        holes: list[Candidates] = []
        for number, hole in enumerate(board.canvas.holes):
            before, after = sides_of(board.canvas, number)
            proposals = proposer.proposals(
                before, after, multiline=hole.multiline, others=board.canvas.others
            )
            holes.append(Candidates.of(proposals, board, hole.limit))
        return cls(holes, blend, [() for _ in holes])

    def mixed(self, board: Board, places: Sequence[Place], probabilities: Tensor) -> Tensor:
        """The network's probabilities at the masks, (masks, vocab), with the evidence in them."""
        mixed = probabilities.cpu().clone()
        for number, candidates in enumerate(self.holes):
            rows = [i for i, place in enumerate(places) if place[1] == number]
            if not rows or not candidates.proposals:
                continue
            allowed = candidates.allowed(board, number)
            if not allowed.any():
                continue
            indices = torch.tensor([places[i][2] for i in rows])
            wanted = candidates.wanted(indices, board, number)
            logs = mixed[rows].log().clamp_min(UNHEARD)
            heard = candidates.heard(indices, logs.gather(1, wanted.T).T)
            scores = self.scores(candidates, heard, allowed)
            votes = torch.zeros_like(mixed[rows])
            votes.scatter_add_(1, wanted.T, scores.softmax(0).expand(len(rows), -1))
            share = self.blend.share
            mixed[rows] = (1 - share) * mixed[rows] + share * votes
            # Later on only those are left that the loop is about to write.
            if not self.rivals[number]:
                none = torch.tensor([self.blend.none])
                self.rivals[number] = told(candidates, torch.cat((scores, none)).softmax(0)[:-1])
        return mixed.to(probabilities.device)

    def scores(self, candidates: Candidates, heard: Tensor, allowed: Tensor) -> Tensor:
        """The logarithms of the candidates' weights."""
        blend = self.blend
        scores = (
            blend.counts * candidates.scores
            + blend.network * heard
            + blend.token * candidates.lengths
        )
        return scores.where(allowed, -torch.inf)


def told(candidates: Candidates, weights: Tensor) -> tuple[Rival, ...]:
    """The best few as text, best first."""
    best = weights.argsort(descending=True)[:MOST_RIVALS].tolist()
    return tuple(
        Rival(candidates.proposals[i].text, float(weights[i])) for i in best if weights[i] > LEAST
    )


def sides_of(canvas: Canvas, number: int) -> tuple[str, str]:
    """The text on both sides of one hole, as much as is known; the other holes are empty."""
    first, last = (wide or text for wide, text in zip(canvas.wide, canvas.ends, strict=True))
    inner = canvas.texts[1:-1]
    return first + "".join(inner[:number]), "".join(inner[number:]) + last
