"""What one forward has made sure, for all boards of a batch at once, on the device.

From logits at masks to what is committed, without a look at a value: no step of it waits for the
device or depends on what was found, so all of it can be captured as a CUDA graph. Of several holes
on a board each is decided as if it were alone. It knows masks, not boards: what has to be known of
them stands in `Asked`.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch is only partly typed.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.masked import rules
from model.masked.board import Specials
from model.masked.policy import THRESHOLD, Policy

NOTES = ("rows", "real", "holes", "one_line", "full", "known", "calm", "filled", "count")


@dataclass(frozen=True, slots=True)
class Asked:
    """One step's question: the boards' tokens and their masks, each padded to the longest.

    The tokens may be only those that are computed anew; `lengths` are those of the whole boards.
    Of a mask is noted: from which row of the flattened grid it is read; whether it is one, or
    padding; its hole; whether that is to stay one line; whether it may not grow; whether the
    step before knew the mask (`known`), and found it as in the step before that (`calm`); whether
    there is a token already, that may be taken back (`filled`); by a rule that goes by numbers, how
    many of its hole are committed, or are masks afterwards (`count`).
    """

    tokens: Tensor  # (boards, length)
    lengths: Tensor  # (boards)
    notes: Tensor  # (notes, boards, masks)
    numbers: Tensor  # (boards, masks), uniform in [0, 1), for who samples
    where: Tensor  # (boards, length), the tokens' positions

    def note(self, name: str) -> Tensor:
        return self.notes[NOTES.index(name)]

    @property
    def real(self) -> Tensor:
        return self.note("real").bool()


@dataclass(frozen=True, slots=True)
class Bans:
    """What no mask may become: ids of special tokens, and of those whose text ends a line."""

    never: Tensor  # (vocab) of booleans
    newlines: Tensor  # (vocab) of booleans

    @classmethod
    def of(
        cls, specials: Specials, newlines: Sequence[int], vocab: int, device: torch.device
    ) -> Bans:
        never, ends = torch.zeros(2, vocab, dtype=torch.bool)
        never[[specials.mask, *specials.banned]] = True
        ends[list(newlines)] = True
        return cls(never.to(device), ends.to(device))


def allowed(logits: Tensor, asked: Asked, bans: Bans, specials: Specials, grow: float) -> Tensor:
    """The logits (boards, masks, vocab), exact enough to judge by, less what is not allowed."""
    banned = bans.never | (bans.newlines & asked.note("one_line").bool()[..., None])
    logits = logits.to(exact(logits.dtype)).masked_fill(banned, -torch.inf)
    if specials.expand is not None:
        may_not = asked.note("full").bool()
        growing = logits[..., specials.expand].masked_fill(may_not, -torch.inf)
        logits[..., specials.expand] = growing
        if grow > 0:
            # A network in doubt of everything would else grow its holes before it writes a word.
            timid = logits.softmax(-1)[..., specials.expand] < grow
            logits[..., specials.expand] = growing.masked_fill(timid, -torch.inf)
    return logits


def exact(dtype: torch.dtype) -> torch.dtype:
    """What probabilities are computed in for logits of that kind: float32, or what is finer."""
    return torch.promote_types(torch.float32, dtype)


def probabilities_of(logits: Tensor, policy: Policy) -> Tensor:
    """(boards, masks, vocab): temperature first, then top-p, then what the rules look at."""
    if policy.temperature > 0:
        logits = logits / policy.temperature
    if policy.top_p < 1:
        logits = rules.within_top_p(logits, policy.top_p)
    return logits.softmax(-1)


def decided(
    probabilities: Tensor, asked: Asked, policy: Policy, specials: Specials, before: Tensor | None
) -> Tensor:
    """What becomes of each mask, packed so that one copy brings it to the host: (5, boards, masks).

    In float64, which holds ids and probabilities exactly: its token, that token's probability,
    whether it is committed, or stays if it is no mask, the mask of the same hole from which a
    committed delete cuts, whether the mask is as it was a step before. `before` are the
    probabilities of that step, for KLASS.
    """
    real = asked.real
    if policy.temperature > 0:
        tokens = rules.drawn(probabilities, asked.numbers)
        confidence = probabilities.gather(-1, tokens[..., None])[..., 0]
    else:
        confidence, tokens = probabilities.max(-1)
    order = rules.certainty(probabilities) if policy.order == "entropy" else confidence
    # For each mask of a board how all of them are (boards, 1, masks), and which are of its hole.
    sure, score = confidence[:, None], order[:, None]
    mine = rules.together(asked.note("holes"), real)
    calm = torch.zeros_like(real)
    written: tuple[Tensor, Tensor] | None = None  # by P2: tokens that are there, and that stay
    if policy.factor is not None:
        chosen = rules.by_factor(sure, policy.factor, mine)
    elif policy.entropy_bound is not None:
        entropy = torch.special.entr(probabilities).sum(-1)
        chosen = rules.by_entropy(entropy[:, None], policy.entropy_bound, mine)
    elif policy.klass is not None:
        assert before is not None
        least, most = policy.klass
        calm = asked.note("known").bool() & (rules.divergence(probabilities, before) < most)
        steady = calm & asked.note("calm").bool()
        chosen = rules.by_steadiness(sure, least, steady[:, None], score, mine)
    elif policy.even is not None:
        chosen = rules.by_schedule(asked.note("count")[..., None], score, mine)
    elif policy.p2 is not None:
        kept = rules.by_rank(asked.note("count")[..., None], sure, mine)
        filled = asked.note("filled").bool()[:, None] & mine
        written = filled, filled & kept
        chosen, mine = kept & ~filled, mine & ~filled
    else:
        threshold = THRESHOLD if policy.threshold is None else policy.threshold
        chosen = rules.by_threshold(sure, threshold, score, mine)
    is_length = torch.zeros_like(real)
    for token in (specials.expand, specials.delete):
        if token is not None:
            is_length = is_length | (tokens == token)
    chosen = rules.length_alone(chosen, is_length[:, None], score)
    cut = torch.arange(real.shape[-1], device=real.device).expand_as(tokens)
    if specials.delete is not None and policy.cut is not None:
        surest = rules.first(score, chosen).to(torch.uint8).argmax(-1)
        share = probabilities[:, None, :, specials.delete]
        cut = rules.cut_at(share, surest, policy.cut, mine)
    if written is not None:
        # A new length is found for the tokens as they are: beside one, all of them stay.
        alone = (chosen & is_length[:, None]).any(-1, keepdim=True)
        chosen = chosen | written[0].where(alone, written[1])
    itself = chosen.diagonal(dim1=-2, dim2=-1)
    parts = (tokens, confidence, itself, cut, calm)
    return torch.stack([part.double() for part in parts])
