"""The shape that a DiffusionGemma's config.json says. No torch, no weights.

It is checked for all that would ask for other arithmetic than ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.canvas import ModelError

FULL, SLIDING = "full_attention", "sliding_attention"
# What our step takes for granted of the arithmetic.
GRANTED: dict[str, tuple[object, ...]] = {
    "hidden_activation": ("gelu_pytorch_tanh",),
    "attention_bias": (False,),
    "use_bidirectional_attention": ("vision", None),
}


@dataclass(frozen=True, slots=True)
class Heads:
    """Of one layer, what keys and values have."""

    num_key_value_heads: int
    head_dim: int


@dataclass(frozen=True, slots=True)
class Shape:
    """In the words of transformers' text config, as far as arithmetic on it asks."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layer_types: tuple[str, ...]
    per_layer_config: tuple[Heads, ...]
    num_attention_heads: int
    num_experts: int
    top_k_experts: int
    moe_intermediate_size: int
    max_position_embeddings: int
    sliding_window: int
    canvas: int  # tokens that are refined at once

    @property
    def num_hidden_layers(self) -> int:
        return len(self.layer_types)


def shape_from(config: Mapping[str, Any], folder: Path) -> Shape:
    """Raises `ModelError` for what is missing, and for what would ask for other arithmetic."""
    where = folder / "config.json"
    text: dict[str, Any] = config.get("text_config") or {}
    if not text:
        raise ModelError(f"{where} lacks text_config: it is no config of a DiffusionGemma")
    if quantised := config.get("quantization_config"):
        how = quantised.get("quant_method", "some way") if isinstance(quantised, Mapping) else ""  # pyright: ignore
        raise ModelError(
            f"{folder} holds weights quantised by {how}, which are not read: take the published "
            'bfloat16 ones; with the key weights = "int4" they are quantised while they are loaded'
        )
    for key, values in GRANTED.items():
        if (found := text.get(key, values[0])) not in values:
            raise ModelError(
                f"{where} says {key} = {found!r}, which is another architecture; only "
                f"{values[0]!r} is known"
            )

    def number(key: str, of: Mapping[str, Any] = text) -> int:
        value = of.get(key)
        if type(value) is int and value > 0:
            return value
        raise ModelError(f"{where} lacks {key}, or it is no number above 0")

    layers = number("num_hidden_layers")
    kinds: list[str] = list(text.get("layer_types") or [])
    if len(kinds) != layers or not {*kinds} <= {FULL, SLIDING}:
        raise ModelError(
            f"{where} must say of each of its {layers} layers (layer_types) whether it is "
            f"{SLIDING} or {FULL}, not {kinds!r}"
        )
    usual = Heads(number("num_key_value_heads"), number("head_dim"))
    own = own_of_full(text)
    full = Heads(
        own.get("num_key_value_heads") or usual.num_key_value_heads,
        own.get("head_dim") or usual.head_dim,
    )
    return Shape(
        vocab_size=number("vocab_size"),
        hidden_size=number("hidden_size"),
        intermediate_size=number("intermediate_size"),
        layer_types=tuple(kinds),
        per_layer_config=tuple(full if kind == FULL else usual for kind in kinds),
        num_attention_heads=number("num_attention_heads"),
        num_experts=number("num_experts"),
        top_k_experts=number("top_k_experts"),
        moe_intermediate_size=number("moe_intermediate_size"),
        max_position_embeddings=number("max_position_embeddings"),
        sliding_window=number("sliding_window"),
        canvas=number("canvas_length", config),
    )


def own_of_full(text: Mapping[str, Any]) -> Mapping[str, Any]:
    """What full layers have otherwise: as published, or by layer as transformers writes it."""
    by_layer: Mapping[str, Mapping[str, Any]] = text.get("per_layer_config") or {}
    if by_layer:
        return next(iter(by_layer.values()))
    return {
        "head_dim": text.get("global_head_dim"),
        "num_key_value_heads": text.get("num_global_key_value_heads"),
    }
