"""A folder in the layout in which DiffusionGemma is published: checked, planned for, loaded.

All is known by the files' headers before a byte of weights is read. One backbone is stored, under
`model.decoder`; the encoder shares it. What reads images stays on disk. transformers' modules are
built, no code that came with a network is run.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch, transformers and safetensors are only partly typed.

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers.models.diffusion_gemma import (
    DiffusionGemmaConfig,
    DiffusionGemmaForBlockDiffusion,
)

from model.canvas import ModelError
from model.gemma import experts
from model.gemma.engine import Engine
from model.gemma.layout import Room
from model.gemma.network import Network
from model.gemma.plan import plan_for, prompt_room
from model.gemma.prompt import check_room
from model.gemma.sampler import Policy
from model.gemma.shape import Shape, shape_from
from model.gemma.vocabulary import vocabulary_from
from model.precision import has_bfloat16
from model.published import memory, weights
from model.published.architecture import config_of
from model.published.catalog import Row
from model.published.stock import card_of
from model.published.weights import Stored
from model.threads import one_thread

logger = logging.getLogger(__name__)

OnShare = Callable[[str, float], None]
IMAGES = ("model.encoder.vision_tower.", "model.encoder.embed_vision.")
HEAD, EMBEDDING = "lm_head.weight", "model.decoder.embed_tokens.weight"
ENCODER = "model.encoder.language_model."


def load_gemma(
    folder: Path,
    row: Row,
    *,
    seed: int = 0,
    device: str | None = None,
    dtype: str | None = None,
    on_share: OnShare | None = None,
) -> Engine:
    """Reads and checks the network; it is not warmed up. Raises `ModelError` for anything amiss."""
    config = config_of(folder)
    shape = shape_from(config, folder)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    kind = dtype or ("" if row.weights in experts.KINDS else row.weights)
    number_format: torch.dtype = getattr(
        torch, kind or ("bfloat16" if has_bfloat16(device) else "float32")
    )
    said = generation_of(folder)
    vocabulary = vocabulary_from(folder, shape.vocab_size, ends_of(config, said))
    room = Room(prompt_room(row, shape), canvas_of(row, shape, folder))
    check_room(vocabulary, room.prompt)
    policy = policy_of(row, said, folder)
    plan = plan_for(row, shape, device, str(number_format).removeprefix("torch."))
    memory.check(plan)
    narrow = plan.dtype if plan.dtype in experts.KINDS else ""
    model, stored = checked(folder, config)
    began = time.perf_counter()
    try:
        with one_thread():
            fill(model, stored, device, number_format, narrow, on_share)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise memory.outgrown(row.id, device) from error
    logger.info(
        "%s: loaded as %s to %s in %.1f s; this process had at most %.2f GB of host memory",
        row.id, narrow or number_format, device, time.perf_counter() - began,
        (weights.peak_host_bytes() or 0) / 1e9,
    )  # fmt: skip
    network = Network(model)
    return Engine(
        card_of(folder, row),
        network,
        vocabulary,
        room=room,
        policy=policy,
        mode=row.mode,
        seed=seed,
    )


def checked(
    folder: Path, config: Mapping[str, Any]
) -> tuple[DiffusionGemmaForBlockDiffusion, dict[str, Stored]]:
    """The modules, empty, and where all of their weights are. Raises `ModelError` for what is
    missing, too much, of another size or in a format that is not read."""
    with torch.device("meta"):
        model = built(config, folder)
    stored = {
        name: tensor for name, tensor in weights.stored_in(folder).items()
        if not name.startswith(IMAGES)
    }  # fmt: skip
    wanted = wanted_of(model)
    head = {HEAD: wanted[EMBEDDING]} if HEAD in stored else {}
    weights.check(folder, stored, {**wanted, **head}, spare=HEAD)
    if head and not weights.same(stored, HEAD, EMBEDDING):
        raise ModelError(
            f"{folder} has a head of its own, apart from its embedding: that is another network "
            "than DiffusionGemma, whose two are one"
        )
    return model, {name: stored[name] for name in wanted}


def built(config: Mapping[str, Any], folder: Path) -> DiffusionGemmaForBlockDiffusion:
    """The modules without weights, encoder and decoder sharing all but a scalar a layer."""
    try:
        model = DiffusionGemmaForBlockDiffusion(DiffusionGemmaConfig.from_dict(dict(config)))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ModelError(
            f"{folder / 'config.json'} asks for the impossible: {' '.join(str(error).split())}"
        ) from error
    inner: Any = model.model
    text: Any = inner.encoder.language_model
    share(inner.decoder, text)
    return model.eval().requires_grad_(False)


def share(decoder: Any, encoder: Any) -> None:
    """Gives the encoder the decoder's own modules, so that whatever is put in their place, as
    quantised experts are, serves both."""
    encoder.embed_tokens, encoder.norm = decoder.embed_tokens, decoder.norm
    for theirs, ours in zip(decoder.layers, encoder.layers, strict=True):
        for name, child in theirs.named_children():
            if name != "self_attn":  # the two attend differently, by the same matrices
                setattr(ours, name, child)
        for name, child in theirs.self_attn.named_children():
            setattr(ours.self_attn, name, child)


def wanted_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and sizes of all that must be stored."""
    held = cast("dict[str, Tensor]", model.state_dict())
    # Of what is shared the state has each name; only the decoder's are stored.
    scalars = {name for name in held if name.startswith(ENCODER) and name.endswith("layer_scalar")}
    return {
        name: tuple(tensor.shape) for name, tensor in held.items()
        if name in scalars or name.startswith("model.decoder.")
    }  # fmt: skip


def fill(
    model: DiffusionGemmaForBlockDiffusion,
    stored: Mapping[str, Stored],
    device: str,
    dtype: torch.dtype,
    narrow: str = "",
    on_share: OnShare | None = None,
) -> None:
    """Reads all weights straight to where they stay; `narrow` experts one by one, each rounded on
    the device, so that of wide ones there is never more than one."""
    if narrow:
        experts.put_in(model, narrow)
    whole = sum(tensor.bytes for tensor in stored.values())
    done = 0
    for name in sorted(stored, key=lambda it: str(stored[it].path)):
        at, _, kind = name.rpartition(".")
        layer = model.get_submodule(at)
        if isinstance(layer, experts.NarrowExperts):
            take(layer, kind, name, stored[name], device, dtype)
        else:
            tensor = weights.read(stored[name], name, device, dtype)
            if isinstance(getattr(layer, kind), nn.Parameter):
                layer.register_parameter(kind, nn.Parameter(tensor, requires_grad=False))
            else:
                layer.register_buffer(kind, tensor)
        done += stored[name].bytes
        if on_share:
            on_share(f"{done / 1e9:.1f} of {whole / 1e9:.1f} GB", done / whole)
    inner: Any = model.model
    model.lm_head.weight = inner.decoder.embed_tokens.weight
    for stack in (inner.decoder, inner.encoder.language_model):
        stack.rotary_emb = type(stack.rotary_emb)(stack.rotary_emb.config, device=device)
    embedding = inner.decoder.embed_tokens
    embedding.embed_scale = torch.tensor(embedding.scalar_embed_scale, device=device)


def take(
    layer: experts.NarrowExperts,
    kind: str,
    name: str,
    stored: Stored,
    device: str,
    dtype: torch.dtype,
) -> None:
    try:
        with safe_open(stored.path, framework="pt") as file:
            layer.take(kind, Sliced(file.get_slice(name), dtype, stored.shape), device)
    except OSError as error:
        raise weights.damaged(stored.path, error) from error


class Sliced:
    """Fused experts in a file, read one at a time."""

    def __init__(self, part: Any, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
        self.part, self.dtype, self.shape = part, dtype, shape

    def __getitem__(self, expert: int, /) -> Tensor:
        return self.part[expert].to(self.dtype)


def generation_of(folder: Path) -> Mapping[str, Any]:
    """What generation_config.json says; nothing where there is none."""
    path = folder / "generation_config.json"
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def ends_of(*said: Mapping[str, Any]) -> set[int]:
    """The ids that end an answer, of all that is said."""
    found: set[int] = set()
    for each in said:
        ends = each.get("eos_token_id")
        found |= {i for i in (ends if isinstance(ends, list) else [ends]) if type(i) is int}
    return found


def policy_of(row: Row, said: Mapping[str, Any], folder: Path) -> Policy:
    """The published bound and temperatures over few steps, in which they really fall; or all of it
    as published."""
    try:
        published = Policy.published(said)
        if row.decoding == "published":
            return published
        return Policy(
            steps=row.steps, bound=published.bound, t_max=published.t_max, t_min=published.t_min,
            stability=published.stability, confidence=published.confidence,
        )  # fmt: skip
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder / 'generation_config.json'} cannot be used: {error}") from error


def canvas_of(row: Row, shape: Shape, folder: Path) -> int:
    canvas = row.canvas or shape.canvas
    if canvas > shape.canvas:
        raise ModelError(
            f"{row.id} is to have a canvas of {canvas} tokens, but that of {folder} was trained "
            f"with {shape.canvas}: give the key `canvas` at most that, or leave it away"
        )
    if row.limit > canvas:
        raise ModelError(
            f"{row.id} is to write holes of up to {row.limit} tokens, which is beyond its canvas "
            f"of {canvas}: give the key `limit` a smaller number"
        )
    return canvas
