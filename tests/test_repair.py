"""What counts as making a file parse worse, and what a second look makes of it."""

from __future__ import annotations

import asyncio
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infill.code.strict import SMALL, refused_at
from infill.document import Document
from infill.judge.repair import Repaired, offence, repair
from infill.reason import Reason
from model.canvas import Canvas, Hole
from model.scripted import Script, Scripted
from tests.strategies import cursors, texts

CURSOR = "‸"


def hole_in(source: str) -> tuple[Document, Hole]:
    """Between two cursor marks stands what the hole replaces; one mark is an empty hole."""
    start, end = source.index(CURSOR), source.rindex(CURSOR) - source.count(CURSOR) + 1
    hole = Hole(start, end, multiline=True)
    return Document(None, "python", source.replace(CURSOR, "")), hole


def offending(source: str, fill: str, language: str = "python") -> str | None:
    document, hole = hole_in(source)
    stretch = offence(fill, hole, Document(None, language, document.text))
    return None if stretch is None else fill[slice(*stretch)]


@pytest.mark.parametrize(
    ("source", "fill"),
    [
        ("x = ‸\n", "1"),
        ("def f():\n    ‸pass‸\n", "return 1"),
        ("def f():\n    return ‸\n\nx = (\n", "1"),  # broken elsewhere, and not by the fill
        ("def f(‸\n", "a"),  # was open, stays open
        ("x = ‸ y\n", "not"),
        ('x = "‸"\n', "not code = at ( all"),
    ],
)
def test_what_parses_no_worse_does_not_offend(source: str, fill: str) -> None:
    assert offending(source, fill) is None


@pytest.mark.parametrize(
    ("source", "fill", "stretch"),
    [
        ("x = ‸\n", "a b c", "a b"),
        ("x = ‸1‸\n", "f(2, 3 4)", "4"),
        ("x = [1, ‸2‸]\n", "3, = 4", "="),
        ("def f():\n    ‸pass‸\n", "a = 1\n    b = = 2\n    return a", "="),
        ("def f():\n    ‸pass‸\n", "a = 1\n      b = 2\n    return a", "      b = 2"),
        ("def f():\n    ‸pass‸\n", "if a:", "if a:"),
        ("f(‸1‸)\n", "a=1, b", "a=1, b"),
        ("‸x‸ = 1\n", "2", "2"),
        ("x = ‸1‸\n", "print 1", "print"),
        ("x = ‸\n", "f(", "f("),  # still one error, but one that swallows more
    ],
)
def test_what_parses_worse_is_found_in_the_fill(source: str, fill: str, stretch: str) -> None:
    assert offending(source, fill) == stretch


@pytest.mark.parametrize(
    ("language", "source", "fill", "stretch"),
    [
        ("c", "int x = ‸1‸;\n", "(1", "1"),
        ("rust", "fn f() { let x = ‸1‸; }\n", "2 3", "3"),
        ("javascript", "let x = ‸1‸;\n", "=> 2", "=>"),
        ("json", '{"a": ‸1‸}\n', "[1, }", "[1, }"),
        ("a-language-nobody-knows", "x ‸\n", ")))", None),
        ("plaintext", "x ‸\n", ")))", None),
    ],
)
def test_other_languages_are_judged_by_their_grammar(
    language: str, source: str, fill: str, stretch: str | None
) -> None:
    assert offending(source, fill, language) == stretch


@settings(deadline=None)
@given(cursors(), texts(max_size=6))
def test_a_fill_of_a_file_that_parsed_leaves_it_so_or_offends(
    place: tuple[Document, int], fill: str
) -> None:
    document, cursor = place
    filled = document.text[:cursor] + fill + document.text[cursor:]
    python = Document(None, "python", document.text)
    if offence(fill, Hole(cursor, cursor), python) is None and parses(document.text):
        assert parses(filled)


def parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "", "exec", dont_inherit=True, flags=0x400)  # only to a tree
    except (SyntaxError, ValueError):
        return False
    return True


@settings(deadline=None)
@given(
    st.integers(0, 6), st.sampled_from(["1", "1 +", "(", "f(a=1, b)", "'", "1\n  y = 2", "yield"])
)
def test_a_statement_of_a_large_file_is_read_like_the_whole(at: int, fill: str) -> None:
    statement = "@a\ndef f():\n    if x:\n        return 1\n    else:\n        y = 2\n\n"
    far = "def g(a):\n    return {\n        a: 1,\n}\n\n" * (SMALL // 40)
    gap = [i for i, char in enumerate(statement) if char == "\n"][at]
    before = far + statement + far
    start = len(far) + gap
    filled = before[:start] + fill + before[start:]
    small = statement[:gap] + fill + statement[gap:]
    found = refused_at(filled, before, start, start + len(fill))
    assert (found is None) == (refused_at(small, statement, gap, gap + len(fill)) is None)


@pytest.mark.parametrize(
    ("source", "fill", "refused"),
    [
        ("if a:\n    ‸\n", "return b", True),
        ("def f():\n    ‸\n", "return b", False),
        ("class A:\n    ‸\n", "yield b", True),
        ("if a:\n    ‸\n", "break", True),
        ("for a in b:\n    ‸\n", "break", False),
        ("def f():\n    ‸\n", "await b", True),
        ("‸\n", "await b", False),  # as in a notebook
        ("return\n‸\n", "break", False),  # the file was not read before, either
    ],
)
def test_what_leaves_nothing_is_refused(source: str, fill: str, refused: bool) -> None:
    at, before = source.index("‸"), source.replace("‸", "")
    before = before.replace("    \n", "    0\n")  # a body may not be empty
    filled = source.replace("‸", fill)
    assert (refused_at(filled, before, at, at + len(fill)) is not None) is refused


def mended(source: str, fill: str, script: Script | str) -> tuple[Repaired, Scripted]:
    document, hole = hole_in(source)
    texts = (document.text[: hole.start], document.text[hole.end :])
    denoiser = Scripted(script)
    repaired = asyncio.run(repair_in_time(fill, hole, document, Canvas(texts, (hole,)), denoiser))
    return repaired, denoiser


async def repair_in_time(
    fill: str, hole: Hole, document: Document, canvas: Canvas, denoiser: Scripted
) -> Repaired:
    deadline = asyncio.get_running_loop().time() + 60
    return await repair(fill, hole, document, canvas, denoiser=denoiser, deadline=deadline)


def test_a_fill_that_parses_asks_the_model_nothing() -> None:
    repaired, denoiser = mended("x = ‸1‸\n", "2", "3")
    assert repaired == Repaired("2")
    assert denoiser.seen == []


def test_only_the_offending_stretch_is_written_anew() -> None:
    repaired, denoiser = mended("x = ‸1‸\n", "f(2, 3 4)", "+ 4")
    assert repaired.text == "f(2, 3 + 4)"
    (canvas,) = denoiser.seen
    assert canvas.texts == ("x = f(2, 3 ", ")\n")
    assert (canvas.holes[0].former, canvas.holes[0].strength) == ("4", 0.5)
    assert repaired.score == pytest.approx(denoiser.confidence)


def test_the_second_attempt_forgets_the_stretch_and_its_neighbours() -> None:
    def script(canvas: Canvas) -> tuple[str, ...]:
        return ("+ 4)",) if canvas.holes[0].strength == 1 else ("5",)

    repaired, denoiser = mended("x = ‸1‸\n", "f(2, 3 4)", script)
    assert repaired.text == "f(2, + 4)"
    assert [canvas.holes[0].strength for canvas in denoiser.seen] == [0.5, 1.0]
    assert denoiser.seen[1].holes[0].former == "3 5)"


def test_a_question_already_answered_is_not_asked_again() -> None:
    repaired, denoiser = mended("x = ‸1‸\n", "2 3", "4")
    assert repaired.text is Reason.BREAKS_SYNTAX
    assert [canvas.holes[0].strength for canvas in denoiser.seen] == [0.5]


def test_after_two_attempts_the_fill_is_dropped() -> None:
    repaired, denoiser = mended("x = ‸1‸\n", "f(2, 3 4)", "5")
    assert repaired.text is Reason.BREAKS_SYNTAX
    assert len(denoiser.seen) == 2
    assert sum(answer.steps for answer in repaired.answers) == denoiser.steps


def test_a_language_without_a_grammar_is_not_repaired() -> None:
    document, hole = hole_in("x = ‸1‸\n")
    document = Document(None, "a-language-nobody-knows", document.text)
    denoiser = Scripted("1")
    canvas = Canvas((document.text, ""), (hole,))
    repaired = asyncio.run(repair_in_time("f(2, 3 4)", hole, document, canvas, denoiser))
    assert repaired.text == "f(2, 3 4)"
    assert denoiser.seen == []


async def test_nothing_is_repaired_after_the_deadline() -> None:
    document, hole = hole_in("x = ‸1‸\n")
    denoiser = Scripted("3 +")
    canvas = Canvas((document.text, ""), (hole,))
    late = asyncio.get_running_loop().time() - 1
    repaired = await repair("2 3", hole, document, canvas, denoiser=denoiser, deadline=late)
    assert repaired.text is Reason.BREAKS_SYNTAX
    assert denoiser.steps == 0
