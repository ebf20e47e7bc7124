"""Weights in int8: no further from the exact ones than is said, in half the memory."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from model.quantise import Int8Linear, quantised, weight_bytes  # noqa: E402
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


def test_all_linear_layers_of_the_blocks_are_replaced_and_the_logits_stay_near():
    network = random_network(3, dim=64, ff=128, qkv_bias=True)
    small = quantised(copy.deepcopy(network))
    assert not any(isinstance(it, torch.nn.Linear) for it in small.model.layers.modules())
    matrices = sum(p.numel() for p in network.model.layers.parameters() if p.dim() == 2)
    outputs = sum(len(p) for p in network.model.layers.parameters() if p.dim() == 2)
    # float32 here: of each weight three bytes of four are saved, but four an output for its scale
    assert weight_bytes(network) - weight_bytes(small) == 3 * matrices - 4 * outputs
    tokens = torch.randint(0, 40, (2, 30))
    with torch.no_grad():
        exact, rough = network(tokens), small(tokens)
    assert 0 < (exact - rough).abs().mean() < 0.05 * exact.std()


def test_a_layer_of_zeros_stays_one():
    layer = torch.nn.Linear(3, 2, bias=False)
    torch.nn.init.zeros_(layer.weight)
    assert not Int8Linear(layer)(torch.ones(1, 3)).any()
