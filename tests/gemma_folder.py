"""A DiffusionGemma as it is published, tiny and random: config, shards, vocabulary, sampling.

Names, ids of special tokens and the form of each file are those of the published folder; only the
sizes are not.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch, transformers and tokenizers are only partly typed.

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers.models.diffusion_gemma import DiffusionGemmaForBlockDiffusion

from tests.gemma import tiny_config, tiny_model
from tests.published import write_weights

SPECIALS = {
    "<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "<mask>": 4, "<|tool>": 46, "<tool|>": 47,
    "<|tool_call>": 48, "<tool_call|>": 49, "<|tool_response>": 50, "<tool_response|>": 51,
    '<|"|>': 52, "<|think|>": 98, "<|channel>": 100, "<channel|>": 101, "<|turn>": 105,
    "<turn|>": 106,
}  # fmt: skip
PLAIN = {"<unused0>": 6, "<unused1>": 7, "\n\n": 108, "\n\n\n": 109, "▁▁": 138, "▁▁▁▁": 139,
         "<table>": 168}  # fmt: skip  # added tokens, too, but not special ones
BYTES = 217  # the id of <0x00>; text begins behind <0xFF>
TEXT = BYTES + 256
VOCABULARY = 640
CODE = [
    "def area(width, height):\n    return width * height\n\n\nprint('area', area(3, 4))\n",
    "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = y\n",
    "A source file has a gap. Reply with the whole file in one code block.\nuser\nmodel\n```\n",
]
GENERATION = {
    "max_denoising_steps": 48, "max_new_tokens": 256, "t_max": 0.8, "t_min": 0.4,
    "stability_threshold": 1, "confidence_threshold": 0.005, "bos_token_id": 2,
    "eos_token_id": [1, 106, 50], "pad_token_id": 0,
    "sampler_config": {"_cls_name": "EntropyBoundSamplerConfig", "entropy_bound": 0.1},
}  # fmt: skip


def gemma_model(seed: int = 0, **changes: Any) -> DiffusionGemmaForBlockDiffusion:
    """`changes` are those of the text's config."""
    changes = {"max_position_embeddings": 4096, "sliding_window": 64, **changes}
    return tiny_model(seed, tiny_config(VOCABULARY, 256, **changes))


def write_gemma(
    folder: Path, model: DiffusionGemmaForBlockDiffusion | None = None, shards: int = 3
) -> Path:
    """The folder as it is published."""
    model = model or gemma_model()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(published_config(model), indent=1))
    (folder / "generation_config.json").write_text(json.dumps(GENERATION, indent=1))
    write_weights(folder, published_weights(model), shards)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    return folder


def published_config(model: DiffusionGemmaForBlockDiffusion) -> dict[str, Any]:
    config = model.config.to_dict()
    config["architectures"] = ["DiffusionGemmaForBlockDiffusion"]
    text = config["text_config"]
    by_layer = text.pop("per_layer_config")
    full = next(iter(by_layer.values()))
    text["global_head_dim"] = full["head_dim"]
    text["num_global_key_value_heads"] = full["num_key_value_heads"]
    return config


def published_weights(model: DiffusionGemmaForBlockDiffusion) -> dict[str, torch.Tensor]:
    """One backbone, under the decoder's name; of the encoder its scalars and what reads images."""
    return {
        name: tensor.clone()
        for name, tensor in model.state_dict().items()
        if name.startswith(("model.decoder.", "model.encoder.vision", "model.encoder.embed_vision"))
        or name.endswith("layer_scalar")
    }


def tokenizer() -> dict[str, Any]:
    """BPE that falls back to bytes, its ids those of Gemma's where they have a meaning."""
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - TEXT - 8, show_progress=False)
    made.train_from_iterator(CODE * 4, trainer)
    model = json.loads(made.to_str())["model"]
    fixed = SPECIALS | PLAIN | {f"<0x{byte:02X}>": BYTES + byte for byte in range(256)}
    texts = [text for text in model["vocab"] if text not in fixed]
    vocab = fixed | {text: TEXT + i for i, text in enumerate(texts)}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": text in SPECIALS}
            for text, i in sorted((SPECIALS | PLAIN).items(), key=lambda it: it[1])
        ],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {
            "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
            "invert": False,
        },
        "post_processor": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True,
            "ignore_merges": False, "vocab": vocab, "merges": model["merges"],
        },
    }  # fmt: skip
