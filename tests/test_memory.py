"""What is remembered: a fill for its very place, its rest while it is typed, and nothing else."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infill.document import Document
from infill.memory import Known, Memory, made_with
from infill.settings import Settings
from model.canvas import Card
from tests.strategies import cursors, texts

CARD = Card("bundled", "1", context=1000, hole_limit=64)
BY = made_with(CARD, Settings(), ())

fills = texts(surrogates=True, max_size=6).filter(bool)


def typed(document: Document, at: int, text: str) -> Document:
    """The document after the user has typed the text at that place."""
    version = document.version + 1
    return replace(document, text=document.text[:at] + text + document.text[at:], version=version)


@settings(deadline=None)
@given(cursors(surrogates=True), fills)
def test_what_was_put_is_got(place: tuple[Document, int], text: str) -> None:
    document, cursor = place
    memory = Memory()
    memory.remember(document, cursor, BY, Known(text, 0.5))
    assert memory.recall(document, cursor, BY) == Known(text, 0.5)


@settings(deadline=None)
@given(cursors(surrogates=True), fills, st.data())
def test_typing_along_leaves_the_rest(
    place: tuple[Document, int], text: str, data: st.DataObject
) -> None:
    document, cursor = place
    k = data.draw(st.integers(0, len(text) - 1))
    memory = Memory()
    memory.remember(document, cursor, BY, Known(text, 0.5))
    rest = memory.recall(typed(document, cursor, text[:k]), cursor + k, BY)
    assert rest == Known(text[k:], 0.5)


@settings(deadline=None)
@given(cursors(), fills, texts(max_size=3).filter(bool))
def test_typing_something_else_is_another_question(
    place: tuple[Document, int], text: str, other: str
) -> None:
    document, cursor = place
    memory = Memory()
    memory.remember(document, cursor, BY, Known(text, 0.5))
    found = memory.recall(typed(document, cursor, other), cursor + len(other), BY)
    along = text.startswith(other) and len(other) < len(text)
    assert found == (Known(text[len(other) :], 0.5) if along else None)


@settings(deadline=None)
@given(cursors(), fills, st.data())
def test_another_text_on_either_side_is_another_question(
    place: tuple[Document, int], text: str, data: st.DataObject
) -> None:
    document, cursor = place
    at = data.draw(st.integers(0, len(document.text)))
    elsewhere = typed(document, at, "#")
    memory = Memory()
    memory.remember(document, cursor, BY, Known(text, 0.5))
    shifted = cursor + 1 if at < cursor else cursor
    assert memory.recall(elsewhere, shifted, BY) is None


def test_a_change_as_long_as_what_was_there_is_seen_far_from_the_hole() -> None:
    far = "y = 1\n" * 1000
    memory = Memory()
    document = Document(None, "python", far + "x = \n" + far)
    cursor = len(far) + 4
    memory.remember(document, cursor, BY, Known("1", 0.5))
    for at in (0, len(document.text) - 6):
        changed = document.text[:at] + "z" + document.text[at + 1 :]
        assert memory.recall(replace(document, text=changed), cursor, BY) is None
    assert memory.recall(document, cursor, BY) is not None


DOCUMENT = Document(None, "python", "x = \n")
OTHER = Document(None, "python", "def f(): ...\n")


@pytest.mark.parametrize(
    ("document", "by"),
    [
        (DOCUMENT, made_with(replace(CARD, name="another"), Settings(), ())),
        (DOCUMENT, made_with(replace(CARD, version="2"), Settings(), ())),
        (DOCUMENT, made_with(CARD, Settings(), (OTHER,))),
        (replace(DOCUMENT, language="lua"), BY),
        *(
            (DOCUMENT, made_with(CARD, replace(Settings(), **{field.name: value}), ()))
            for field in fields(Settings)
            for value in ["changed" if field.type == "str" else 3]
        ),
    ],
)
def test_another_model_or_setting_or_language_is_another_question(
    document: Document, by: bytes
) -> None:
    memory = Memory()
    memory.remember(DOCUMENT, 4, BY, Known("1", 0.5))
    assert memory.recall(document, 4, by) is None


def test_a_change_in_another_file_is_another_question() -> None:
    changed = replace(OTHER, text=OTHER.text.replace("f", "g"))
    memory = Memory()
    memory.remember(DOCUMENT, 4, made_with(CARD, Settings(), (OTHER,)), Known("1", 0.5))
    assert memory.recall(DOCUMENT, 4, made_with(CARD, Settings(), (changed,))) is None
    assert memory.recall(DOCUMENT, 4, made_with(CARD, Settings(), (OTHER,))) is not None


def test_a_fill_that_is_typed_to_its_end_is_done() -> None:
    memory = Memory()
    memory.remember(DOCUMENT, 4, BY, Known("1", 0.5))
    assert memory.recall(typed(DOCUMENT, 4, "1"), 5, BY) is None


def test_the_newest_of_two_fills_being_typed_is_taken() -> None:
    memory = Memory()
    memory.remember(DOCUMENT, 4, BY, Known("abc", 0.5))
    memory.remember(typed(DOCUMENT, 4, "a"), 5, BY, Known("bad", 0.5))
    assert memory.recall(typed(DOCUMENT, 4, "ab"), 6, BY) == Known("ad", 0.5)


def test_what_was_not_used_for_longest_is_forgotten_first() -> None:
    memory = Memory(size=2)
    documents = [replace(DOCUMENT, text=f"x{i} = \n") for i in range(3)]
    memory.remember(documents[0], 5, BY, Known("a", 0.5))
    memory.remember(documents[1], 5, BY, Known("b", 0.5))
    assert memory.recall(documents[0], 5, BY) == Known("a", 0.5)
    memory.remember(documents[2], 5, BY, Known("c", 0.5))
    assert memory.count == 2
    assert memory.recall(documents[1], 5, BY) is None
    assert memory.recall(documents[0], 5, BY) == Known("a", 0.5)
    assert memory.recall(documents[2], 5, BY) == Known("c", 0.5)


def test_a_memory_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Memory(0)
