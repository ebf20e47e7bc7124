"""DiffusionGemma without weights: all its parts, in a size that a test computes in milliseconds."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# torch and transformers are only partly typed.

from __future__ import annotations

import torch
from transformers.models.diffusion_gemma import (
    DiffusionGemmaConfig,
    DiffusionGemmaForBlockDiffusion,
    DiffusionGemmaTextConfig,
)
from transformers.models.gemma4.configuration_gemma4 import Gemma4VisionConfig

torch.set_num_threads(1)  # threads wait for each other longer than such networks compute

VOCABULARY, WINDOW = 97, 12
LAYERS = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]


def tiny_config(
    vocabulary: int = VOCABULARY, canvas: int = 32, **changes: object
) -> DiffusionGemmaConfig:
    """The published shape in small; `changes` are those of the text's config.

    The window is short enough to be passed, full layers have other heads than sliding ones and no
    values of their own. The part for images cannot be left out, so it is as small as it can be.
    """
    values: dict[str, object] = {
        "vocab_size": vocabulary, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": len(LAYERS), "layer_types": LAYERS, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "global_head_dim": 16,
        "num_global_key_value_heads": 1, "sliding_window": WINDOW, "num_experts": 8,
        "top_k_experts": 2, "moe_intermediate_size": 16, "max_position_embeddings": 512,
        "use_bidirectional_attention": "vision", "initializer_range": 0.2, **changes,
    }  # fmt: skip
    text = DiffusionGemmaTextConfig(**values)  # type: ignore[arg-type]
    vision = Gemma4VisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, head_dim=8,
    )  # fmt: skip
    return DiffusionGemmaConfig(
        text_config=text, vision_config=vision, canvas_length=canvas,
        initializer_range=text.initializer_range,
        image_token_id=vocabulary - 1, boi_token_id=vocabulary - 2, eoi_token_id=vocabulary - 3,
    )  # fmt: skip


def tiny_model(
    seed: int = 0, config: DiffusionGemmaConfig | None = None
) -> DiffusionGemmaForBlockDiffusion:
    """Random weights, large enough that the network has opinions."""
    torch.manual_seed(seed)
    model = DiffusionGemmaForBlockDiffusion(config or tiny_config()).eval()
    # As published, these stand beside the tied weights; here no layer's are 1 by chance.
    for name, buffer in model.named_buffers():
        if name.endswith("layer_scalar"):
            layer = int(name.split(".")[-2])
            buffer.fill_(0.8 + 0.1 * layer)
    return model


def exact(model: DiffusionGemmaForBlockDiffusion) -> DiffusionGemmaForBlockDiffusion:
    """In float64. A random network is chaotic: after ten steps in float32 there is not one token
    left that the order of a sum has not changed."""
    model.double().set_experts_implementation("eager")  # the others do not multiply float64
    return model
