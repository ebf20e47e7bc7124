"""Experts in a byte or half of one: no further off than is said, and never all wide at once."""

from __future__ import annotations

import os
import subprocess
import sys
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers.models.diffusion_gemma", reason="transformers is too old")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from transformers.models.diffusion_gemma import (  # noqa: E402
    DiffusionGemmaForBlockDiffusion,
    DiffusionGemmaTextConfig,
)

from model.canvas import ModelError  # noqa: E402
from model.gemma.experts import (  # noqa: E402
    KINDS,
    NarrowExperts,
    group_of,
    grouped,
    left_out,
    product,
    put_in,
    quantised,
    widened,
)
from model.gemma.footprint import PUBLISHED, dense_parameters, footprint  # noqa: E402
from tests.gemma import tiny_config, tiny_model  # noqa: E402

SHAPES = {
    "experts": st.integers(1, 5), "outputs": st.integers(1, 40), "pieces": st.integers(1, 12),
    "small": st.integers(0, 5), "seed": st.integers(0, 99),
}  # fmt: skip


def random_weights(experts: int, outputs: int, width: int, small: int, seed: int) -> torch.Tensor:
    """Of all magnitudes, so that some are next to nothing."""
    torch.manual_seed(seed)
    shape = (experts, outputs, width)
    return torch.randn(shape) * 10.0 ** -torch.randint(0, small + 1, shape)


def int4_bound(weights: torch.Tensor) -> torch.Tensor:
    groups = weights.unflatten(2, (-1, group_of(weights.shape[2])))
    most = 1.01 * groups.abs().amax(3, keepdim=True) / 15
    return most.expand_as(groups).flatten(2)


def float8_bound(weights: torch.Tensor) -> torch.Tensor:
    least = weights.abs().amax(-1, keepdim=True) / 448 / 1024
    return torch.maximum(weights.abs() / 16, least.expand_as(weights))


@given(**SHAPES)
@settings(max_examples=80, deadline=None)
def test_as_int4_a_weight_is_off_by_a_fifteenth_of_its_groups_largest_at_most(
    experts: int, outputs: int, pieces: int, small: int, seed: int
) -> None:
    exact = random_weights(experts, outputs, 16 * pieces, small, seed)
    for wide in (exact, exact.bfloat16()):
        found = widened(quantised(wide, "int4"), torch.float32)
        assert ((found - wide.float()).abs() <= int4_bound(wide.float()) + 1e-12).all()


@given(**SHAPES)
@settings(max_examples=80, deadline=None)
def test_as_float8_a_weight_is_off_by_a_sixteenth_or_by_next_to_nothing(
    experts: int, outputs: int, pieces: int, small: int, seed: int
) -> None:
    exact = random_weights(experts, outputs, 8 * pieces, small, seed)
    found = widened(quantised(exact, "float8"), torch.float32)
    assert ((found - exact).abs() <= 1.001 * float8_bound(exact) + 1e-12).all()


@given(**SHAPES, rows=st.integers(0, 30), kind=st.sampled_from(KINDS))
@settings(max_examples=80, deadline=None)
def test_an_output_is_off_by_what_its_weights_are_off_times_the_inputs(
    experts: int, outputs: int, pieces: int, small: int, seed: int, rows: int, kind: str
) -> None:
    exact = random_weights(experts, 8 * outputs, 16 * pieces, small, seed)
    x, ends = torch.randn(rows, 16 * pieces), ends_of(experts, rows)
    bound = int4_bound(exact) if kind == "int4" else float8_bound(exact)
    off = product(x, quantised(exact, kind), ends, "widened") - expert_by_expert(x, exact, ends)
    assert (off.abs() <= 1.001 * expert_by_expert(x.abs(), bound, ends) + 1e-4).all()


@given(**SHAPES, rows=st.integers(0, 30))
@settings(max_examples=40, deadline=None)
def test_where_inputs_are_rounded_too_each_factor_is_off_by_a_sixteenth_at_most(
    experts: int, outputs: int, pieces: int, small: int, seed: int, rows: int
) -> None:
    exact = random_weights(experts, 8 * outputs, 16 * pieces, small, seed)
    x, ends = torch.randn(rows, 16 * pieces), ends_of(experts, rows)
    u, v = float8_bound(x), float8_bound(exact)
    most = sum(expert_by_expert(a, b, ends) for a, b in ((u, exact.abs()), (x.abs(), v), (u, v)))
    off = product(x, quantised(exact, "float8"), ends, "scaled") - expert_by_expert(x, exact, ends)
    assert (off.abs() <= 1.002 * most + 1e-4).all()


def ends_of(experts: int, rows: int) -> torch.Tensor:
    chosen = torch.randint(0, experts, (rows,))
    return torch.bincount(chosen, minlength=experts).cumsum(0).int()


def expert_by_expert(x: torch.Tensor, weights: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    pieces = x.tensor_split(ends[:-1].tolist())
    return torch.cat([piece @ each.T for piece, each in zip(pieces, weights, strict=True)])


@pytest.mark.parametrize(("kind", "least", "most"), [("int4", 0.1, 0.2), ("float8", 0.02, 0.06)])
def test_at_the_published_widths_three_roundings_add_up_as_squares(
    kind: str, least: float, most: float
) -> None:
    """Of normal weights int4 is off by 9 % each (a step of a third of their deviation / √12),
    float8 by 2.6 %; gate, up and down together by √3 of it."""
    wide = experts_of(DiffusionGemmaTextConfig(**{**PUBLISHED, "num_experts": 2}))
    torch.manual_seed(1)
    for weights in wide.parameters():
        torch.nn.init.normal_(weights, std=weights.shape[2] ** -0.5)
    states, index, shares = routed(16, 2816, 2, 2)
    small = NarrowExperts(wide, kind)
    for name, weights in wide.named_parameters():
        small.take(name, weights.detach())
    with torch.no_grad():
        exact, rough = wide(states, index, shares), small(states, index, shares)
    assert least < (rough - exact).norm() / exact.norm() < most


def experts_of(config: DiffusionGemmaTextConfig) -> torch.nn.Module:
    from transformers.models.diffusion_gemma.modeling_diffusion_gemma import (
        DiffusionGemmaTextExperts,
    )

    config._experts_implementation = "eager"
    return DiffusionGemmaTextExperts(config)


def routed(
    tokens: int, width: int, experts: int, chosen: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    index = torch.rand(tokens, experts).topk(chosen).indices
    return torch.randn(tokens, width), index, torch.rand(tokens, chosen)


@pytest.mark.parametrize("kind", KINDS)
def test_narrow_experts_compute_what_transformers_does_with_the_same_numbers(kind: str) -> None:
    wide = experts_of(tiny_config().text_config)
    torch.manual_seed(2)
    for weights in wide.parameters():
        torch.nn.init.normal_(weights)
    small = NarrowExperts(wide, kind)
    for name, weights in wide.named_parameters():
        small.take(name, weights.detach())
        weights.data = widened(small.narrow(name), torch.float32)
    states, index, shares = routed(23, 32, 8, 2)
    with torch.no_grad():
        torch.testing.assert_close(small(states, index, shares), wide(states, index, shares))


@pytest.mark.parametrize(("kind", "most"), [("int4", 0.25), ("float8", 0.1)])
def test_only_experts_are_replaced_and_the_logits_stay_near(kind: str, most: float) -> None:
    """All experts take part here: a router that chooses others is another matter."""
    model, other = (tiny_model(config=tiny_config(top_k_experts=8)) for _ in range(2))
    assert put_in(other, kind) == 4  # encoder and decoder share each layer's
    encoder, decoder = other.model.encoder.language_model.layers, other.model.decoder.layers
    assert all(a.experts is b.experts for a, b in zip(encoder, decoder, strict=True))
    before = {n: p for n, p in model.named_parameters() if ".experts." not in n}
    after = dict(other.named_parameters())
    assert list(after) == list(before)
    assert all(torch.equal(after[n], before[n]) for n in before)
    ids, canvas = torch.randint(3, 90, (1, 20)), torch.randint(3, 90, (1, 32))
    with torch.no_grad():
        exact, rough = (it(input_ids=ids, decoder_input_ids=canvas).logits for it in (model, other))
    assert 0 < (rough - exact).abs().mean() < most * exact.std()


class Alive(TorchDispatchMode):
    """The most bytes of floats that were alive at once, of all that torch made meanwhile. A file
    that is mapped to memory is none of them, though tensors look into it."""

    def __init__(self, mapped: torch.Tensor) -> None:
        super().__init__()
        self.most = 0
        self.mapped = mapped.untyped_storage().nbytes()
        self.made: list[weakref.ref[torch.Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.dtype in (torch.float32, torch.bfloat16):
            self.made.append(weakref.ref(out))
        tensors = [it for it in (ref() for ref in self.made) if it is not None]
        self.made = [weakref.ref(it) for it in tensors]
        stores = {it.untyped_storage().data_ptr(): it.untyped_storage().nbytes() for it in tensors}
        self.most = max(self.most, sum(it for it in stores.values() if it != self.mapped))
        return out


@pytest.mark.parametrize("kind", KINDS)
def test_of_wide_experts_no_more_than_a_few_are_ever_alive(kind: str, tmp_path: Path) -> None:
    config = tiny_config(num_experts=64, hidden_size=128, moe_intermediate_size=64)
    with torch.device("meta"):
        model = DiffusionGemmaForBlockDiffusion(config)
    assert put_in(model, kind) == 4
    small = model.model.decoder.layers[0].experts
    assert left_out(model) == [
        f"model.{part}.layers.{n}.experts" for part in ("encoder.language_model",)
        for n in range(4)
    ]  # fmt: skip
    shape = (64, 128, 128)
    save_file({"gate_up_proj": torch.randn(shape).bfloat16()}, tmp_path / "shard.safetensors")
    one = 4 * 128 * 128  # bytes of an expert in float32
    with safe_open(tmp_path / "shard.safetensors", "pt") as shard:
        read = shard.get_slice("gate_up_proj")
        with Alive(read[0]) as alive:
            small.take("gate_up_proj", read)
    kept = small.gate_up_scale.nbytes  # are floats, too
    assert 2 * one < alive.most - kept < 6 * one < 64 * one / 10
    with Alive(torch.empty(0)) as alive:  # and all of them would have been seen
        quantised(torch.randn(shape), kind)
    assert alive.most > 64 * one
    with safe_open(tmp_path / "shard.safetensors", "pt") as shard:
        exact = shard.get_tensor("gate_up_proj").float()
    bound = int4_bound(exact) if kind == "int4" else float8_bound(exact)
    found = widened(small.narrow("gate_up_proj"), torch.float32)
    assert ((found - exact).abs() <= 1.001 * bound + 1e-12).all()


def test_what_does_not_belong_there_is_refused_in_a_sentence() -> None:
    weights = torch.randn(2, 4, 24)
    with pytest.raises(ModelError, match="width 24 cannot be held as int4"):
        quantised(weights, "int4")
    with pytest.raises(ModelError, match='cannot be held as "int3": choose one of int4, float8'):
        quantised(weights, "int3")
    with pytest.raises(ModelError, match="no expert"):
        quantised(torch.empty(0, 4, 24), "float8")
    with pytest.raises(ModelError, match="no fused experts"):
        put_in(torch.nn.Linear(2, 2), "int4")
    small = NarrowExperts(experts_of(tiny_config().text_config), "float8")
    with pytest.raises(ModelError, match=r"of shape \(7, 32, 32\), wanted one of 8 experts"):
        small.take("gate_up_proj", torch.randn(7, 32, 32))


def test_in_int4_the_published_network_leaves_room_for_8k_tokens_in_24_gb() -> None:
    """24e9 bytes, of which a card of 24 GiB has 1.8e9 more."""
    config = DiffusionGemmaTextConfig(**PUBLISHED)
    wide, byte, half = (footprint(config, kind) for kind in ("bfloat16", "float8", "int4"))
    assert wide.weights / 1e9 == pytest.approx(50.5, abs=0.1)
    assert 27 < byte.weights / 1e9 < 28
    assert half.total < 24e9 < byte.total
    assert footprint(config, "int4", way="widened").total < 24e9
    assert half.history / 8192 == pytest.approx(225_000, rel=0.01)


@pytest.mark.parametrize("kind", ["bfloat16", *KINDS])
def test_weights_take_what_the_arithmetic_says(kind: str) -> None:
    """Up to scales, which are one for fewer weights in a network as small as this."""
    config = tiny_config(hidden_size=128, moe_intermediate_size=64)
    model = tiny_model(config=config).bfloat16()
    if kind != "bfloat16":
        put_in(model, kind)
    decoder = model.model.decoder
    found = sum(it.nbytes for it in (*decoder.parameters(), *decoder.buffers()))
    told = footprint(config.text_config, kind)
    few = sum(it.nbytes for name, it in decoder.named_buffers() if "experts" not in name)
    assert found == told.weights + few
    without = sum(p.numel() for n, p in decoder.named_parameters() if ".experts." not in n)
    assert without == dense_parameters(config.text_config)


FUSED = """
import torch
from model.gemma.experts import KINDS, Narrow, product, quantised
from model.gemma import fused
torch.manual_seed(0)
for kind in KINDS:
    for experts, outputs, width, rows in ((4, 96, 64, 13), (3, 70, 128, 50), (5, 64, 704, 1)):
        narrow = quantised(torch.randn(experts, outputs, width), kind)
        chosen = torch.randint(0, experts, (rows,))
        ends = torch.bincount(chosen, minlength=experts).cumsum(0).int()
        x = torch.randn(rows, width)
        found = fused.product(x, narrow.weight, narrow.scale, ends)
        torch.testing.assert_close(found, product(x, narrow, ends, "widened"), atol=1e-4, rtol=1e-4)
        print("equal")
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_the_kernel_computes_what_its_reference_does() -> None:
    """By triton's interpreter, in a process of its own: the kernel is made when it is imported."""
    root = Path(__file__).resolve().parent.parent
    settings = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": path_with(root)}
    command = [sys.executable, "-c", FUSED]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["equal"] * 6, done.stderr


def path_with(root: Path) -> str:
    return os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_all_ways_of_a_gpu_agree(kind: str) -> None:
    torch.manual_seed(0)
    wide = (torch.randn(128, 1408, 2816, device="cuda") / 50).bfloat16()
    narrow = quantised(wide, kind, "cuda")
    chosen = torch.randint(0, 128, (2048,), device="cuda")
    ends = torch.bincount(chosen, minlength=128).cumsum(0).int()
    x = torch.randn(2048, 2816, device="cuda").bfloat16()
    exact = grouped(x, widened(narrow, torch.bfloat16).transpose(1, 2), ends).float()
    capability = torch.cuda.get_device_capability()
    ways = {"fused": 0.01} if find_spec("triton") is not None and capability >= (8, 0) else {}
    ways |= {"scaled": 0.06} if kind == "float8" and capability[0] == 9 else {}
    for way, most in ways.items():
        found = product(x, narrow, ends, way).float()
        assert (found - exact).norm() / exact.norm() < most
