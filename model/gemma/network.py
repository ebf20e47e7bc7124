"""DiffusionGemma's encoder and decoder: transformers' modules, in our own order.

The encoder reads a prompt into a `History`, each token seeing those before it. The decoder reads
canvases, packed into one sequence: a mask says who sees whom. The head is asked for the rows that
are needed and no others. It knows no holes and no sampling.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch and transformers are only partly typed.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface
from transformers.models.diffusion_gemma import DiffusionGemmaForBlockDiffusion

from model.gemma.history import History, Layer

CHUNK = 1024  # tokens read at once: more would only take more memory
SLIDING = "sliding_attention"
HIDDEN = float("-inf")


@dataclass(frozen=True, slots=True)
class Kept:
    """Keys and values of one layer, (1, heads, prompt, width)."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True, slots=True)
class Prefix:
    """What a canvas sees of its prompt, by layers; transformers' decoder reads it as its cache."""

    layers: Sequence[Kept]
    is_compileable: bool = False  # its static cache, which is wrong past the window


class Network:
    """One checkpoint's modules. `experts`: how transformers multiplies the experts; None leaves
    that as it is set. The network's attention is set to `folded` for good."""

    def __init__(
        self, model: DiffusionGemmaForBlockDiffusion, *, experts: str | None = None
    ) -> None:
        if experts is not None:
            model.set_experts_implementation(experts)
        model.set_attn_implementation("folded")
        self.model: Any = model.eval()
        self.encoder: Any = self.model.model.encoder.language_model
        self.decoder: Any = self.model.model.decoder
        self.config: Any = self.decoder.text_config
        self.types: list[str] = self.config.layer_types
        self.layers = [
            Layer(shape.num_key_value_heads, shape.head_dim, self.reach(kind))
            for kind, shape in zip(
                self.types,
                (self.config.per_layer_config[number] for number in range(len(self.types))),
                strict=True,
            )
        ]
        self.kinds = dict(zip(self.types, self.layers, strict=True))  # one layer of each type
        self.width: int = self.config.hidden_size
        self.vocabulary: int = self.config.vocab_size
        self.cap: float = self.config.final_logit_softcapping

    @property
    def weight(self) -> Tensor:
        """(vocab, width) of the embedding. Its type and device are those of all states."""
        return self.decoder.embed_tokens.weight

    def reach(self, kind: str) -> int | None:
        # A window counts the token that looks.
        return self.config.sliding_window - 1 if kind == SLIDING else None

    def history(self) -> History:
        """One that has read nothing."""
        return History(self.layers, self.weight.dtype, self.weight.device)

    @torch.inference_mode()
    def encode(self, history: History, ids: Sequence[int]) -> None:
        """Lets the history grow by these tokens."""
        history.make_room(len(ids))
        for start in range(0, len(ids), CHUNK):
            self.read(history, ids[start : start + CHUNK])

    def read(self, history: History, ids: Sequence[int]) -> None:
        old, end = history.length, history.length + len(ids)
        device = self.weight.device
        places = torch.arange(old, end, device=device)
        masks = {
            kind: self.causal(places, torch.arange(layer.first(old), end, device=device), layer)
            for kind, layer in self.kinds.items()
        }
        hidden = self.encoder.embed_tokens(torch.tensor([ids], device=device))
        self.through(self.encoder, hidden, places[None], masks, history)
        history.ids.extend(ids)

    def causal(self, places: Tensor, seen: Tensor, layer: Layer) -> Tensor:
        """The mask by which a token sees itself and what is before, as far as the layer reaches."""
        back = places[:, None] - seen
        return self.mask((back < 0) if layer.reach is None else (back < 0) | (back > layer.reach))

    def mask(self, hidden: Tensor) -> Tensor:
        """What is added to attention: (1, 1, rows, columns), nothing but where a row is not to see
        a column."""
        return torch.zeros_like(hidden, dtype=self.weight.dtype).masked_fill_(hidden, HIDDEN)[
            None, None
        ]

    def body(
        self, ids: Tensor, soft: Tensor, places: Tensor, prefix: Prefix, masks: Mapping[str, Tensor]
    ) -> Tensor:
        """(rows, width) states of a canvas sequence, (rows) ids with their `places` in the text.

        `soft` (rows, width) is what the network said the step before, `softened`; zeros where it
        has not said anything. Each mask is (1, 1, rows, what the prefix has + rows).
        """
        hidden = self.decoder.embed_tokens(ids[None])
        # It norms the embeddings, so it is not left out even where `soft` is all zeros.
        hidden = self.decoder.self_conditioning(hidden, soft[None])
        hidden = self.through(self.decoder, hidden, places[None], masks, prefix)
        return self.decoder.norm(hidden)[0]

    def through(
        self,
        stack: Any,
        hidden: Tensor,
        places: Tensor,
        masks: Mapping[str, Tensor],
        past: History | Prefix,
    ) -> Tensor:
        """(1, rows, width) through all layers of the encoder or the decoder."""
        turns = {kind: stack.rotary_emb(hidden, places, kind) for kind in masks}
        for kind, layer in zip(self.types, stack.layers, strict=True):
            hidden = layer(
                hidden,
                position_embeddings=turns[kind],
                attention_mask=masks[kind],
                position_ids=places,
                past_key_values=past,
            )
        return hidden

    def head(self, states: Tensor) -> Tensor:
        """(rows, vocab) logits in float32, capped as published."""
        logits: Tensor = self.model.lm_head(states).float()
        return logits.div_(self.cap).tanh_().mul_(self.cap)

    def softened(self, logits: Tensor) -> Tensor:
        """(rows, width): the embedding of a token that is all tokens, each as much as it is likely.

        It is rounded where transformers rounds it, so that the network is told what it would be
        told there.
        """
        likely = logits.to(self.weight.dtype).softmax(-1, dtype=torch.float32)
        scale = self.decoder.embed_tokens.embed_scale.to(self.weight.dtype)
        return likely.to(self.weight.dtype) @ self.weight * scale

    def embedded(self, ids: Tensor) -> Tensor:
        """(rows, width): what `softened` makes of logits that leave no other choice."""
        return self.decoder.embed_tokens(ids)


def folded(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attention for transformers' modules where query heads share keys and values.

    Its own would copy the keys of a whole prompt for each query head as soon as there is a mask.
    Here the queries of heads that share are laid one behind the other, and it is only the mask that
    is repeated.
    """
    batch, heads, rows, width = query.shape
    shared = key.shape[1]
    queries = query.reshape(batch, shared, heads // shared * rows, width)
    mask = attention_mask.repeat(1, 1, heads // shared, 1)
    out = functional.scaled_dot_product_attention(
        queries, key, value, attn_mask=mask, scale=scaling
    )
    return out.reshape(batch, heads, rows, width).transpose(1, 2).contiguous(), None


AttentionInterface.register("folded", folded)
