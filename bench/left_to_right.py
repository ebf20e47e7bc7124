"""DiffusionGemma's backbone as one would use it without diffusion: a token a pass."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch and transformers are only partly typed.

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from model.gemma.history import History
from model.gemma.network import Network


class Reader:
    """The same backbone from left to right: a token a pass, its keys and values kept where they
    stay, the likeliest token the next. A pass asks the host nothing."""

    def __init__(self, network: Network, history: History, room: int) -> None:
        self.network = network
        self.length = history.length
        self.last = history.ids[-1]
        device = network.weight.device
        self.firsts = {kind: layer.first(self.length) for kind, layer in network.kinds.items()}
        self.keys, self.values = (
            [
                torch.cat((kept[:, :, layer.first(self.length) : self.length],
                           kept.new_zeros(1, layer.heads, room + 1, layer.width)), 2)
                for kept, layer in zip(held, network.layers, strict=True)
            ]
            for held in (history.keys, history.values)
        )  # fmt: skip
        self.id = torch.zeros(1, 1, dtype=torch.long, device=device)
        self.place = torch.zeros(1, dtype=torch.long, device=device)
        self.written = torch.zeros(room + 1, dtype=torch.long, device=device)
        self.begin()

    def begin(self) -> None:
        """Back to where the prompt ends, whose last token is read once more."""
        self.id.fill_(self.last)
        self.place.fill_(self.length - 1)

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        at = self.place - self.firsts[self.network.types[layer]]
        self.keys[layer].index_copy_(2, at, keys)
        self.values[layer].index_copy_(2, at, values)
        return self.keys[layer], self.values[layer]

    def step(self) -> None:
        network = self.network
        masks = {
            kind: network.causal(self.place, self.seen(kind), layer)
            for kind, layer in network.kinds.items()
        }
        hidden = network.encoder.embed_tokens(self.id)
        past: Any = self
        hidden = network.through(network.encoder, hidden, self.place[None], masks, past)
        best = network.head(network.encoder.norm(hidden)[0]).argmax(-1)
        self.id.copy_(best[None])
        self.written.index_copy_(0, self.place - self.length + 1, best)
        self.place.add_(1)

    def seen(self, kind: str) -> Tensor:
        number = self.network.types.index(kind)
        columns = self.keys[number].shape[2]
        return torch.arange(columns, device=self.place.device) + self.firsts[kind]
