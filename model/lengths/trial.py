"""Several boards of one canvas, each with lengths of its own, that step together; the best counts.

What a chooser thinks worth decoding becomes a board each. They are stepped like anybody's boards,
the draft shown is that of the best so far, and when all are done they are weighed: by how probable
the network finds what it wrote, and how probable that makes the text behind it (after PILL). Where
no length is chosen there is one board, and nothing is weighed.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch is only partly typed.

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean

import torch

from model.canvas import Draft, Rival
from model.evidence.weighing import Evidence
from model.lengths.grid import Chooser, Look, adjusted, best_together, regression, text_only
from model.masked.board import Board, Specials
from model.masked.graphs import Desk
from model.masked.network import Network
from model.masked.past import Past
from model.masked.policy import Policy
from model.masked.refine import hole_logits, step

BOARDS = 3  # decoded together; more were not better for PILL, and each costs as much as the first
NEAR = 64  # tokens before a scored one that it is seen from
LEAST_LOG = -20.0  # nats: how unlikely a single token may make a text
SUFFIX = 4  # tokens behind a hole whose probability tells how well a text fits: PILL's best number


@dataclass(frozen=True, slots=True)
class Trust:
    """What scores mean as probabilities: a text's weight is exp(score / temperature), that of none
    being right exp(none / temperature). Fitted on held-out code by `calibrate`."""

    temperature: float = 0.5
    none: float = -1.0

    def shares(self, scores: Sequence[float]) -> list[float]:
        """The probability of each; what they lack to one is that none is right."""
        best = max(*scores, self.none)
        weights = [math.exp((it - best) / self.temperature) for it in (*scores, self.none)]
        return [weight / sum(weights) for weight in weights[:-1]]


@dataclass(frozen=True, slots=True)
class Choosing:
    """How the lengths of a network's holes are chosen: before they are written, by a chooser; or by
    None while they are, as LR-DLLM does in both its stages, on one board."""

    chooser: Chooser | None
    trust: Trust = Trust()
    boards: int = BOARDS


@dataclass(slots=True)
class Runner:
    """A board on its way, with what its steps need."""

    board: Board
    chance: torch.Generator
    evidence: Evidence | None = None
    past: Past = field(default_factory=Past)
    due: Callable[[Board], Board] | None = None  # what the board becomes before its next step
    draft: Draft | None = None

    @property
    def told(self) -> Draft:
        if self.draft is None:
            raise ValueError("the board has not been stepped yet")
        return self.draft

    @property
    def sure(self) -> float:
        """The mean log-probability of what is drafted, guesses included."""
        pieces = [piece for hole in self.told.holes for piece in hole]
        return fmean(logarithm(it.confidence) for it in pieces) if pieces else -math.inf


@dataclass(slots=True)
class Trial:
    """The runners of one canvas. `step_all` moves those still running, `drafted` says how it is."""

    runners: list[Runner]
    trust: Trust | None = None  # None: there is one runner, and nothing to weigh
    steps: int = 0

    @property
    def running(self) -> list[Runner]:
        return [it for it in self.runners if it.draft is None or not it.draft.final]

    def drafted(self, look: Look) -> Draft:
        """The draft after a step: the best so far; in the end the best, with all as rivals."""
        self.steps += 1
        over = not self.running
        if self.trust is None or not over:
            best = max(self.runners, key=lambda it: it.sure)
            return replace(best.told, step=self.steps, final=over)
        scores = scores_of([it.board for it in self.runners], look)
        best = max(range(len(scores)), key=lambda i: sum(scores[i]))
        rivals = rivals_from(self.runners, scores, self.trust)
        return replace(self.runners[best].told, step=self.steps, rivals=rivals)


def begun(
    board: Board,
    choosing: Choosing | None,
    look: Look,
    *,
    evidence: Callable[[Board], Evidence] | None = None,
    seed: int = 0,
) -> Trial:
    """The trial of a fresh board's canvas. Where lengths are chosen, the network is asked here."""
    known = evidence(board) if evidence is not None else None
    chance = torch.Generator().manual_seed(seed)
    if choosing is None:
        return Trial([Runner(board, chance, known)])
    if choosing.chooser is None:
        first, scores = regression(board, look)
        due = partial(adjusted, look=look, scores=scores)
        return Trial([Runner(first, chance, known, due=due)], choosing.trust)
    chosen = best_together(choosing.chooser(board, look), choosing.boards)
    if known is not None and (hint := hinted(known, board)) not in chosen:
        chosen[-1:] = [hint]
    runners = [
        Runner(
            board.resized(lengths),
            torch.Generator().manual_seed(seed),
            replace(known, rivals=[() for _ in lengths]) if known is not None else None,
        )
        for lengths in chosen
    ]
    return Trial(runners, choosing.trust)


def hinted(evidence: Evidence, board: Board) -> tuple[int, ...]:
    """The lengths that have most of the counts for them; a hole's own where nothing is counted."""
    lengths: list[int] = []
    for candidates, cells in zip(evidence.holes, board.cells, strict=True):
        weights: dict[int, float] = {}
        said = evidence.blend.counts * candidates.scores + evidence.blend.token * candidates.lengths
        for length, weight in zip(
            candidates.lengths.tolist(), said.softmax(0).tolist(), strict=True
        ):
            weights[length] = weights.get(length, 0.0) + weight
        lengths.append(max(weights, key=lambda it: weights[it]) if weights else len(cells))
    return tuple(lengths)


def step_all(
    network: Network,
    trials: Sequence[Trial],
    policy: Policy,
    desk: Desk | None = None,
    batch: int | None = None,
) -> None:
    """One step of all boards of all trials that are still running, `batch` of them a forward."""
    runners = [runner for trial in trials for runner in trial.running]
    for first in range(0, len(runners), most := batch or max(1, len(runners))):
        some = runners[first : first + most]
        for runner in some:
            if runner.due is not None:
                runner.board = runner.due(runner.board)
        drafts = step(
            network,
            [it.board for it in some],
            policy,
            [it.chance for it in some],
            [it.evidence for it in some],
            [it.past for it in some],
            desk,
        )
        for runner, draft in zip(some, drafts, strict=True):
            runner.draft = draft


def tried(network: Network, trial: Trial, policy: Policy) -> Iterator[Draft]:
    """All drafts of one trial, the last one final."""
    look, desk = partial(hole_logits, network), Desk(network, trial.runners[0].board.vocabulary)
    while True:
        step_all(network, [trial], policy, desk)
        draft = trial.drafted(look)
        yield draft
        if draft.final:
            return


def rivals_from(
    runners: Sequence[Runner], scores: Sequence[Sequence[float]], trust: Trust
) -> tuple[tuple[Rival, ...], ...]:
    """Of each hole what was written on any board, and how probable it is that it belongs there."""
    found: list[tuple[Rival, ...]] = []
    for number in range(len(scores[0])):
        shares = trust.shares([mine[number] for mine in scores])
        texts: dict[str, float] = {}
        for runner, share in zip(runners, shares, strict=True):
            # What counts say at this length goes before what was written in the end.
            counted = runner.evidence.rivals[number] if runner.evidence else ()
            rest = share
            for rival in counted:
                texts[rival.text] = texts.get(rival.text, 0.0) + share * rival.probability
                rest -= share * rival.probability
            own = runner.told.texts[number]
            texts[own] = texts.get(own, 0.0) + max(0.0, rest)
        best = sorted(texts, key=lambda it: -texts[it])
        found.append(tuple(Rival(it, texts[it]) for it in best if texts[it] > 0))
    return tuple(found)


@torch.inference_mode()
def scores_of(boards: Sequence[Board], look: Look) -> list[list[float]]:
    """Of each finished board and hole: half the mean log-probability of what is written, half that
    of the first tokens behind it, each token seen from what stands before it (PILL's score).

    A token's row ends with a mask in its place. So it is what PILL computes with a mask of its own
    over attention, for any network that attends to all, which would else tell a token by those
    behind it: a text that repeats itself would be the likeliest. `NEAR` keeps the rows short.
    """
    asked: list[tuple[list[int], list[int]]] = []  # what stands before, and what is scored
    for board in boards:
        before = list(board.texts[0])
        for cells, text in zip(board.cells, board.texts[1:], strict=True):
            written = [cell.token for cell in cells]
            asked.append((before[-NEAR:], written))
            before = before + written
            asked.append((before[-NEAR:], seen_behind(board, text)))
            before = before + text
    means = iter(means_of(asked, boards[0].vocabulary.specials, look))
    pairs = [[(next(means), next(means)) for _ in board.cells] for board in boards]
    return [[together(*it) for it in mine] for mine in pairs]


def seen_behind(board: Board, text: Sequence[int]) -> list[int]:
    specials = board.vocabulary.specials
    return [it for it in text[:SUFFIX] if it not in specials.banned and it != specials.eos]


def together(inner: float | None, behind: float | None) -> float:
    known = [it for it in (inner, behind) if it is not None]
    return fmean(known) if known else 0.0


def means_of(
    asked: Sequence[tuple[list[int], list[int]]], specials: Specials, look: Look
) -> list[float | None]:
    """For each (before, tokens) the mean log-probability of the tokens, None where it has none."""
    rows = [
        (number, before + tokens[:i] + [specials.mask], token)
        for number, (before, tokens) in enumerate(asked)
        for i, token in enumerate(tokens)
    ]
    found: list[list[float]] = [[] for _ in asked]
    places = [[(len(row) - 1, 0, 0)] for _, row, _ in rows]
    logits = look([row for _, row, _ in rows], places) if rows else []
    for (number, _, token), mine in zip(rows, logits, strict=True):
        logs = text_only(mine, specials).log_softmax(-1)
        found[number].append(max(LEAST_LOG, float(logs[0, token])))
    return [fmean(it) if it else None for it in found]


def logarithm(probability: float) -> float:
    return max(LEAST_LOG, math.log(probability)) if probability > 0 else LEAST_LOG
