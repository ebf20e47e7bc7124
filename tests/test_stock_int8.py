"""Weights of published checkpoints held as int8: the same as rounding what was loaded, and less."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from model import ModelError  # noqa: E402
from model.catalog import row_of  # noqa: E402
from model.engine import Engine  # noqa: E402
from model.load import load  # noqa: E402
from model.memory import check, matrices_of, plan_for  # noqa: E402
from model.network import Network, Shape  # noqa: E402
from model.quantise import quantised, weight_bytes  # noqa: E402
from model.stock import load_stock, row_for  # noqa: E402
from tests.published import KINDS, published_network, write_checkpoint  # noqa: E402
from tests.test_memory_plan import DREAM, GB  # noqa: E402


@pytest.mark.parametrize("name", ["dreamon", "a2d-qwen3", "llada"])
def test_what_is_loaded_as_int8_is_what_was_loaded_rounded(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    folder = tmp_path / kind.id.rpartition("/")[2]
    write_checkpoint(folder, kind, published_network(kind))
    exact = load_stock(folder, row_for(folder), dtype="float32", device="cpu")
    small = load_stock(folder, row_for(folder, {"weights": "int8"}), dtype="float32", device="cpu")
    rounded = quantised(copy.deepcopy(exact.network))
    tokens = torch.randint(0, kind.vocab, (1, 19))
    with torch.inference_mode():
        assert torch.equal(small.network(tokens), rounded(tokens))
        assert not torch.equal(small.network(tokens), exact.network(tokens))
    assert weight_bytes(small.network) == weight_bytes(rounded) < weight_bytes(exact.network)
    exact.close()
    small.close()


def test_a_key_of_the_settings_holds_weights_as_int8(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kind = KINDS["open-dcoder"]
    folder = tmp_path / kind.id.rpartition("/")[2]
    write_checkpoint(folder, kind, published_network(kind))
    with caplog.at_level("INFO"):
        engine = load(str(folder), keys={"weights": "int8"})
    assert isinstance(engine, Engine)
    engine.close()
    assert "as int8 on " in caplog.text
    with pytest.raises(ModelError, match="'weights' must be one of 'bfloat16', 'float32', 'int8'"):
        load(str(folder), keys={"weights": "int4"})


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
    with pytest.raises(ModelError, match=r'itself by the key weights = "int8" \(9\.\d GB\), bundl'):
        check(plan_for(row, DREAM, "cuda:0", "bfloat16", free=int(11.2 * GB)))
    with pytest.raises(ModelError) as refused:
        check(plan_for(small, DREAM, "cuda:0", "bfloat16", free=5 * GB))
    assert "itself" not in str(refused.value)
