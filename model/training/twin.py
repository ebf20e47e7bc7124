"""The twin: the same network reading from left to right, the control for what diffusion is worth.

It learns to fill in the middle (Bavarian et al. 2022, prefix-suffix-middle) from the same windows,
holes and tokens. Its sentinels are ids that a left-to-right network has no other use for, so the
vocabulary is the same, too. It is for measuring only: no server ever loads it.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.masked.network import Network
from model.tokens import DELETE, EXPAND, MASK, PAD, Tokens
from model.training.examples import IGNORED, SPARE, Examples, Mix

PREFIX, SUFFIX, MIDDLE, END = MASK, EXPAND, DELETE, PAD
SENTINELS = 4

Ids = list[int]


class Reading:
    """Examples of `length` tokens: prefix, suffix and middle of a window, and for each token the
    next one as its label. Unlike a masked network's, nearly all of its tokens are labelled."""

    def __init__(self, tokens: Tokens, length: int, mix: Mix | None = None) -> None:
        self.length = length
        self.holes = Examples(tokens, length, mix)  # for the same holes

    def draw(
        self, row: np.ndarray, count: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        ids = np.empty((count, self.length), np.int64)
        for i in range(count):
            start = int(rng.integers(0, len(row) - self.length - SPARE))
            ids[i] = self.turned(row[start : start + self.length - SENTINELS].tolist(), rng)
        labels = np.full_like(ids, IGNORED)
        labels[:, :-1] = ids[:, 1:]
        # Where the sides end is given, not to be guessed.
        labels[np.isin(labels, (PREFIX, SUFFIX, MIDDLE))] = IGNORED
        return ids, labels

    def turned(self, window: Ids, rng: np.random.Generator) -> Ids:
        """The window with one stretch moved to its end, between the sentinels."""
        holes = self.holes
        start = int(rng.integers(8, int(0.85 * len(window))))
        if rng.random() < holes.mix.lines:
            start = max(1, holes.line_start(window, start))
        end, _ = holes.reach(window, start, rng)
        end = min(end, len(window))
        before, middle = holes.cut(window, start, end, rng)
        prefix, suffix = [*window[:start], *before], window[end:]
        # A token cut in two makes the row longer by a few: the far ends of the sides give way.
        longer = len(prefix) + len(middle) + len(suffix) - len(window)
        off_suffix = min(longer, len(suffix))
        suffix = suffix[: len(suffix) - off_suffix]
        prefix = prefix[longer - off_suffix :]
        return [PREFIX, *prefix, SUFFIX, *suffix, MIDDLE, *middle, END]


@dataclass(frozen=True, slots=True)
class Beam:
    written: Ids
    score: float  # log-probability of all of it
    over: bool = False

    @property
    def worth(self) -> float:
        """The score a token, its end included: by the score alone, nothing at all would win."""
        return self.score / (len(self.written) + self.over)


@torch.inference_mode()
def written(
    network: Network,
    tokens: Tokens,
    before: Sequence[int],
    after: Sequence[int],
    *,
    limit: int,
    beams: int = 1,
    one_line: bool = True,
) -> str:
    """The middle likeliest a token that a search with so many beams finds; greedy with one.

    `one_line`: a token with a line end in it ends the text, and is not part of it. Each step reads
    the whole row again, as the masked network does.
    """
    prompt = [PREFIX, *before, SUFFIX, *after, MIDDLE]
    device = next(network.parameters()).device
    ends = {END, *(tokens.newlines if one_line else ())}
    found = [Beam([], 0.0)]
    for _ in range(limit):
        open_ = [beam for beam in found if not beam.over]
        if not open_:
            break
        rows = torch.tensor([prompt + beam.written for beam in open_], device=device)
        next_ = following(network, rows)  # (beams, vocab)
        scores = next_ + torch.tensor([[beam.score] for beam in open_], device=device)
        best = torch.topk(scores.flatten(), beams)
        candidates = [beam for beam in found if beam.over]
        for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            row, token = divmod(place, next_.shape[1])
            over = token in ends
            text = open_[row].written if over else [*open_[row].written, token]
            candidates.append(Beam(text, score, over))
        found = sorted(candidates, key=lambda beam: -beam.worth)[:beams]
    return tokens.decode(found[0].written)


def following(network: Network, rows: Tensor) -> Tensor:
    """Log-probabilities of the token after each row; the sentinels but `END` are never written."""
    count, length = rows.shape
    last = torch.arange(1, count + 1, device=rows.device) * length - 1
    logits = network(rows, rows=last).float()
    logits[:, [PREFIX, SUFFIX, MIDDLE]] = -torch.inf
    return torch.log_softmax(logits, dim=-1)
