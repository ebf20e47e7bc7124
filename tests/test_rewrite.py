"""Selections written otherwise: what is widened to, what is offered, what is refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from infill.code.syntax import errors_in
from infill.deeds.rewrite import FREELY, GENTLY, MODERATELY, Rewritten, blocks_of, rewrite, widened
from infill.document import Document
from infill.edit import applied
from infill.settings import Settings
from model.canvas import Canvas, Hole
from model.load import load
from model.masked.board import Board, Start
from model.scripted import Scripted
from tests.boards import Letters

PATIENT = replace(Settings(), deadline_ms=20_000)
TEXT = """\
def total(prices, tax):
    found = 0.0
    for price in prices:
        found += price * (1 + tax)
    return found


def first(prices):
    return prices[0]
"""


def rewritten(
    selected: str, denoiser: Scripted, strength: float = MODERATELY, text: str = TEXT
) -> tuple[Rewritten, Document]:
    at = text.index(selected)
    document = Document(None, "python", text)
    asked = rewrite(document, at, at + len(selected), strength, denoiser=denoiser, settings=PATIENT)
    return asyncio.run(asked), document


@pytest.mark.parametrize(
    ("marked", "wide"),
    [
        ("x = fo[o + b]ar\n", "foo + bar"),
        ("x = [ foo ]+ bar\n", "foo"),
        ("  if x:\n    y[ = 1\n    z ]= 2\n", "y = 1\n    z = 2"),
        ("a\n[  b\n  c\n]d\n", "b\n  c"),
        ("a\r\n  b[b\r\n  c]c\r\nd", "bb\r\n  cc"),
        ("a []b", ""),
        ("a [\n \n]b", ""),
    ],
)
def test_a_selection_becomes_whole_words_or_whole_lines(marked: str, wide: str) -> None:
    start = marked.index("[")
    end = marked.index("]") - 1
    text = marked.replace("[", "").replace("]", "")
    a, b = widened(text, start, end)
    assert text[a:b] == wide


def test_variants_are_different_texts_best_first_and_the_selection_is_none_of_them() -> None:
    texts = ["return found", "return sum(prices)", "return sum(prices)", "return 0", "return tax"]
    denoiser = Scripted(lambda canvas: (texts[canvas.seed],))
    result, document = rewritten("return found", denoiser)
    assert {it.edit.text for it in result.variants} == {
        "return sum(prices)", "return 0", "return tax",
    }  # fmt: skip
    for variant in result.variants:
        assert document.text[variant.edit.start : variant.edit.end] == "return found"
    assert [it.score for it in result.variants] == sorted(
        (it.score for it in result.variants), reverse=True
    )


def test_the_selection_is_given_to_the_model_with_the_strength() -> None:
    denoiser = Scripted("return 1")
    rewritten("return found", denoiser, GENTLY)
    assert {(it.holes[0].former, it.holes[0].strength) for it in denoiser.seen} == {
        ("return found", GENTLY)
    }
    assert len({it.seed for it in denoiser.seen}) == len(denoiser.seen)


def test_what_parses_worse_is_not_offered() -> None:
    denoiser = Scripted("return return")
    result, _ = rewritten("return found", denoiser)
    assert result.variants == ()
    assert result.reason


def test_what_would_lose_lines_of_the_selection_is_not_offered() -> None:
    whole = "for price in prices:\n        found += price * (1 + tax)"
    denoiser = Scripted("found = 1\n    found += (price")
    result, _ = rewritten(whole, denoiser)
    assert result.variants == ()
    assert result.reason


def test_line_ends_and_indentation_of_the_file_are_kept() -> None:
    text = TEXT.replace("\n", "\r\n")
    selected = "for price in prices:\r\n        found += price * (1 + tax)"
    denoiser = Scripted("for it in prices:\n        found += it * (1 + tax)")
    result, document = rewritten(selected, denoiser, text=text)
    (variant,) = result.variants
    assert variant.edit.text == "for it in prices:\r\n        found += it * (1 + tax)"
    assert errors_in(applied(document, variant.edit).text, "python") == ()


def test_a_long_selection_is_rewritten_in_blocks_of_lines_and_a_very_long_one_refused() -> None:
    text = "".join(f"value_{i} = some_function({i}, other={i})\n" for i in range(60))
    document = Document(None, "python", text)
    blocks = blocks_of(document, 0, len(text) - 1, 0.5, 96)
    assert len(blocks) > 1
    assert all(text[it.start : it.end] == it.former for it in blocks)
    assert all(a.end + 1 == b.start for a, b in pairwise(blocks))

    class Small(Scripted):
        @property
        def card(self):  # type: ignore[no-untyped-def]
            return replace(super().card, hole_limit=96)

    denoiser = Small(lambda canvas: tuple(it.former.replace("some", "any") for it in canvas.holes))
    part = text[: text.index("value_20 ")]
    asked = rewrite(document, 0, len(part), 0.5, denoiser=denoiser, settings=PATIENT)
    result = asyncio.run(asked)
    assert [it.edit.text for it in result.variants] == [part.strip().replace("some", "any")]
    longer = Document(None, "python", text * 20)
    asked = rewrite(longer, 0, len(longer.text), 0.5, denoiser=denoiser, settings=PATIENT)
    assert "select less" in asyncio.run(asked).reason


def test_nothing_selected_secret_files_and_models_that_cannot_are_refused_in_words() -> None:
    denoiser = Scripted("x")
    document = Document(None, "python", TEXT)
    asked = rewrite(document, 3, 3, 0.5, denoiser=denoiser, settings=PATIENT)
    assert "Nothing is selected" in asyncio.run(asked).reason
    secret = Document(Path("/p/.env"), "plaintext", "KEY=abc\n")
    asked = rewrite(secret, 0, 5, 0.5, denoiser=denoiser, settings=PATIENT)
    assert "secret" in asyncio.run(asked).reason
    assert denoiser.seen == []


def test_another_seed_noises_other_tokens_of_the_bundled_model() -> None:
    denoiser = load("bundled")
    try:
        text = "    found += price * (1 + tax)"
        at = TEXT.index(text.strip())
        document = Document(None, "python", TEXT)
        results = [
            asyncio.run(
                rewrite(document, at, at + 20, strength, denoiser=denoiser, settings=PATIENT)
            )
            for strength in (GENTLY, FREELY)
        ]
    finally:
        denoiser.close()
    variants = [it for result in results for it in result.variants]
    assert variants
    for variant in variants:
        after = applied(document, variant.edit).text
        assert errors_in(after, "python") == ()
        assert after.startswith(TEXT[:at])
        assert after.endswith(TEXT[variant.edit.end :])


def test_a_board_of_another_seed_noises_other_tokens() -> None:
    hole = Hole(0, 0, former="found += price", strength=0.5)
    boards = [Board(Canvas(("", ""), (hole,), seed=i), Letters(), Start()) for i in range(4)]
    assert len({tuple(board.row) for board in boards}) > 1
