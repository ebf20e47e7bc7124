"""Keys and values of a prompt: they grow at the end and are cut at any point.

Each layer keeps all of them, the sliding ones, too: what a window forgot would be missing as soon
as the text is cut. It knows no tokenizer and no canvas.
"""

# pyright: reportUnknownMemberType=false
# torch is only partly typed.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

STEP = 256  # tokens; room is made for a multiple of it


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer keeps of a token: keys and values of so many heads, so wide.

    `reach`: how many of the last tokens a canvas behind them sees; None: all of them. The encoder's
    window counts the token that looks, so its reach is one less.
    """

    heads: int
    width: int
    reach: int | None = None

    def first(self, length: int) -> int:
        """The first of so many tokens that is seen from behind them."""
        return 0 if self.reach is None else max(0, length - self.reach)


class History:
    """What the encoder has read so far. `Network.encode` makes it grow.

    Between two calls `ids` and what is kept belong together. A cut is free: what is behind it is
    overwritten when the history grows again.
    """

    def __init__(self, layers: Sequence[Layer], dtype: torch.dtype, device: torch.device) -> None:
        self.layers = tuple(layers)
        self.ids: list[int] = []
        self.keys = [nothing(layer, dtype, device) for layer in layers]
        self.values = [nothing(layer, dtype, device) for layer in layers]

    @property
    def length(self) -> int:
        return len(self.ids)

    @property
    def room(self) -> int:
        """So many tokens fit before all that is kept has to move."""
        return self.keys[0].shape[-2]

    def cut(self, length: int) -> None:
        """Forgets all behind the first `length` tokens."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot cut at {length}: there are {self.length} tokens")
        del self.ids[length:]

    def agree(self, ids: Sequence[int]) -> int:
        """How many of the first tokens are these."""
        pairs = zip(self.ids, ids, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    def make_room(self, more: int) -> None:
        """Moves what is kept to where so many more tokens fit, if they do not fit here.

        Room grows by a quarter, so that a text typed token by token is moved a few times only, and
        little is kept in vain.
        """
        wanted = self.length + more
        if wanted <= self.room:
            return
        room = -(-max(wanted, self.room * 5 // 4) // STEP) * STEP
        for kept in (self.keys, self.values):
            for number, old in enumerate(kept):
                _, heads, _, width = old.shape
                new = old.new_zeros(1, heads, room, width)
                new[:, :, : self.length] = old[:, :, : self.length]
                kept[number] = new

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Writes a layer's keys and values of new tokens, (1, heads, new, width), and returns those
        that the new tokens see, from `Layer.first` on. Under this name transformers' attention
        calls it. The tokens count only once they are in `ids`."""
        length, end = self.length, self.length + keys.shape[-2]
        first = self.layers[layer].first(length)
        self.keys[layer][:, :, length:end] = keys
        self.values[layer][:, :, length:end] = values
        return self.keys[layer][:, :, first:end], self.values[layer][:, :, first:end]


def nothing(layer: Layer, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.zeros(1, layer.heads, 0, layer.width, dtype=dtype, device=device)
