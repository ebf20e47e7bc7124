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
    `causal`: a token sees only what stands before it, as in the twin of `model/training/twin.py`.
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
        self.tables: list[tuple[Tensor, Tensor]] = []  # see `turns`

    def forward(
        self,
        tokens: Tensor,
        lengths: Tensor | None,
        kept: Tensor | None = None,
        where: Tensor | None = None,
        wanted: Tensor | None = None,
    ) -> Tensor:
        """States of the tokens, before the shift that some networks read them with.

        Into `kept` (layers, 2, batch, kv heads, length, head width), where given, all keys and
        values are written. With `where` (batch, rows) only the tokens at those positions come, as
        (batch, rows), and what `kept` holds of the others is what they see of them; `lengths` are
        still those of the whole. A position that comes twice must come with the same token.

        `wanted` (batch, few) says which columns of `tokens` are to be read: only their states come,
        (batch, few, dim). Of the others the last block computes keys and values alone. Raises
        `ValueError` where not all rows are asked of a causal shape.
        """
        if self.shape.causal and not (where is None and wanted is None):
            raise ValueError("a causal network is computed as a whole: ask for all of its rows")
        length = tokens.shape[1] if where is None or kept is None else kept.shape[-2]
        seen = None
        if lengths is not None:
            real = torch.arange(length, device=tokens.device) < lengths[:, None]  # (batch, length)
            seen = real[:, None, None, :]  # every query sees all real keys
        hidden: Tensor = self.embed_tokens(tokens)
        cos, sin = self.turns(length, tokens.device, hidden.dtype)
        if where is None:
            turn = (cos[None, None], sin[None, None])  # (1, 1, length, width)
        else:
            turn = (cos[where][:, None], sin[where][:, None])  # (batch, 1, rows, width)
        for number, block in enumerate(self.layers):
            last = number == len(self.layers) - 1
            around = Around(
                turn, seen, None if kept is None else kept[number], where, wanted if last else None
            )
            hidden = block(hidden, around)
        out: Tensor = self.norm(hidden)
        return out

    def turns(self, length: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """`rotation`, computed once for all where nothing is learnt."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return rotation(length, self.shape, device, dtype)
        for cos, sin in self.tables:
            if len(cos) >= length and cos.dtype == dtype and cos.device == device:
                return cos[:length], sin[:length]
        # The smaller ones stay, as graphs may read them.
        self.tables.insert(0, rotation(max(1024, 2 * length), self.shape, device, dtype))
        return self.turns(length, device, dtype)


@dataclass(frozen=True, slots=True)
class Around:
    """What a block has to know of a pass besides the states of the tokens that come.

    `kept` is its own part of what `Body.forward` is given, and `wanted` is None but in the last.
    """

    turn: tuple[Tensor, Tensor]  # cosines and sines of those tokens' positions
    seen: Tensor | None  # (batch, 1, 1, length): which keys are real, None: all of them
    kept: Tensor | None  # (2, batch, kv heads, length, head width)
    where: Tensor | None  # (batch, rows)
    wanted: Tensor | None  # (batch, few)


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.dim, shape.eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.dim, shape.eps)
        self.mlp = SwiGLU(shape)

    def forward(self, hidden: Tensor, around: Around) -> Tensor:
        mixed = self.self_attn(self.input_layernorm(hidden), around)
        hidden = picked(hidden, around.wanted) + mixed
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

    def forward(self, hidden: Tensor, around: Around) -> Tensor:
        def heads(projected: Tensor) -> Tensor:  # (batch, length, h·w) to (batch, h, length, w)
            return projected.unflatten(-1, (-1, self.shape.head_width)).transpose(1, 2)

        wanted, (cos, sin) = around.wanted, around.turn
        asking, their_turn = picked(hidden, wanted), (picked(cos, wanted), picked(sin, wanted))
        q = rotate(self.q_norm(heads(self.q_proj(asking))), their_turn)
        k = rotate(self.k_norm(heads(self.k_proj(hidden))), around.turn)
        v = heads(self.v_proj(hidden))
        if around.kept is not None:
            k, v = remembered(around.kept, k, v, around.where)
        causal = self.shape.causal  # padding is on the right, where no real token looks then
        mixed = attended(q, k, v, None if causal else around.seen, causal)
        out: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return out


def picked(values: Tensor, wanted: Tensor | None) -> Tensor:
    """Of values (batch, length, width) or (batch, heads, length, width) those at `wanted`
    (batch, few), all of them without it. A batch or heads of one stand for all."""
    if wanted is None:
        return values
    index = wanted[:, :, None] if values.dim() == 3 else wanted[:, None, :, None]
    return values.take_along_dim(index, dim=-2)


def remembered(kept: Tensor, k: Tensor, v: Tensor, where: Tensor | None) -> tuple[Tensor, Tensor]:
    """All keys and values of one layer, those at `where` (all without) now written to `kept`."""
    for kind, fresh in zip(kept, (k, v), strict=True):
        if where is None:
            kind.copy_(fresh)
        else:
            kind.scatter_(2, where[:, None, :, None].expand_as(fresh), fresh)
    return kept[0], kept[1]


def attended(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, causal: bool) -> Tensor:
    """Attention by the fastest kernel there is for the case, (batch, heads, length, width).

    Without padding there is no mask, and CUDA takes its flash kernel, which knows grouped heads.
    That kernel takes no mask; the one that does, without ever writing all scores to memory, wants
    a key head for each query head. So they are spelled out for it: a copy of one layer's keys and
    values, where the kernel of last resort would write queries · keys scores for each head.
    """
    grouped = q.shape[1] != k.shape[1]
    if grouped and seen is not None and q.is_cuda:
        k, v = spelled_out(k, q.shape[1]), spelled_out(v, q.shape[1])
        grouped = False
    return functional.scaled_dot_product_attention(
        q, k, v, attn_mask=seen, is_causal=causal, enable_gqa=grouped
    )


def spelled_out(heads: Tensor, count: int) -> Tensor:
    return heads.repeat_interleave(count // heads.shape[1], dim=1)


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
    """Normalised in float32 whatever the dtype, then cast, then scaled: Qwen2's order. So torch's
    own norm is not given the weights, which it would scale by before it casts."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        return self.weight * functional.rms_norm(hidden, self.weight.shape, eps=self.eps)


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
