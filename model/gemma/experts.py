"""The experts of a layer in four bits or a byte a weight, quantised while they are read.

It knows the shapes of transformers' `DiffusionGemmaTextExperts` and no files, no text. Of the
published 25.25 billion parameters 22.84 are experts: 45.7 GB in bfloat16, 22.9 GB as float8, 12.8
GB as int4. All other matrices stay what they are. Nothing that transformers offers does this for
fused experts without foreign code from the hub, with widths of 2816 and 704, on any GPU.

As float8 (e4m3fn) each output row's largest magnitude becomes 448, and each weight is off by at
most a sixteenth of itself, or by 2⁻¹⁰ of the row's scale where it is next to nothing.

As int4 each `GROUP` weights along the input share a scale, their largest magnitude / 7.47, so that
they fall on -8 … 7 and each is off by at most half a scale: a fifteenth of the group's largest
magnitude, and 1 % more. A byte holds one weight of the first half of the inputs (low bits) and the
one as far into the second half (high bits): both halves of a byte are then read with neighbours by
whoever multiplies.

One forward, and who multiplies is chosen by `way`: "fused" widens in registers (model/gemma/
fused.py, any CUDA device from 8.0 on), "scaled" rounds the inputs, too, for torch's own kernel
(float8 on Hopper), "widened" widens all experts of a projection and is right everywhere.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch and transformers are only partly typed.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.canvas import ModelError
from model.published.quantise import FLOAT8, LARGEST, scaled

KINDS = ("int4", "float8")
# Divides 1408 and 352, the halves of the published widths; half a bit a weight for scales.
GROUP = 32
# What a group's largest magnitude becomes: half a step from 7 and from -8, less what a scale may
# lose by its own rounding to bfloat16.
LEVELS = 7.47
WAYS = ("fused", "scaled", "widened")


class Source(Protocol):
    """Fused weights (experts, out, in) that are read one expert at a time: a tensor, or a slice of
    a safetensors file that nobody has read yet."""

    def __getitem__(self, expert: int, /) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Narrow:
    """The weights of one projection of all experts, and what a 1 of them is worth.

    float8: (experts, out, in), and a float32 scale for each (expert, out).
    int4: bytes (experts, out, in / 2), and a scale for each (expert, out, in / group).
    """

    weight: Tensor
    scale: Tensor

    @property
    def kind(self) -> str:
        return "int4" if self.weight.dtype == torch.uint8 else "float8"

    @property
    def nbytes(self) -> int:
        return self.weight.nbytes + self.scale.nbytes


def quantised(source: Source, kind: str, device: torch.device | str = "cpu") -> Narrow:
    """The narrow weights on the device. Of wide ones no more than one expert's are alive at once,
    next to `source` itself."""
    narrow = None
    for expert in range(_shape(source)[0]):
        wide = source[expert].to(device)
        if narrow is None:
            narrow = empty((_shape(source)[0], *wide.shape), kind, wide.dtype, device)
        put(narrow, expert, wide)
    if narrow is None:
        raise ModelError("fused experts have no expert: wanted a shape (experts, out, in)")
    return narrow


def _shape(source: Source) -> tuple[int, ...]:
    whole: Any = source
    return tuple(whole.shape if hasattr(whole, "shape") else whole.get_shape())


def empty(
    shape: tuple[int, ...], kind: str, dtype: torch.dtype, device: torch.device | str
) -> Narrow:
    experts, out, width = shape
    if kind == "float8":
        return Narrow(
            torch.empty(shape, dtype=FLOAT8, device=device),
            torch.empty((experts, out), dtype=torch.float32, device=device),
        )
    if kind != "int4":
        raise ModelError(f'experts cannot be held as "{kind}": choose one of {", ".join(KINDS)}')
    return Narrow(
        torch.empty((experts, out, width // 2), dtype=torch.uint8, device=device),
        torch.empty((experts, out, width // group_of(width)), dtype=dtype, device=device),
    )


def group_of(width: int) -> int:
    """How many weights share a scale; smaller than `GROUP` only in networks made for tests."""
    for group in (GROUP, 16, 8):
        if width % (2 * group) == 0:
            return group
    raise ModelError(
        f"experts of width {width} cannot be held as int4, which takes multiples of 16: "
        'choose weights = "float8"'
    )


def put(narrow: Narrow, expert: int, wide: Tensor) -> None:
    """Quantises one expert's (out, in) into its place."""
    if narrow.kind == "float8":
        exact, scale = scaled(wide, LARGEST, torch.float32)
        narrow.weight[expert] = exact.clamp(-LARGEST, LARGEST).to(FLOAT8)
        narrow.scale[expert] = scale
        return
    groups = wide.reshape(-1, group_of(wide.shape[1]))
    exact, scale = scaled(groups, LEVELS, narrow.scale.dtype)
    levels = (exact.round().clamp(-8, 7) + 8).to(torch.uint8).view(wide.shape)
    first, second = levels.chunk(2, dim=1)
    narrow.weight[expert] = first | second << 4
    narrow.scale[expert] = scale.view(len(wide), -1)


def widened(narrow: Narrow, dtype: torch.dtype) -> Tensor:
    """(experts, out, in) as they are meant: the reference that all kernels are held against."""
    if narrow.kind == "float8":
        return narrow.weight.to(dtype).mul_(narrow.scale[..., None].to(dtype))
    levels = torch.cat((narrow.weight & 15, narrow.weight >> 4), dim=2)
    groups = levels.unflatten(2, (narrow.scale.shape[2], -1)).to(dtype)
    # In place, as at the published shape a projection is a gigabyte.
    return groups.sub_(8).mul_(narrow.scale[..., None].to(dtype)).flatten(2)


class NarrowExperts(nn.Module):
    """In the place of transformers' `DiffusionGemmaTextExperts`, and called as they are.

    Its buffers are empty until `take` has filled both projections. On the meta device they hold
    nothing, so a network can be built first and filled while its shards are read.
    """

    gate_up_proj: Tensor
    gate_up_scale: Tensor
    down_proj: Tensor
    down_scale: Tensor

    def __init__(self, experts: nn.Module, kind: str) -> None:
        super().__init__()
        their: Any = experts
        self.kind = kind
        self.act_fn: Callable[[Tensor], Tensor] = their.act_fn
        self.count: int = their.num_experts
        self.way: str | None = None  # the device's best
        for name in ("gate_up", "down"):
            wide = cast("Tensor", getattr(their, f"{name}_proj"))
            self._hold(name, empty(tuple(wide.shape), kind, wide.dtype, "meta"))

    def take(self, name: str, source: Source, device: torch.device | str = "cpu") -> None:
        """Quantises what a checkpoint calls `gate_up_proj` or `down_proj`."""
        wanted = tuple(self.narrow(name).scale.shape[:2])
        if (found := _shape(source)[:2]) != wanted:
            raise ModelError(
                f"{name} of the experts is of shape {_shape(source)}, wanted one of "
                f"{wanted[0]} experts and {wanted[1]} outputs: the checkpoint and its "
                f"config.json do not belong together (found {found})"
            )
        self._hold(name.removesuffix("_proj"), quantised(source, self.kind, device))

    def narrow(self, name: str) -> Narrow:
        name = name.removesuffix("_proj")
        return Narrow(getattr(self, f"{name}_proj"), getattr(self, f"{name}_scale"))

    def _hold(self, name: str, narrow: Narrow) -> None:
        self.register_buffer(f"{name}_proj", narrow.weight)
        self.register_buffer(f"{name}_scale", narrow.scale)

    def forward(self, states: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        """(tokens, width) through each token's chosen experts, `index` and `weights` (tokens, k).
        Nothing here waits for the device."""
        way = self.way or best_way(self.kind, states.device)
        order = index.flatten().sort()
        # A count of each expert's rows without a copy to the host, as bincount would make.
        rows = order.values.float() if states.device.type == "cpu" else order.values.int()
        counts = torch.histc(rows, bins=self.count, min=0, max=self.count - 1)
        ends = counts.cumsum(0, dtype=torch.int32)
        inputs = states[order.indices // index.shape[1]]
        gate, up = product(inputs, self.narrow("gate_up"), ends, way).chunk(2, dim=-1)
        out = product(self.act_fn(gate) * up, self.narrow("down"), ends, way)
        back = torch.empty_like(order.indices)
        back[order.indices] = torch.arange(len(back), device=back.device)
        shares = weights.flatten()[order.indices]
        out = (out * shares[:, None])[back].unflatten(0, index.shape)
        return out.sum(dim=1).to(states.dtype)


def product(inputs: Tensor, narrow: Narrow, ends: Tensor, way: str) -> Tensor:
    """Rows (sorted by expert, each expert's ending at `ends`) times their expert's weights."""
    if way == "fused":
        from model.gemma import fused  # imports triton

        return fused.product(inputs, narrow.weight, narrow.scale, ends)
    if way == "scaled":
        return scaled_product(inputs, narrow, ends)
    return grouped(inputs, widened(narrow, inputs.dtype).transpose(1, 2), ends)


def scaled_product(inputs: Tensor, narrow: Narrow, ends: Tensor) -> Tensor:
    """As float8 times float8: each input row is rounded by a scale of its own."""
    exact, scale = scaled(inputs, LARGEST, torch.float32)
    rows = exact.clamp(-LARGEST, LARGEST).to(FLOAT8)
    if not inputs.is_cuda:  # no kernel there: the same numbers, widened
        wide = (rows.float() * scale[:, None]).to(inputs.dtype)
        return grouped(wide, widened(narrow, inputs.dtype).transpose(1, 2), ends)
    kernel: Callable[..., Tensor] = getattr(torch, "_scaled_grouped_mm")  # noqa: B009
    return kernel(
        rows, narrow.weight.transpose(1, 2), scale, narrow.scale, offs=ends,
        out_dtype=inputs.dtype, use_fast_accum=True,
    )  # fmt: skip


def grouped(inputs: Tensor, weights: Tensor, ends: Tensor) -> Tensor:
    kernel = getattr(functional, "grouped_mm", None) or getattr(torch, "_grouped_mm")  # noqa: B009
    return kernel(inputs, weights, offs=ends)


def best_way(kind: str, device: torch.device) -> str:
    """By what the device can do; which is fastest, bench/gpu_gemma.py measures."""
    if device.type != "cuda" or torch.version.hip is not None:
        return "widened"
    capability = torch.cuda.get_device_capability(device)
    if capability >= (8, 0) and find_spec("triton") is not None:
        return "fused"
    return "scaled" if kind == "float8" and capability[0] == 9 else "widened"


def put_in(network: nn.Module, kind: str) -> int:
    """Replaces all experts of a network, and says how many sets of them there are now.

    Experts that the encoder shares with the decoder are replaced by ones that they share. On the
    meta device nothing is held or computed: `take` fills them. Elsewhere they are quantised layer
    by layer, and the wide ones are let go as soon as no layer holds them.
    """
    places: dict[int, list[tuple[nn.Module, str]]] = {}
    for parent in network.modules():
        for name, child in parent.named_children():
            if type(child).__name__ == "DiffusionGemmaTextExperts":
                shared = id(cast("Tensor", child.gate_up_proj))
                places.setdefault(shared, []).append((parent, name))
    for sharing in places.values():
        wide: nn.Module = getattr(*sharing[0])
        made = NarrowExperts(wide, kind)
        for name in ("gate_up_proj", "down_proj"):
            weights = cast("Tensor", getattr(wide, name)).detach()
            if weights.device.type != "meta":
                made.take(name, weights, weights.device)
        for parent, name in sharing:
            setattr(parent, name, made)
    if not places:
        raise ModelError(
            "there are no fused experts to quantise in this network: wanted layers of "
            "DiffusionGemma (DiffusionGemmaTextExperts)"
        )
    return len(places)


def left_out(network: nn.Module) -> list[str]:
    """Names of experts that nobody has filled: what a checkpoint lacked."""
    return [
        name for name, module in network.named_modules()
        if isinstance(module, NarrowExperts) and any(it.is_meta for it in module.buffers())
    ]  # fmt: skip
