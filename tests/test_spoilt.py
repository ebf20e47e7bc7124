"""A published checkpoint that does not fit is named in a sentence, and costs no fill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from model import ModelError  # noqa: E402
from model.load import load  # noqa: E402
from tests.published import KINDS, published_network, published_weights, write_weights  # noqa: E402
from tests.spoilt import (  # noqa: E402
    deleted,
    only_pickles,
    spoilt,
    truncated,
    with_a_tensor_more,
    with_config,
    without_a_tensor,
    written,
)
from tests.test_server import client, until  # noqa: E402

SPOILT = [
    (truncated, "model-00002-of-00002.safetensors is damaged or cut off"),
    (deleted("model-00001-of-00002.safetensors"), "model-00001-of-00002.safetensors is missing"),
    (only_pickles, "pytorch_model-00001-of-00001.bin: reading that format can run any code"),
    (deleted("model.safetensors.index.json"), "has no weights"),
    (written("model.safetensors.index.json", "{"), "index.json cannot be read"),
    (
        written("model.safetensors.index.json", '{"weight_map": {"a": "../../a.safetensors"}}'),
        "no safetensors file beside it",
    ),
    (without_a_tensor, "lacks weights .*: model.layers.0.self_attn.q_proj.bias"),
    (with_a_tensor_more, "no place for: model.layers.0.self_attn.q_norm.weight"),
    (with_config(model_type="bert"), "of the architecture 'bert', which is not known"),
    (with_config(hidden_size=16), "is 152064×8, its config.json asks for 152064×16"),
    (with_config(num_hidden_layers=3), r"lacks weights .* and \d+ more"),
    (with_config(num_hidden_layers="gone"), "lacks num_hidden_layers"),
    (with_config(num_attention_heads=3, num_key_value_heads=2), "cannot share"),
    (with_config(rope_theta="gone"), "lacks rope_theta"),
    (with_config(rope_scaling={"type": "yarn", "factor": 4.0}), "'yarn', which is not known"),
    (with_config(hidden_act="gelu"), 'hidden_act = "gelu", which is another architecture'),
    (with_config(use_sliding_window=True), "use_sliding_window = true"),
    (with_config(quantization_config={"bits": 4}), "quantization_config"),
    (with_config(model_type="llada"), "has the layout 'qwen2', but"),
    (written("config.json", "[1"), "there is no model|cannot be read"),
    (deleted("vocab.json"), "has no vocabulary"),
    (written("merges.txt", "#version: 0.2\nabc\n"), "line 2 of .* is no pair"),
    (written("vocab.json", "{]"), "the vocabulary in .* cannot be read"),
    (written("added_tokens.json", '{"<|x|>": 152064}'), "has ids up to 152064, its network knows"),
]


@pytest.mark.parametrize(("how", "message"), SPOILT, ids=[message for _, message in SPOILT])
def test_what_does_not_fit_is_named_in_a_sentence(
    how: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message) as told:
        load(str(spoilt(tmp_path, how)))
    assert "\n" not in str(told.value)


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    def quantised(folder: Path) -> None:
        kind = KINDS["dreamon"]
        weights = published_weights(kind, published_network(kind))
        weights["model.layers.0.mlp.up_proj.weight"] = torch.zeros(12, 8, dtype=torch.int8)
        (folder / "model.safetensors.index.json").unlink()
        write_weights(folder, weights, 1)

    with pytest.raises(ModelError, match="stored as I8: quantised weights are not read"):
        load(str(spoilt(tmp_path, quantised)))


def test_keys_of_another_network_are_noticed(tmp_path: Path) -> None:
    folder = spoilt(tmp_path, lambda _: None)
    for keys, message in [
        ({"mask": 5}, "the mask token is said to be 5, but that is the text"),
        ({"mask": 200_000}, "knows only 152064 tokens"),
        ({"mask": "<M>"}, "'<M>' is not among the special tokens"),
    ]:
        with pytest.raises(ModelError, match=message):
            load(str(folder), keys=keys)


@pytest.mark.parametrize("how", [truncated, only_pickles, with_config(model_type="bert")])
async def test_the_server_lives_on_and_the_bundled_model_fills(
    how: Callable[[Path], object], tmp_path: Path
) -> None:
    folder = spoilt(tmp_path, how)
    async with client(load, {"model": str(folder)}) as c:
        await until(lambda: len(c.shown()) == 1)
        (message,) = c.shown()
        assert str(folder) in message
        assert "the bundled model fills" in message
        assert await c.texts(c.inline())
        assert len(c.shown()) == 1
