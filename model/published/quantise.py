"""Weights of linear layers in one byte each, with one scale for each output: half of bfloat16.

As int8 each output's weights are rounded to whole multiples of their largest magnitude / 127, so
each is off by at most half of that step, and an output by at most half a step times the sum of its
inputs' magnitudes. They are widened again within each product. So this saves memory and no time.

As float8 (e4m3fn: four bits of exponent, three of mantissa) their largest magnitude becomes 448,
the largest that there is, and each is off by at most a sixteenth of itself, or by 2⁻¹⁰ of a scale
where it is next to nothing. The inputs are rounded in the same way, each token by a scale of its
own, and a GPU multiplies both as they are; elsewhere the same numbers are widened and multiplied.
Scales are multiplied in afterwards: kernels that take one a row are not in all builds of torch.

Of DreamOn's 15.23 GB in bfloat16 the blocks' matrices are 13.05 GB and become 6.53 GB, which leaves
8.71 GB. Embeddings and head stay as they are: few bytes, and the head's errors would be seen at
once.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch is only partly typed.

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.canvas import ModelError
from model.masked.network import Network

FLOAT8 = torch.float8_e4m3fn
LARGEST = torch.finfo(FLOAT8).max
TILE = 16  # both sides of a matrix are whole multiples of it, where a GPU multiplies in float8
ABLE = (8, 9)  # the compute capability from which on it can: Ada and Hopper


class NarrowLinear(nn.Module):
    """A linear layer whose weights take one byte each, as its subclass rounds them."""

    weight: Tensor  # (out, in), one byte each
    scale: Tensor  # (out)
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, scale = self.rounded(linear.weight.detach(), linear.weight.dtype)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        bias = cast("Tensor | None", linear.bias)
        self.register_buffer("bias", None if bias is None else bias.detach())

    @staticmethod
    def rounded(weight: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Of (rows, width) what is kept, and what a 1 of it is worth in each row, in `dtype`."""
        raise NotImplementedError

    def product(self, inputs: Tensor) -> Tensor:
        """What the weights as they are kept make of the inputs."""
        return functional.linear(inputs, self.weight.to(inputs.dtype))

    def forward(self, inputs: Tensor) -> Tensor:
        out = self.product(inputs) * self.scale
        return out if self.bias is None else out + self.bias


class Int8Linear(NarrowLinear):
    @staticmethod
    def rounded(weight: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        exact, scale = scaled(weight, 127, dtype)
        return exact.round().clamp(-127, 127).to(torch.int8), scale


class Float8Linear(NarrowLinear):
    @staticmethod
    def rounded(weight: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        exact, scale = scaled(weight, LARGEST, dtype)
        return exact.clamp(-LARGEST, LARGEST).to(FLOAT8), scale

    def product(self, inputs: Tensor) -> Tensor:
        rows, scale = self.rounded(inputs.flatten(0, -2), inputs.dtype)
        if rows.is_cuda and not any(side % TILE for side in self.weight.shape):
            one = one_on(rows.device)
            # Private as it is, it is the one name for it in all versions that are allowed here.
            product: Callable[..., Tensor] = getattr(torch, "_scaled_mm")  # noqa: B009
            out = product(rows, self.weight.t(), one, one, out_dtype=inputs.dtype)
        else:
            out = super().product(rows.to(inputs.dtype))
        return (out * scale[:, None]).unflatten(0, inputs.shape[:-1])


KINDS: dict[str, type[NarrowLinear]] = {"int8": Int8Linear, "float8": Float8Linear}


def scaled(rows: Tensor, largest: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """In float32, so that each row's largest magnitude is `largest`; and the scales to undo it,
    divided by as they are in `dtype`: their own rounding does no harm then."""
    exact = rows.float()
    scale = (exact.abs().amax(1).clamp_min(1e-12) / largest).to(dtype)
    return exact / scale.float()[:, None], scale


@lru_cache
def one_on(device: torch.device) -> Tensor:
    return torch.ones((), device=device)


def check_kind(kind: str, device: str) -> None:
    """Raises `ModelError` where that device does not multiply in this kind. A CPU does, slowly."""
    if kind != "float8" or not device.startswith("cuda"):
        return
    found, name = torch.cuda.get_device_capability(device), torch.cuda.get_device_name(device)
    if torch.version.hip is not None or found < ABLE:
        raise ModelError(
            f'weights = "float8" needs a GPU of compute capability {told(ABLE)} or above (NVIDIA '
            f'Ada, Hopper and later); {name} has {told(found)}: weights = "int8" takes no more '
            "memory and runs on any"
        )


def told(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))


def quantised(network: Network, kind: str = "int8") -> Network:
    """The network itself, its blocks' linear layers replaced one by one; nothing is held twice."""
    for module in list(network.model.layers.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, KINDS[kind](child))
    return network


def weight_bytes(network: Network) -> int:
    return sum(it.nbytes for it in (*network.parameters(), *network.buffers()))
