"""From a stretch of tokens to one training example: what is masked, and what each mask must become.

The rules are DreamOn's (arXiv 2602.01326) brought to small windows: a hole holds its content, then
delete slots; some neighbouring masks are merged into one whose label is expand. Positions in a hole
all weigh the same, so that the probability of delete stays calibrated. Knows no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.tokens import DELETE, EXPAND, MASK, Tokens

IGNORED = -100  # the label of a position that nothing is asked of
SPARE = 160  # tokens drawn beyond an example's length: merges in five long holes take some away

Ids = list[int]


@dataclass(frozen=True, slots=True)
class Mix:
    """How examples are made; every number is a share or a count of tokens."""

    scattered: float = 0.25  # examples with single tokens masked all over the window
    holes: int = 9  # fewer holes than this in the others; more to learn from in each forward
    lines: float = 0.4  # holes moved to where their line begins: a line is what is asked for most
    tails: float = 0.5  # holes that run to the end of the line
    blocks: float = 0.2  # holes of several lines; the rest lie within a line
    margin: float = 0.5  # holes at a line's start that hold its indentation, too
    split: float = 0.35  # holes that begin inside a token, as a cursor does
    line_slots: int = 16  # masks that a one-line hole starts with when it is filled
    block_slots: int = 48
    nothing: float = 0.3  # holes at the end of a line where nothing is missing, of those there
    longest_line: int = 24
    longest_block: int = 64


class Examples:
    """Draws examples of `length` tokens from a long row of token ids, without end."""

    def __init__(self, tokens: Tokens, length: int, mix: Mix | None = None) -> None:
        self.tokens = tokens
        self.length = length
        self.mix = mix or Mix()
        self.newlines = frozenset(tokens.newlines)

    def draw(
        self, row: np.ndarray, count: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """`count` examples: (ids, labels), both (count, length) of int64."""
        ids = np.empty((count, self.length), np.int64)
        labels = np.full((count, self.length), IGNORED, np.int64)
        for i in range(count):
            start = int(rng.integers(0, len(row) - self.length - SPARE))
            window: Ids = row[start : start + self.length + SPARE].tolist()
            make = self.scattered if rng.random() < self.mix.scattered else self.holed
            some_ids, some_labels = make(window, rng)
            ids[i] = some_ids[: self.length]
            labels[i] = some_labels[: self.length]
        return ids, labels

    def scattered(self, window: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
        """Each token masked with one probability for the whole window."""
        masked = rng.random(len(window)) < rng.uniform(0.05, 0.4)
        ids = [MASK if m else token for token, m in zip(window, masked, strict=True)]
        labels = [token if m else IGNORED for token, m in zip(window, masked, strict=True)]
        return ids, labels

    def holed(self, window: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
        """A few holes, the text between them untouched; slots lengthen it, merges shorten it."""
        starts = np.sort(rng.integers(8, int(0.85 * self.length), rng.integers(1, self.mix.holes)))
        ids: Ids = []
        labels: Ids = []
        at = 0
        for start in map(int, starts):
            if rng.random() < self.mix.lines:
                start = self.line_start(window, start)
            if start < at + 4:
                continue  # too close to the hole before
            end, slots = self.reach(window, start, rng)
            before, content = self.cut(window, start, end, rng)
            ids += window[at:start] + before
            labels += [IGNORED] * (start - at + len(before))
            hole_ids, hole_labels = hole(content, slots, rng)
            ids += hole_ids
            labels += hole_labels
            at = end
        ids += window[at:]
        labels += [IGNORED] * (len(window) - at)
        return ids, labels

    def line_start(self, window: Ids, start: int) -> int:
        """The line end that `start` follows, `start` itself if none is in reach."""
        reach = range(start, max(0, start - self.mix.longest_line), -1)
        return next((i for i in reach if window[i] in self.newlines), start)

    def reach(self, window: Ids, start: int, rng: np.random.Generator) -> tuple[int, int]:
        """Where a hole that begins at `start` ends, and how many masks it starts with."""
        mix = self.mix
        kind = rng.random()
        if window[start] in self.newlines:
            if rng.random() < mix.nothing:
                return start, mix.line_slots
            start += 1
        if kind < mix.blocks:
            wanted = int(rng.integers(2, 6))  # line ends: the hole stops before the last of them
            end = self.line_end(window, start, wanted, start + mix.longest_block)
            return end, mix.block_slots
        end = self.line_end(window, start, 1, start + mix.longest_line)
        if kind > mix.blocks + mix.tails and end > start + 1:
            end = int(rng.integers(start + 1, end + 1))
        return end, mix.line_slots

    def line_end(self, window: Ids, start: int, wanted: int, last: int) -> int:
        """The last of the wanted line ends at or after `start`, `last` if it is not in reach."""
        last = min(last, len(window))
        for i in range(start, last):
            if window[i] in self.newlines:
                wanted -= 1
                if not wanted:
                    return i
        return last

    def cut(self, window: Ids, start: int, end: int, rng: np.random.Generator) -> tuple[Ids, Ids]:
        """What of the first token stays before the hole, and the hole's content."""
        content = window[start:end]
        text = self.tokens.bytes_of[content[0]] if content else b""
        if content and content[0] in self.newlines:
            # At the margin the indentation is the hole's; behind it, it stands there already.
            where = text.rindex(b"\n") + 1 if rng.random() < self.mix.margin else len(text)
        elif len(text) < 2 or not text.isascii() or rng.random() >= self.mix.split:
            return [], content
        else:
            where = int(rng.integers(1, len(text)))
        left, right = text[:where].decode(), text[where:].decode()
        return self.tokens.encode(left), self.tokens.encode(right) + content[1:]


def hole(content: Sequence[int], slots: int, rng: np.random.Generator) -> tuple[Ids, Ids]:
    """One hole's ids and labels: some content masked, delete slots behind it or masks merged."""
    fate = rng.random()
    if fate < 0.3:
        spare = 0
    elif fate < 0.8:
        spare = max(0, slots - len(content))
    else:
        spare = int(rng.integers(0, 13))
    share = 1.0 if rng.random() < 0.4 else rng.random()
    masked = rng.random(len(content)) < share
    ids = [MASK if m else token for token, m in zip(content, masked, strict=True)]
    labels = [token if m else IGNORED for token, m in zip(content, masked, strict=True)]
    if spare == 0 and rng.random() < 0.5:
        fixed_chance = 0.5 if rng.random() < 0.5 else 0.5 * (1 - share)
        ids, labels = merged(ids, labels, fixed_chance, rng)
    return ids + [MASK] * spare, labels + [DELETE] * spare


def merged(ids: Ids, labels: Ids, chance: float, rng: np.random.Generator) -> tuple[Ids, Ids]:
    """Neighbouring masks become one that must expand, each pair with the given chance.

    A run of merges chains, so expand means "at least two tokens belong here".
    """
    ids, labels = list(ids), list(labels)
    i = 0
    while i + 1 < len(ids):
        if ids[i] == ids[i + 1] == MASK and rng.random() < chance:
            labels[i] = EXPAND
            del ids[i + 1], labels[i + 1]
        else:
            i += 1
    return ids, labels
