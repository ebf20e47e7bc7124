"""The commit and length rules, as laws; each for many boards at once as for one alone."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from model.masked.commit import NOTES, Asked, decided  # noqa: E402
from model.masked.policy import Policy  # noqa: E402
from model.masked.rules import (  # noqa: E402
    by_entropy,
    by_factor,
    by_rank,
    by_schedule,
    by_steadiness,
    by_threshold,
    certainty,
    cut_at,
    divergence,
    drawn,
    length_alone,
    planned,
    scheduled,
    within_top_p,
)
from tests.boards import SPECIALS, VOCABULARY, planning, policies  # noqa: E402

shares = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40)
entropies = st.lists(st.floats(0, 12, width=32), min_size=1, max_size=40)
weights = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=12).filter(
    lambda values: sum(values) > 0.1
)


def every(values: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(values, dtype=torch.bool)


def flags_of(data: st.DataObject, values: list[float]) -> torch.Tensor:
    flags = st.lists(st.booleans(), min_size=len(values), max_size=len(values))
    return torch.tensor(data.draw(flags))


@settings(deadline=None)
@given(shares, st.floats(0, 1))
def test_a_threshold_commits_the_surest_and_all_above_it(values: list[float], threshold: float):
    confidence = torch.tensor(values)
    chosen = by_threshold(confidence, threshold, confidence, every(confidence))
    assert chosen[confidence.argmax()]
    for value, taken in zip(confidence, chosen, strict=True):
        assert bool(taken) == (value > threshold) or value == confidence.max()


@settings(deadline=None)
@given(shares, st.data())
def test_threshold_one_commits_the_first_in_order_and_of_equals_the_leftmost(
    values: list[float], data: st.DataObject
):
    confidence = torch.tensor(values)
    score = torch.tensor(data.draw(st.permutations(values)))
    chosen = by_threshold(confidence, 1.0, score, every(score))
    assert torch.nonzero(chosen).flatten().tolist() == [score.tolist().index(max(score.tolist()))]


@settings(deadline=None)
@given(shares, st.floats(0.01, 20))
def test_the_factor_takes_the_most_for_which_the_last_and_all_before_are_sure_enough(
    values: list[float], factor: float
):
    confidence = torch.tensor(values)
    chosen = by_factor(confidence, factor, every(confidence))
    falling = confidence.sort(descending=True).values
    count = 1
    while count < len(values) and falling[count] >= 1 - factor / (count + 2):
        count += 1
    assert int(chosen.sum()) == count
    assert confidence[chosen].sort(descending=True).values.tolist() == falling[:count].tolist()


@settings(deadline=None)
@given(entropies, st.floats(0, 5))
@example([1.0, 1.2e-38, 1.2e-38], 0.0)  # sums that round the small ones away
def test_the_entropy_bound_takes_the_lowest_whose_sum_before_is_within_it(
    values: list[float], bound: float
):
    entropy = torch.tensor(values)
    chosen = by_entropy(entropy, bound, every(entropy))
    assert chosen.any()
    taken = entropy[chosen].sort().values
    assert not len(entropy[~chosen]) or taken.max() <= entropy[~chosen].min()
    assert float(taken[:-1].sum()) <= bound + 1e-3


@settings(deadline=None)
@given(shares, st.floats(0, 1), st.data())
def test_klass_commits_the_steady_that_are_sure_or_else_the_first(
    values: list[float], least: float, data: st.DataObject
):
    confidence = torch.tensor(values)
    steady = flags_of(data, values)
    chosen = by_steadiness(confidence, least, steady, confidence, every(confidence))
    both = steady & (confidence >= least)
    if both.any():
        assert chosen.tolist() == both.tolist()
    else:
        assert torch.nonzero(chosen).flatten().tolist() == [int(confidence.argmax())]


@settings(deadline=None)
@given(shares, st.data())
def test_a_schedule_commits_so_many_and_none_is_less_sure_than_one_that_waits(
    values: list[float], data: st.DataObject
):
    score = torch.tensor(values)
    count = data.draw(st.integers(0, len(values)))
    chosen = by_schedule(torch.tensor([count]), score, every(score))
    assert int(chosen.sum()) == count
    assert (
        score[chosen].sort(descending=True).values.tolist() == sorted(score.tolist())[::-1][:count]
    )


@given(st.integers(1, 128), st.integers(1, 200))
def test_a_schedule_gives_each_step_its_equal_share_and_the_first_ones_what_is_over(
    masks: int, steps: int
):
    left, counts = masks, list[int]()
    while left:
        counts.append(scheduled(masks, left, steps))
        assert counts[-1] > 0
        left -= counts[-1]
    assert sum(counts) == masks
    assert counts == sorted(counts, reverse=True)
    assert counts[0] - counts[-1] <= 1
    assert len(counts) == min(steps, masks)


@settings(deadline=None)
@given(shares, st.data())
def test_path_planning_leaves_the_least_sure_masked_and_of_equals_the_leftmost(
    values: list[float], data: st.DataObject
):
    confidence = torch.tensor(values)
    count = data.draw(st.integers(0, len(values)))
    kept = by_rank(torch.tensor([count]), confidence, every(confidence))
    lowest = sorted(range(len(values)), key=lambda i: (confidence[i], i))[:count]
    assert [i for i in range(len(values)) if not kept[i]] == sorted(lowest)


@given(st.integers(1, 128), st.sampled_from([16, 64, 512]))
def test_path_planning_s_plan_falls_as_published_to_nothing(cells: int, steps: int):
    """The published one is rounded in float32, which is exact at the published numbers of steps."""
    plan = [planned(cells, turn, steps) for turn in range(steps)]
    shares = torch.tensor([1.0 - (turn + 1) / steps for turn in range(steps)])
    assert plan == (torch.tensor(float(cells)) * shares).floor().long().tolist()
    assert plan == sorted(plan, reverse=True)
    assert plan[-1] == planned(cells, steps + 5, steps) == 0


@settings(deadline=None)
@given(weights, weights)
def test_divergence_is_that_of_torch_and_zero_only_between_equals(
    one: list[float], other: list[float]
):
    size = min(len(one), len(other))
    now, before = (torch.tensor(it[:size], dtype=torch.float64) + 1e-3 for it in (one, other))
    now, before = now / now.sum(), before / before.sum()
    expected = torch.nn.functional.kl_div(before.log(), now, reduction="sum")
    assert float(divergence(now, before)) == pytest.approx(float(expected), abs=1e-12)
    assert float(divergence(now, now)) == 0


def test_what_was_ruled_out_and_is_not_any_longer_diverges_without_end():
    now, before = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([1.0, 0.0, 0.0])
    assert float(divergence(now, before)) == float("inf")
    assert float(divergence(before, now)) == pytest.approx(0.6931, abs=1e-4)


def test_certainty_ranks_a_sure_token_first_and_all_alike_last():
    rows = torch.tensor([[0.25, 0.25, 0.25, 0.25], [1.0, 0, 0, 0], [0.9, 0.1, 0, 0]])
    assert certainty(rows).argsort(descending=True).tolist() == [1, 2, 0]
    assert float(certainty(rows)[1]) == 0


@settings(deadline=None)
@given(weights, st.floats(0.05, 1.0))
def test_top_p_keeps_the_fewest_likeliest_that_reach_it(values: list[float], top_p: float):
    shares = torch.tensor(values) + 1e-4
    logits = (shares / shares.sum()).log()
    kept = within_top_p(logits, top_p).isfinite()
    falling = logits.softmax(-1).sort(descending=True).values.tolist()
    count, total = 1, falling[0]
    while count < len(values) and total <= top_p - 1e-6:
        total += falling[count]
        count += 1
    assert abs(int(kept.sum()) - count) <= int(abs(total - top_p) < 1e-5)
    assert logits[kept].min() >= logits.where(~kept, -torch.inf).max()


@settings(deadline=None)
@given(weights, st.floats(0, 1, exclude_max=True, width=32))
@example([0.0, 1.0], 0.0)
@example([1.0, 0.0], 1 - 2**-24)
def test_what_is_drawn_is_possible_and_as_likely_as_it_should_be(
    values: list[float], number: float
):
    shares = torch.tensor(values)
    shares = shares / shares.sum()
    token = int(drawn(shares, torch.tensor(number)))
    assert shares[token] > 0
    assert float(shares[:token].sum()) <= number + 1e-5
    assert number <= float(shares[: token + 1].sum()) + 1e-5


@settings(deadline=None)
@given(shares, st.data())
def test_a_length_token_is_committed_alone_or_waits(values: list[float], data: st.DataObject):
    confidence = torch.tensor(values)
    is_length = flags_of(data, values)
    threshold = data.draw(st.floats(0, 1))
    chosen = by_threshold(confidence, threshold, confidence, every(confidence))
    kept = length_alone(chosen, is_length, confidence)
    assert kept.any()
    assert not (kept & ~chosen).any()
    if (kept & is_length).any():
        assert int(kept.sum()) == 1


@settings(deadline=None)
@given(shares, st.data(), st.floats(0, 1))
def test_a_cut_lies_in_the_same_hole_not_behind_the_place_that_proved_to_be_over(
    values: list[float], data: st.DataObject, cut: float
):
    surest = data.draw(st.integers(0, len(values) - 1))
    begin = data.draw(st.integers(0, surest))
    delete = torch.tensor(values)
    hole = torch.arange(len(values)) >= begin
    where = int(cut_at(delete, torch.tensor(surest), cut, hole))
    assert begin <= where <= surest
    assert where == surest or delete[where] >= cut
    assert not (delete[begin:where] >= cut).any()


@settings(deadline=None)
@given(st.lists(shares, min_size=1, max_size=4), st.data())
def test_many_boards_padded_are_as_each_alone(rows: list[list[float]], data: st.DataObject):
    longest = max(map(len, rows)) + data.draw(st.integers(0, 3))
    padded = torch.tensor([row + [1.0] * (longest - len(row)) for row in rows])
    real = torch.tensor([[i < len(row) for i in range(longest)] for row in rows])
    marks = padded > data.draw(st.floats(0, 1))

    def outcome(
        values: torch.Tensor, real: torch.Tensor, marks: torch.Tensor
    ) -> list[torch.Tensor]:
        chosen = by_threshold(values, 0.7, values, real)
        surest = chosen.to(torch.uint8).argmax(-1)
        cut = cut_at(values, surest, 0.5, real)
        return [
            chosen,
            by_factor(values, 0.8, real),
            by_entropy(1 - values, 0.4, real),
            by_steadiness(values, 0.6, marks, values, real),
            by_schedule(torch.tensor([2]), values, real),
            by_rank(torch.tensor([1]), values, real),
            length_alone(chosen, marks, values),
            torch.arange(values.shape[-1]) == cut[..., None],
        ]

    together = outcome(padded, real, marks)
    for i, row in enumerate(rows):
        n = len(row)
        alone = outcome(padded[i : i + 1, :n], real[i : i + 1, :n], marks[i : i + 1, :n])
        for all_of_them, one in zip(together, alone, strict=True):
            assert all_of_them[i, :n].tolist() == one[0].tolist()
            assert not all_of_them[i, n:].any()


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4), policies | planning, st.integers(0, 10**6)
)
def test_each_hole_is_decided_as_if_it_were_alone(sizes: list[int], policy: Policy, seed: int):
    masks, chance = sum(sizes) + 2, torch.Generator().manual_seed(seed)
    logits, before = 4 * torch.randn(2, 1, masks, VOCABULARY, generator=chance)
    probabilities, before = logits.softmax(-1), (logits + 0.1 * before).softmax(-1)
    notes = (torch.rand(len(NOTES), 1, masks, generator=chance) < 0.7).long()
    notes[NOTES.index("real")] = torch.arange(masks) < sum(sizes)
    holes = [hole for hole, size in enumerate(sizes) for _ in range(size)]
    notes[NOTES.index("holes")] = torch.tensor([*holes, 0, 0])
    counts = [1 + seed % size for size in sizes] if policy.even else [seed % 3 for _ in sizes]
    notes[NOTES.index("count")] = torch.tensor([*(counts[hole] for hole in holes), 0, 0])
    numbers = torch.rand(1, masks, generator=chance)

    def decision(some: slice) -> torch.Tensor:
        none = torch.zeros(1, 1, dtype=torch.long)
        asked = Asked(none, none[0], notes[..., some], numbers[:, some], none)
        return decided(probabilities[:, some], asked, policy, SPECIALS, before[:, some])

    together, begin = decision(slice(None)), 0
    for size in sizes:
        mine = slice(begin, begin + size)
        alone = decision(mine)
        committed = alone[2].bool()
        if policy.p2 is not None:  # what is there already and stays cuts nothing
            committed &= notes[NOTES.index("filled"), :, mine] == 0
        assert committed.any() or policy.p2 is not None
        alone[3] += begin  # the number of the mask from which a delete cuts
        assert torch.equal(together[..., mine][[0, 1, 2, 4]], alone[[0, 1, 2, 4]])
        assert torch.equal(together[3, :, mine][committed], alone[3][committed])
        begin += size
    assert not together[2, :, begin:].any()


def test_a_board_without_masks_commits_nothing():
    values, none = torch.tensor([[0.9, 0.8]]), torch.zeros(1, 2, dtype=torch.bool)
    for chosen in (
        by_threshold(values, 0.5, values, none),
        by_factor(values, 1.0, none),
        by_entropy(values, 9.0, none),
        by_steadiness(values, 0.5, ~none, values, none),
        by_schedule(torch.tensor([1]), values, none),
        by_rank(torch.tensor([0]), values, none),
        length_alone(none, ~none, values),
    ):
        assert not chosen.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 0.9, "factor": 1.0}, "threshold and factor are different rules"),
        ({"klass": (0.9, 0.01), "entropy_bound": 0.1}, "entropy_bound and klass are different"),
        ({"threshold": 1.5}, "threshold is 1.5, but must be a probability"),
        ({"factor": 0.0}, "factor is 0.0"),
        ({"entropy_bound": -0.1}, "entropy_bound is -0.1"),
        ({"klass": (0.9,)}, "klass is"),
        ({"klass": (0.9, 0.0)}, "klass is"),
        ({"p2": 0}, "p2 is 0, but must be at least 1 step"),
        ({"even": 0}, "even is 0, but must be at least 1 step"),
        ({"p2": 64, "threshold": 0.9}, "threshold and p2 are different rules"),
        ({"order": "entropy", "p2": 64}, "an order of their own"),
        ({"order": "left"}, "order is 'left', but must be 'confidence' or 'entropy'"),
        ({"order": "entropy", "factor": 1.0}, "an order of their own"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"cut": 2.0}, "cut is 2.0"),
        ({"block": 0}, "block is 0"),
        ({"frozen": -1}, "frozen is -1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        Policy(**settings)  # type: ignore[arg-type]


def test_a_pair_read_from_a_file_is_the_pair():
    assert Policy(klass=[0.9, 0.01]) == Policy(klass=(0.9, 0.01))  # type: ignore[arg-type]
