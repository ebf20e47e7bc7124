"""DiffusionGemma in random weights, made on the device layer by layer: in its published shape, or
in a tiny one, to see on a CPU that all of it runs.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch and transformers are only partly typed.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.diffusion_gemma import (
    DiffusionGemmaConfig,
    DiffusionGemmaForBlockDiffusion,
    DiffusionGemmaTextConfig,
)
from transformers.models.diffusion_gemma.modeling_diffusion_gemma import DiffusionGemmaTextExperts
from transformers.models.gemma4.configuration_gemma4 import Gemma4VisionConfig

from model.gemma.experts import NarrowExperts, put_in
from model.gemma.footprint import PUBLISHED
from model.gemma.load import share


@dataclass(frozen=True, slots=True)
class Trial:
    """What is measured, and on which shape."""

    device: str
    repeats: int
    shape: dict[str, Any]
    prompt: int
    canvas: int
    hole: int

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.device == "cuda" else torch.float32

    @property
    def config(self) -> Any:
        return DiffusionGemmaTextConfig(**self.shape)


def published(repeats: int) -> Trial:
    return Trial("cuda", repeats, PUBLISHED, prompt=2048, canvas=256, hole=64)


def tiny() -> Trial:
    small = {
        "vocab_size": 97, "hidden_size": 64, "intermediate_size": 48, "num_hidden_layers": 3,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "num_global_key_value_heads": 1, "global_head_dim": 32, "sliding_window": 16,
        "num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 32,
        "max_position_embeddings": 512,
    }  # fmt: skip
    return Trial("cpu", 2, PUBLISHED | small, prompt=40, canvas=24, hole=8)


def random_model(trial: Trial, kind: str = "") -> DiffusionGemmaForBlockDiffusion:
    """As it would be loaded: built without weights, then filled one matrix after another, or one
    expert where experts are narrow."""
    vision = Gemma4VisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, head_dim=8,
    )  # fmt: skip
    config = DiffusionGemmaConfig(
        text_config=trial.config, vision_config=vision, canvas_length=trial.canvas
    )
    with torch.device("meta"):
        model = DiffusionGemmaForBlockDiffusion(config)
    parts: Any = model.model
    decoder, encoder = parts.decoder, parts.encoder.language_model
    share(decoder, encoder)
    if kind:
        put_in(model, kind)
    for stack in (decoder, encoder):
        for module in stack.modules():
            fill(module, trial)
        stack.rotary_emb = type(stack.rotary_emb)(stack.rotary_emb.config, device=trial.device)
    embedding = decoder.embed_tokens
    embedding.embed_scale = torch.tensor(embedding.scalar_embed_scale, device=trial.device)
    whole: Any = model
    whole.lm_head.weight = embedding.weight
    return model.eval().requires_grad_(False)


def random_experts(config: Any, trial: Trial) -> nn.Module:
    with torch.device("meta"):
        experts = DiffusionGemmaTextExperts(config)
    fill(experts, trial)
    return experts


def fill(module: nn.Module, trial: Trial) -> None:
    """Gives a module's own weights values, if it has none yet."""
    for name, weight in list(module.named_parameters(recurse=False)):
        if weight.is_meta:
            its = Noise(weight.shape, trial)
            value = its.whole() if weight.dim() > 1 else torch.ones_like(its.whole())
            setattr(module, name, nn.Parameter(value, requires_grad=False))
    if isinstance(module, NarrowExperts):
        for name in ("gate_up_proj", "down_proj"):
            narrow = module.narrow(name)
            if narrow.weight.is_meta:
                packed = 2 if narrow.kind == "int4" else 1
                *outer, width = narrow.weight.shape
                module.take(name, Noise((*outer, packed * width), trial), trial.device)
    elif (scalar := getattr(module, "layer_scalar", None)) is not None and scalar.is_meta:
        module.register_buffer("layer_scalar", torch.ones(1, device=trial.device))


@dataclass(frozen=True, slots=True)
class Noise:
    """Random weights, of which `experts.quantised` asks for one expert at a time."""

    shape: Sequence[int]
    trial: Trial

    def whole(self) -> Tensor:
        value = torch.empty(self.shape, device=self.trial.device, dtype=self.trial.dtype)
        return value.normal_(std=self.shape[-1] ** -0.5)

    def __getitem__(self, expert: int) -> Tensor:
        return Noise(self.shape[1:], self.trial).whole()
