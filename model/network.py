"""One bidirectional transformer for the masked family: token ids in, logits out.

The shape is Qwen2's and Llama's (RMSNorm, grouped-query attention, rotary positions, SwiGLU), with
attention in both directions. Parameters carry Qwen2's names, so stock weights of that shape load
without a map. It knows no tokenizer, no holes and no sampling.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Shape:
    """The hyperparameters of a network; a `config.json` holds the same names.

    `shift`: the token at position i is read from row i-1, as Dream and its kin were trained.
    `causal`: a token sees only what stands before it, as in the twin of `model/twin.py`.
    """

    vocab: int
    dim: int
    layers: int
    heads: int
    kv_heads: int
    ff: int
    head_dim: int = 0  # 0: dim // heads
    rope_theta: float = 10_000.0
    eps: float = 1e-6
    qkv_bias: bool = False
    qk_norm: bool = False
    tied: bool = True
    shift: bool = False
    causal: bool = False

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} key/value heads")
        if self.head_width % 2:
            raise ValueError(f"rotary positions need an even head width, not {self.head_width}")

    @property
    def head_width(self) -> int:
        return self.head_dim or self.dim // self.heads


class Network(nn.Module):
    """Every token sees every other, unless the shape is causal; nothing is kept between calls."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Body(shape)
        self.lm_head = nn.Linear(shape.dim, shape.vocab, bias=False)
        if shape.tied:
            self.lm_head.weight = self.model.embed_tokens.weight
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(
        self, tokens: Tensor, lengths: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        """Logits of the wanted positions.

        `tokens` (batch, length) holds ids, padded on the right; `lengths` (batch) says how many of
        each row are real, None that all are. `rows` (wanted) are positions in the flattened
        (batch · length) grid whose logits are needed: the head is by far the widest layer, so only
        hole rows should pass it. Returns (wanted, vocab), or (batch, length, vocab) without `rows`.
        """
        hidden = self.model(tokens, lengths)  # (batch, length, dim)
        if self.shape.shift:
            hidden = torch.cat((hidden[:, :1], hidden[:, :-1]), dim=1)
        if rows is not None:
            hidden = hidden.flatten(0, 1)[rows]  # (wanted, dim)
        logits: Tensor = self.lm_head(hidden)
        return logits


class Body(nn.Module):
    """Embedding, blocks and the last norm: (batch, length) ids to (batch, length, dim) states."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab, shape.dim)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.dim, shape.eps)

    def forward(self, tokens: Tensor, lengths: Tensor | None) -> Tensor:
        length = tokens.shape[1]
        seen = None
        if lengths is not None:
            real = torch.arange(length, device=tokens.device) < lengths[:, None]  # (batch, length)
            seen = real[:, None, None, :]  # every query sees all real keys
        hidden: Tensor = self.embed_tokens(tokens)
        turn = rotation(length, self.shape, tokens.device, hidden.dtype)
        for block in self.layers:
            hidden = block(hidden, turn, seen)
        out: Tensor = self.norm(hidden)
        return out


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.dim, shape.eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.dim, shape.eps)
        self.mlp = SwiGLU(shape)

    def forward(self, hidden: Tensor, turn: tuple[Tensor, Tensor], seen: Tensor | None) -> Tensor:
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), turn, seen)
        out: Tensor = hidden + self.mlp(self.post_attention_layernorm(hidden))
        return out


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.head_width
        self.q_proj = nn.Linear(shape.dim, shape.heads * width, bias=shape.qkv_bias)
        self.k_proj = nn.Linear(shape.dim, shape.kv_heads * width, bias=shape.qkv_bias)
        self.v_proj = nn.Linear(shape.dim, shape.kv_heads * width, bias=shape.qkv_bias)
        self.o_proj = nn.Linear(shape.heads * width, shape.dim, bias=False)
        self.q_norm = RMSNorm(width, shape.eps) if shape.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(width, shape.eps) if shape.qk_norm else nn.Identity()

    def forward(self, hidden: Tensor, turn: tuple[Tensor, Tensor], seen: Tensor | None) -> Tensor:
        batch, length, _ = hidden.shape
        width = self.shape.head_width

        def heads(projected: Tensor) -> Tensor:  # (batch, length, h·w) to (batch, h, length, w)
            return projected.view(batch, length, -1, width).transpose(1, 2)

        q = rotate(self.q_norm(heads(self.q_proj(hidden))), turn)
        k = rotate(self.k_norm(heads(self.k_proj(hidden))), turn)
        v = heads(self.v_proj(hidden))
        causal = self.shape.causal  # padding is on the right, where no real token looks then
        mixed = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=None if causal else seen, is_causal=causal,
            enable_gqa=self.shape.heads != self.shape.kv_heads,
        )  # fmt: skip
        out: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))
        return out


class SwiGLU(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.dim, shape.ff, bias=False)
        self.up_proj = nn.Linear(shape.dim, shape.ff, bias=False)
        self.down_proj = nn.Linear(shape.ff, shape.dim, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        gated = functional.silu(self.gate_proj(hidden)) * self.up_proj(hidden)
        out: Tensor = self.down_proj(gated)
        return out


class RMSNorm(nn.Module):
    """Normalised in float32 whatever the dtype, then cast, then scaled: Qwen2's order."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        exact = hidden.float()
        exact = exact * torch.rsqrt(exact.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * exact.to(hidden.dtype)


def rotation(
    length: int, shape: Shape, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of positions 0 … length-1, each (length, head width)."""
    width = shape.head_width
    steps = torch.arange(0, width, 2, device=device, dtype=torch.float32) / width
    angles = torch.outer(
        torch.arange(length, device=device, dtype=torch.float32), shape.rope_theta**-steps
    )
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(heads: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions, the halves turned against each other (Qwen2 and Llama as published)."""
    cos, sin = turn
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat((-second, first), dim=-1) * sin
