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
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.board import Board, Guesses
from model.canvas import Draft
from model.evidence import Evidence
from model.network import Network
from model.rules import by_entropy, by_threshold, cut_at, length_alone

Place = tuple[int, int, int]  # position in the row, hole, index in the hole


@dataclass(frozen=True, slots=True)
class Policy:
    """How sure is sure enough. `entropy_bound`, where given, takes the threshold's place."""

    threshold: float = 0.9
    entropy_bound: float | None = None
    cut: float | None = 0.6  # None: delete from exactly the committed place, as DreamOn published
    grow: float = 0.5  # expand only where it is at least so probable; 0 is DreamOn's rule
    block: int = 32
    temperature: float = 0.0


def refine(
    network: Network, board: Board, policy: Policy, evidence: Evidence | None = None
) -> Iterator[Draft]:
    """All drafts of one board, the last one final."""
    chance = torch.Generator().manual_seed(0)
    while True:
        (draft,) = step(network, [board], policy, [chance], [evidence])
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
) -> list[Draft]:
    """One forward over all boards, one commitment on each; returns a draft for each.

    `chances` are the boards' own sources of randomness, so that a board's drafts do not depend on
    its neighbours in the batch; `evidence` what is known of each beside the network. A board
    without masks is only drafted.
    """
    places = [board.masks(policy.block) for board in boards]
    logits = hole_logits(network, [board.row for board in boards], places)
    drafts: list[Draft] = []
    for board, where, mine, chance, known in zip(
        boards, places, logits, chances, evidence, strict=True
    ):
        board.step += 1
        draft = advance(board, where, mine, policy, chance, known) if where else board.draft({})
        drafts.append(draft if known is None else replace(draft, rivals=tuple(known.rivals)))
    return drafts


def hole_logits(
    network: Network, rows: Sequence[list[int]], places: Sequence[Sequence[Place]]
) -> list[Tensor]:
    """For each board the logits of its masks, (masks, vocab) in float32."""
    device = network.lm_head.weight.device
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
    lengths = None
    if any(len(row) != longest for row in rows):
        lengths = torch.tensor([len(row) for row in rows], device=device)
    wanted = [i * longest + place[0] for i, where in enumerate(places) for place in where]
    logits = network(tokens, lengths, torch.tensor(wanted, dtype=torch.long, device=device))
    return list(logits.float().split([len(where) for where in places]))


def advance(
    board: Board,
    places: Sequence[Place],
    logits: Tensor,
    policy: Policy,
    chance: torch.Generator,
    evidence: Evidence | None = None,
) -> Draft:
    """Commits on one board what one forward has made sure; `logits` (masks, vocab)."""
    specials = board.vocabulary.specials
    forbid(board, places, logits, policy.grow)
    probabilities = softened(logits, policy.temperature).softmax(-1)  # (masks, vocab)
    if evidence is not None:
        probabilities = evidence.mixed(board, places, probabilities)
    if policy.temperature > 0:
        tokens = torch.multinomial(probabilities.cpu(), 1, generator=chance).flatten()
        confidence = probabilities.cpu().gather(1, tokens[:, None]).flatten()
    else:
        confidence, tokens = (part.cpu() for part in probabilities.max(-1))
    if policy.entropy_bound is None:
        chosen = by_threshold(confidence, policy.threshold)
    else:
        entropy = torch.special.entr(probabilities).sum(-1).cpu()
        chosen = by_entropy(entropy, policy.entropy_bound)
    lengths = [token for token in (specials.expand, specials.delete) if token is not None]
    is_length = torch.isin(tokens, torch.tensor(lengths, dtype=tokens.dtype))
    chosen = length_alone(chosen, is_length, confidence)
    ids: list[int] = tokens.tolist()
    sure: list[float] = confidence.tolist()
    picked: list[int] = torch.nonzero(chosen).flatten().tolist()
    guesses = {(places[i][1], places[i][2]): (ids[i], sure[i]) for i in range(len(places))}
    for i in picked:
        _, hole, index = places[i]
        if ids[i] == specials.delete and policy.cut is not None:
            index = cut_index(places, probabilities[:, specials.delete].cpu(), i, policy.cut)
            # Its length is found; growing again would begin a circle of growing and cutting.
            board.budgets[hole] = 0
        board.commit(hole, index, ids[i], sure[i])
        if is_length[i]:
            guesses = moved(guesses, hole, index, 1 if ids[i] == specials.expand else None)
    return board.draft(guesses)


def cut_index(places: Sequence[Place], delete_share: Tensor, surest: int, cut: float) -> int:
    """`cut_at` among the masks of the hole that the mask number `surest` lies in."""
    same = [i for i, place in enumerate(places) if place[1] == places[surest][1]]
    first = cut_at(delete_share[same], same.index(surest), cut)
    return places[same[first]][2]


def moved(guesses: Guesses, hole: int, index: int, by: int | None) -> Guesses:
    """The guesses after a length token at `index`: those to its right move, or are gone (None)."""
    kept: Guesses = {}
    for (number, place), guess in guesses.items():
        if number != hole or place < index:
            kept[number, place] = guess
        elif by is not None and place > index:
            kept[number, place + by] = guess
    return kept


def forbid(board: Board, places: Sequence[Place], logits: Tensor, grow: float) -> None:
    """Bans what a mask must not become: specials, line ends in a line, growth at the limit."""
    specials = board.vocabulary.specials
    logits[:, [specials.mask, *specials.banned]] = -torch.inf
    for i, (_, hole, _) in enumerate(places):
        if not board.canvas.holes[hole].multiline:
            logits[i, board.vocabulary.newlines] = -torch.inf
        if specials.expand is not None and not board.may_expand(hole):
            logits[i, specials.expand] = -torch.inf
    if specials.expand is not None and grow > 0:
        # A network in doubt of everything would else grow its holes before it writes a word.
        timid = logits.softmax(-1)[:, specials.expand] < grow
        logits[timid, specials.expand] = -torch.inf


def softened(logits: Tensor, temperature: float) -> Tensor:
    return logits / temperature if temperature > 0 else logits
