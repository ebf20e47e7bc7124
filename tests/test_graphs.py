"""The place where steps are computed: fast and padded it gives what the slow and plain way does."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from model import Canvas, Draft, Hole  # noqa: E402
from model.masked.board import Board, Start  # noqa: E402
from model.masked.graphs import FEWEST_MASKS, STEP, Desk, falling, power_of_two  # noqa: E402
from model.masked.network import Network  # noqa: E402
from model.masked.past import Past  # noqa: E402
from model.masked.policy import Policy  # noqa: E402
from model.masked.refine import refine, step  # noqa: E402
from tests.boards import Letters, canvases, planning, policies, random_network  # noqa: E402
from tests.slowly import Memory, slow_step  # noqa: E402

NETWORKS = [random_network(seed, shift=seed % 2 == 1) for seed in range(4)]
START = Start(line=5, block=9, context=32)


class Replaying(Desk):
    """What was done first for a key is done again ever after, as a captured graph is: it must not
    depend on anything but the buffers and what is in its key."""

    def __init__(self, network: Network) -> None:
        super().__init__(network, Letters(), buckets=True)

    def run(self, key: Hashable, work: Callable[[], None]) -> None:
        self.graphs.setdefault(key, work)()  # type: ignore[call-overload]


def board_of(canvas: Canvas) -> Board:
    """With a token before the first hole, as a network with shifted logits needs one."""
    return Board(Canvas(("a" + canvas.texts[0], *canvas.texts[1:]), canvas.holes), Letters(), START)


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def together(
    network: Network, boards: Sequence[Board], policy: Policy, desk: Desk | None
) -> list[list[Draft]]:
    """The drafts of each board when all are stepped in one batch until they are done."""
    chances, pasts = generators(len(boards)), [Past() for _ in boards]
    drafts: list[list[Draft]] = [[] for _ in boards]
    waiting = list(range(len(boards)))
    while waiting:
        some, their, past = ([of[i] for i in waiting] for of in (boards, chances, pasts))
        told = step(network, some, policy, their, [None] * len(some), past, desk)
        for i, draft in zip(waiting, told, strict=True):
            drafts[i].append(draft)
        waiting = [i for i in waiting if not drafts[i][-1].final]
    return drafts


def same(some: Sequence[Draft], others: Sequence[Draft]) -> bool:
    assert [draft.texts for draft in some] == [draft.texts for draft in others]
    for one, other in zip(some, others, strict=True):
        for pieces, theirs in zip(one.holes, other.holes, strict=True):
            for piece, its in zip(pieces, theirs, strict=True):
                assert piece.settled == its.settled
                assert piece.confidence == pytest.approx(its.confidence, abs=1e-4)
    return True


@given(st.lists(canvases(), min_size=1, max_size=4), policies | planning, st.sampled_from(NETWORKS))
@settings(max_examples=80, deadline=None)
def test_a_batch_is_stepped_as_one_would_write_it_down(
    many: list[Canvas], policy: Policy, network: Network
):
    fast, slow = [board_of(it) for it in many], [board_of(it) for it in many]
    chances, pasts = generators(len(many)), [Past() for _ in many]
    theirs = generators(len(many))
    memories: list[dict[int, Memory]] = [{} for _ in many]
    desk = Replaying(network)
    for _ in range(6):
        step(network, fast, policy, chances, [None] * len(many), pasts, desk)
        for board, chance, memory in zip(slow, theirs, memories, strict=True):
            slow_step(network, board, policy, chance, memory)
        assert [board.row for board in fast] == [board.row for board in slow]
        assert [board.budgets for board in fast] == [board.budgets for board in slow]


@given(st.lists(canvases(), min_size=1, max_size=5), policies | planning, st.sampled_from(NETWORKS))
@settings(max_examples=40, deadline=None)
def test_padded_to_few_shapes_the_drafts_are_those_of_each_board_alone(
    many: list[Canvas], policy: Policy, network: Network
):
    desk = Replaying(network)
    padded = together(network, [board_of(it) for it in many], policy, desk)
    for canvas, chance, drafts in zip(many, generators(len(many)), padded, strict=True):
        alone, past, board = [], Past(), board_of(canvas)
        while not alone or not alone[-1].final:
            alone += step(network, [board], policy, [chance], [None], [past])
        assert same(drafts, alone)


def test_all_shapes_a_batch_can_have_are_warmed_up_and_none_has_to_be_made_later():
    network, desk = NETWORKS[0], Desk(NETWORKS[0], Letters(), buckets=True)
    policy, asked = Policy(threshold=0.6), set()

    def run(key: object, work: Callable[[], None]) -> None:
        asked.add(key)
        work()

    desk.run = run  # type: ignore[method-assign]
    shares = list(desk.warm(policy, boards=3, length=300, masks=10))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    warmed, buffers = set(asked), dict(desk.buffers)
    for count, letters, line in ((1, 10, 2), (2, 150, 9), (3, 290, 10)):
        boards = [
            Board(
                Canvas(("a" * (letters - n), ""), (Hole(0, 0, limit=line),)),
                Letters(),
                Start(line=line, block=9, context=400),
            )
            for n in range(count)
        ]
        together(network, boards, policy, desk)
    assert asked == warmed
    assert all(desk.buffers[name] is buffer for name, buffer in buffers.items())


@given(st.integers(1, 20), st.integers(1, 2000), st.integers(1, 100))
def test_shapes_are_few_and_no_smaller_than_what_is_asked(boards: int, length: int, masks: int):
    sizes = Desk(NETWORKS[0], Letters(), buckets=True).sizes(boards, length, masks)
    assert all(size >= asked for size, asked in zip(sizes, (boards, length, masks), strict=True))
    assert sizes[0] in falling(power_of_two(boards))
    assert sizes[1] - length < STEP
    assert sizes[1] % STEP == 0
    assert sizes[2] < max(2 * masks, FEWEST_MASKS + 1)


def test_a_length_that_fills_its_shape_needs_no_mask():
    seen = []
    desk = Desk(NETWORKS[0], Letters(), buckets=True)
    body = NETWORKS[0].model
    hook = body.register_forward_pre_hook(lambda _, its: seen.append(its[1] is None))
    try:
        for letters in (STEP - 5, STEP - 6):
            canvas = Canvas(("a" * (letters - 9), "b"), (Hole(0, 0, limit=5),))
            board = Board(canvas, Letters(), Start(line=5, block=9, context=400))
            board.texts[0][:0] = [7] * (letters - sum(map(len, board.texts)))
            step(NETWORKS[0], [board], Policy(), generators(1), [None], desk=desk)
    finally:
        hook.remove()
    assert seen == [True, False]


@pytest.mark.parametrize("shift", [False, True])
def test_the_last_block_computes_the_masks_alone_where_shapes_need_not_be_few(shift: bool):
    network = random_network(5, shift=shift)
    rows: list[list[int]] = []
    hooks = [
        block.mlp.register_forward_pre_hook(lambda _, its: rows[-1].append(its[0].shape[1]))
        for block in network.model.layers
    ]
    canvas = Canvas(("abcdefghij", "xyz"), (Hole(0, 0, limit=5),))
    try:
        for buckets in (False, True):
            rows.append([])
            board = Board(canvas, Letters(), START)
            desk = Desk(network, Letters(), buckets=buckets)
            step(network, [board], Policy(), generators(1), [None], desk=desk)
    finally:
        for hook in hooks:
            hook.remove()
    assert rows == [[len("abcdefghijxyz") + 2 + 5, 5], [STEP, STEP]]


@given(canvases(), policies | planning, st.sampled_from(NETWORKS))
@settings(max_examples=40, deadline=None)
def test_surroundings_refreshed_at_every_step_are_not_frozen(canvas, policy, network):
    desk = Replaying(network)
    refreshed = together(network, [board_of(canvas)], with_frozen(policy, 1), desk)
    plain = together(network, [board_of(canvas)], policy, None)
    assert same(refreshed[0], plain[0])


def with_frozen(policy: Policy, steps: int) -> Policy:
    values = {name: getattr(policy, name) for name in Policy.__slots__}
    return Policy(**{**values, "frozen": steps})


@given(canvases(), st.sampled_from(NETWORKS), st.booleans())
@settings(max_examples=40, deadline=None)
def test_beside_what_was_just_kept_the_holes_are_as_in_the_whole(canvas, network, buckets):
    """Nothing is committed between the two, so what is frozen is what it would be."""
    policy = Policy(threshold=1.0, frozen=9)
    desk = Replaying(network) if buckets else Desk(network, Letters())
    board, past = board_of(canvas), Past()
    step(network, [board], policy, generators(1), [None], [past], desk)
    if past.kept is None or board.done:
        return
    whole, again = board_of(canvas), board_of(canvas)
    past.sizes, past.age = [len(cells) for cells in again.cells], 0
    kept = past.kept.clone()
    (expected,) = step(network, [whole], Policy(threshold=1.0), generators(1), [None], desk=desk)
    (found,) = step(network, [again], policy, generators(1), [None], [past], desk)
    assert past.age == 1
    found = [found]
    assert same(found, [Draft(found[0].step, expected.holes, expected.final)])
    assert torch.equal(past.kept, kept)


@pytest.mark.parametrize("shift", [False, True])
def test_frozen_rows_are_not_computed_and_come_back_at_a_change_of_length(shift: bool):
    network = random_network(5, shift=shift)
    widths: list[int] = []
    hook = network.model.register_forward_pre_hook(lambda _, its: widths.append(its[0].shape[1]))
    canvas = Canvas(("abcdefghij", "xyzabcdefgh"), (Hole(0, 0, limit=12),))
    board, past = Board(canvas, Letters(), START), Past()
    policy = Policy(threshold=1.0, frozen=4)
    desk = Desk(network, Letters())
    try:
        while not board.done:
            sizes, before = past.sizes, [len(board.cells[0])]
            ages = past.age
            step(network, [board], policy, generators(1), [None], [past], desk)
            whole = len(board.texts[0]) + before[0] + len(board.texts[1])
            if sizes == before and ages < 3:
                assert widths[-1] == before[0] + shift
            else:
                assert widths[-1] == whole
                assert past.age == 0
    finally:
        hook.remove()
    assert len(set(widths)) > 1


def test_a_board_joins_others_whose_surroundings_are_frozen_already():
    network, policy = NETWORKS[1], Policy(threshold=1.0, frozen=3)
    canvases = [
        Canvas(("abc", "de"), (Hole(0, 0, limit=5),)),
        Canvas(("xyzxyz", "zyx"), (Hole(0, 0, limit=4),)),
    ]
    alone = [together(network, [board_of(it)], policy, None)[0] for it in canvases]
    desk = Replaying(network)
    first, second = (board_of(it) for it in canvases)
    pasts, chances = [Past(), Past()], generators(2)
    drafts: list[list[Draft]] = [[], []]
    drafts[0] += step(network, [first], policy, chances[:1], [None], pasts[:1], desk)
    while not (drafts[0][-1].final and drafts[1] and drafts[1][-1].final):
        some = [i for i in range(2) if not drafts[i] or not drafts[i][-1].final]
        boards = [(first, second)[i] for i in some]
        told = step(
            network, boards, policy, [chances[i] for i in some], [None] * len(some),
            [pasts[i] for i in some], desk,
        )  # fmt: skip
        for i, draft in zip(some, told, strict=True):
            drafts[i].append(draft)
    assert all(same(mine, theirs) for mine, theirs in zip(drafts, alone, strict=True))


def test_refine_takes_a_policy_with_frozen_surroundings():
    canvas = Canvas(("abc", "de"), (Hole(0, 0, limit=5),))
    drafts = list(refine(NETWORKS[0], board_of(canvas), Policy(threshold=1.0, frozen=5)))
    assert drafts[-1].final
