"""Asks the denoiser for drafts until the last or the deadline. Knows canvases, not documents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import takewhile
from secrets import token_hex
from time import perf_counter
from typing import cast

from model.canvas import Canvas, Claim, Denoiser, Draft, Piece, Rival

logger = logging.getLogger(__name__)

Watch = Callable[[Canvas, Draft], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """The last draft that came in time (None when none did) and what it cost."""

    draft: Draft | None
    steps: int
    queue_ms: float
    steps_ms: float
    wire_ms: float = 0.0  # on the way to a server and back, until the last draft was here

    @property
    def final(self) -> bool:
        return self.draft is not None and self.draft.final

    def pieces(self, hole: int) -> tuple[Piece, ...]:
        """What may be shown of a hole: of an unfinished draft only the settled beginning."""
        if self.draft is None:
            return ()
        pieces = self.draft.holes[hole]
        return pieces if self.draft.final else tuple(takewhile(lambda p: p.settled, pieces))

    def rivals(self, hole: int) -> tuple[Rival, ...]:
        """The texts that were weighed for a hole, also where the draft is not final."""
        return self.draft.rivals[hole] if self.draft is not None and self.draft.rivals else ()


async def answer_to(
    canvas: Canvas,
    denoiser: Denoiser,
    *,
    deadline: float,
    watch: Watch | None = None,
    claim: Claim = Claim(),
) -> Answer:
    """`deadline` is in the event loop's time; it goes into the claim. No step starts after it, nor
    after a cancel. What is speculative is answered in full or not at all: half of it would be
    remembered for when it is asked for, and then there is time for a better one."""
    left_ms = (deadline - asyncio.get_running_loop().time()) * 1000
    if left_ms <= 0:
        return Answer(None, 0, 0.0, 0.0)
    claim = replace(claim, deadline_ms=left_ms, trace=claim.trace or token_hex(8))
    began = perf_counter()
    draft: Draft | None = None
    steps = 0
    came_ms = 0.0  # until the last draft was here
    limit = asyncio.timeout_at(deadline)
    # The seam promises an iterator with `aclose`; closing it is what stops the model.
    drafts = cast(AsyncGenerator[Draft, None], denoiser.denoise(canvas, claim))
    try:
        async with aclosing(drafts), limit:
            async for draft in drafts:
                steps += 1
                came_ms = (perf_counter() - began) * 1000
                if watch is not None:
                    watch(canvas, draft)
                if draft.final:
                    break
    except TimeoutError:
        if not limit.expired():  # then it is the denoiser's own, and no deadline of ours
            raise
    if claim.speculative and draft is not None and not draft.final:
        draft = None
    queue_ms = draft.queue_ms if draft is not None else 0.0
    wire_ms = max(0.0, came_ms - draft.served_ms) if draft is not None and draft.served_ms else 0.0
    spent_ms = (perf_counter() - began) * 1000
    steps_ms = max(0.0, spent_ms - queue_ms - wire_ms)
    answer = Answer(draft, steps, queue_ms, steps_ms, wire_ms)
    logger.debug(
        "answer %s: %s after %.1f ms (queue %.1f, steps %.1f, wire %.1f), %d steps",
        claim.trace, "final" if answer.final else "not final", spent_ms, queue_ms, steps_ms,
        wire_ms, steps,
    )  # fmt: skip
    return answer
