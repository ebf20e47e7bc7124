"""Weights of linear layers as int8, one scale for each output: half the memory of bfloat16.

Each output's weights are rounded to whole multiples of their largest magnitude / 127, so each is
off by at most half of that step, and an output by at most half a step times the sum of its inputs'
magnitudes. They are widened again within each product. So this saves memory and no time: of
DreamOn's 15.23 GB in bfloat16 the blocks' matrices are 13.05 GB and become 6.53 GB, which leaves
8.71 GB. Embeddings and head stay as they are: few bytes, and the head's errors would be seen at
once.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch is only partly typed.

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.network import Network


class Int8Linear(nn.Module):
    weight: Tensor  # (out, in) int8
    scale: Tensor  # (out)
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, scale = rounded(linear.weight.detach(), linear.weight.dtype)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        bias = cast("Tensor | None", linear.bias)
        self.register_buffer("bias", None if bias is None else bias.detach())

    def forward(self, inputs: Tensor) -> Tensor:
        out = functional.linear(inputs, self.weight.to(inputs.dtype)) * self.scale
        return out if self.bias is None else out + self.bias


def rounded(weight: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Whole numbers, and what one of them is worth in each row, in `dtype`."""
    exact = weight.float()
    scale = (exact.abs().amax(1).clamp_min(1e-12) / 127).to(dtype)
    whole = (exact / scale.float()[:, None]).round().clamp(-127, 127)
    return whole.to(torch.int8), scale


def quantised(network: Network) -> Network:
    """The network itself, its blocks' linear layers replaced one by one; nothing is held twice."""
    for module in list(network.model.layers.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, Int8Linear(child))
    return network


def weight_bytes(network: Network) -> int:
    return sum(it.nbytes for it in (*network.parameters(), *network.buffers()))
