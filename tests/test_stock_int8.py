"""Published checkpoints held in a byte a weight: the same as rounding what was loaded, and less."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from model import ModelError  # noqa: E402
from model.load import load  # noqa: E402
from model.masked.engine import Engine  # noqa: E402
from model.masked.network import Network, Shape  # noqa: E402
from model.published.catalog import row_of  # noqa: E402
from model.published.memory import check, matrices_of, plan_for  # noqa: E402
from model.published.quantise import quantised, weight_bytes  # noqa: E402
from model.published.stock import load_stock, row_for  # noqa: E402
from tests.published import KINDS, published_network, write_checkpoint  # noqa: E402
from tests.test_memory_plan import DREAM, GB  # noqa: E402


@pytest.mark.parametrize("weights", ["int8", "float8"])
@pytest.mark.parametrize("name", ["dreamon", "a2d-qwen3", "llada"])
def test_what_is_loaded_in_a_byte_is_what_was_loaded_rounded(
    name: str, weights: str, tmp_path: Path
) -> None:
    kind = KINDS[name]
    folder = tmp_path / kind.id.rpartition("/")[2]
    write_checkpoint(folder, kind, published_network(kind))
    exact = load_stock(folder, row_for(folder), dtype="float32", device="cpu")
    small = load_stock(folder, row_for(folder, {"weights": weights}), dtype="float32", device="cpu")
    rounded = quantised(copy.deepcopy(exact.network), weights)
    tokens = torch.randint(0, kind.vocab, (1, 19))
    with torch.inference_mode():
        assert torch.equal(small.network(tokens), rounded(tokens))
        assert not torch.equal(small.network(tokens), exact.network(tokens))
    assert weight_bytes(small.network) == weight_bytes(rounded) < weight_bytes(exact.network)
    exact.close()
    small.close()


@pytest.mark.parametrize("weights", ["int8", "float8"])
def test_a_key_of_the_settings_holds_weights_in_a_byte(
    weights: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kind = KINDS["open-dcoder"]
    folder = tmp_path / kind.id.rpartition("/")[2]
    write_checkpoint(folder, kind, published_network(kind))
    with caplog.at_level("INFO"):
        engine = load(str(folder), keys={"weights": weights})
    assert isinstance(engine, Engine)
    engine.close()
    assert f"as {weights} on " in caplog.text
    for wrong, sentence in {
        "int4": "'int4' are for the experts of a diffusion_gemma only: choose 'int8' or 'float8'",
        "int3": "'weights' must be one of .*'int8', 'float8', .*not 'int3'",
    }.items():
        with pytest.raises(ModelError, match=sentence):
            load(str(folder), keys={"weights": wrong})


def test_the_matrices_that_are_rounded_are_counted_as_they_are() -> None:
    shape = Shape(vocab=50, dim=16, layers=3, heads=4, kv_heads=2, ff=24, qkv_bias=True)
    layers = Network(shape).model.layers
    assert matrices_of(shape) == sum(p.numel() for p in layers.parameters() if p.dim() == 2)


def test_a_plan_counts_int8_and_a_refusal_offers_it_where_it_has_room() -> None:
    row = row_of("DreamOn-v0-7B")
    assert row
    small = replace(row, weights="int8")
    plan = plan_for(small, DREAM, "cuda:0", "bfloat16", free=0)
    assert (plan.dtype, round(plan.weights / GB, 2)) == ("int8", 8.71)
    estimate = plan_for(small, None, "cuda:0", "bfloat16", free=0)
    assert abs(estimate.needed - plan.needed) < 0.06 * plan.needed
    check(plan_for(small, DREAM, "cuda:0", "bfloat16", free=int(11.2 * GB)))
    float8 = plan_for(replace(row, weights="float8"), DREAM, "cuda:0", "bfloat16", free=0)
    assert (float8.dtype, float8.weights) == ("float8", plan.weights)
    assert float8.least < plan.least  # no matrix is widened
    with pytest.raises(ModelError, match=r'itself by the key weights = "int8" \(9\.\d GB\), bundl'):
        check(plan_for(row, DREAM, "cuda:0", "bfloat16", free=int(11.2 * GB)))
    with pytest.raises(ModelError) as refused:
        check(plan_for(small, DREAM, "cuda:0", "bfloat16", free=5 * GB))
    assert "itself" not in str(refused.value)


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (8, 6)])
def test_a_gpu_that_cannot_multiply_float8_is_named_with_what_to_take_instead(
    capability: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: capability)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "NVIDIA A100")
    kind = KINDS["dreamon"]
    folder = tmp_path / kind.id.rpartition("/")[2]
    write_checkpoint(folder, kind, published_network(kind))
    found = ".".join(map(str, capability))
    with pytest.raises(ModelError, match=rf'8\.9 or above.*A100 has {found}: weights = "int8"'):
        load_stock(folder, row_for(folder, {"weights": "float8"}), device="cuda")
