"""What a published config.json says: which architecture, and its shape.

Configs are checked for all that would ask for other arithmetic than ours; `model/gemma/shape.py`
reads those of DiffusionGemma. No torch, no weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.canvas import ModelError

LAYOUT_OF = {
    "dream": "qwen2",
    "qwen2": "qwen2",
    "a2d-qwen2": "qwen2",
    "qwen3": "qwen3",
    "a2d-qwen3": "qwen3",
    "llada": "llada",
    "diffusion_gemma": "diffusion_gemma",
}  # by `model_type`, in small letters
GEMMA = "google/diffusiongemma-26B-A4B-it"
# What the arithmetic of model/masked/network.py takes for granted; a config that says otherwise is
# of another architecture, whatever its name.
GRANTED: dict[str, dict[str, tuple[object, ...]]] = {
    "qwen2": {
        "hidden_act": ("silu",),
        "use_sliding_window": (False, None),
        "use_mrope": (False, None),
        "quantization_config": (None,),
    },
    "qwen3": {
        "hidden_act": ("silu",),
        "use_sliding_window": (False, None),
        "attention_bias": (False,),
        "quantization_config": (None,),
    },
    "llada": {
        "block_type": ("llama",),
        "activation_type": ("silu",),
        "layer_norm_type": ("rms",),
        "rope": (True,),
        "alibi": (False,),
        "include_bias": (False,),
        "include_qkv_bias": (False, None),
        "attention_layer_norm": (False,),
        "input_emb_norm": (False,),
        "scale_logits": (False,),
        "multi_query_attention": (False, None),
        "quantization_config": (None,),
    },
}


def is_published(folder: Path) -> bool:
    """Whether a folder's config was written by a publisher of networks; ours say a family."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "family" not in config and "model_type" in config


def config_of(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def layout_of(config: Mapping[str, Any], folder: Path) -> str:
    kind = str(config.get("model_type"))
    layout = LAYOUT_OF.get(kind.lower())
    if layout is None and "gemma" in kind.lower():
        raise ModelError(
            f"{folder} is {kind!r}, another Gemma: it writes from left to right and fills no hole. "
            f"Take {GEMMA}, the one that refines a canvas, or 'bundled'"
        )
    if layout is None:
        raise ModelError(
            f"{folder} is of the architecture {kind!r}, which is not known (known are "
            f"{', '.join(LAYOUT_OF)}): take a network of one of those, or 'bundled'"
        )
    return layout


def shape_of(config: Mapping[str, Any], layout: str, folder: Path, *, head: bool) -> dict[str, Any]:
    """The arguments of `network.Shape` but for `shift`; `head`: whether there are weights for one.

    Raises `ModelError` for what is missing, and for what would ask for other arithmetic.
    """
    where = folder / "config.json"
    for key, values in GRANTED[layout].items():
        found = config.get(key, values[0])
        if found not in values:
            raise ModelError(
                f"{where} says {key} = {json.dumps(found)}, which is another architecture; only "
                f"{json.dumps(values[0])} is known"
            )

    def number(*keys: str) -> int:
        for key in keys:
            value = config.get(key)
            if type(value) is int and value > 0:
                return value
        raise ModelError(f"{where} lacks {' or '.join(keys)}, or it is no number above 0")

    if layout == "llada":
        heads = number("n_heads")
        return {
            "vocab": number("embedding_size", "vocab_size"),
            "dim": number("d_model"),
            "layers": number("n_layers"),
            "heads": heads,
            "kv_heads": config.get("n_kv_heads") or heads,
            "ff": number("mlp_hidden_size"),
            "rope_theta": rope_theta_of(config, where),
            "eps": positive(config, "rms_norm_eps", where),
            "tied": tied(config, "weight_tying", head),
        }
    heads = number("num_attention_heads")
    return {
        "vocab": number("vocab_size"),
        "dim": number("hidden_size"),
        "layers": number("num_hidden_layers"),
        "heads": heads,
        "kv_heads": config.get("num_key_value_heads") or heads,
        "ff": number("intermediate_size"),
        "head_dim": config.get("head_dim") or 0,
        "rope_theta": rope_theta_of(config, where),
        "eps": positive(config, "rms_norm_eps", where),
        "qkv_bias": layout == "qwen2",
        "qk_norm": layout == "qwen3",
        "tied": tied(config, "tie_word_embeddings", head),
    }


def tied(config: Mapping[str, Any], key: str, head: bool) -> bool:
    said = config.get(key)
    return said if isinstance(said, bool) else not head


def positive(config: Mapping[str, Any], key: str, where: Path) -> float:
    value = config.get(key)
    if isinstance(value, (int, float)) and value > 0:
        return float(value)
    raise ModelError(f"{where} lacks {key}, or it is no number above 0")


def rope_theta_of(config: Mapping[str, Any], where: Path) -> float:
    """From where transformers 4 wrote it, or from where 5 does. Never a default: the usual one is
    a hundred times off."""
    newer: Mapping[str, Any] = config.get("rope_parameters") or {}
    older: Mapping[str, Any] = config.get("rope_scaling") or {}
    for rope in (newer, older):
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind != "default":
            raise ModelError(
                f"{where} stretches positions by {kind!r}, which is not known; only the context "
                "that a network was trained on can be used"
            )
    return positive(newer if "rope_theta" in newer else config, "rope_theta", where)
