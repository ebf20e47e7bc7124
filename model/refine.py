"""The refinement loop: boards in, a forward, sure tokens committed, drafts out; again until done.

KV-free: each step is one full bidirectional forward over every board. Nothing is carried over but
the boards, and the evidence gathered for each before its first step. So boards may join and leave
between any two steps, and a draft is always at hand.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from model.board import Board, Cell, Guesses
from model.canvas import Draft
from model.commit import NOTES, Asked, Bans, allowed, decided, probabilities_of
from model.evidence import Evidence
from model.network import Network
from model.policy import Policy

Place = tuple[int, int, int]  # position in the row, hole, index in the hole


@dataclass(slots=True)
class Past:
    """What a board's next step knows of the last one, where the policy asks for it (KLASS).

    A mask is known again by its cell, wherever growing and cutting has moved it.
    """

    cells: list[Cell] = field(default_factory=list[Cell])
    calm: list[bool] = field(default_factory=list[bool])
    probabilities: Tensor | None = None  # (masks, vocab)


def refine(
    network: Network, board: Board, policy: Policy, evidence: Evidence | None = None
) -> Iterator[Draft]:
    """All drafts of one board, the last one final."""
    chance, past = torch.Generator().manual_seed(0), Past()
    while True:
        (draft,) = step(network, [board], policy, [chance], [evidence], [past])
        yield draft
        if draft.final:
            return


@torch.inference_mode()
def step(
    network: Network,
    boards: Sequence[Board],
    policy: Policy,
    chances: Sequence[torch.Generator],
    evidence: Sequence[Evidence | None],
    pasts: Sequence[Past] | None = None,
) -> list[Draft]:
    """One forward over all boards, one commitment on each; returns a draft for each.

    `chances` are the boards' own sources of randomness, so that a board's drafts do not depend on
    its neighbours in the batch: at each step with a temperature one `torch.rand(masks)` is drawn
    from them, for `rules.drawn`. `evidence` is what is known of each beside the network; `pasts`
    are needed for KLASS. A board without masks is only drafted. All boards share one vocabulary.
    Boards are written to only at the end: where this raises, they are as they were.
    """
    pasts = pasts or [Past() for _ in boards]
    places = [board.masks(policy.block) for board in boards]
    device = network.lm_head.weight.device
    specials = boards[0].vocabulary.specials
    asked = asked_of(boards, places, policy, chances, pasts).to(device)
    logits = logits_of(network, asked)  # (boards, masks, vocab)
    bans = Bans.of(specials, boards[0].vocabulary.newlines, logits.shape[-1], device)
    logits = allowed(logits, asked, bans, specials, policy.grow)
    probabilities = probabilities_of(logits, policy)
    for i, (board, where, known) in enumerate(zip(boards, places, evidence, strict=True)):
        if known is not None and where:
            mine = probabilities[i, : len(where)]
            probabilities[i, : len(where)] = known.mixed(board, where, mine)
    before = before_of(boards, places, pasts, probabilities) if policy.klass else None
    news = decided(probabilities, asked, policy, specials, before).tolist()  # the one copy back
    drafts: list[Draft] = []
    for i, (board, where, known) in enumerate(zip(boards, places, evidence, strict=True)):
        mine = [part[i][: len(where)] for part in news]
        if policy.klass:
            pasts[i].cells = [board.cells[hole][index] for _, hole, index in where]
            pasts[i].calm = [bool(it) for it in mine[4]]
            pasts[i].probabilities = probabilities[i, : len(where)].clone()
        draft = committed(board, where, mine, policy)
        drafts.append(draft if known is None else replace(draft, rivals=tuple(known.rivals)))
    return drafts


def asked_of(
    boards: Sequence[Board],
    places: Sequence[Sequence[Place]],
    policy: Policy,
    chances: Sequence[torch.Generator],
    pasts: Sequence[Past],
) -> Asked:
    """The question of one step, on the host."""
    rows = [board.row for board in boards]
    length, masks = max(map(len, rows)), max(1, *map(len, places))
    notes = torch.zeros(len(NOTES), len(boards), masks, dtype=torch.long)
    numbers = torch.zeros(len(boards), masks)
    for i, (board, where, past) in enumerate(zip(boards, places, pasts, strict=True)):
        if not where:
            continue
        holes = board.canvas.holes
        full = [not board.may_expand(number) for number in range(len(holes))]
        calm = {id(cell): calm for cell, calm in zip(past.cells, past.calm, strict=True)}
        cells = [id(board.cells[hole][index]) for _, hole, index in where]
        noted = [
            (i * length + position, 1, hole, not holes[hole].multiline, full[hole],
             cell in calm, calm.get(cell, False))
            for (position, hole, _), cell in zip(where, cells, strict=True)
        ]  # fmt: skip
        notes[:, i, : len(where)] = torch.tensor(noted, dtype=torch.long).T
        if policy.temperature > 0:
            numbers[i, : len(where)] = torch.rand(len(where), generator=chances[i])
    tokens = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    return Asked(tokens, torch.tensor([len(row) for row in rows]), notes, numbers)


def logits_of(network: Network, asked: Asked) -> Tensor:
    """(boards, masks, vocab); those of padding mean nothing."""
    lengths = asked.lengths
    same = bool((lengths == asked.tokens.shape[1]).all())
    logits = network(asked.tokens, None if same else lengths, asked.note("rows").flatten())
    return logits.unflatten(0, asked.notes.shape[1:])


def before_of(
    boards: Sequence[Board],
    places: Sequence[Sequence[Place]],
    pasts: Sequence[Past],
    probabilities: Tensor,
) -> Tensor:
    """The last step's probabilities of today's masks; zeros for one that was not there."""
    before = torch.zeros_like(probabilities)
    for i, (board, where, past) in enumerate(zip(boards, places, pasts, strict=True)):
        if past.probabilities is None:
            continue
        there = {id(cell): number for number, cell in enumerate(past.cells)}
        cells = [id(board.cells[hole][index]) for _, hole, index in where]
        pairs = [(n, there[cell]) for n, cell in enumerate(cells) if cell in there]
        if pairs:
            now, then = torch.tensor(pairs, device=before.device).T
            before[i, now] = past.probabilities[then]
    return before


def committed(
    board: Board, places: Sequence[Place], news: Sequence[Sequence[float]], policy: Policy
) -> Draft:
    """Writes into the board what was decided (`commit.decided`) and drafts it."""
    board.step += 1
    specials = board.vocabulary.specials
    tokens, sure, chosen, cut, _ = news
    ids = [int(token) for token in tokens]
    guesses = {(places[i][1], places[i][2]): (ids[i], sure[i]) for i in range(len(places))}
    for i, (_, hole, index) in enumerate(places):
        if not chosen[i]:
            continue
        if ids[i] == specials.delete and policy.cut is not None:
            index = places[int(cut[i])][2]
            # Its length is found; growing again would begin a circle of growing and cutting.
            board.budgets[hole] = 0
        board.commit(hole, index, ids[i], sure[i])
        if ids[i] in (specials.expand, specials.delete):
            guesses = moved(guesses, hole, index, 1 if ids[i] == specials.expand else None)
    return board.draft(guesses)


def moved(guesses: Guesses, hole: int, index: int, by: int | None) -> Guesses:
    """The guesses after a length token at `index`: those to its right move, or are gone (None)."""
    kept: Guesses = {}
    for (number, place), guess in guesses.items():
        if number != hole or place < index:
            kept[number, place] = guess
        elif by is not None and place > index:
            kept[number, place + by] = guess
    return kept


def hole_logits(
    network: Network, rows: Sequence[list[int]], places: Sequence[Sequence[Place]]
) -> list[Tensor]:
    """For each board the logits of its masks, (masks, vocab) in float32, whatever is allowed."""
    device = network.lm_head.weight.device
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
    lengths = None
    if any(len(row) != longest for row in rows):
        lengths = torch.tensor([len(row) for row in rows], device=device)
    wanted = [i * longest + place[0] for i, where in enumerate(places) for place in where]
    logits = network(tokens, lengths, torch.tensor(wanted, dtype=torch.long, device=device))
    return list(logits.float().split([len(where) for where in places]))


def forbid(board: Board, places: Sequence[Place], logits: Tensor, grow: float) -> None:
    """Bans in place what a mask must not become; `logits` (masks, vocab) of one board."""
    vocabulary = board.vocabulary
    asked = asked_of([board], [places], Policy(), [], [Past()]).to(logits.device)
    bans = Bans.of(vocabulary.specials, vocabulary.newlines, logits.shape[-1], logits.device)
    logits[:] = allowed(logits[None], asked, bans, vocabulary.specials, grow)[0]
