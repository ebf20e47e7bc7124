"""What of a fill's line is like the lines round it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infill.judge.likeness import MOST_WORDS, NEAREST, Likeness, likeness_of, neighbours_of
from tests.strategies import texts

CURSOR = "‸"
FILE = """\
def f(self, one):
    self.one = one
    ‸
    self.three = "a b"
    return other(one, 2)
"""


def likeness(source: str, fill: str) -> Likeness:
    at = source.index(CURSOR)
    return likeness_of(fill, neighbours_of(source.replace(CURSOR, ""), at, at))


@pytest.mark.parametrize(
    ("fill", "copies", "like", "beside"),
    [
        ("self.one = one", 1, 1, 1),
        ("self.two = two", 0, 1, 1),
        ('self.two = "two"', 0, 1, 1),
        ("self.two = 2", 0, 0, 0),
        ("return other(one, 2)", 1, 1, 0),
        ("return another(two, 1.5)", 0, 1, 0),
        ("return another(2, two)", 0, 0, 0),
        ("yield other(one, 2)", 0, 0, 0),  # a keyword makes another shape
        ("self.two += two", 0, 0, 0),
    ],
)
def test_a_line_is_like_another_of_its_shape(
    fill: str, copies: int, like: int, beside: int
) -> None:
    made = likeness(FILE, fill)
    assert (made.copies, made.like, made.beside) == (copies, like, beside)


def test_the_line_counts_as_a_whole() -> None:
    made = likeness("x = f(a)\ny = ‸(b)\nx = g(a)\n", "f")
    assert (made.copies, made.like, made.beside) == (0, 1, 1)
    assert likeness("x = f(a)\nx‸f(a)\n", " = ").copies == 1


def test_a_line_that_says_something_stands_again_where_it_is_near() -> None:
    assert likeness("a = b\n‸\n", "a = b").again == 1
    assert likeness("return True\n‸\n", "return True").again == 1
    assert likeness("else:\n‸\n", "else:").again == 0
    assert likeness("a = b\n" + "c\n" * NEAREST + "‸\n", "a = b").again == 0


def test_short_lines_are_beside_none() -> None:
    assert likeness("a = b\n‸\n", "c = d").beside == 0
    assert likeness("a = b, c\n‸\n", "c = d, e").beside == 1


@pytest.mark.parametrize(
    ("source", "fill", "familiar", "words"),
    [
        (FILE, "other(one)", 1.0, 2),
        (FILE, "other(two)", 0.5, 2),
        (FILE, "print(two)", 0.0, 2),
        (FILE, "pass", 0.5, 0),
        ("def f(alpha):\n    return al‸\n", "pha", 1.0, 1),
        ("def f(alpha):\n    return al‸\n", "ter", 0.0, 1),
        ("far = 1\n" + "x = 1\n" * 20 + "‸\n", "far", 0.0, 1),
        ("near = 1\n" + "x = 1\n" * 10 + "‸\n", "near", 1.0, 1),
    ],
)
def test_names_are_familiar_that_stand_near(
    source: str, fill: str, familiar: float, words: int
) -> None:
    made = likeness(source, fill)
    assert (made.familiar, made.words) == (familiar, words)


def test_names_are_counted_up_to_what_lines_have() -> None:
    assert likeness(FILE, "a, " * 100).words == MOST_WORDS


def test_blank_lines_are_no_neighbours() -> None:
    made = likeness("a = b, c\n\n‸\n\n", "d = e, f")
    assert (made.like, made.beside) == (1, 1)


@given(texts(surrogates=True), st.data(), texts(surrogates=True, max_size=8))
def test_any_text_may_stand_round_a_hole(text: str, data: st.DataObject, fill: str) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    made = likeness_of(fill, neighbours_of(text, start, end))
    assert 0 <= made.familiar <= 1


@pytest.mark.parametrize("unit", ['"', "'", "\"'", "a", "a ", "if ", "\n", " ", "1", "\\"])
def test_an_odd_text_takes_no_longer_than_another(unit: str) -> None:
    text = unit * (100_000 // len(unit))  # would take minutes where anything is tried twice
    for at in (0, len(text) // 2, len(text)):
        likeness_of(text[:1000], neighbours_of(text, at, at))
