"""The authors' decoding, a loop for each family, over logits that are handed in.

Written from descriptions of the published code, apart from the code under test, of which nothing is
imported. Each yields the whole canvas after each step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Specials:
    bos: int
    eos: int
    mask: int
    expand: int


def dreamon_loop(
    logits_of: Any,
    prefix: Sequence[int],
    suffix: Sequence[int],
    specials: Specials,
    *,
    masks: int,
    budget: int,
    chance: torch.Generator,
    temperature: float = 0.2,
    top_p: float = 0.9,
    max_gen_len: int = 64,
    steps: int = 256,
) -> Iterator[list[int]]:
    """DreamOn's decoding.

    `logits_of(row)` are the shifted logits of every position. The published code samples from a
    multinomial distribution with torch's one source of randomness; here a token is the first whose
    cumulative probability exceeds the next number of `chance`, which is the same distribution. Of
    equally sure masks the leftmost is committed, where the published code leaves it open.
    """
    canvas = [specials.bos, *prefix, *[specials.mask] * masks, *suffix, specials.eos]
    window_max = len(canvas) + max_gen_len - masks
    for _ in range(steps):
        where = [i for i, token in enumerate(canvas) if token == specials.mask]
        if not where:
            return
        logits = logits_of(canvas)[where]
        if len(canvas) == window_max or budget == 0:
            logits[:, specials.expand] -= 1e9
        if temperature > 0:
            logits = logits / temperature
        if top_p < 1:
            logits = nucleus(logits, top_p)
        shares = torch.softmax(logits, dim=-1)
        if temperature > 0:
            numbers = torch.rand(len(where), generator=chance)
            guesses = [draw(share, number) for share, number in zip(shares, numbers, strict=True)]
        else:
            guesses = [int(share.argmax()) for share in shares]
        sureness = (shares * torch.log(shares + 1e-10)).sum(-1)
        best = max(range(len(where)), key=lambda i: (float(sureness[i]), -i))
        place, token = where[best], guesses[best]
        if token == specials.eos:
            former = {i for i in where if i >= place}
            canvas = [t for i, t in enumerate(canvas) if i not in former]
        elif token == specials.expand:
            canvas[place : place + 1] = [specials.mask, specials.mask]
            budget -= 1
        else:
            canvas[place] = token
        yield list(canvas)


def p2_loop(
    logits_of: Any,
    prefix: Sequence[int],
    suffix: Sequence[int],
    mask: int,
    *,
    masks: int,
    steps: int,
    chance: torch.Generator,
    temperature: float,
    top_p: float,
) -> Iterator[list[int]]:
    """P2 as Open-dCoder's code samples by it.

    At each step every place of the hole is guessed anew. The least sure of the guesses, fewer from
    step to step, leave a mask, or make one again, where others leave the guess in a mask and what
    is written as it is. Numbers are taken as in `dreamon_loop`; of equally sure places the leftmost
    becomes the mask, where the published code leaves it open.
    """
    canvas = [*prefix, *[mask] * masks, *suffix]
    hole = range(len(prefix), len(prefix) + masks)
    for step in range(steps):
        if mask not in canvas:
            return
        logits = logits_of(canvas)[list(hole)]
        if temperature > 0:
            logits = logits / temperature
        if top_p < 1:
            logits = nucleus(logits, top_p)
        shares = torch.softmax(logits, dim=-1)
        if temperature > 0:
            numbers = torch.rand(masks, generator=chance)
            guesses = [draw(share, number) for share, number in zip(shares, numbers, strict=True)]
        else:
            guesses = [int(share.argmax()) for share in shares]
        sure = [float(share[guess]) for share, guess in zip(shares, guesses, strict=True)]
        kappa = (step + 1) / steps
        unsure = sorted(range(masks), key=lambda i: (sure[i], i))[: int(masks * (1 - kappa))]
        for i, place in enumerate(hole):
            if i in unsure:
                canvas[place] = mask
            elif canvas[place] == mask:
                canvas[place] = guesses[i]
        yield list(canvas)


def llada_loop(
    logits_of: Any,
    prefix: Sequence[int],
    suffix: Sequence[int],
    mask: int,
    *,
    masks: int,
    steps: int,
    block: int,
) -> Iterator[list[int]]:
    """LLaDA's decoding at temperature 0, "low_confidence".

    As in the published code blocks divide the hole, and the blocks the steps. What is behind the
    block is never written, what is before it has been. Steps without a share write nothing.
    """
    canvas = [*prefix, *[mask] * masks, *suffix]
    blocks = masks // block
    assert masks % block == 0
    assert steps % blocks == 0
    for number in range(blocks):
        end = len(prefix) + (number + 1) * block
        base, over = divmod(block, steps // blocks)
        for step in range(steps // blocks):
            shares = torch.softmax(logits_of(canvas).double(), dim=-1)
            confidence, guesses = shares.max(-1)
            where = [i for i in range(end) if canvas[i] == mask]
            where.sort(key=lambda i: (-float(confidence[i]), i))
            for place in where[: base + (step < over)]:
                canvas[place] = int(guesses[place])
            yield list(canvas)


def nucleus(logits: torch.Tensor, top_p: float) -> torch.Tensor:
    """Keeps the likeliest tokens up to the one with which their sum exceeds `top_p`."""
    ordered, order = torch.sort(logits, descending=True)
    sums = torch.cumsum(torch.softmax(ordered, dim=-1), dim=-1)
    for row, share in enumerate(sums):
        over = int((share > top_p).nonzero()[0]) if bool((share > top_p).any()) else len(share)
        logits[row, order[row, over + 1 :]] = torch.finfo(logits.dtype).min
    return logits


def draw(shares: torch.Tensor, number: torch.Tensor) -> int:
    return int((torch.cumsum(shares, 0) > number).nonzero()[0])
