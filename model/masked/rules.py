"""Which masks are committed after a forward, and what a length token does to a hole.

Pure functions over the masks of many holes at once: tensors (…, masks), where `real` says which of
them are the hole's. A hole without masks commits nothing, every other at least one. They know no
network, text or device, and none waits for the device.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

import torch
from torch import Tensor


def by_threshold(confidence: Tensor, threshold: float, score: Tensor, real: Tensor) -> Tensor:
    """Every mask surer than the threshold, and always the first by `score`: Fast-dLLM.

    arXiv 2505.22618. `confidence` are probabilities of the chosen tokens; returns booleans. At
    threshold 1 that is one mask a step, in the order of `score`.
    """
    return (real & (confidence > threshold)) | first(score, real)


def by_factor(confidence: Tensor, factor: float, real: Tensor) -> Tensor:
    """The n surest, n as large as each of them, the i-th, has p ≥ 1 - factor / (i + 1).

    Fast-dLLM's second rule (arXiv 2505.22618): the more are committed at once, the surer each of
    them has to be. The surest is committed however unsure it is.
    """
    falling, order = confidence.where(real, -torch.inf).sort(dim=-1, descending=True, stable=True)
    number = torch.arange(1, falling.shape[-1] + 1, device=falling.device)
    sure = falling >= 1 - factor / (number + 1)
    sure[..., 0] = True
    return back(sure.cumprod(-1).bool(), order) & real


def by_entropy(entropy: Tensor, bound: float, real: Tensor) -> Tensor:
    """Masks in order of rising entropy while those before sum to at most the bound.

    The entropy-bounded sampler (arXiv 2505.24857), `entropy` in nats: what is committed together
    is then nearly independent.
    """
    rising, order = entropy.where(real, torch.inf).sort(dim=-1, stable=True)
    before = rising.cumsum(-1).roll(1, -1)
    before[..., 0] = 0.0  # not the sum less the own entropy: that rounds tiny sums away
    return back(before <= bound, order) & real


def by_steadiness(
    confidence: Tensor, least: float, steady: Tensor, score: Tensor, real: Tensor
) -> Tensor:
    """Every mask at least so sure that has been `steady`, else the first by `score`: KLASS.

    arXiv 2511.05664. Steady is a mask whose probabilities moved little (`divergence`) in both of
    the last two steps.
    """
    chosen = real & steady & (confidence >= least)
    return chosen.where(chosen.any(-1, keepdim=True), first(score, real))


def by_schedule(count: Tensor, score: Tensor, real: Tensor) -> Tensor:
    """The first by `score`, as many as `count` (…, 1) says: LLaDA (arXiv 2502.09992).

    How many that are at each step is for the host to say (`rules.scheduled`).
    """
    order = score.where(real, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    number = torch.arange(order.shape[-1], device=order.device)
    return back((number < count).expand_as(order), order) & real


def scheduled(masks: int, left: int, steps: int) -> int:
    """How many of a block's `masks` are committed where so many are `left` of them.

    Each step has its equal share, the first ones one more where they do not come out even; where
    there are more steps than masks, the last ones have none. Follows from what is left, as LLaDA
    commits one at least as long as there is any.
    """
    share, odd = divmod(masks, steps)
    return share + (masks - left < odd * (share + 1))


def by_rank(count: Tensor, confidence: Tensor, real: Tensor) -> Tensor:
    """All but the least sure, as many as `count` (…, 1) says: P2, path planning.

    arXiv 2502.03540, as published for Open-dCoder. Of a mask it says that it is committed, of a
    token that it stays; whatever is not chosen is, or becomes again, a mask.
    """
    order = confidence.where(real, torch.inf).argsort(dim=-1, stable=True)
    number = torch.arange(order.shape[-1], device=order.device)
    return back((number >= count).expand_as(order), order) & real


def planned(cells: int, turn: int, steps: int) -> int:
    """How many of a hole's `cells` are masks after the step number `turn`, from 0, of P2."""
    return cells * max(0, steps - turn - 1) // steps


def divergence(now: Tensor, before: Tensor) -> Tensor:
    """KL(now ‖ before) in nats over the last dimension, infinite where `before` ruled out a token.

    Not a number stands nowhere: what has no probability now does not count.
    """
    return (torch.special.xlogy(now, now) - torch.special.xlogy(now, before)).sum(-1)


def certainty(probabilities: Tensor) -> Tensor:
    """Σ p·log p over the last dimension, 0 for a sure token: the order "entropy" of Dream's kin.

    The small addend is the published one; without it equally sure masks would be ranked otherwise.
    """
    return (probabilities * (probabilities + 1e-10).log()).sum(-1)


def within_top_p(logits: Tensor, top_p: float) -> Tensor:
    """Bans all but the likeliest tokens that together reach `top_p`, the one that reaches it, too.

    As published for Dream and DreamOn: tokens in falling order are kept while those before them
    sum to at most `top_p`.
    """
    falling, order = logits.sort(dim=-1, descending=True)
    over = falling.softmax(-1).cumsum(-1).roll(1, -1) > top_p
    over[..., 0] = False
    return logits.masked_fill(back(over, order), -torch.inf)


def drawn(probabilities: Tensor, numbers: Tensor) -> Tensor:
    """A token for each row: the first, by id, with which the probabilities sum to over `numbers`.

    `numbers` (…), uniform in [0, 1), are given and not made here, so that a board's tokens depend
    neither on its neighbours in a batch nor on the device.
    """
    sums = probabilities.cumsum(-1)
    whole = sums[..., -1]
    wanted = torch.minimum(numbers * whole, torch.nextafter(whole, torch.zeros_like(whole)))
    return (sums > wanted[..., None]).to(torch.uint8).argmax(-1)


def length_alone(chosen: Tensor, is_length: Tensor, score: Tensor) -> Tensor:
    """A length token is committed alone: it moves all of its hole to its right.

    If the first of the chosen by `score` is one, only it stays; else the length tokens among them
    wait.
    """
    one = first(score, chosen)
    alone = (one & is_length).any(-1, keepdim=True)
    return one.where(alone, chosen & ~is_length)


def together(holes: Tensor, real: Tensor) -> Tensor:
    """(boards, masks, masks): for each mask of a board, by its number, which lie in its hole.

    What is said once of each hole is so said at each of its masks, the same. That costs less than
    it looks, and its shape does not depend on how many holes there are.
    """
    return real[..., None, :] & (holes[..., None, :] == holes[..., :, None])


def cut_at(delete_share: Tensor, surest: Tensor, cut: float, real: Tensor) -> Tensor:
    """Where a hole ends once its mask number `surest` (…) has proved to be past its end.

    `delete_share` is the probability of delete at each mask, left to right. As the slots behind the
    content are all deletes, it is the probability that the content is over by then; the leftmost
    mask where it reaches `cut` is taken, so one step drops the whole tail. Returns (…) numbers.
    """
    number = torch.arange(real.shape[-1], device=real.device)
    over = real & (number <= surest[..., None]) & (delete_share >= cut)
    return over.to(torch.uint8).argmax(-1).where(over.any(-1), surest)


def first(score: Tensor, among: Tensor) -> Tensor:
    """True at the highest score among those, the leftmost of equals; nowhere if there are none."""
    best = score.where(among, -torch.inf).argmax(-1, keepdim=True)
    return torch.zeros_like(among).scatter(-1, best, True) & among


def back(in_order: Tensor, order: Tensor) -> Tensor:
    """Undoes a sort: what was said of the i-th in order goes to where it stood."""
    return torch.zeros_like(in_order).scatter(-1, order, in_order)
