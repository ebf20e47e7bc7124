"""The refinement loop on random networks: what must hold whatever the weights say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from model import Canvas, Hole  # noqa: E402
from model.masked.board import Board, Cell, Start  # noqa: E402
from model.masked.policy import Policy  # noqa: E402
from model.masked.refine import refine, step  # noqa: E402
from tests.boards import SPECIALS, Letters, canvases, planning, policies, random_network  # noqa: E402

NETWORKS = [random_network(seed) for seed in range(4)]
START = Start(line=5, block=9, context=32)


def fixed_part(board: Board) -> list[list[int]]:
    return [list(text) for text in board.texts]


@given(canvases(), policies | planning, st.sampled_from(NETWORKS), st.integers(0, 3))
@settings(max_examples=400, deadline=None)
def test_fixed_tokens_stay_holes_keep_their_limit_and_the_loop_ends(canvas, policy, network, seed):
    board = Board(canvas, Letters(), START, seed)
    fixed = fixed_part(board)
    numbers = range(len(canvas.holes))
    most = 1 + max(len(list(board.masked(n))) + 2 * board.budgets[n] for n in numbers)
    most += policy.p2 or 0
    last = None
    for number, draft in enumerate(refine(network, board, policy), 1):
        assert fixed_part(board) == fixed
        assert number <= most
        for cells, hole in zip(board.cells, canvas.holes, strict=True):
            assert len(cells) <= hole.limit
            if not hole.multiline and not hole.former:
                assert 32 not in [cell.token for cell in cells]
        assert draft.step == number
        last = draft
    assert last is not None
    assert last.final
    assert last.settled_share == 1
    written = {cell.token for cells in board.cells for cell in cells}
    assert not written & {SPECIALS.mask, SPECIALS.expand, SPECIALS.delete, *SPECIALS.banned}


@given(canvases(), st.sampled_from(NETWORKS))
@settings(max_examples=150, deadline=None)
def test_every_draft_is_text_without_masks_or_half_characters(canvas, network):
    for draft in refine(network, Board(canvas, Letters(), START), Policy(threshold=0.6)):
        assert len(draft.texts) == len(canvas.holes)
        for text, hole in zip(draft.texts, canvas.holes, strict=True):
            assert set(text) <= set("abcdefghijklmnopqrstuvwxyz\né")
            assert hole.multiline or "\n" not in text


@given(canvases(), st.sampled_from(NETWORKS))
@settings(max_examples=150, deadline=None)
def test_threshold_one_is_one_commitment_a_step_in_each_hole(canvas, network):
    board = Board(canvas, Letters(), START)
    before = [list(cells) for cells in board.cells]
    for _ in refine(network, board, Policy(threshold=1.0, cut=None)):
        assert all(new <= 1 for new in new_tokens(before, board))
        before = [list(cells) for cells in board.cells]


@given(canvases(), policies, st.sampled_from(NETWORKS), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_at_each_step_every_hole_gets_tokens_or_alone_a_new_length(canvas, policy, network, seed):
    board = Board(canvas, Letters(), START, seed)
    before = [list(cells) for cells in board.cells]
    for _ in refine(network, board, policy):
        for new, then, now in zip(new_tokens(before, board), before, board.cells, strict=True):
            if any(cell.token == SPECIALS.mask for cell in then):
                assert (new > 0) != (len(now) != len(then))
        before = [list(cells) for cells in board.cells]


def new_tokens(before: list[list[Cell]], board: Board) -> list[int]:
    """How many tokens have been written into each hole."""
    known = {id(cell) for cells in before for cell in cells}
    return [
        sum(id(cell) not in known and cell.token != SPECIALS.mask for cell in cells)
        for cells in board.cells
    ]


@given(canvases(), st.sampled_from(NETWORKS), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_one_seed_gives_one_answer(canvas, network, seed):
    def answers() -> list[tuple[str, ...]]:
        board = Board(canvas, Letters(), START, seed)
        return [draft.texts for draft in refine(network, board, Policy(temperature=0.7))]

    assert answers() == answers()


@given(st.lists(canvases(), min_size=2, max_size=4), st.sampled_from(NETWORKS))
@settings(max_examples=60, deadline=None)
def test_boards_in_a_batch_end_as_they_do_alone(many, network):
    policy = Policy(threshold=0.5)
    alone = [list(refine(network, Board(c, Letters(), START), policy))[-1].texts for c in many]
    boards = [Board(c, Letters(), START) for c in many]
    chances = [torch.Generator() for _ in boards]
    ended: dict[int, tuple[str, ...]] = {}
    while len(ended) < len(boards):
        waiting = [i for i in range(len(boards)) if i not in ended]
        some, their = [boards[i] for i in waiting], [chances[i] for i in waiting]
        drafts = step(network, some, policy, their, [None] * len(some))
        ended |= {i: d.texts for i, d in zip(waiting, drafts, strict=True) if d.final}
    assert [ended[i] for i in range(len(boards))] == alone


def test_a_gentle_strength_keeps_most_of_what_stood_there():
    hole = Hole(0, 0, former="abcdefghij", strength=0.2, limit=20)
    board = Board(Canvas(("", ""), (hole,)), Letters(), START)
    assert len(list(board.masked(0))) == 2
    assert len(board.cells[0]) == 10


def test_text_far_from_the_holes_is_dropped_first():
    canvas = Canvas(("x" * 100 + "ab", "c", "de" + "y" * 100), (Hole(0, 0), Hole(0, 0)))
    board = Board(canvas, Letters(), Start(line=2, block=2, context=20))
    letters = Letters()
    assert sum(map(len, board.texts)) == 20
    assert board.texts[0][-2:] == letters.encode("ab")
    assert board.texts[1] == letters.encode("c")
    assert board.texts[2][:2] == letters.encode("de")


def test_a_short_suffix_leaves_its_room_to_the_prefix():
    board = Board(
        Canvas(("x" * 100, "ab"), (Hole(0, 0),)), Letters(), Start(line=2, block=2, context=20)
    )
    assert len(board.texts[0]) == 17
    assert board.texts[1] == [*Letters().encode("ab"), SPECIALS.eos]


@given(canvases(), planning, st.sampled_from(NETWORKS), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_what_path_planning_may_take_back_is_not_told_as_settled(canvas, policy, network, seed):
    board = Board(canvas, Letters(), START, seed)
    given = [[cell for cell in cells if cell.given] for cells in board.cells]
    for draft in refine(network, board, policy):
        assert given == [[cell for cell in cells if cell.given] for cells in board.cells]
        for pieces, kept in zip(draft.holes, given, strict=True):
            assert draft.final or sum(piece.settled for piece in pieces) <= len(kept)


def test_path_planning_masks_again_what_has_become_unsure():
    canvas = Canvas(("abc", "xyz"), (Hole(0, 0, limit=12),))
    taken_back = 0
    for seed in range(20):
        board = Board(canvas, Letters(), Start(line=12, block=12, context=32))
        written: list[Cell] = []
        for _ in refine(random_network(seed), board, Policy(p2=12, cut=None)):
            taken_back += len([it for it in written if it not in board.cells[0]])
            written = [cell for cell in board.cells[0] if cell.token != SPECIALS.mask]
    assert taken_back > 0


def test_blocks_of_a_schedule_stand_still():
    board = Board(
        Canvas(("a", "b"), (Hole(0, 0, multiline=True, limit=9),)),
        Letters(),
        Start(line=2, block=9, context=20),
    )
    board.commit(0, 0, 7, 0.9)
    assert [index for _, _, index in board.masks_of_block(4)] == [1, 2, 3]
    for index in (1, 2, 3):
        board.commit(0, index, 7, 0.9)
    assert [index for _, _, index in board.masks_of_block(4)] == [4, 5, 6, 7]


def test_a_long_hole_is_worked_on_block_by_block():
    board = Board(
        Canvas(("a", "b"), (Hole(0, 0, multiline=True, limit=9),)),
        Letters(),
        Start(line=2, block=9, context=20),
    )
    assert [index for _, _, index in board.masks(4)] == [0, 1, 2, 3]
    board.commit(0, 1, 7, 0.9)
    assert [index for _, _, index in board.masks(4)] == [0, 2, 3, 4]


def test_delete_takes_the_masks_to_its_right_and_nothing_else():
    board = Board(Canvas(("a", "b"), (Hole(0, 0, limit=5),)), Letters(), START)
    board.commit(0, 3, 8, 0.9)
    board.commit(0, 1, SPECIALS.delete, 0.9)
    assert [cell.token for cell in board.cells[0]] == [SPECIALS.mask, 8]


def test_expand_makes_two_masks_of_one_until_the_limit():
    board = Board(Canvas(("a", "b"), (Hole(0, 0, limit=6),)), Letters(), START)
    board.commit(0, 0, SPECIALS.expand, 0.9)
    assert [cell.token for cell in board.cells[0]] == [SPECIALS.mask] * 6
    with pytest.raises(ValueError, match="at its limit"):
        board.commit(0, 0, SPECIALS.expand, 0.9)
