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
from dataclasses import replace

import torch
from torch import Tensor

from model.canvas import Draft
from model.evidence.weighing import Evidence
from model.masked import rules
from model.masked.board import Board, Guesses
from model.masked.commit import NOTES, Asked, Bans, allowed
from model.masked.graphs import Desk
from model.masked.network import Network
from model.masked.past import Past, Place, anew
from model.masked.policy import Policy


def refine(
    network: Network, board: Board, policy: Policy, evidence: Evidence | None = None
) -> Iterator[Draft]:
    """All drafts of one board, the last one final."""
    chance, past = torch.Generator().manual_seed(0), Past()
    desk = Desk(network, board.vocabulary)
    while True:
        (draft,) = step(network, [board], policy, [chance], [evidence], [past], desk)
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
    desk: Desk | None = None,
) -> list[Draft]:
    """One forward over all boards, one commitment in each hole; returns a draft for each board.

    `chances` are the boards' own sources of randomness, so that a board's drafts do not depend on
    its neighbours in the batch: at each step with a temperature one `torch.rand(masks)` is drawn
    from them, for `rules.drawn`. `evidence` is what is known of each beside the network; `pasts`
    are needed for KLASS and frozen surroundings; `desk` is the network's, if it has one already. A
    board without masks is only drafted. All boards share one vocabulary. They are written to only
    at the end of their forward: where that raises, they are as they were.
    """
    desk = desk or Desk(network, boards[0].vocabulary)
    pasts = pasts or [Past() for _ in boards]
    seats = list(zip(boards, chances, evidence, pasts, strict=True))
    still = [it[3].fits(it[0], policy.frozen) for it in seats]
    drafts: dict[int, Draft] = {}
    for few in (False, True):
        mine = [i for i, it in enumerate(still) if it == few]
        if mine:
            some = zip(*(seats[i] for i in mine), strict=True)
            drafts |= zip(mine, forward(desk, policy, few, *map(list, some)), strict=True)
    return [drafts[i] for i in range(len(boards))]


def forward(
    desk: Desk,
    policy: Policy,
    few: bool,
    boards: list[Board],
    chances: list[torch.Generator],
    evidence: list[Evidence | None],
    pasts: list[Past],
) -> list[Draft]:
    """`step` for boards of which all are computed as a whole, or all but the `few` of holes."""
    places = [places_of(board, policy) for board in boards]
    counts = [counts_of(board, policy) for board in boards]
    shift = desk.network.shape.shift
    rows = [board.row for board in boards]
    some = [anew(board, shift) for board in boards] if few else [range(len(row)) for row in rows]
    batch, length, masks = desk.sizes(
        len(boards), max(map(len, rows)), max(1, *map(len, places), 0)
    )
    width = desk.few_rows(max(map(len, some))) if few else length
    desk.make_room(batch, length, masks, policy)
    asked = asked_of(boards, places, some, (batch, length, width, masks), shift, pasts, counts)
    if policy.temperature > 0:
        for i, (where, chance) in enumerate(zip(places, chances, strict=True)):
            asked.numbers[i, : len(where)] = torch.rand(len(where), generator=chance)
    kept = desk.kept_for(batch, length) if policy.frozen else None
    if kept is not None and few:
        for i, past in enumerate(pasts):
            if past.kept is not None:
                kept[:, :, i, :, : len(rows[i])] = past.kept
    probabilities = desk.probabilities(asked, policy, kept, few=few)
    for i, (board, where, known) in enumerate(zip(boards, places, evidence, strict=True)):
        if known is not None and where:
            mine = probabilities[i, : len(where)]
            probabilities[i, : len(where)] = known.mixed(board, where, mine)
    before = desk.before_for(asked) if policy.klass else None
    if before is not None:
        for i, (board, where, past) in enumerate(zip(boards, places, pasts, strict=True)):
            past.write_before(board, where, before[i])
    news = desk.decided(asked, policy, before)
    drafts: list[Draft] = []
    for i, (board, where, past) in enumerate(zip(boards, places, pasts, strict=True)):
        mine = [part[i][: len(where)] for part in news]
        if policy.klass:
            past.notice(board, where, mine[-1], probabilities[i, : len(where)])
        if few:
            past.age += 1
        elif kept is not None:
            past.keep(board, kept[:, :, i, :, : len(rows[i])])
        draft = committed(board, where, mine, policy)
        known = evidence[i]
        drafts.append(draft if known is None else replace(draft, rivals=tuple(known.rivals)))
    return drafts


def places_of(board: Board, policy: Policy) -> list[Place]:
    """What of the holes is judged at this step: masks, and for P2 what is written already."""
    if policy.p2 is not None:
        return board.written()
    if policy.even is not None:
        return board.masks_of_block(policy.block)
    return board.masks(policy.block)


def counts_of(board: Board, policy: Policy) -> list[int]:
    """Of each hole the number that its rule goes by, 0 where it goes by none (`Asked.count`)."""
    if policy.p2 is not None:
        sizes = [sum(not cell.given for cell in cells) for cells in board.cells]
        return [rules.planned(size, board.turn, policy.p2) for size in sizes]
    counts = [0 for _ in board.cells]
    if policy.even is not None:
        for number, cells in enumerate(board.cells):
            masked = list(board.masked(number))
            if not masked:
                continue
            first = masked[0] // policy.block * policy.block
            end = first + policy.block
            size = sum(not cell.given for cell in cells[first:end])
            steps = max(1, policy.even // -(-len(cells) // policy.block))
            counts[number] = rules.scheduled(size, sum(i < end for i in masked), steps)
    return counts


def asked_of(
    boards: Sequence[Board],
    places: Sequence[Sequence[Place]],
    some: Sequence[Sequence[int]],
    sizes: tuple[int, int, int, int],
    shift: bool,
    pasts: Sequence[Past],
    counts: Sequence[Sequence[int]],
) -> Asked:
    """The question of one step, on the host, padded to (boards, length, rows, masks).

    Of each board only the positions `some` are computed; `counts` are those of its holes.
    """
    batch, length, width, masks = sizes
    # Padding boards are as long as can be: no row of them, and no other, is then without a key.
    lengths = torch.full((batch,), length)
    tokens = torch.zeros(batch, width, dtype=torch.long)
    where = torch.zeros(batch, width, dtype=torch.long)
    notes = torch.zeros(len(NOTES), batch, masks, dtype=torch.long)
    for i, (board, mine, positions) in enumerate(zip(boards, places, some, strict=True)):
        row = board.row
        lengths[i] = len(row)
        if positions:
            padding = [positions[0]] * (width - len(positions))
            where[i] = torch.tensor([*positions, *padding])
            tokens[i] = torch.tensor(row)[where[i]]
        if mine:
            notes[:, i, : len(mine)] = noted(
                board, mine, positions, i * width, shift, pasts[i], counts[i]
            )
    return Asked(tokens, lengths, notes, torch.zeros(batch, masks), where)


def noted(
    board: Board,
    places: Sequence[Place],
    positions: Sequence[int],
    offset: int,
    shift: bool,
    past: Past,
    counts: Sequence[int],
) -> Tensor:
    """What `Asked` notes of the masks of one board, (notes, masks)."""
    holes, mask = board.canvas.holes, board.vocabulary.specials.mask
    full = [not board.may_expand(number) for number in range(len(holes))]
    row_of = {position: offset + number for number, position in enumerate(positions)}
    known = past.recall(board, places)
    return torch.tensor(
        [
            (row_of[max(position - shift, 0)], 1, hole, not holes[hole].multiline, full[hole],
             i in known, i in known and past.calm[known[i]],
             board.cells[hole][index].token != mask, counts[hole])
            for i, (position, hole, index) in enumerate(places)
        ],
        dtype=torch.long,
    ).T  # fmt: skip


def committed(
    board: Board, places: Sequence[Place], news: Sequence[Sequence[float]], policy: Policy
) -> Draft:
    """Writes into the board what was decided (`commit.decided`) and drafts it."""
    board.step += 1
    specials = board.vocabulary.specials
    tokens, sure, chosen, cut, _ = news
    ids = [int(token) for token in tokens]
    guesses = {(places[i][1], places[i][2]): (ids[i], sure[i]) for i in range(len(places))}
    filled = [board.cells[hole][index].token != specials.mask for _, hole, index in places]
    counts, changed = counts_of(board, policy), False
    for i, (_, hole, index) in enumerate(places):
        changed |= filled[i] != bool(chosen[i])
        if filled[i] and not chosen[i]:
            board.mask_again(hole, index)
        if filled[i] or not chosen[i]:
            continue
        if ids[i] == specials.delete and policy.cut is not None:
            index = places[int(cut[i])][2]
            # Its length is found; growing again would begin a circle of growing and cutting.
            board.budgets[hole] = 0
        board.commit(hole, index, ids[i], sure[i])
        if ids[i] in (specials.expand, specials.delete):
            guesses = moved(guesses, hole, index, 1 if ids[i] == specials.expand else None)
    if policy.p2 is not None:
        board.turn += 1
        if not changed and policy.temperature == 0 and not policy.frozen:
            # The same board would be told the same: on to where another number of masks is due.
            while board.turn < policy.p2 and counts_of(board, policy) == counts:
                board.turn += 1
    return board.draft(guesses, lasting=policy.p2 is None)


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
    sizes = (1, len(board.row), len(board.row), len(places))
    none = [0 for _ in board.cells]
    asked = asked_of([board], [places], [range(sizes[1])], sizes, False, [Past()], [none])
    bans = Bans.of(vocabulary.specials, vocabulary.newlines, logits.shape[-1], logits.device)
    here = replace(asked, notes=asked.notes.to(logits.device))
    logits[:] = allowed(logits[None], here, bans, vocabulary.specials, grow)[0]
