"""The catalog: its rows are sound, and rows from a user's keys say what is amiss with them."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest

from model import ModelError
from model.published.catalog import KINDS, LENGTHS, Row, known, row_from, row_of

# vocabulary, width, layers, query heads, key/value heads, head width, gated width, head stored
QWEN2_7B = (152064, 3584, 28, 28, 4, 128, 18944, True)
QWEN2_HALF_B = (151936, 896, 24, 14, 2, 64, 4864, False)
SHAPES = {
    "Dream-org/DreamOn-v0-7B": QWEN2_7B,
    "Dream-org/Dream-v0-Base-7B": QWEN2_7B,
    "Dream-org/Dream-v0-Instruct-7B": QWEN2_7B,
    "Dream-org/Dream-Coder-v0-Base-7B": QWEN2_7B,
    "Dream-org/Dream-Coder-v0-Instruct-7B": QWEN2_7B,
    "apple/DiffuCoder-7B-Base": QWEN2_7B,
    "apple/DiffuCoder-7B-Instruct": QWEN2_7B,
    "apple/DiffuCoder-7B-cpGRPO": QWEN2_7B,
    "fredzzp/open-dcoder-0.5B": QWEN2_HALF_B,
    "dllm-hub/Qwen2.5-Coder-0.5B-Instruct-diffusion-mdlm-v0.1": (*QWEN2_HALF_B[:-1], True),
    "dllm-hub/Qwen3-0.6B-diffusion-mdlm-v0.1": (151936, 1024, 28, 16, 8, 128, 3072, True),
    "GSAI-ML/LLaDA-8B-Base": (126464, 4096, 32, 32, 32, 128, 12288, True),
    "GSAI-ML/LLaDA-8B-Instruct": (126464, 4096, 32, 32, 32, 128, 12288, True),
}
ROW: dict[str, Any] = {"id": "me/mine", "layout": "qwen2", "mask": 5, "shift": True, "context": 512}


def bytes_from(shape: tuple[int, ...], layout: str) -> int:
    vocab, dim, layers, heads, kv_heads, width, ff, head = shape
    attention = 2 * dim * heads * width + 2 * dim * kv_heads * width
    if layout == "qwen2":
        attention += (heads + 2 * kv_heads) * width  # biases
    if layout == "qwen3":
        attention += 2 * width  # norms of queries and keys
    layer = attention + 3 * dim * ff + 2 * dim
    return 2 * (vocab * dim * (2 if head else 1) + layers * layer + dim)


MASKED = [row for row in known() if row.family == "masked"]


def test_the_bytes_follow_from_the_published_shapes() -> None:
    assert {row.id: row.bytes for row in MASKED} == {
        row.id: bytes_from(SHAPES[row.id], row.layout) for row in MASKED
    }


@pytest.mark.parametrize("row", known(), ids=lambda row: row.id)
def test_a_row_says_all_that_one_wants_to_know(row: Row) -> None:
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", row.id)
    assert row.revision == "" or re.fullmatch("[0-9a-f]{40}", row.revision)
    assert row.licence != "unknown"
    assert row.limits
    assert "logits" in row.verified
    assert row.length in LENGTHS


@pytest.mark.parametrize("row", MASKED, ids=lambda row: row.id)
def test_special_tokens_are_within_the_vocabulary(row: Row) -> None:
    vocab = SHAPES[row.id][0]
    ids = (row.mask, row.bos, row.eos, row.expand, row.delete, *row.banned)
    assert all(i < vocab for i in ids if isinstance(i, int))


def test_only_what_was_pinned_in_public_is_pinned() -> None:
    assert {row.id for row in known() if row.pinned} == {
        "Dream-org/DreamOn-v0-7B",
        "fredzzp/open-dcoder-0.5B",
    }


@pytest.mark.parametrize(
    "name", ["Dream-org/DreamOn-v0-7B", "dream-org/dreamon-v0-7b", "DreamOn-v0-7B"]
)
def test_a_network_is_known_by_its_id_or_the_part_behind_the_slash(name: str) -> None:
    row = row_of(name)
    assert row is not None
    assert row.id == "Dream-org/DreamOn-v0-7B"


@pytest.mark.parametrize("name", ["DreamOn", "Dream-org", "", "/", "x/DreamOn-v0-7B"])
def test_no_row_is_guessed(name: str) -> None:
    assert row_of(name) is None


def test_a_few_keys_make_a_row() -> None:
    row = row_from(ROW)
    assert (row.mask, row.length, row.around) == (5, "choose", False)
    assert row_from({**ROW, "expand": 6, "delete": 7}).length == "grow"


def test_keys_are_laid_over_a_known_row() -> None:
    base = row_of("DreamOn-v0-7B")
    assert base is not None
    row = row_from({"context": 4096, "sampling": {"temperature": 0.0}}, base)
    assert (row.context, row.sampling.temperature, row.mask) == (4096, 0.0, 151666)
    assert row.delete == row.eos == 151643


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maks": 4}, "'maks' is unknown (did you mean 'masks'?)"),
        ({"zzz": 4}, "'zzz' is unknown (known are around, banned"),
        ({"mask": -1}, "'mask' must be a token's id or text, not -1"),
        ({"mask": True}, "'mask' must be a token's id or text, not True"),
        ({"layout": "gpt2"}, "'layout' must be one of 'qwen2', 'qwen3', 'llada', 'diff"),
        ({"shift": 1}, "'shift' must be true or false, not 1"),
        ({"context": "2048"}, "'context' must be a number above 0, not '2048'"),
        ({"banned": 7}, "'banned' must be a list of tokens, not 7"),
        ({"sampling": {"top_p": 0}}, "'sampling' must be a table of temperature, top_p"),
        ({"sampling": {"order": "random"}}, "'sampling' must be a table"),
        ({"sampling": {"topp": 0.9}}, "'sampling' must be a table"),
        ({"sampling": {"rule": "p3", "steps": 4}}, "rule (one or even or p2)"),
        ({"sampling": {"rule": "p2"}}, "the latter two with steps"),
        ({"sampling": {"steps": 4}}, "the latter two with steps"),
        ({"sampling": {"rule": "p2", "steps": 4, "block": 2}}, "even also with block"),
        ({"sampling": {"rule": "p2", "steps": 4, "order": "entropy"}}, "no order but confidence"),
        ({"decoding": "theirs"}, "'decoding' must be one of 'ours', 'published', not 'theirs'"),
        ({"length": "lr"}, "'regressed', 'adjusted', 'power', 'probe'"),
        ({"frozen": 0}, "'frozen' must be a number above 0, not 0"),
        ({"budget": 0}, "'budget' must be a number above 0, not 0"),
        ({"around": True}, "'around' needs 'bos' or 'eos'"),
        ({"expand": 6}, "'expand' and 'delete' come together"),
        ({"length": "grow"}, "length 'grow' needs 'expand' and 'delete'"),
        ({"eos": 5}, "'mask' must be a token of its own"),
        ({"masks": 200}, "'masks' may not be above 'limit'"),
        ({"context": 128}, "'limit' must leave room in 'context'"),
        ({"mode": "clamped"}, "'mode' says nothing of a network of the masked family"),
        ({"family": "uniform"}, "'family' is 'uniform' where 'layout' is 'diffusion_gemma'"),
        ({"weights": "int4"}, "'weights' as 'int4' are for the experts of a diffusion_gemma only"),
    ],
)
def test_what_is_amiss_with_a_key_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as told:
        row_from({**ROW, **changes})
    assert message in str(told.value)


def test_all_that_is_amiss_is_said_at_once() -> None:
    with pytest.raises(ModelError) as told:
        row_from({"id": "me/mine", "layout": "gpt2", "maks": 4})
    message = str(told.value)
    assert "the keys of me/mine cannot be used" in message
    assert "'mask', 'shift', 'context' are missing" in message
    assert "'maks'" in message
    assert "'gpt2'" in message


def test_every_field_of_a_row_has_a_key_that_is_checked() -> None:
    assert {field.name for field in fields(Row)} == KINDS.keys()


GEMMA = "google/diffusiongemma-26B-A4B-it"


def test_a_network_without_masks_needs_none_said() -> None:
    row = row_of(GEMMA)
    assert row
    assert (row.family, row.mask, row.mode, row.canvas) == ("uniform", "", "auto", 256)
    few = row_from({"id": "me/mine", "layout": "diffusion_gemma", "context": 4096})
    assert (few.family, few.steps, few.canvas) == ("uniform", 16, 0)
    assert row_from({"mode": "prompted", "weights": "int4"}, row).mode == "prompted"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"mode": "free"}, "'mode' must be one of 'auto', 'clamped', 'prompted', not 'free'"),
        ({"mask": 4}, "'mask' says nothing of a network of the uniform family"),
        ({"limit": 300}, "a hole of 'limit' 300 tokens has no room on a 'canvas' of 256"),
        ({"weights": "int8"}, "may be int4, float8, bfloat16 or float32"),
        ({"canvas": 0}, "'canvas' must be a number above 0, not 0"),
    ],
)
def test_what_is_amiss_with_a_key_of_such_a_network_is_said(
    keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=re.escape(message)):
        row_from(keys, row_of(GEMMA))
