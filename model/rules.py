"""Which masks are committed after a forward, and what a length token does to a hole.

Pure functions over the masked positions of one board; they know no network, text or device.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

import torch
from torch import Tensor


def by_threshold(confidence: Tensor, threshold: float) -> Tensor:
    """Every position surer than the threshold, and always the surest (Fast-dLLM, arXiv 2505.22618).

    `confidence` (masked) are probabilities of the chosen tokens; returns a boolean (masked). At
    threshold 1 that is one position a step.
    """
    chosen = confidence > threshold
    chosen[confidence.argmax()] = True
    return chosen


def by_entropy(entropy: Tensor, bound: float) -> Tensor:
    """Positions in order of rising entropy while those before sum to at most the bound.

    The entropy-bounded sampler (arXiv 2505.24857): `entropy` (masked) in nats; what is committed
    together is then nearly independent. Returns a boolean (masked), never all false.
    """
    order = entropy.argsort(stable=True)
    before = entropy[order].cumsum(0).roll(1)
    before[0] = 0.0  # not the sum less the own entropy: that rounds tiny sums away
    chosen = torch.zeros_like(entropy, dtype=torch.bool)
    chosen[order] = before <= bound
    return chosen


def length_alone(chosen: Tensor, is_length: Tensor, confidence: Tensor) -> Tensor:
    """A length token is committed alone: it moves every position to its right.

    If the surest of the chosen is one, only it stays; else the length tokens among them wait.
    """
    surest = int(torch.where(chosen, confidence, -1.0).argmax())
    if is_length[surest]:
        alone = torch.zeros_like(chosen)
        alone[surest] = True
        return alone
    return chosen & ~is_length


def cut_at(delete_share: Tensor, surest: int, cut: float) -> int:
    """Where a hole ends once position `surest` has proved to be past its end.

    `delete_share` (masks of one hole, left to right) is the probability of delete at each. As the
    slots behind the content are all deletes, it is the probability that the content is over by
    then; the leftmost mask where it reaches `cut` is taken, so one step drops the whole tail.
    """
    over = torch.nonzero(delete_share[: surest + 1] >= cut).flatten()
    return int(over[0]) if len(over) else surest
