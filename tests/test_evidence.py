"""Counts inside the loop: they weigh with the network, and never against what is committed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model import Canvas, Hole
from model.evidence.weighing import Blend, Evidence, sides_of
from model.masked.board import Board, Start
from model.masked.network import Network
from model.masked.refine import Policy, hole_logits, refine
from tests.boards import random_network
from tests.counted import proposer, tokens

BEFORE, AFTER = "\ndef longest(rows):\n    best = []\n", "\n        best = row\n    return best\n"
CANVAS = Canvas((BEFORE, AFTER), (Hole(len(BEFORE), len(BEFORE), limit=24),))
# Some proposal is always right, and they know every token.
SURE = Blend(counts=1.0, network=0.0, token=0.0, none=-60.0, share=1.0)


def network() -> Network:
    return random_network(3, vocab=len(tokens()))


def board_of(canvas: Canvas = CANVAS, line: int = 12) -> Board:
    return Board(canvas, tokens(), Start(line=line, context=80))


def first_step(board: Board, blend: Blend) -> tuple[torch.Tensor, torch.Tensor, Evidence]:
    places = board.masks(32)
    with torch.inference_mode():
        (logits,) = hole_logits(network(), [board.row], [places])
    said = logits.softmax(-1)
    evidence = Evidence.of(board, proposer(), blend)
    return said, evidence.mixed(board, places, said), evidence


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_mixed_probabilities_sum_to_one(share: float) -> None:
    _, mixed, _ = first_step(board_of(), replace(SURE, share=share))
    assert torch.allclose(mixed.sum(-1), torch.ones(len(mixed)), atol=1e-4)


def test_without_a_share_of_the_proposals_the_network_speaks_alone() -> None:
    said, mixed, _ = first_step(board_of(), replace(SURE, share=0.0))
    assert torch.allclose(said, mixed, atol=1e-5)


def test_the_likelier_it_is_that_none_is_right_the_less_probable_are_the_rivals() -> None:
    totals = [
        sum(
            rival.probability
            for rival in first_step(board_of(), replace(SURE, none=none))[2].rivals[0]
        )
        for none in (-60.0, -6.0, 0.0)
    ]
    assert totals[0] > totals[1] > totals[2]


def test_the_loop_writes_what_is_counted_where_the_network_knows_nothing() -> None:
    evidence = Evidence.of(board_of(), proposer(), SURE)
    *_, last = refine(network(), board_of(), Policy(), evidence)
    assert last.final
    assert last.texts == ("    for row in rows:",)
    assert last.rivals[0][0].text == "    for row in rows:"


def test_what_is_written_is_the_likeliest_rival_as_a_whole_not_a_blend_of_several() -> None:
    evidence = Evidence.of(board_of(), proposer(), SURE)
    *_, last = refine(network(), board_of(), Policy(threshold=1.0), evidence)
    assert last.texts[0] in {rival.text for rival in last.rivals[0]}


def test_the_network_s_word_can_turn_the_order_of_the_rivals() -> None:
    _, _, counted = first_step(board_of(), SURE)
    _, _, heard = first_step(board_of(), replace(SURE, counts=0.0, network=0.5, none=-1e4))
    assert counted.rivals[0][0].text != heard.rivals[0][0].text


def test_a_hole_too_short_for_a_proposal_grows() -> None:
    evidence = Evidence.of(board_of(line=2), proposer(), SURE)
    *_, last = refine(network(), board_of(line=2), Policy(), evidence)
    assert last.texts == ("    for row in rows:",)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5), st.sampled_from(["return best", "pass", "    for row in rows:", "zz"]))
def test_a_proposal_against_what_is_committed_has_no_weight(index: int, written: str) -> None:
    board = board_of()
    row = tokens().encode(written)
    token = row[index % len(row)]
    board.commit(0, index, token, 1.0)
    _, mixed, evidence = first_step(board, SURE)
    allowed = evidence.holes[0].allowed(board, 0)
    for candidate, fits in zip(evidence.holes[0].tokens.tolist(), allowed.tolist(), strict=True):
        assert fits == (index < len(candidate) and candidate[index] == token)
    assert torch.allclose(mixed.sum(-1), torch.ones(len(mixed)), atol=1e-4)


def test_every_hole_of_a_canvas_has_its_own_proposals() -> None:
    holes = tuple(Hole(i, i, limit=24) for i in range(2))
    canvas = Canvas((BEFORE, "\n        if len(row) > len(best):\n", "\n    return best\n"), holes)
    evidence = Evidence.of(board_of(canvas), proposer(), SURE)
    *_, last = refine(network(), board_of(canvas), Policy(), evidence)
    assert last.texts == ("    for row in rows:", "            best = row")


def test_the_counted_sides_reach_beyond_what_is_laid_out() -> None:
    canvas = Canvas(("b", "c", "d"), (Hole(1, 1), Hole(2, 2)), wide=("a\nb", "d\ne"))
    assert sides_of(canvas, 0) == ("a\nb", "cd\ne")
    assert sides_of(canvas, 1) == ("a\nbc", "d\ne")
    assert sides_of(replace(canvas, wide=("", "")), 1) == ("bc", "d")


def test_a_board_with_evidence_fares_the_same_in_a_batch_as_alone() -> None:
    from model.masked.refine import step

    gather = partial(Evidence.of, proposer=proposer(), blend=Blend())
    other = replace(CANVAS, texts=("\n", "\n"))
    alone = [
        list(refine(network(), board_of(it), Policy(), gather(board_of(it))))
        for it in (CANVAS, other)
    ]
    boards = [board_of(CANVAS), board_of(other)]
    evidence = [gather(board) for board in boards]
    chances = [torch.Generator().manual_seed(0) for _ in boards]
    drafts = [[], []]
    while not all(board.done for board in boards):
        for told, draft in zip(
            drafts, step(network(), boards, Policy(), chances, evidence), strict=True
        ):
            told.append(draft)
    for mine, theirs in zip(drafts, alone, strict=True):
        assert mine[len(theirs) - 1].texts == theirs[-1].texts
