"""A DiffusionGemma's folder: what it says is computed, and what is wrong with one is a sentence."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch and transformers are only partly typed.

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers.models.diffusion_gemma", reason="transformers is too old")

import torch
from safetensors.torch import load_file, save_file
from transformers.models.diffusion_gemma import DiffusionGemmaForBlockDiffusion

from model import ModelError
from model.gemma.experts import NarrowExperts
from model.gemma.load import checked, fill, load_gemma
from model.gemma.plan import plan_for, prompt_room
from model.gemma.shape import shape_from
from model.load import load
from model.published.architecture import config_of
from model.published.catalog import known, row_from
from model.published.memory import check
from model.published.stock import row_for
from tests.gemma_folder import VOCABULARY, gemma_model, write_gemma

GB = 1_000_000_000
GEMMA = next(row for row in known() if row.id == "google/diffusiongemma-26B-A4B-it")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gemma(tmp_path_factory.mktemp("gemma") / "tiny-canvas")


def inputs() -> dict[str, Any]:
    chance = torch.Generator().manual_seed(3)
    drawn = torch.randint(300, VOCABULARY, (1, 130), generator=chance)
    return {"input_ids": drawn[:, :90], "decoder_input_ids": drawn[:, 90:]}  # past the window


def test_a_published_folder_gives_the_logits_that_transformers_gives(folder: Path) -> None:
    theirs = DiffusionGemmaForBlockDiffusion.from_pretrained(folder, dtype=torch.float32).eval()
    ours, stored = checked(folder, config_of(folder))
    fill(ours, stored, "cpu", torch.float32)
    with torch.no_grad():
        wanted, found = theirs(**inputs()).logits, ours(**inputs()).logits
        told = {"self_conditioning_logits": wanted}
        again = theirs(**inputs(), **told).logits, ours(**inputs(), **told).logits
    assert wanted.std() > 0.1
    assert torch.equal(wanted, found)
    assert torch.equal(*again)


def test_encoder_and_decoder_share_all_but_a_scalar_a_layer(folder: Path) -> None:
    ours, stored = checked(folder, config_of(folder))
    fill(ours, stored, "cpu", torch.float32)
    inner: Any = ours.model
    decoder, encoder = inner.decoder, inner.encoder.language_model
    assert ours.lm_head.weight is decoder.embed_tokens.weight is encoder.embed_tokens.weight
    for one, other in zip(decoder.layers, encoder.layers, strict=True):
        assert one.experts is other.experts
        assert one.self_attn.q_proj is other.self_attn.q_proj
        assert one.layer_scalar is not other.layer_scalar
    held = {id(it) for it in (*decoder.parameters(), *encoder.parameters())}
    assert len(held) == len(list(decoder.parameters()))
    assert not any(it.is_meta for it in (*decoder.parameters(), *decoder.buffers()))
    assert not any(it.is_meta for it in (*encoder.parameters(), *encoder.buffers()))


@pytest.mark.parametrize("kind", ["int4", "float8"])
def test_experts_are_narrow_from_the_file_on(folder: Path, kind: str) -> None:
    engine = load_gemma(folder, row_for(folder, {"weights": kind}), dtype="float32", device="cpu")
    engine.close()
    model: Any = engine.network.model
    narrow = [it for it in model.modules() if isinstance(it, NarrowExperts)]
    assert len(narrow) == model.config.text_config.num_hidden_layers
    assert {it.kind for it in narrow} == {kind}
    assert not any(buffer.is_meta for it in narrow for buffer in it.buffers())


def test_a_folder_says_all_that_is_needed_and_keys_may_say_otherwise(folder: Path) -> None:
    row = row_for(folder)
    assert (row.id, row.layout, row.family) == ("tiny-canvas", "diffusion_gemma", "uniform")
    engine = load(str(folder), keys={"mode": "clamped", "steps": 3, "canvas": 128, "limit": 64})
    engine.close()
    assert (engine.mode, engine.policy.steps, engine.room.canvas) == ("clamped", 3, 128)  # pyright: ignore
    assert engine.policy.t_max == 0.8  # pyright: ignore
    assert engine.card.hole_limit == 64
    published = load(str(folder), keys={"decoding": "published"})
    published.close()
    assert published.policy.steps == 48  # pyright: ignore


def test_a_prompt_and_its_canvas_stay_within_the_positions_there_are(folder: Path) -> None:
    shape = shape_from(config_of(folder), folder)
    assert prompt_room(row_for(folder), shape) == 4096 - 256
    assert prompt_room(row_for(folder, {"context": 1000}), shape) == 1000 - 256
    assert prompt_room(row_for(folder, {"prompt": 500}), shape) == 500


def test_memory_is_planned_by_arithmetic_on_the_published_shape() -> None:
    plan = plan_for(GEMMA, None, "cuda:0", "bfloat16", free=80 * GB)
    assert (plan.dtype, plan.fits) == ("bfloat16", True)
    assert plan.weights == pytest.approx(2 * 25_250_986_812, rel=1e-6)


@pytest.mark.parametrize(
    ("free", "dtype"), [(80, "bfloat16"), (48, "float8"), (24, "int4"), (16, "int4")]
)
def test_a_gpu_too_small_for_all_of_it_gets_narrow_experts(free: int, dtype: str) -> None:
    plan = plan_for(GEMMA, None, "cuda:0", "bfloat16", free=free * GB)
    assert plan.dtype == dtype
    assert plan.fits == (free > 16)
    wide = plan_for(
        row_from({"weights": "bfloat16"}, GEMMA), None, "cuda:0", "bfloat16", free=free * GB
    )
    assert wide.dtype == "bfloat16"  # whoever names a format gets it, or is refused


def test_a_network_without_room_is_refused_with_what_would_have() -> None:
    plan = plan_for(GEMMA, None, "cuda:0", "bfloat16", free=12 * GB)
    with pytest.raises(ModelError) as refused:
        check(plan)
    said = str(refused.value)
    assert re.match(r"diffusiongemma-26B-A4B-it needs \d\d\.\d GB on cuda:0 in int4, 12.0 GB", said)
    assert "choose one of: open-dcoder-0.5B" in said
    wide = row_from({"weights": "bfloat16"}, GEMMA)
    with pytest.raises(ModelError, match=r'itself by the key weights = "int4" \(\d\d\.\d GB\)'):
        check(plan_for(wide, None, "cuda:0", "bfloat16", free=24 * GB))


def config(changes: dict[str, Any], text: dict[str, Any] | None = None) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = json.loads((folder / "config.json").read_text())
        data |= changes
        data["text_config"] |= text or {}
        (folder / "config.json").write_text(json.dumps(data))

    return change


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def weight(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """All weights in one file, with something of it amiss."""

    def rewrite(folder: Path) -> None:
        held: dict[str, Any] = {}
        for shard in sorted(folder.glob("*.safetensors")):
            held |= load_file(shard)
            shard.unlink()
        (folder / "model.safetensors.index.json").unlink()
        change(held)
        save_file(held, folder / "model.safetensors")

    return rewrite


NORM = "model.decoder.norm.weight"
SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "gemma2": (config({"model_type": "gemma2"}), "is 'gemma2', another Gemma: it writes from left"),
    "gemma3": (config({"model_type": "gemma3_text"}), "is 'gemma3_text', another Gemma"),
    "gemma4": (config({"model_type": "gemma4"}), "Take google/diffusiongemma-26B-A4B-it, the one"),
    "another's quantisation": (
        config({"quantization_config": {"quant_method": "compressed-tensors"}}),
        "quantised by compressed-tensors, which are not read",
    ),
    "no text": (config({"text_config": {}}), "lacks text_config"),
    "no experts": (config({}, {"num_experts": None}), "lacks num_experts"),
    "other layers": (config({}, {"layer_types": ["full_attention"]}), "of each of its 4 layers"),
    "another activation": (config({}, {"hidden_activation": "silu"}), "hidden_activation = 'silu'"),
    "impossible": (config({}, {"num_attention_heads": 3}), "asks for"),
    "a shard is missing": (without("model-00002-of-00003.safetensors"), "fetch it again"),
    "no vocabulary": (without("tokenizer.json"), "tokenizer.json is missing"),
    "a weight is missing": (weight(lambda held: held.pop(NORM)), f"asks for: {NORM}"),
    "a weight too many": (
        weight(lambda held: held.update({"model.decoder.extra": torch.ones(1)})),
        "no place for: model.decoder.extra",
    ),
    "another size": (weight(lambda held: held.update({NORM: torch.ones(5)})), f"{NORM} is 5"),
    "a head of its own": (
        weight(lambda held: held.update({"lm_head.weight": torch.ones(VOCABULARY, 32)})),
        "has a head of its own",
    ),
    "odd sampling": (
        lambda folder: (folder / "generation_config.json").write_text('{"t_min": 3}'),
        "generation_config.json cannot be used: t_max is",
    ),
}


@pytest.mark.parametrize("how", SPOILT)
def test_what_is_wrong_with_a_folder_is_one_sentence(
    folder: Path, tmp_path: Path, how: str
) -> None:
    spoil, sentence = SPOILT[how]
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    spoil(copy)
    with pytest.raises(ModelError, match=re.escape(sentence)):
        load(str(copy)).close()


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"canvas": 512}, "a canvas of 512 tokens, but that of"),
        ({"canvas": 100}, "a hole of 'limit' 128 tokens has no room on a 'canvas' of 100"),
        ({"limit": 300}, "holes of up to 300 tokens, which is beyond its canvas of 256"),
        ({"context": 300}, "a prompt of 44 tokens has no room for the file: its instruction"),
    ],
)
def test_a_key_that_asks_for_too_much_is_one_sentence(
    folder: Path, keys: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ModelError, match=re.escape(sentence)):
        load(str(folder), keys=keys).close()


def test_a_head_that_is_stored_although_it_is_the_embedding_does_no_harm(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    embedding = gemma_model().state_dict()["model.decoder.embed_tokens.weight"]
    weight(lambda held: held.update({"lm_head.weight": embedding.clone()}))(tmp_path / "copy")
    load(str(tmp_path / "copy")).close()
