"""Which tokens of a canvas stay, are drawn again or are final: rules on logits, and no network.

They are those of transformers' `generate()`, each over the holes alone: a clamped token is certain,
and would let as many uncertain ones pass where a mean is taken. All is tensors, on the device, and
nothing here waits for a number.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch is only partly typed.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

FORBIDDEN = -1e4  # a logit: far below any that is capped, and a probability of exactly 0


@dataclass(frozen=True, slots=True)
class Policy:
    """How a canvas is refined.

    The temperature falls from `t_max` to nearly `t_min` over the steps, so few steps anneal where
    many, stopped early, do not. A row is done when its likeliest tokens have been the same for
    `stability` more steps, and the entropy of its hole tokens is below `confidence` on average or
    not above `doubt` in all. Raises `ValueError` for what cannot be meant.
    """

    steps: int = 16
    bound: float = 0.1  # nats: how dependent the tokens accepted in one step may be
    t_max: float = 0.8
    t_min: float = 0.4
    stability: int = 1
    confidence: float = 0.005
    doubt: float = 0.5

    def __post_init__(self) -> None:
        for name, fits, wanted in (
            ("steps", self.steps >= 1, "at least 1"),
            ("bound", self.bound >= 0, "at least 0 nats"),
            ("t_min", self.t_min > 0, "above 0"),
            ("t_max", self.t_max >= self.t_min, f"at least t_min, {self.t_min}"),
            ("stability", self.stability >= 0, "at least 0 steps"),
            ("confidence", self.confidence >= 0, "at least 0 nats"),
            ("doubt", self.doubt >= 0, "at least 0 nats"),
        ):
            if not fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}, but must be {wanted}")

    @staticmethod
    def published(config: Mapping[str, Any]) -> Policy:
        """By a checkpoint's `generation_config.json`; what it leaves out is as in transformers."""
        sampler: Mapping[str, Any] = config.get("sampler_config") or {}
        return Policy(
            steps=config.get("max_denoising_steps") or 48,
            bound=sampler.get("entropy_bound", 0.1),
            t_max=config.get("t_max", 0.8),
            t_min=config.get("t_min", 0.4),
            stability=config.get("stability_threshold", 1),
            confidence=config.get("confidence_threshold", 0.005),
            doubt=0.0,
        )

    def temperatures(self, device: torch.device) -> Tensor:
        """(steps) in the order of the steps, reckoned in float32 as transformers does."""
        left = torch.arange(self.steps, 0, -1, dtype=torch.int32, device=device)
        return self.t_min + (self.t_max - self.t_min) * (left / self.steps)


@dataclass(frozen=True, slots=True)
class Asked:
    """The tokens that a step is about: those in holes, and others whose probability is asked."""

    member: Tensor  # (rows, asked) bool: the hole tokens of each row; nobody's are left alone
    given: Tensor  # (asked) bool: what stands there is judged, not the likeliest token
    stands: Tensor  # (asked) ids now in the canvas


@dataclass(frozen=True, slots=True)
class Noise:
    race: Tensor  # (asked, vocab) exponentially distributed
    fresh: Tensor  # (asked) ids, uniform over the whole vocabulary: the network knows such noise


@dataclass(frozen=True, slots=True)
class State:
    """What is carried from step to step beside the canvas; it is updated in place."""

    past: Tensor  # (stability, asked) the likeliest tokens of the steps before, the last one last
    best: Tensor  # (asked) the likeliest now, of a row that is done those it was done with
    done: Tensor  # (rows) bool


@dataclass(frozen=True, slots=True)
class Verdict:
    canvas: Tensor  # (asked) ids for the next step
    logits: Tensor  # (asked, vocab) with bans and temperature: what the network is to be told
    held: Tensor  # (asked) bool: of a row that was done before; its logits are to stay as they are
    accepted: Tensor  # (asked) bool
    logs: Tensor  # (asked) log-probabilities of `best`, or of what stands where that is given


def judged(
    raw: Tensor,
    temperature: Tensor,
    banned: Tensor,
    asked: Asked,
    noise: Noise,
    state: State,
    policy: Policy,
) -> Verdict:
    """One step of the sampler on (asked, vocab) logits. `banned` (vocab) are never the likeliest
    and never drawn, but noise may be one of them. `Verdict.logs` are the network's own, before bans
    and temperature."""
    logits = (raw / temperature).masked_fill_(banned, FORBIDDEN)
    likely = logits.softmax(-1)
    entropy = torch.special.entr(likely).sum(-1)
    # The least of exponentials divided by probabilities is a draw by these probabilities, and
    # unlike `multinomial` it asks the host nothing.
    drawn = likely.div_(noise.race).argmax(-1)
    best = logits.argmax(-1)

    held = (asked.member & state.done[:, None]).any(0)
    best = torch.where(held, state.best, best)
    accepted = accept(entropy, asked.member, policy.bound)
    canvas = torch.where(accepted, drawn, noise.fresh)
    state.done.logical_or_(settled(best, entropy, asked.member, state.past, policy))
    remember(state, best)
    judge = torch.where(asked.given, asked.stands, best)
    own = raw.gather(-1, judge[:, None])[:, 0] - raw.logsumexp(-1)
    return Verdict(torch.where(held, asked.stands, canvas), logits, held, accepted, own)


def accept(entropy: Tensor, member: Tensor, bound: float) -> Tensor:
    """(asked) bool: of each row the tokens surest by entropy, as long as that of all before, added
    up, is within the bound. One is always accepted, none for good: the next step may drop it."""
    rising, order = entropy.masked_fill(~member, torch.inf).sort(-1)  # (rows, asked)
    spent = rising.masked_fill(rising.isinf(), 0.0).cumsum(-1) - rising
    within = (spent <= bound) & rising.isfinite()
    return torch.zeros_like(member).scatter_(-1, order, within).any(0)


def settled(best: Tensor, entropy: Tensor, member: Tensor, past: Tensor, policy: Policy) -> Tensor:
    """(rows) bool: nothing changed any more, and there is little doubt."""
    stable = ((past == best).all(0) | ~member).all(-1)
    doubt = (entropy * member).sum(-1)
    # A total, too: in a long hole a small mean is a strict demand, one open choice of a name away.
    return stable & ((doubt / member.sum(-1) < policy.confidence) | (doubt <= policy.doubt))


def remember(state: State, best: Tensor) -> None:
    state.best.copy_(best)
    if len(state.past):
        state.past.copy_(torch.cat((state.past[1:], best[None])))
