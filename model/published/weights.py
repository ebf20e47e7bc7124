"""Weights of published checkpoints into our Network: safetensors only, tensor by tensor.

Everything is checked by the files' headers before a byte of weights is read. Then each tensor goes
straight to its device and number format; no second copy of the whole is ever in memory. It knows
names and shapes, neither vocabularies nor where a checkpoint came from.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch and safetensors are only partly typed.

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from model.canvas import ModelError
from model.masked.network import Network, Shape
from model.published.quantise import NarrowLinear, quantised

OnBytes = Callable[[int, int], None]  # read, of so many

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}  # of the number formats that are read
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
# Older writers stored what is computed from the config.
DERIVED = ("rotary_emb.inv_freq",)

# What is ours on the left, LLaDA's on the right; all other names are those of Qwen2.
LLADA = {
    "model.embed_tokens": "model.transformer.wte",
    "model.norm": "model.transformer.ln_f",
    "lm_head": "model.transformer.ff_out",
    "self_attn.q_proj": "q_proj",
    "self_attn.k_proj": "k_proj",
    "self_attn.v_proj": "v_proj",
    "self_attn.o_proj": "attn_out",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ff_norm",
    "mlp.gate_proj": "ff_proj",
    "mlp.up_proj": "up_proj",
    "mlp.down_proj": "ff_out",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a file, as its header tells."""

    path: Path
    shape: tuple[int, ...]
    kind: str

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * BYTES.get(self.kind, 1)


def network_from(
    folder: Path,
    stored: Mapping[str, Stored],
    shape: Shape,
    layout: str,
    *,
    device: str,
    dtype: torch.dtype,
    narrow: str = "",
    on_bytes: OnBytes | None = None,
) -> Network:
    """The network with the folder's weights, of which `stored_in` told what is there.

    With `narrow`, "int8" or "float8", each matrix of a block is rounded on the host (`quantise`):
    what is large never reaches the device, and on the host there is one such matrix at a time.

    Raises `ModelError` for anything that does not fit.
    """
    head = their_name(HEAD, layout)
    if shape.tied and head in stored and not same(stored, head, their_name(EMBEDDING, layout)):
        shape = replace(shape, tied=False)  # as transformers does: what was trained apart stays so
    with torch.device("meta"):
        network = Network(shape)
    wanted = {
        their_name(name, layout): (name, tuple(parameter.shape))
        for name, parameter in network.named_parameters()
    }
    check(folder, stored, {name: size for name, (_, size) in wanted.items()}, spare=head)
    if narrow:
        network = quantised(network, narrow)
    whole = sum(stored[name].bytes for name in wanted)
    weights: dict[str, Tensor] = {}
    done = 0
    for theirs, (ours, _) in sorted(wanted.items(), key=lambda it: str(stored[it[0]].path)):
        at, _, kind = ours.rpartition(".")
        layer = network.get_submodule(at)
        if kind == "weight" and isinstance(layer, NarrowLinear):
            short, scale = layer.rounded(read(stored[theirs], theirs, "cpu", dtype), dtype)
            weights[ours], weights[f"{at}.scale"] = short.to(device), scale.to(device)
        else:
            weights[ours] = read(stored[theirs], theirs, device, dtype)
        done += stored[theirs].bytes
        if on_bytes:
            on_bytes(done, whole)
    network.load_state_dict(weights, strict=False, assign=True)
    if shape.tied:
        network.lm_head.weight = network.model.embed_tokens.weight
    return network.requires_grad_(False)


def read(tensor: Stored, name: str, device: str, dtype: torch.dtype) -> Tensor:
    """One tensor, where it is to stay. Each time the file is opened anew: what was read of it then
    no longer counts as this process's memory. On a CPU a tensor of the right format is not copied
    at all: it is the file, mapped."""
    try:
        with safe_open(tensor.path, framework="pt", device=device) as file:
            found: Tensor = file.get_tensor(name)
            return found.to(dtype)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except (SafetensorError, OSError) as error:
        raise damaged(tensor.path, error) from error


def same(stored: Mapping[str, Stored], one: str, other: str) -> bool:
    first, second = stored[one], stored.get(other)
    if second is None or first.shape != second.shape or first.kind != second.kind:
        return False
    with safe_open(first.path, framework="pt") as a, safe_open(second.path, framework="pt") as b:
        rows = max(1, (64 << 20) // max(1, first.bytes // first.shape[0]))  # 64 MiB at a time
        left, right = a.get_slice(one), b.get_slice(other)
        return all(
            torch.equal(left[start : start + rows], right[start : start + rows])
            for start in range(0, first.shape[0], rows)
        )


def check(
    folder: Path, stored: Mapping[str, Stored], wanted: Mapping[str, tuple[int, ...]], spare: str
) -> None:
    if lacking := sorted(wanted.keys() - stored.keys()):
        raise ModelError(
            f"{folder} lacks weights that its config.json asks for: {some(lacking)}. "
            "Fetch it again, or is it another architecture?"
        )
    beyond = sorted(
        name for name in stored.keys() - wanted.keys()
        if name != spare and not name.endswith(DERIVED)
    )  # fmt: skip
    if beyond:
        raise ModelError(
            f"{folder} has weights that this architecture has no place for: {some(beyond)}. "
            "It would compute something else without them, so it is not loaded."
        )
    for name, size in wanted.items():
        if stored[name].shape != size:
            raise ModelError(
                f"the parts of {folder} do not fit each other: {name} is "
                f"{'×'.join(map(str, stored[name].shape))}, its config.json asks for "
                f"{'×'.join(map(str, size))}"
            )
        if stored[name].kind not in BYTES:
            raise ModelError(
                f"{name} of {folder} is stored as {stored[name].kind}: quantised weights are not "
                f"read, only {', '.join(BYTES)}"
            )


def some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def stored_in(folder: Path) -> dict[str, Stored]:
    """Every tensor in the folder's weight files, by name."""
    index = folder / INDEX
    if not index.exists():
        path = folder / WEIGHTS
        if not path.exists():
            raise no_weights(folder)
        return header_of(path)
    try:
        names: Mapping[str, str] = json.loads(index.read_text("utf-8"))["weight_map"]
        shards = sorted(set(names.values()))
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise ModelError(f"{index} cannot be read: {error!r}; fetch it again") from error
    stored: dict[str, Stored] = {}
    for shard in shards:
        if Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise ModelError(f"{index} names {shard!r}, which is no safetensors file beside it")
        stored |= header_of(folder / shard)
    if lost := sorted(names.keys() - stored.keys()):
        raise ModelError(f"{index} names weights that are in no shard: {some(lost)}")
    return stored


def header_of(path: Path) -> dict[str, Stored]:
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {
                name: Stored(path, tuple(part.get_shape()), str(part.get_dtype()))
                for name, part in slices.items()
            }
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing: the folder is not whole, fetch it again") from error
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path} is damaged or cut off ({error}): delete it and fetch it again")


def no_weights(folder: Path) -> ModelError:
    pickles = sorted(path.name for kind in PICKLES for path in folder.glob(kind))
    if pickles:
        return ModelError(
            f"{folder} has its weights only as {some(pickles)}: reading that format can run any "
            "code that is in it, so it is not read. Take a version with .safetensors files, or "
            "convert it where you trust it: transformers' save_pretrained writes them."
        )
    return ModelError(f"{folder} has no weights: neither {WEIGHTS} nor {INDEX} is there")


def their_name(ours: str, layout: str) -> str:
    """A parameter's name in the checkpoint."""
    if layout != "llada":
        return ours
    stem, _, kind = ours.rpartition(".")
    if stem in LLADA:
        return f"{LLADA[stem]}.{kind}"
    number, _, part = stem.removeprefix("model.layers.").partition(".")
    return f"model.transformer.blocks.{number}.{LLADA[part]}.{kind}"


def peak_host_bytes() -> int | None:
    """The most memory this process has had so far, None where the system does not tell."""
    try:  # Linux; what getrusage tells there begins with what the process had that started this one
        told = Path("/proc/self/status").read_text("utf-8")
        return int(told.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, ValueError, LookupError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    most: Any = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most) * (1 if sys.platform == "darwin" else 1024)
