"""A denoiser that plays a script: the seam's stand-in for tests and for authors of clients.

It is a full Denoiser, one draft a step, cancellable between steps, without a network.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from math import inf
from time import monotonic

from model.canvas import Canvas, Card, Claim, Draft, ModelError, Piece, Rival

Script = Callable[[Canvas], tuple[str, ...]]


class Scripted:
    """Answers each canvas with `script(canvas)`, revealing one character more of each hole a step.

    `rivals` are the texts it says it has weighed for every hole, and how probable each is.
    `steps` counts the steps begun, over all canvases; `seen` keeps the canvases asked for,
    `claims` what came with each.
    """

    def __init__(
        self,
        script: Script | str,
        *,
        seconds_a_step: float = 0.0,
        confidence: float = 0.99,
        steps_a_fill: int = 4,
        error: str | None = None,
        languages: frozenset[str] = frozenset(),
        rivals: Mapping[str, float] | None = None,
    ) -> None:
        self.script: Script = (
            (lambda canvas: (script,) * len(canvas.holes)) if isinstance(script, str) else script
        )
        self.seconds_a_step = seconds_a_step
        self.confidence = confidence
        self.steps_a_fill = steps_a_fill
        self.error = error
        self.languages = languages
        weighed = sorted((rivals or {}).items(), key=lambda it: -it[1])
        self.rivals = tuple(Rival(text, probability) for text, probability in weighed)
        self.steps = 0
        self.seen: list[Canvas] = []
        self.claims: list[Claim] = []

    @property
    def card(self) -> Card:
        abilities = frozenset({"several-holes", "grow", "re-noise", "drafts"})
        return Card("scripted", "1", 8000, 512, abilities, self.languages)

    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        self.seen.append(canvas)
        self.claims.append(claim)
        if self.error is not None:
            raise ModelError(self.error)
        answer = self.script(canvas)
        until = monotonic() + (claim.deadline_ms / 1000 or inf)
        for step in range(1, self.steps_a_fill + 1):
            if monotonic() >= until:
                return
            self.steps += 1
            await asyncio.sleep(self.seconds_a_step)
            yield Draft(
                step,
                tuple(self._pieces(text, step / self.steps_a_fill) for text in answer),
                final=step == self.steps_a_fill,
                rivals=(self.rivals,) * len(answer) if self.rivals else (),
            )

    def close(self) -> None:
        pass

    def _pieces(self, text: str, share: float) -> tuple[Piece, ...]:
        settled = round(len(text) * share)
        return tuple(Piece(char, self.confidence, i < settled) for i, char in enumerate(text))
