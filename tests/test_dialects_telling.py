"""What is told of drafts to clients that take nothing back, in whatever dialect: how much of a text
is sure, and where it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.canvas import Draft, Piece, text_of
from model.serving.dialects.asked import Asked
from model.serving.dialects.telling import Part, cut, kept_of, parts


@pytest.mark.parametrize(
    ("before", "text", "after", "kept"),
    [
        ("x = ", "y", "\n", "y"),
        ("print(", "value)", ")\n", "value"),
        ("print(", "f(value)", ")\n", "f(value)"),
        ("print(f(", "value)", ")\n", "value)"),  # one for each
        ("x = '", "abc'", "'\n", "abc"),
        ("x = [", "1, 2]", "]\n", "1, 2"),
        ("def f():\n    ", "return total", " total\n", "return"),
        ("def f():\n    ", "return subtotal", "total\n", "return subtotal"),  # not in a word
        ("def f():\n", "    a = 1\n    return a", "\n    return a\n", "    a = 1"),
        ("def f():\n", "    a = 1\n    return a\n    b", "\n\n    return a\n", "    a = 1"),
        ("def f():\n", "    a = 1\n\n\n", "\n", "    a = 1"),
        ("x = ", "1  ", " + y\n", "1  "),  # blanks that something follows
        ("x = ", "1\ny = 2", "\n", "1"),
    ],
)
def test_what_follows_the_cursor_is_not_told_again(
    before: str, text: str, after: str, kept: str
) -> None:
    assert kept_of(text, Asked(before, after), final=True).text == kept


@pytest.mark.parametrize(
    ("stops", "text", "kept", "stop"),
    [
        (("\n\n",), "a\n\nb", "a", "\n\n"),
        (("c", "bc"), "abcd", "a", "bc"),  # the first to be met
        (("x",), "abc", "abc", ""),
    ],
)
def test_a_text_ends_before_the_first_stop(
    stops: tuple[str, ...], text: str, kept: str, stop: str
) -> None:
    found = kept_of(text, Asked("def f():\n", "\n", stops=stops), final=True)
    assert (found.text, found.stop) == (kept, stop)


FEW = st.text("a()\n ", max_size=12)
ASKED = st.builds(
    Asked,
    st.sampled_from(["", "f(", "if a:\n", "x = "]),
    FEW,
    stops=st.lists(st.text("a)\n", min_size=1, max_size=3), max_size=2).map(tuple),
    stream=st.just(True),
)


@given(ASKED, FEW, FEW)
@example(Asked("", stops=("ab",)), "xa", "b")
@example(Asked("", "\na a a"), "a\na", " a a")
@example(Asked("f(", ")\n"), "a)", "")
@example(Asked("f(", ")\n"), "a)", "b")
def test_what_is_sure_of_a_beginning_is_a_beginning_of_what_is_kept(
    asked: Asked, text: str, more: str
) -> None:
    sure = kept_of(text, asked, final=False)
    kept = kept_of(text + more, asked, final=True)
    assert kept.text.startswith(sure.text)
    assert not sure.sure or kept.text == sure.text


def told_of(drafts: Sequence[Draft], asked: Asked, limit: int = 100) -> list[Part]:
    async def played() -> AsyncIterator[Draft]:
        for draft in drafts:
            yield draft

    async def told() -> list[Part]:
        async with aclosing(parts(played(), asked, limit)) as found:
            return [part async for part in found]

    return asyncio.run(told())


@st.composite
def refinements(draw: st.DrawFn) -> list[Draft]:
    """Drafts of one text: in each some more of it has settled, anywhere; the rest is guessed."""
    text = draw(FEW)
    order = draw(st.permutations(range(len(text))))
    drafts: list[Draft] = []
    counts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=5)))
    for step, count in enumerate([*counts, len(text)]):
        final = step == len(counts)
        settled = set(order[:count])
        guesses = [draw(st.sampled_from("ab(\n")) for _ in text]
        pieces = tuple(
            Piece(text[i] if i in settled or final else guesses[i], 0.5, i in settled)
            for i in range(len(text))
        )
        drafts.append(Draft(step, (pieces,), final))
    return drafts


@given(refinements(), ASKED)
def test_nothing_that_was_streamed_is_taken_back(drafts: list[Draft], asked: Asked) -> None:
    streamed = told_of(drafts, asked)
    whole = told_of(drafts, Asked(asked.before, asked.after, stops=asked.stops))
    assert [part.ended for part in whole] == ["stop"]
    assert "".join(part.text for part in streamed) == whole[0].text
    assert [bool(part.ended) for part in streamed] == [False] * (len(streamed) - 1) + [True]
    assert all(text_of(part.pieces) == part.text for part in streamed)
    at = 0
    for part in streamed:
        assert part.at == at
        at += len(part.text)


PIECES = st.lists(st.builds(Piece, FEW, st.just(0.5), st.booleans()), max_size=4).map(tuple)


@given(st.lists(st.builds(lambda it: Draft(1, (it,), False), PIECES), max_size=4), PIECES, ASKED)
def test_a_draft_that_contradicts_what_was_streamed_ends_it_there(
    drafts: list[Draft], last: tuple[Piece, ...], asked: Asked
) -> None:
    final = Draft(9, (last,), True)
    streamed = told_of([*drafts, final], asked)
    text = "".join(part.text for part in streamed)
    whole = told_of([final], asked)[0].text
    early = streamed[-1].draft is not final  # a stop was met in what had settled
    assert early or text == whole or (streamed[-1].text, streamed[-1].ended) == ("", "length")


def test_drafts_that_end_early_leave_the_best_so_far() -> None:
    guess = Draft(1, ((Piece("a", 0.9, True), Piece("b", 0.4, False)),), False)
    asked = Asked("x = ", "\n", stream=True)
    assert [(it.text, it.ended) for it in told_of([guess], asked)] == [("a", ""), ("b", "length")]
    assert [(it.text, it.ended) for it in told_of([], asked)] == [("", "length")]


def test_a_hole_that_is_full_says_that_its_length_ended_it() -> None:
    final = Draft(1, (tuple(Piece(it, 0.9) for it in "abc"),), True)
    assert told_of([final], Asked("x = "), limit=3)[0].ended == "length"
    assert told_of([final], Asked("x = "), limit=4)[0].ended == "stop"


@given(st.lists(FEW), st.integers(0, 9), st.integers(0, 9))
def test_cutting_pieces_cuts_their_text(texts: list[str], start: int, more: int) -> None:
    pieces = [Piece(text, 0.5) for text in texts]
    assert text_of(cut(pieces, start, start + more)) == text_of(pieces)[start : start + more]
