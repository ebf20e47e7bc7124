"""Checkpoints as their authors publish them, tiny and random; and the logits that they compute.

Written from descriptions of the published code, apart from the code under test: the networks are
transformers' own, what is read from them is told here anew. What is made of it: `tests/loops.py`.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

torch.set_num_threads(1)

TEXTS = ["def area(width, height):\n    return width * height\n\n\nprint('é', area(3, 4))\n"] * 3
WORDS = 300  # tokens of text; the special ones have the ids that they have in the real vocabulary
QWEN_SPECIALS = {"<|endoftext|>": 151643, "<|im_end|>": 151645, "<|fim_prefix|>": 151659}


@dataclass(frozen=True, slots=True)
class Kind:
    """How one family writes its checkpoints. `theirs` is transformers' class for the arithmetic."""

    id: str
    model_type: str
    theirs: str
    vocab: int
    specials: dict[str, int]
    layout: str = "one"  # one tokenizer.json; or "two": vocab.json, merges.txt, added_tokens.json
    beside: tuple[str, ...] = ()  # specials that stand in added_tokens.json only
    tied: bool = False
    head: bool = True  # is lm_head.weight written?
    shift: bool = True


DREAM = QWEN_SPECIALS | {"<|beginoftext|>": 151665, "<|mask|>": 151666}
KINDS = {
    "dreamon": Kind(
        "Dream-org/DreamOn-v0-7B", "Dream", "Qwen2", 152064, DREAM | {"<|expand|>": 151667}, "two"
    ),
    "dream-coder": Kind(
        "Dream-org/Dream-Coder-v0-Instruct-7B", "Dream", "Qwen2", 152064, DREAM, "two"
    ),
    "diffucoder": Kind(
        "apple/DiffuCoder-7B-cpGRPO", "Dream", "Qwen2", 152064,
        QWEN_SPECIALS | {"<|mask|>": 151666, "<|dlm_pad|>": 151667}, "two",
    ),
    "open-dcoder": Kind(
        "fredzzp/open-dcoder-0.5B", "qwen2", "Qwen2", 151936, QWEN_SPECIALS | {"<M>": 151665},
        beside=("<M>",), tied=True, head=False,
    ),
    "a2d-qwen2": Kind(
        "dllm-hub/Qwen2.5-Coder-0.5B-Instruct-diffusion-mdlm-v0.1", "a2d-qwen2", "Qwen2", 151936,
        QWEN_SPECIALS | {"<|mask|>": 151665}, tied=True, shift=False,
    ),
    "a2d-qwen3": Kind(
        "dllm-hub/Qwen3-0.6B-diffusion-mdlm-v0.1", "a2d-qwen3", "Qwen3", 151936,
        QWEN_SPECIALS | {"<|mask|>": 151669}, tied=True, shift=False,
    ),
    "llada": Kind(
        "GSAI-ML/LLaDA-8B-Base", "llada", "Llama", 126464,
        {"<|endoftext|>": 126081, "<|mdm_mask|>": 126336, "<|eot_id|>": 126348}, shift=False,
    ),
}  # fmt: skip


def published_network(kind: Kind, *, seed: int = 0, scale: float = 1.0, **changes: Any) -> Any:
    """The authors' network: tiny, with random weights of which none is as it was initialised."""
    values: dict[str, Any] = {
        "vocab_size": kind.vocab, "hidden_size": 8, "intermediate_size": 12,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "rms_norm_eps": 1e-6, "rope_theta": 1e6, "tie_word_embeddings": kind.tied,
        "attention_bias": False,
    }  # fmt: skip
    if kind.theirs == "Qwen3":
        values["head_dim"] = 6  # not the width that follows from the others
    if kind.theirs == "Llama":
        values |= {"num_key_value_heads": 2, "rms_norm_eps": 1e-5, "rope_theta": 5e5}
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind.theirs}Config")(**{**values, **changes})
    network = getattr(transformers, f"{kind.theirs}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3).mul_(scale)
    return network.requires_grad_(False)


def published_logits(kind: Kind, network: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Every token sees every token; under the shift, the row before a token is read for it."""
    length = tokens.shape[1]
    everything = torch.zeros(1, 1, length, length, dtype=network.dtype)
    positions = torch.arange(length)[None]
    logits = network(tokens, attention_mask=everything, position_ids=positions).logits
    if kind.shift:
        logits = torch.cat([logits[:, :1], logits[:, :-1]], 1)
    return logits


LLADA_NAMES = [
    ("model.embed_tokens", "model.transformer.wte"),
    ("model.layers.", "model.transformer.blocks."),
    ("model.norm", "model.transformer.ln_f"),
    ("lm_head", "model.transformer.ff_out"),
    ("self_attn.o_proj", "attn_out"),
    ("self_attn.", ""),
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ff_norm"),
    ("mlp.gate_proj", "ff_proj"),
    ("mlp.up_proj", "up_proj"),
    ("mlp.down_proj", "ff_out"),
]


def published_weights(kind: Kind, network: Any) -> dict[str, torch.Tensor]:
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    if not kind.head:
        del weights["lm_head.weight"]
    if kind.model_type == "llada":
        for ours, theirs in LLADA_NAMES:
            weights = {name.replace(ours, theirs): tensor for name, tensor in weights.items()}
    return weights


def published_config(kind: Kind, network: Any) -> dict[str, Any]:
    """config.json, in the words of its authors."""
    its = network.config
    if kind.model_type == "llada":
        return {
            "model_type": "llada", "architectures": ["LLaDAModelLM"], "block_type": "llama",
            "activation_type": "silu", "layer_norm_type": "rms", "alibi": False, "rope": True,
            "rope_full_precision": True, "include_bias": False, "include_qkv_bias": False,
            "attention_layer_norm": False, "input_emb_norm": False, "scale_logits": False,
            "multi_query_attention": None, "d_model": its.hidden_size, "mlp_ratio": 4,
            "n_heads": its.num_attention_heads, "n_kv_heads": its.num_key_value_heads,
            "n_layers": its.num_hidden_layers, "mlp_hidden_size": its.intermediate_size,
            "embedding_size": its.vocab_size, "vocab_size": its.vocab_size,
            "rms_norm_eps": its.rms_norm_eps, "rope_theta": its.rope_parameters["rope_theta"],
            "weight_tying": its.tie_word_embeddings, "mask_token_id": 126336,
            "max_sequence_length": 4096,
        }  # fmt: skip
    config = {
        "model_type": kind.model_type, "hidden_act": "silu", "vocab_size": its.vocab_size,
        "hidden_size": its.hidden_size, "intermediate_size": its.intermediate_size,
        "num_hidden_layers": its.num_hidden_layers, "num_attention_heads": its.num_attention_heads,
        "num_key_value_heads": its.num_key_value_heads, "rms_norm_eps": its.rms_norm_eps,
        "tie_word_embeddings": its.tie_word_embeddings, "max_position_embeddings": 32768,
        "use_sliding_window": False, "sliding_window": None, "max_window_layers": 28,
    }  # fmt: skip
    theta = its.rope_parameters["rope_theta"]
    if kind.theirs == "Qwen3":  # as transformers 5 writes it
        rope = {"rope_theta": theta, "rope_type": "default"}
        return config | {
            "attention_bias": False, "head_dim": its.head_dim, "rope_parameters": rope,
            "layer_types": ["full_attention"] * its.num_hidden_layers,
        }  # fmt: skip
    return config | {"rope_theta": theta, "rope_scaling": None, "use_mrope": False}


def write_checkpoint(
    folder: Path, kind: Kind, network: Any, *, shards: int = 2, dtype: torch.dtype | None = None
) -> Path:
    """The folder as its authors publish it: config, weights in shards, files of the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    config = published_config(kind, network)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    weights = published_weights(kind, network)
    if dtype:
        weights = {name: tensor.to(dtype) for name, tensor in weights.items()}
    write_weights(folder, weights, shards)
    write_tokenizer(folder, kind)
    return folder


def write_weights(folder: Path, weights: dict[str, torch.Tensor], shards: int) -> None:
    if shards == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(weights)
    weight_map: dict[str, str] = {}
    for number in range(shards):
        mine = names[number::shards]
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        save_file({name: weights[name] for name in mine}, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(mine, file)
    size = sum(tensor.nbytes for tensor in weights.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def words() -> Tokenizer:
    """A vocabulary of few words that splits text as Qwen2's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS, initial_alphabet=alphabet, show_progress=False, special_tokens=[]
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def write_tokenizer(folder: Path, kind: Kind) -> None:
    tokenizer = words()
    data = json.loads(tokenizer.to_str())
    if kind.layout == "two":
        (folder / "vocab.json").write_text(json.dumps(data["model"]["vocab"]))
        pairs = "".join(f"{first} {second}\n" for first, second in data["model"]["merges"])
        (folder / "merges.txt").write_text(f"#version: 0.2\n{pairs}", "utf-8")
        (folder / "added_tokens.json").write_text(json.dumps(kind.specials))
        return
    data["added_tokens"] = [
        {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": not text.startswith("<|fim")}
        for text, i in kind.specials.items() if text not in kind.beside
    ]  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(data))
    if kind.beside:
        beside = {text: kind.specials[text] for text in kind.beside}
        (folder / "added_tokens.json").write_text(json.dumps(beside))


def into_cache(cache: Path, id: str, folder: Path, revision: str = "a" * 40) -> Path:
    """Puts a folder into a cache of the hub, as huggingface_hub lays it out; the snapshot."""
    repository = cache / f"models--{id.replace('/', '--')}"
    snapshot = repository / "snapshots" / revision
    blobs = repository / "blobs"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(folder.iterdir())):
        blob = blobs / f"{number:064x}"
        shutil.copyfile(file, blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    return snapshot
