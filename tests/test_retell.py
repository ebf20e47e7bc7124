"""A text told again with the names that are due."""

from __future__ import annotations

import pytest
from hypothesis import given

from infill.judge.retell import NAMES, Due, retellings
from tests.strategies import texts


def told(
    text: str, waiting: str = "", missing: str = "", line: tuple[str, str] = ("", "")
) -> set[str]:
    due = Due(waiting.split(), missing.split())
    return {new for new, _ in retellings(text, due, line)}


@pytest.mark.parametrize(
    ("text", "waiting", "expected"),
    [
        ("return x", "result", {"return result"}),
        ("x = f(x)", "a", {"a = f(a)", "x = a(x)"}),
        ("xx = x", "a", {"a = x", "xx = a"}),
        ("return x", "x", set[str]()),
        ("return x + y", "y", set[str]()),  # it uses that already
        ("return", "x", set[str]()),
        ("f(x)", "a b", {"a(x)", "f(a)", "b(x)", "f(b)"}),
    ],
)
def test_each_name_is_replaced_wherever_it_stands(
    text: str, waiting: str, expected: set[str]
) -> None:
    assert told(text, waiting) == expected


def test_it_is_known_which_name_was_missing() -> None:
    made = dict(retellings("x = 1", Due(["waits"], ["lacks"]), ("", "")))
    assert {new: how.for_missing for new, how in made.items()} == {"waits = 1": 0, "lacks = 1": 1}
    assert all(how.retold for how in made.values())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (("", ""), {"a(x)", "f(a)"}),
        (("un", ")"), {"f(a)"}),  # half of the name stands already
        (("y = ", ""), {"a(x)", "f(a)"}),
    ],
)
def test_half_a_name_is_not_replaced(line: tuple[str, str], expected: set[str]) -> None:
    assert told("f(x)", "a", line=line) == expected


def test_neither_is_one_that_goes_on_behind_the_hole() -> None:
    assert told("f(x", "a", line=("", "yz)")) == {"a(x"}


def test_only_the_nearest_names_are_tried() -> None:
    many = " ".join(f"n{i}" for i in range(NAMES + 2))
    assert told("x", many) == {f"n{i}" for i in range(NAMES)}


@given(texts(surrogates=True), texts(max_size=4), texts(max_size=4))
def test_any_text_can_be_told_again(text: str, left: str, right: str) -> None:
    for new, how in retellings(text, Due(["waits"], ["lacks"]), (left, right)):
        assert ("lacks" if how.for_missing else "waits") in new
