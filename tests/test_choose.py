"""Which of the texts that a model weighed is shown, and how sure of it one may be."""

from __future__ import annotations

import asyncio
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infill.code.syntax import errors_in
from infill.document import Document
from infill.fill import Fill, applied, fill_at
from infill.judge.choose import WINDOW, Choice, Weights, chosen_from, nearby
from infill.memory import Memory
from infill.reason import Reason
from infill.settings import Settings
from model.canvas import Hole, ModelError, Piece, Rival
from model.load import load
from model.scripted import Scripted
from tests.strategies import documents, texts

CURSOR = "‸"
PATIENT = Settings(deadline_ms=60_000)
DEAF = dict.fromkeys((field.name for field in fields(Weights)), 0.0)
AS_WEIGHED = Weights(**DEAF | {"trust": 1, "none": math.log(0.1), "retold": -99})  # by the model
BY_NAMES = replace(AS_WEIGHED, unknown=-1, binds_missing=1, unused=-1, cuts_off=-1)


async def fill(
    source: str,
    rivals: dict[str, float],
    written: str | None = None,
    *,
    language: str = "python",
    chosen: Settings = PATIENT,
    invoked: bool = True,
) -> Fill:
    """`written` is the text of the last draft, the likeliest where it is not told."""
    document = Document(None, language, source.replace(CURSOR, ""))
    text = max(rivals, key=lambda text: rivals[text]) if written is None else written
    return await fill_at(
        document, source.index(CURSOR), denoiser=Scripted(text, rivals=rivals), settings=chosen,
        memory=Memory(), invoked=invoked,
    )  # fmt: skip


async def shown(source: str, rivals: dict[str, float], written: str | None = None) -> str | None:
    made = await fill(source, rivals, written)
    return made.edit and made.edit.text


def choice(
    source: str,
    rivals: dict[str, float],
    written: tuple[Piece, ...] = (),
    *,
    weights: Weights = AS_WEIGHED,
    language: str = "python",
) -> Choice | None:
    at = source.index(CURSOR)
    document = Document(None, language, source.replace(CURSOR, ""))
    weighed = [Rival(text, probability) for text, probability in rivals.items()]
    return chosen_from(weighed, written, Hole(at, at), document, weights=weights)


@pytest.mark.parametrize(
    ("source", "rivals", "text"),
    [
        ("x = ‸\n", {"1": 0.5, "2": 0.3}, "1"),
        ("x = ‸\n", {"1 2": 0.5, "3": 0.3}, "3"),  # does not parse
        ("x = ‸\n", {"(1": 0.5, "(2)": 0.3}, "(2)"),
        ("x = ‸\n", {"<|mask|>": 0.5, "3": 0.3}, "3"),
        ("def f(alpha):\n    return ‸\n", {"beta": 0.4, "alpha": 0.4}, "alpha"),
        ("def f(alpha):\n    return al‸\n", {"most": 0.4, "pha": 0.4}, "pha"),
        ("def f(a):\n    ‸\n    return b\n", {"c = a": 0.4, "b = a": 0.4}, "b = a"),
        ("def f(a):\n    ‸\n    a()\n", {"return a": 0.4, "assert a": 0.4}, "assert a"),
        ("x = '‸'\n", {"any words": 0.8, "x": 0.1}, "any words"),  # no names
        ("x = f(‸)\n", {"1)": 0.3, "1": 0.3, "2": 0.35}, "1"),  # the same when tidied
    ],
)
async def test_the_likeliest_is_shown_that_parses_and_whose_names_make_sense(
    source: str, rivals: dict[str, float], text: str
) -> None:
    assert await shown(source, rivals) == text


async def test_what_is_far_likelier_is_shown_though_a_name_is_unknown() -> None:
    assert await shown("def f(a):\n    a()\n    return ‸\n", {"b": 0.98, "a": 0.001}) == "b"


async def test_a_block_may_be_shown() -> None:
    source = "def f(x):\n    ‸\n\n\nf(1)\n"
    block = "y = x\n    return y"
    assert await shown(source, {"return x 1": 0.5, block: 0.4}) == block


async def test_a_block_has_the_document_s_line_ends() -> None:
    source = "def f(x):\r\n    ‸\r\n\r\n\r\nf(1)\r\n"
    made = await fill(source, {"y = x\n    return y": 0.5, "return (x": 0.4})
    assert made.edit is not None
    assert made.edit.text == "y = x\r\n    return y"


async def test_what_the_model_wrote_in_the_end_is_among_them() -> None:
    assert await shown("x = ‸\n", {"1 2": 0.5, "3 4": 0.3}, "5") == "5"
    assert await shown("x = ‸\n", {"1": 0.5, "3 4": 0.3}, "5 6") == "1"


async def test_where_none_can_be_shown_the_reason_is_that_of_what_was_written() -> None:
    made = await fill("x = ‸\n", {"1 2": 0.5, "<|mask|>": 0.3})
    assert (made.edit, made.reason) == (None, Reason.BREAKS_SYNTAX)
    made = await fill("x = ‸\n", {"1 2": 0.5, "<|mask|>": 0.3}, "<|mask|>")
    assert (made.edit, made.reason) == (None, Reason.SPECIAL_TOKEN)


async def test_the_score_is_the_probability_and_the_gate_holds_it_back() -> None:
    source, rivals = "x = ‸\n", {"1": 0.6, "2": 0.3}
    weighed = choice(source, rivals, weights=Weights())
    made = await fill(source, rivals)
    assert weighed is not None
    assert made.score == pytest.approx(weighed.probability)
    shy = replace(PATIENT, min_confidence=made.score + 0.01)
    held = await fill(source, rivals, chosen=shy, invoked=False)
    assert (held.edit, held.reason) == (None, Reason.LOW_CONFIDENCE)
    assert held.score == pytest.approx(made.score)
    bold = replace(PATIENT, min_confidence=made.score - 0.01)
    assert (await fill(source, rivals, chosen=bold, invoked=False)).edit == made.edit
    assert (await fill(source, rivals, chosen=shy)).edit == made.edit  # the user asked for it


@pytest.mark.parametrize(
    ("source", "rivals", "probability"),
    [
        ("x = ‸\n", {"1": 0.6, "2": 0.3}, 0.6),
        ("x = ‸\n", {"1 2": 0.5, "3": 0.3}, 0.75),  # its share is left to the others
        ("x = ‸\n", {"<|mask|>": 0.5, "3": 0.3}, 0.75),
        ("x = f(‸)\n", {"1)": 0.3, "1": 0.3, "2": 0.3}, 0.6),
        ("x = ‸\n", {"1 2": 1.0, "3": 1e-9}, 1e-8),
    ],
)
def test_how_probable_it_is_that_this_belongs_there(
    source: str, rivals: dict[str, float], probability: float
) -> None:
    found = choice(source, rivals)
    assert found is not None
    assert found.probability == pytest.approx(probability)


def test_a_share_that_is_all_but_nothing_is_no_more_than_that() -> None:
    weights = replace(AS_WEIGHED, trust=3, none=3 * math.log(1e-9))
    found = choice("x = ‸\n", {"1 2": 1.0, "3": 1e-9}, weights=weights)
    assert found is not None
    assert (found.text, found.probability) == ("3", pytest.approx(0.5))


def test_names_make_it_more_or_less_probable() -> None:
    source = "def f(a):\n    ‸\n    return b\n"

    def probability(text: str, weights: Weights) -> float:
        found = choice(source, {text: 0.5}, weights=weights)
        assert found is not None
        return found.probability

    assert probability("b = a", BY_NAMES) > probability("b = a", AS_WEIGHED)
    assert probability("b = d", BY_NAMES) < probability("b = a", BY_NAMES)
    assert probability("print(d)", BY_NAMES) < probability("print(d)", AS_WEIGHED)


@pytest.mark.parametrize(
    ("source", "rivals", "weights", "text"),
    [
        ("def f(a):\n    ‸\n    x()\n", {"b()": 0.4, "a()": 0.3}, {"uses_waiting": 1}, "a()"),
        ("def f(a, b):\n    ‸\n", {"f(a)": 0.4, "f(a, b)": 0.3}, {"leaves_waiting": -1}, "f(a, b)"),
        ("def f():\n    ‸\n        x()\n", {"try:": 0.4, "if y:": 0.3}, {"falls": -1}, "if y:"),
        ("a = b()\n‸\nc\n", {"x = 1 + 1": 0.4, "a = b()": 0.3}, {"copies": 1}, "x = 1 + 1"),
        ("a = b()\nc\n‸\n", {"x = 1 + 1": 0.4, "a = b()": 0.3}, {"copies": 1}, "a = b()"),
        ("a = b()\nc\n‸\n", {"x = 1 + 1": 0.4, "d = e()": 0.3}, {"like": 1}, "d = e()"),
        ("c\na = b()\n‸\n", {"x = 1 + 1": 0.4, "d = e()": 0.3}, {"beside": 1}, "d = e()"),
        ("a = b\n‸\n", {"x = y": 0.4, "x = b": 0.3}, {"familiar": 1}, "x = b"),
        ("a = b\n‸\n", {"a = b": 0.4, "c = d": 0.3}, {"again": -1}, "c = d"),
        ("a = b\n‸\n", {"x": 0.4, "x, y": 0.3}, {"words": 1}, "x, y"),
        ("def f(a):\n    return ‸\n", {"b": 0.4}, {"uses_waiting": 1, "retold": 0}, "a"),
        ("def f():\n    ‸\n    a()\n", {"b = 1": 0.4},
         {"for_missing": 1, "retold": 0}, "a = 1"),
    ],
)  # fmt: skip
def test_what_is_known_of_the_code_round_a_text_makes_it_likelier(
    source: str, rivals: dict[str, float], weights: dict[str, float], text: str
) -> None:
    found = choice(source, rivals, weights=replace(AS_WEIGHED, **weights))
    assert found is not None
    assert found.text == text


@pytest.mark.parametrize(
    ("source", "rivals", "weights"),
    [
        ("x = ‸\n", {"1": 0.5}, {"none": 1}),
        ("x = ‸\n", {"1": 0.5}, {"begun": 1}),
        ("x = ‸\n", {"1": 0.5, "2": 0.4}, {"spread": 1}),
    ],
)
def test_doubt_makes_all_of_them_less_probable(
    source: str, rivals: dict[str, float], weights: dict[str, float]
) -> None:
    surely, hardly = (
        choice(source, rivals, weights=it) for it in (AS_WEIGHED, replace(AS_WEIGHED, **weights))
    )
    assert surely is not None
    assert hardly is not None
    assert hardly.text == surely.text
    assert hardly.probability < surely.probability


def test_of_one_text_alone_and_of_an_empty_line_doubt_says_less() -> None:
    doubting = replace(AS_WEIGHED, begun=1, spread=1)
    assert choice("‸\n", {"x": 0.5}, weights=doubting) == choice("‸\n", {"x": 0.5})


def test_what_was_written_has_its_confidence_of_what_the_others_leave() -> None:
    found = choice("x = ‸\n", {"1 2": 0.5}, (Piece("3", 0.8), Piece("4", 0.5)))
    assert found is not None
    assert (found.text, found.probability) == ("34", pytest.approx(0.2 / (0.2 + 0.1)))


@pytest.mark.parametrize("language", ["plaintext", "lua"])
def test_of_other_languages_names_are_not_judged(language: str) -> None:
    found = choice("f(‸)", {"b": 0.6, "c": 0.3}, weights=BY_NAMES, language=language)
    assert found is not None
    assert (found.text, found.probability) == ("b", pytest.approx(0.6))


def test_without_a_grammar_nothing_is_refused_for_its_syntax() -> None:
    found = choice("x = ‸\n", {"1 2": 0.6, "3": 0.3}, language="plaintext")
    assert found is not None
    assert found.text == "1 2"


async def test_a_large_file_is_parsed_near_the_hole_only() -> None:
    far = "def f(x):\n    return [x]\n\n\n" * 4000
    source = f"{far}y = ‸\n{far}"
    at = source.index(CURSOR)
    near, hole = nearby(Document(None, "python", far + "y = \n" + far), Hole(at, at))
    assert len(near.text) <= WINDOW + 100
    assert near.text[: hole.start].endswith("\ny = ")
    assert near.text.startswith("def f(x):")
    assert await shown(source, {"1 2": 0.5, "f(1)": 0.3}) == "f(1)"


@settings(deadline=None)
@given(
    documents(surrogates=True),
    st.data(),
    st.dictionaries(texts(surrogates=True, max_size=5), st.floats(0, 1), max_size=4),
    texts(max_size=5),
)
def test_whatever_is_weighed_only_the_hole_changes_and_the_score_is_a_probability(
    document: Document, data: st.DataObject, rivals: dict[str, float], written: str
) -> None:
    cursor = data.draw(st.integers(0, len(document.text)))
    denoiser = Scripted(written, rivals=rivals)
    made = asyncio.run(
        fill_at(document, cursor, denoiser=denoiser, settings=PATIENT, memory=Memory(),
                invoked=True)
    )  # fmt: skip
    assert 0 <= made.score <= 1
    if made.edit is not None:
        text = applied(document, made.edit).text
        assert made.edit.start == made.edit.end == cursor
        assert text == document.text[:cursor] + made.edit.text + document.text[cursor:]
        if errors_in(document.text, document.language) == ():
            assert errors_in(text, document.language) == ()


def test_a_script_says_what_was_weighed() -> None:
    denoiser = load('scripted:{"text": "a", "rivals": {"b": 0.2, "a": 0.7}}')
    assert isinstance(denoiser, Scripted)
    assert denoiser.rivals == (Rival("a", 0.7), Rival("b", 0.2))


@pytest.mark.parametrize("rivals", ["3", '["a"]', '{"a": "b"}'])
def test_a_script_that_weighs_nonsense_is_refused(rivals: str) -> None:
    with pytest.raises(ModelError, match="cannot read the script"):
        load(f'scripted:{{"text": "a", "rivals": {rivals}}}')
