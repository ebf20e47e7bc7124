"""The refinement step as one would write it down: one board, one mask, one number at a time.

What `model/masked/refine.py` does for whole batches without a look at a value has to come out the
same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from model.masked.board import Board, Cell
from model.masked.network import Network
from model.masked.policy import Policy


@dataclass
class Memory:
    """For KLASS: by cell, the probabilities of the last step, and whether they had not moved."""

    rows: dict[int, list[float]] = field(default_factory=dict)
    calm: dict[int, bool] = field(default_factory=dict)
    cells: list[object] = field(default_factory=list)


def slow_step(
    network: Network,
    board: Board,
    policy: Policy,
    chance: torch.Generator,
    memories: dict[int, Memory],
) -> None:
    """`memories` are those of the holes by their numbers, none at first."""
    places = board.masks(policy.block)
    if policy.even is not None:
        places = [it for it in board.masks(1000) if it[2] < end_of_block(board, it[1], policy)]
    if policy.p2 is not None:
        places = board.written() if board.masks(1) else []
    if not places:
        return
    specials = board.vocabulary.specials
    with torch.no_grad():
        logits = network(torch.tensor([board.row]))[0]
    numbers = torch.rand(len(places), generator=chance).tolist() if policy.temperature else []
    rows = [row_of(board, logits[at], hole, policy) for at, hole, _ in places]
    tokens, scores, sure = [], [], []
    for i, row in enumerate(rows):
        token = draw(row, numbers[i]) if policy.temperature else row.index(max(row))
        tokens.append(token)
        sure.append(row[token])
        by_entropy = policy.order == "entropy"
        scores.append(sum(p * math.log(p + 1e-10) for p in row) if by_entropy else row[token])
    lengths = {specials.expand, specials.delete}
    all_chosen: list[int] = []
    taken_back: list[int] = []
    for number in {hole for _, hole, _ in places}:
        mine = [i for i, (_, hole, _) in enumerate(places) if hole == number]
        if policy.p2 is not None:
            masks = len(mine) * max(0, policy.p2 - board.turn - 1) // policy.p2
            lowest = sorted(mine, key=lambda i: (sure[i], i))[:masks]
            filled = [i for i in mine if board.cells[number][places[i][2]].token != specials.mask]
            chosen = [i for i in mine if i not in lowest and i not in filled]
            back = [i for i in filled if i in lowest]
            leader = max(chosen, key=lambda i: (scores[i], -i), default=None)
            if leader is not None and tokens[leader] in lengths:
                chosen, back = [leader], []
            all_chosen += [i for i in chosen if i == leader or tokens[i] not in lengths]
            taken_back += back
            continue
        some = chosen_by(
            policy,
            [board.cells[number][places[i][2]] for i in mine],
            [rows[i] for i in mine],
            [sure[i] for i in mine],
            max(range(len(mine)), key=lambda i: (scores[mine[i]], -i)),
            memories.setdefault(number, Memory()),
            share_of(board, number, policy),
        )
        chosen = [mine[i] for i in some]
        leader = max(chosen, key=lambda i: (scores[i], -i))
        if tokens[leader] in lengths:
            chosen = [leader]
        else:
            chosen = [i for i in chosen if tokens[i] not in lengths]
        all_chosen += sorted(chosen)
    for i in all_chosen:
        _, hole, index = places[i]
        if tokens[i] == specials.delete and policy.cut is not None:
            board.budgets[hole] = 0
            index = next(
                where
                for j, (_, its, where) in enumerate(places)
                if its == hole
                and board.cells[hole][where].token == specials.mask
                and (j == i or rows[j][specials.delete] >= policy.cut)
            )
        board.commit(hole, index, tokens[i], sure[i])
    for i in taken_back:
        board.cells[places[i][1]][places[i][2]] = Cell(specials.mask)
    if policy.p2 is not None:
        board.turn += 1
        if not (all_chosen or taken_back or policy.temperature):
            sizes = [sum(not cell.given for cell in cells) for cells in board.cells]
            due = [[n * (policy.p2 - t - 1) // policy.p2 for n in sizes] for t in range(policy.p2)]
            while board.turn < policy.p2 and due[board.turn] == due[board.turn - 1]:
                board.turn += 1


def end_of_block(board: Board, hole: int, policy: Policy) -> int:
    return (next(board.masked(hole)) // policy.block + 1) * policy.block


def share_of(board: Board, hole: int, policy: Policy) -> int:
    """By LLaDA's schedule: how many of a hole's masks are written at this step."""
    if policy.even is None or not any(True for _ in board.masked(hole)):
        return 0
    cells, end = board.cells[hole], end_of_block(board, hole, policy)
    blocks = math.ceil(len(cells) / policy.block)
    steps = max(1, policy.even // blocks)
    block = [cell for cell in cells[end - policy.block : end] if not cell.given]
    shares = [len(block) // steps + (i < len(block) % steps) for i in range(steps)]
    written = sum(cell.token != board.vocabulary.specials.mask for cell in block)
    for share in shares:  # what was written before this step is that of whole steps, or of less
        if written < share:
            return share
        written -= share
    return 1


def row_of(board: Board, logits: torch.Tensor, hole: int, policy: Policy) -> list[float]:
    """The probabilities at one mask."""
    specials, logits = board.vocabulary.specials, logits.clone()
    banned = [specials.mask, *specials.banned]
    if not board.canvas.holes[hole].multiline:
        banned += board.vocabulary.newlines
    logits[banned] = -torch.inf
    if not board.may_expand(hole) or float(logits.softmax(-1)[specials.expand]) < policy.grow:
        logits[specials.expand] = -torch.inf
    if policy.temperature:
        logits = logits / policy.temperature
    if policy.top_p < 1:
        shares = logits.softmax(-1).tolist()
        total = 0.0
        for token in sorted(range(len(shares)), key=lambda it: -shares[it]):
            if total > policy.top_p:
                logits[token] = -torch.inf
            total += shares[token]
    return logits.softmax(-1).tolist()


def draw(row: list[float], number: float) -> int:
    total = 0.0
    for token, p in enumerate(row):
        total += p
        if p and total > number:
            return token
    return max(token for token, p in enumerate(row) if p)


def chosen_by(
    policy: Policy,
    cells: list[Cell],
    rows: list[list[float]],
    sure: list[float],
    best: int,
    memory: Memory,
    share: int,
) -> list[int]:
    """Of the masks of one hole those that its rule commits."""
    every = range(len(rows))
    if policy.factor is not None:
        order = sorted(every, key=lambda i: -sure[i])
        count = 1
        while count < len(order) and sure[order[count]] >= 1 - policy.factor / (count + 2):
            count += 1
        return order[:count]
    if policy.entropy_bound is not None:
        entropy = [-sum(p * math.log(p) for p in row if p) for row in rows]
        order = sorted(every, key=entropy.__getitem__)
        return [
            i for n, i in enumerate(order)
            if n == 0 or sum(entropy[j] for j in order[:n]) <= policy.entropy_bound
        ]  # fmt: skip
    if policy.klass is not None:
        least, most = policy.klass
        calm = [
            id(cell) in memory.rows and moved(row, memory.rows[id(cell)]) < most
            for cell, row in zip(cells, rows, strict=True)
        ]
        steady = [calm[i] and memory.calm[id(cells[i])] for i in every]
        memory.rows = {id(cell): row for cell, row in zip(cells, rows, strict=True)}
        memory.calm = {id(cell): it for cell, it in zip(cells, calm, strict=True)}
        memory.cells = list(cells)  # their ids stay theirs
        return [i for i in every if steady[i] and sure[i] >= least] or [best]
    if policy.even is not None:
        by_entropy = [sum(p * math.log(p + 1e-10) for p in row) for row in rows]
        score = by_entropy if policy.order == "entropy" else sure
        return sorted(every, key=lambda i: (-score[i], i))[:share]
    threshold = 0.9 if policy.threshold is None else policy.threshold
    return sorted({best, *(i for i in every if sure[i] > threshold)})


def moved(now: list[float], before: list[float]) -> float:
    return sum(
        p * (math.log(p) - math.log(q)) if q else math.inf
        for p, q in zip(now, before, strict=True)
        if p
    )
