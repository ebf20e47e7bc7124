"""The vocabulary: nothing is lost, nothing special is made from text."""

from __future__ import annotations

import json
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


def written(folder: Path, name: str) -> Tokens:
    """The vocabulary of a published checkpoint, read from files as its authors write them."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    from model.published.catalog import row_of
    from model.published.vocabularies import tokens_from
    from tests.published import KINDS, write_tokenizer

    kind = KINDS[name]
    write_tokenizer(folder, kind)
    row = row_of(kind.id)
    assert row is not None
    return tokens_from(folder, row, kind.vocab)


PUBLISHED = ["dreamon", "open-dcoder", "a2d-qwen3", "llada"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_vocabulary_makes_the_ids_that_transformers_makes(
    name: str, tmp_path: Path
) -> None:
    tokens = written(tmp_path, name)
    from transformers import Qwen2Tokenizer

    from tests.published import words

    data = json.loads(words().to_str())["model"]
    theirs = Qwen2Tokenizer(vocab=data["vocab"], merges=[tuple(pair) for pair in data["merges"]])
    for text in (SOURCE, "\r\n\t x  y\n\n\n  don't 123 é e\u0301 漢字🙂", "  ", ""):
        assert tokens.encode(text) == theirs(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_special_token_of_a_published_vocabulary_is_made_from_text(
    name: str, tmp_path: Path
) -> None:
    from tests.published import KINDS

    tokens = written(tmp_path, name)
    for special, i in KINDS[name].specials.items():
        ids = tokens.encode(f"a {special} b")
        assert i not in ids
        assert tokens.decode(ids) == f"a {special} b"
        assert tokens.pieces([i]) == [""]


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_stands_for_no_text_is_never_written(name: str, tmp_path: Path) -> None:
    tokens = written(tmp_path, name)
    may = {tokens.specials.expand, tokens.specials.delete}
    silent = {i for i, text in enumerate(tokens.bytes_of) if not text}
    assert silent - may == set(tokens.specials.banned)
    assert tokens.specials.mask in silent
    assert len(tokens) == len(tokens.bytes_of)


@pytest.mark.parametrize("name", ["dreamon", "llada"])
def test_tokens_that_end_a_line_are_known(name: str, tmp_path: Path) -> None:
    tokens = written(tmp_path, name)
    for text in ("\n", "\r", "\n\n"):
        assert set(tokens.encode(text)) <= set(tokens.newlines)
    assert not set(tokens.encode("x = y")) & set(tokens.newlines)
    assert tokens.decode(tokens.encode("漢")[:-1]) == ""  # half a character


def test_a_vocabulary_of_another_kind_is_refused(tmp_path: Path) -> None:
    from model import ModelError
    from model.published.vocabularies import files_of

    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "WordPiece", "vocab": {}}}')
    with pytest.raises(ModelError, match=r"no byte-level BPE \(model 'WordPiece'\)"):
        files_of(tmp_path)
