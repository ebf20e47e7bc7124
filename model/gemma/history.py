"""Keys and values of a prompt: they grow at the end and are cut at any point.

Each layer keeps all of them, the sliding ones, too: what a window forgot would be missing as soon
as the text is cut. It knows no tokenizer and no canvas.
"""

from __future__ import annotations

from collections.abc import Sequence


class History:
    """What the encoder has read so far. `Network.encode` makes it grow."""

    ids: list[int]

    @property
    def length(self) -> int: ...

    def cut(self, length: int) -> None:
        """Forgets all behind the first `length` tokens."""

    def agree(self, ids: Sequence[int]) -> int:
        """How many of the first tokens are these."""
