"""The vocabulary: nothing is lost, nothing special is made from text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tokenizers", reason="tokenizers is not installed")

from model.tokens import SPECIALS, Tokens, train_tokens

SOURCE = Path(__file__).read_text("utf-8")
TOKENS = train_tokens([SOURCE, "class A:\n    def f(self):\n        return 'é'\n" * 20], 400)


@given(st.text())
def test_text_survives_the_round_trip(text: str):
    assert TOKENS.decode(TOKENS.encode(text)) == text


@given(st.text(st.characters()))
def test_even_lone_surrogates_are_encoded(text: str):
    assert all(len(SPECIALS) <= i < len(TOKENS) for i in TOKENS.encode(text))


@given(st.sampled_from(SPECIALS), st.text())
def test_a_special_token_in_a_file_is_plain_text(special: str, text: str):
    ids = TOKENS.encode(special + text)
    assert min(ids) >= len(SPECIALS)
    assert TOKENS.decode(ids) == special + text


@given(st.text("aé漢🙂\n"), st.data())
def test_a_cut_row_of_ids_shows_no_half_character(text: str, data: st.DataObject):
    ids = TOKENS.encode(text)
    start = data.draw(st.integers(0, len(ids)))
    end = data.draw(st.integers(start, len(ids)))
    assert set(TOKENS.decode(ids[start:end])) <= set(text)


def test_a_line_end_and_its_indentation_are_one_token():
    ids = TOKENS.encode("a:\n        return")
    assert "\n        " in TOKENS.pieces(ids)
    assert set(ids) & set(TOKENS.newlines)


def test_a_saved_vocabulary_is_the_same_again(tmp_path: Path):
    TOKENS.tokenizer.save(str(tmp_path / "tokenizer.json"))
    again = Tokens.from_file(tmp_path / "tokenizer.json")
    assert again.encode(SOURCE) == TOKENS.encode(SOURCE)
    assert again.encode("[mask]") == TOKENS.encode("[mask]")
