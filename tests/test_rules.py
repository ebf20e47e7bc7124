"""The commit and length rules, as laws."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from model.rules import by_entropy, by_threshold, cut_at, length_alone  # noqa: E402

shares = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40)
entropies = st.lists(st.floats(0, 12, width=32), min_size=1, max_size=40)


@given(shares, st.floats(0, 1))
def test_a_threshold_commits_the_surest_and_all_above_it(values: list[float], threshold: float):
    confidence = torch.tensor(values)
    chosen = by_threshold(confidence, threshold)
    assert chosen[confidence.argmax()]
    for value, taken in zip(confidence, chosen, strict=True):
        assert bool(taken) == (value > threshold) or value == confidence.max()


@given(shares)
def test_threshold_one_commits_exactly_one_place(values: list[float]):
    assert int(by_threshold(torch.tensor(values), 1.0).sum()) == 1


@given(entropies, st.floats(0, 5))
@example([1.0, 1.2e-38, 1.2e-38], 0.0)  # sums that round the small ones away
def test_the_entropy_bound_takes_the_lowest_whose_sum_before_is_within_it(
    values: list[float], bound: float
):
    entropy = torch.tensor(values)
    chosen = by_entropy(entropy, bound)
    assert chosen.any()
    taken = entropy[chosen].sort().values
    assert not len(entropy[~chosen]) or taken.max() <= entropy[~chosen].min()
    assert float(taken[:-1].sum()) <= bound + 1e-3


@given(shares, st.data())
def test_a_length_token_is_committed_alone_or_waits(values: list[float], data: st.DataObject):
    confidence = torch.tensor(values)
    flags = st.lists(st.booleans(), min_size=len(values), max_size=len(values))
    is_length = torch.tensor(data.draw(flags))
    chosen = by_threshold(confidence, data.draw(st.floats(0, 1)))
    kept = length_alone(chosen, is_length, confidence)
    assert kept.any()
    assert not (kept & ~chosen).any()
    if (kept & is_length).any():
        assert int(kept.sum()) == 1


@given(shares, st.data(), st.floats(0, 1))
def test_a_cut_never_lies_behind_the_place_that_proved_to_be_over(
    values: list[float], data: st.DataObject, cut: float
):
    surest = data.draw(st.integers(0, len(values) - 1))
    delete = torch.tensor(values)
    where = cut_at(delete, surest, cut)
    assert 0 <= where <= surest
    assert where == surest or delete[where] >= cut
    assert not (delete[:where] >= cut).any()
