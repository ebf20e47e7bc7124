"""What counting proposes for a hole: it joins both sides, heals cut words, closes brackets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evidence.proposals import Open, needed_by, opened
from tests.counted import LEARNT, proposer

CURSOR = "‸"


def proposed(source: str, *, multiline: bool = False) -> list[str]:
    before, after = source.split(CURSOR)
    return [it.text for it in proposer().proposals(before, after, multiline=multiline)]


@pytest.mark.parametrize("text", LEARNT)
def test_a_line_taken_out_of_counted_code_is_proposed_again(text: str) -> None:
    lines = text.split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith(("    return", "    def is_")))
    source = "\n".join([*lines[:at], CURSOR, *lines[at + 1 :]])
    assert lines[at] in proposed(source)[:3]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (
            "\ndef longest(rows):\n    best = []\n    fo‸\n        if len(row) > 1:\n",
            "r row in rows:",
        ),
        ("\ndef total_of(values):\n    total = ‸\n    for value in values:\n", "0"),
        ("\ndef first_of(items):\n    if not ‸:\n        return None\n", "items"),
        (
            "\ndef first_of(items):\n    if not items:\n        return ‸\n    return items[0]\n",
            "None",
        ),
    ],
)
def test_the_rest_of_a_line_a_word_or_an_expression_is_proposed(source: str, wanted: str) -> None:
    assert wanted in proposed(source)[:5]


def test_what_follows_decides_what_is_proposed() -> None:
    start = "\ndef longest(rows):\n    best = []\n‸"
    deeper = proposed(start + "\n        if len(row) > len(best):\n            best = row\n")
    level = proposed(start + "\n    return best\n")
    assert deeper[0].endswith(":")
    assert not level[0].endswith(":")


def test_a_hole_of_one_line_gets_no_line_end_and_one_of_many_may() -> None:
    source = "\ndef first_of(items):\n    if not items:‸\n    return items[0]\n"
    assert not any("\n" in text for text in proposed(source))
    assert "\n        return None" in proposed(source, multiline=True)


@pytest.mark.parametrize("source", ["‸", "\n‸", "x‸", "(‸", "‸)", "‸\n", "\ud800‸\ud800", "é‸é"])
def test_there_is_an_answer_whatever_stands_around(source: str) -> None:
    assert all(text.strip() for text in proposed(source))


BRACKETS = st.text("([{)]}\"'x\\", max_size=12)
ROUND = st.text("()'x", max_size=12)


@given(BRACKETS, BRACKETS)
def test_brackets_may_be_followed_piece_by_piece(first: str, second: str) -> None:
    state = opened(Open(), first.encode())
    whole = opened(Open(), (first + second).encode())
    assert whole == (state and opened(state, second.encode()))


@given(ROUND)
def test_what_a_text_needs_is_what_makes_it_close(text: str) -> None:
    needed = needed_by(text.encode())
    assert opened(Open(needed), text.encode()) is not None


@pytest.mark.parametrize(
    ("text", "needed"),
    [(")]", "[("), ("x(')'))", "("), (r"'\')' }", "{"), ("[)]", "("), ('"(', ""), ("é)", "(")],
)
def test_a_text_needs_what_it_closes_and_does_not_open(text: str, needed: str) -> None:
    assert needed_by(text.encode()) == needed.encode()


@pytest.mark.parametrize("source", ["\nprint(len(‸\nx = 1\n", "\nx = [‸]\n", "\nx = (1, ‸\n"])
def test_what_is_proposed_closes_the_brackets_and_no_more(source: str) -> None:
    before, after = source.split(CURSOR)
    begun = opened(Open(), before.encode())
    assert begun is not None
    for text in proposed(source):
        state = opened(begun, text.encode())
        assert state is not None
        assert not state.quote
        assert state.brackets == needed_by(after.encode()) or after.startswith("\n")
