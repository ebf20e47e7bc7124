"""Weights in a byte: no further from the exact ones than is said, in half the memory."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from model.published.quantise import ABLE, Float8Linear, Int8Linear, quantised, weight_bytes  # noqa: E402
from tests.boards import random_network  # noqa: E402


@given(st.integers(1, 9), st.integers(1, 40), st.booleans(), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_an_output_is_off_by_half_a_step_for_each_input_at_most(
    outputs: int, inputs: int, bias: bool, seed: int
):
    torch.manual_seed(seed)
    exact = torch.nn.Linear(inputs, outputs, bias=bias)
    x = torch.randn(5, inputs)
    step = exact.weight.abs().amax(1) / 127
    most = x.abs().sum(1)[:, None] * step / 2
    with torch.no_grad():
        assert ((Int8Linear(exact)(x) - exact(x)).abs() <= most + 1e-5).all()


@given(st.integers(1, 9), st.integers(1, 40), st.booleans(), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_in_float8_each_factor_is_off_by_a_sixteenth_or_by_next_to_nothing(
    outputs: int, inputs: int, bias: bool, seed: int
):
    torch.manual_seed(seed)
    exact = torch.nn.Linear(inputs, outputs, bias=bias)
    with torch.no_grad():  # of all magnitudes, so that some are below the least normal number
        exact.weight.mul_(10 ** -torch.randint(0, 6, exact.weight.shape))
    x = torch.randn(5, inputs) * 10 ** -torch.randint(0, 6, (5, inputs))

    def off(rows: torch.Tensor) -> torch.Tensor:
        least = rows.abs().amax(1, keepdim=True) / 448 / 1024
        return torch.maximum(rows.abs() / 16, least.expand_as(rows))

    weight = exact.weight.detach()
    most = off(x) @ weight.abs().T + x.abs() @ off(weight).T + off(x) @ off(weight).T
    with torch.no_grad():
        assert ((Float8Linear(exact)(x) - exact(x)).abs() <= 1.001 * most + 1e-5).all()


def test_in_bfloat16_what_a_byte_holds_differs_little_from_what_two_hold():
    torch.manual_seed(0)
    exact = torch.nn.Linear(512, 256).bfloat16()
    x = torch.randn(64, 512).bfloat16()
    with torch.no_grad():
        wanted = exact.float()(x.float())
        exact = exact.bfloat16()
        for kind, most in ((Int8Linear, 0.02), (Float8Linear, 0.05)):
            found = kind(exact)(x)
            assert found.dtype == torch.bfloat16
            assert 0 < (found.float() - wanted).norm() / wanted.norm() < most


@pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() < ABLE,
    reason="no GPU that multiplies in float8",
)
def test_a_gpu_multiplies_in_float8_what_a_cpu_widens():
    torch.manual_seed(0)
    layer = Float8Linear(torch.nn.Linear(64, 48).bfloat16())
    x = torch.randn(2, 7, 64).bfloat16()
    with torch.no_grad():
        here, there = layer(x), layer.cuda()(x.cuda()).cpu()
    torch.testing.assert_close(there.float(), here.float(), atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize(("kind", "most"), [("int8", 0.05), ("float8", 0.15)])
def test_all_linear_layers_of_the_blocks_are_replaced_and_the_logits_stay_near(
    kind: str, most: float
):
    network = random_network(3, dim=64, ff=128, qkv_bias=True)
    small = quantised(copy.deepcopy(network), kind)
    assert not any(isinstance(it, torch.nn.Linear) for it in small.model.layers.modules())
    matrices = sum(p.numel() for p in network.model.layers.parameters() if p.dim() == 2)
    outputs = sum(len(p) for p in network.model.layers.parameters() if p.dim() == 2)
    # float32 here: of each weight three bytes of four are saved, but four an output for its scale
    assert weight_bytes(network) - weight_bytes(small) == 3 * matrices - 4 * outputs
    tokens = torch.randint(0, 40, (2, 30))
    with torch.no_grad():
        exact, rough = network(tokens), small(tokens)
    assert 0 < (exact - rough).abs().mean() < most * exact.std()


@pytest.mark.parametrize("narrow", [Int8Linear, Float8Linear])
def test_a_layer_of_zeros_stays_one(narrow: type[torch.nn.Module]):
    layer = torch.nn.Linear(3, 2, bias=False)
    torch.nn.init.zeros_(layer.weight)
    assert not narrow(layer)(torch.ones(1, 3)).any()
