"""The refinement step as one would write it down: one board, one mask, one number at a time.

What `model/refine.py` does for whole batches without a look at a value has to come out the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from model.board import Board, Cell
from model.network import Network
from model.policy import Policy


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
    for number in {hole for _, hole, _ in places}:
        mine = [i for i, (_, hole, _) in enumerate(places) if hole == number]
        some = chosen_by(
            policy,
            [board.cells[number][places[i][2]] for i in mine],
            [rows[i] for i in mine],
            [sure[i] for i in mine],
            max(range(len(mine)), key=lambda i: (scores[mine[i]], -i)),
            memories.setdefault(number, Memory()),
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
                if its == hole and (j == i or rows[j][specials.delete] >= policy.cut)
            )
        board.commit(hole, index, tokens[i], sure[i])


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
    threshold = 0.9 if policy.threshold is None else policy.threshold
    return sorted({best, *(i for i in every if sure[i] > threshold)})


def moved(now: list[float], before: list[float]) -> float:
    return sum(
        p * (math.log(p) - math.log(q)) if q else math.inf
        for p, q in zip(now, before, strict=True)
        if p
    )
