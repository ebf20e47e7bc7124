"""What DiffusionGemma takes in memory, by arithmetic on its config: no weights, no torch.

It knows shapes, and what of the working memory is alive at once; what is free, it does not ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model.published.memory import OVERHEAD

# The text part of the published config.json; defaults of transformers' class are another network.
PUBLISHED: dict[str, Any] = {
    "vocab_size": 262_144, "hidden_size": 2816, "intermediate_size": 2112,
    "num_hidden_layers": 30, "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 5,
    "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 256,
    "num_global_key_value_heads": 2, "global_head_dim": 512, "sliding_window": 1024,
    "num_experts": 128, "top_k_experts": 8, "moe_intermediate_size": 704,
    "max_position_embeddings": 262_144, "use_bidirectional_attention": "vision",
}  # fmt: skip

WIDE = 2  # bytes of a bfloat16
CHUNK = 1024  # tokens that the encoder reads at once
COPIES = 6  # of the logits in float32: as the head has them, by temperature, their probabilities
# and the logarithms of those, both multiplied, and the noise that they race against


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes. `working` is the most that one pass through encoder or canvas has alive at once."""

    experts: int
    dense: int  # all other matrices and the embedding, in bfloat16
    history: int  # keys and values of the prompt, all of them in each layer
    working: int

    @property
    def weights(self) -> int:
        return self.experts + self.dense

    @property
    def total(self) -> int:
        return self.weights + self.history + self.working


def footprint(
    config: Any, kind: str = "bfloat16", *, prompt: int = 8192, canvas: int = 256,
    rows: int | None = None, way: str = "fused", window: int = 1024,
) -> Footprint:  # fmt: skip
    """For transformers' text config, experts held as `kind` and multiplied in that `way`
    (model/gemma/experts.py). `rows` are those that the head is asked for, at most all of the
    canvases' tokens `canvas`. `window` is that of sliding layers. The part that reads images is
    not counted, as it is not held."""
    layers = [config.per_layer_config[layer] for layer in range(config.num_hidden_layers)]
    pairs = [2 * layer.num_key_value_heads * layer.head_dim for layer in layers]
    # Where canvases are computed stands a copy of what they see of the prompt.
    seen = sum(
        pair * (min(prompt, window) if kind == "sliding_attention" else prompt)
        for pair, kind in zip(pairs, config.layer_types, strict=True)
    )
    every = 3 * config.hidden_size * config.moe_intermediate_size * config.num_experts
    outputs = (2 * config.moe_intermediate_size + config.hidden_size) * config.num_experts
    held = {
        "bfloat16": WIDE * every,
        "float8": every + 4 * outputs,
        "int4": every // 2 + WIDE * every // 32,
    }[kind]
    length = prompt + canvas
    pass_of = [
        _pass(config, max(pairs), min(CHUNK, prompt), length, 0),
        _pass(config, max(pairs), canvas, length, canvas if rows is None else rows),
    ]
    # Of the wider projection, all experts at once; of int4 the levels are unpacked first.
    each = {"bfloat16": 0, "float8": WIDE, "int4": WIDE + 1}[kind] if way == "widened" else 0
    return Footprint(
        experts=held * len(layers),
        dense=WIDE * dense_parameters(config),
        history=WIDE * prompt * sum(pairs),
        working=OVERHEAD + max(pass_of) + WIDE * seen + each * every * 2 // 3,
    )


def _pass(config: Any, pairs: int, tokens: int, length: int, rows: int) -> int:
    """Layers follow each other, so the largest of what is alive in attention, experts and head."""
    width, inner = config.hidden_size, config.moe_intermediate_size
    states = tokens * width * (3 * WIDE + 4)  # of the layer and before it, and a norm in float32
    # The worst of attention's kernels holds all scores in float32, and once more rounded; keys and
    # values of the history are joined with those of the canvas.
    attention = config.num_attention_heads * tokens * length * (4 + WIDE) + WIDE * length * pairs
    each = WIDE * (width + 4 * inner + width) + 2 * 4 * width  # a token at an expert
    experts = tokens * config.top_k_experts * each
    head = rows * config.vocab_size * 4 * COPIES
    return states + max(attention, experts, head)


def dense_parameters(config: Any) -> int:
    """All but the experts, and without the part that reads images."""
    width = config.hidden_size
    total = config.vocab_size * width + width  # the embedding is the head, too; the last norm
    total += 3 * width * config.intermediate_size + width  # self-conditioning
    for number, kind in enumerate(config.layer_types):
        layer = config.per_layer_config[number]
        queries = config.num_attention_heads * layer.head_dim
        key = layer.num_key_value_heads * layer.head_dim
        keys = key * (2 if kind == "sliding_attention" else 1)  # full layers have no values
        total += width * (2 * queries + keys) + 2 * layer.head_dim
        total += 3 * width * config.intermediate_size
        total += config.num_experts * (width + 1) + width  # the router, its scales
        total += 7 * width  # norms
    return total
