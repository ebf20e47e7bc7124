"""A text whose end is a guess is shown up to there, where that can stand by itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infill.document import Document
from infill.fill import fill_at
from infill.judge.trim import sure_beginnings
from infill.memory import Memory
from infill.settings import Settings
from model import Canvas, Card, Claim, Draft, Piece

Sure = list[tuple[str, float]]


class Says:
    """A denoiser that says how sure it is of each piece."""

    card = Card("says", "1", context=2000, hole_limit=64)

    def __init__(self, *pieces: tuple[str, float]) -> None:
        self.pieces = tuple(Piece(text, confidence) for text, confidence in pieces)

    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        yield Draft(1, (self.pieces,), final=True)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("pieces", "beginnings"),
    [
        ([("return", 0.9), (" a", 0.9)], []),  # all of it is sure
        ([("return", 0.9), (" a", 0.1)], ["return"]),
        ([("self.", 0.9), ("wid", 0.9), ("th", 0.1), (" * 2", 0.9)], ["self."]),
        ([("a", 0.9), ("\n", 0.9), ("    ", 0.9), ("b", 0.1)], ["a"]),
        ([("a", 0.1), ("b", 0.9)], []),  # nothing is
        ([], []),
    ],
)
def test_what_is_sure_ends_with_a_whole_word(pieces: Sure, beginnings: list[str]) -> None:
    assert list(sure_beginnings([Piece(*it) for it in pieces], 0.2)) == beginnings


@given(st.lists(st.builds(Piece, st.text("ab \n.", min_size=1), st.floats(0, 1))), st.floats(0, 1))
def test_what_is_sure_is_a_beginning_of_the_text(pieces: list[Piece], gate: float) -> None:
    text = "".join(piece.text for piece in pieces)
    for beginning in sure_beginnings(pieces, gate):
        assert text.startswith(beginning)
        covered = 0
        for piece in pieces:
            assert covered >= len(beginning) or piece.confidence >= gate
            covered += len(piece.text)


TEXT = "def area(width, height):\n    return \n"
AT = TEXT.index("return ") + len("return ")
PRODUCT = ("width", 0.9), (" * ", 0.8), ("height", 0.7)


@pytest.mark.parametrize(
    ("pieces", "invoked", "shown"),
    [
        (PRODUCT, False, "width * height"),
        ((*PRODUCT, (" + ", 0.3), ("offset", 0.05)), False, "width * height"),
        ((("f(", 0.9), ("g(", 0.9), ("width))", 0.1)), False, "f(g(width))"),
        ((*PRODUCT, (" - 7", 0.05)), False, "width * height"),
        ((*PRODUCT, (" - 7", 0.05)), True, "width * height - 7"),  # who asks sees all of it
        ((("width", 0.05), (" * height", 0.1)), False, None),
    ],
    ids=["sure", "an operator wants more", "nothing stands alone", "unsure end", "asked", "unsure"],
)
async def test_only_the_sure_part_is_shown_unasked(
    pieces: tuple[tuple[str, float], ...], invoked: bool, shown: str | None
) -> None:
    fill = await fill_at(
        Document(None, "python", TEXT), AT, denoiser=Says(*pieces), settings=Settings(),
        memory=Memory(), invoked=invoked,
    )  # fmt: skip
    assert (fill.edit.text if fill.edit else None) == shown
    assert bool(fill.edit) == (fill.score >= 0.2 or invoked)
