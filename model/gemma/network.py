"""DiffusionGemma's encoder and decoder by transformers' own modules, one sequence at a time."""

from __future__ import annotations

from collections.abc import Sequence

from transformers.models.diffusion_gemma import DiffusionGemmaForBlockDiffusion

from model.gemma.history import History


class Network:
    """`experts`: how transformers multiplies the experts; None leaves it as it is set."""

    def __init__(
        self, model: DiffusionGemmaForBlockDiffusion, *, experts: str | None = None
    ) -> None: ...

    def history(self) -> History:
        """One that has read nothing."""

    def encode(self, history: History, ids: Sequence[int]) -> None:
        """Lets the history grow by these tokens."""
