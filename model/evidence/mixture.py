"""The next token by counting: what followed like contexts everywhere, in this file, and near by.

A nested cache (Hellendoorn and Devanbu, FSE 2017): the shipped table, the other files of a project,
the open file, the last and next hundred tokens. Each context of each length is an expert; a
small gate, trained on held-out code, weighs them by how often each has been seen and by how many
different tokens followed it, so that the surer ones speak. Knows no networks, and no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evidence.counts import (
    Counts,
    Floats,
    Hashes,
    Ints,
    added,
    different,
    grams_of,
    table_of,
    unpacked,
)
from model.evidence.lexicon import COPY, FAMILIES, PLAIN, SHAPE, Lexicon

IN_FILE = PLAIN[:5]
NEAR = PLAIN[:4]
IN_PROJECT = PLAIN[:5]
NEARBY = 128  # tokens on each side
NAMED = 192  # tokens before in which names are looked for
COPIER = len(PLAIN) + 2  # the family that says whether a name from near by is due
TABLES = FAMILIES + len(IN_FILE) + len(NEAR) + len(IN_PROJECT)
# Then: a name from near by where one is due; and without any context: all, the file, near, a name.
EXPERTS = TABLES + 5
FEATURES = 3 * EXPERTS
SLIGHT = 2e-3  # an expert of less weight is left out, for time
LEAST = 1e-9  # the probability of what nobody has seen

WINDOW_BEFORE, WINDOW_AFTER = 64, 28  # tokens round a place that its contexts may lie in


@dataclass(frozen=True, slots=True)
class Shipped:
    """What is the same for every file: the table (None where a vocabulary has none), how frequent
    each token is, and the gate."""

    lexicon: Lexicon
    counts: Counts | None
    frequency: Floats  # (vocab)
    gate: Gate


@dataclass(frozen=True, slots=True)
class Gate:
    """Two small layers beside a straight one, from features to the experts' weights."""

    direct: Floats  # (experts, features)
    direct_bias: Floats
    inner: Floats  # (hidden, features)
    inner_bias: Floats
    outer: Floats  # (experts, hidden)

    def weights(self, features: Floats) -> Floats:
        """(places, experts), each row summing to one over the experts that have something to say.

        `features` is (places, experts, 2).
        """
        there = features[:, :, 0] > 0
        rows = inputs_of(features)
        scores = rows @ self.direct.T + self.direct_bias
        scores += np.maximum(rows @ self.inner.T + self.inner_bias, 0) @ self.outer.T
        scores = np.where(there, scores, -np.inf)
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        out: Floats = raised / raised.sum(axis=1, keepdims=True)
        return out


def inputs_of(features: Floats) -> Floats:
    """(places, 3 * experts): sizes on a log scale and whether there are any, brought near 1."""
    there = (features[:, :, 0] > 0).astype(np.float32)
    return np.concatenate((features.reshape(len(features), -1), there), axis=1) / np.float32(3)


def grams_in(row: Ints, lexicon: Lexicon, families: int) -> tuple[Hashes, Floats]:
    """The different grams of the first so many families, and how many there are of each."""
    if not len(row):
        return np.zeros(0, np.uint64), np.zeros(0, np.float32)
    return different(grams_of(lexicon.contexts(row)[:families, :-1], row).ravel())


def nothing_counted() -> Counts:
    return table_of(*added([]))


@dataclass(frozen=True)
class Local:
    """Counts of the file at hand, whose code's tokens are `before` and `after`, beside those of the
    other files of its `project`."""

    shipped: Shipped
    before: Ints
    after: Ints
    project: Counts = field(default_factory=nothing_counted)

    @cached_property
    def file(self) -> Counts:
        return self.counts_of((self.before, self.after), len(IN_FILE))

    @cached_property
    def near(self) -> Counts:
        return self.counts_of((self.before[-NEARBY:], self.after[:NEARBY]), len(NEAR))

    def counts_of(self, rows: Sequence[Ints], families: int) -> Counts:
        lexicon = self.shipped.lexicon
        return table_of(*added([grams_in(row, lexicon, families) for row in rows]))

    @cached_property
    def alone(self) -> Floats:
        """(3, vocab): probabilities without any context, of all code, of the file, and near by."""
        size = len(self.shipped.frequency)
        lexicon = self.shipped.lexicon
        rows = [self.shipped.frequency]
        for parts in ((self.before, self.after), (self.before[-NEARBY:], self.after[:NEARBY])):
            total = np.zeros(size, np.float32)
            for part in parts:
                total += np.bincount(part[~lexicon.joins(part)], minlength=size)
            rows.append(total / max(float(total.sum()), 1.0))
        return np.stack(rows)

    @cached_property
    def names(self) -> Floats:
        """(2, vocab): of names that stand near, the nearer the more, by how they begin: after a
        space, and where none is due."""
        lexicon = self.shipped.lexicon
        total = np.zeros(len(self.shipped.frequency), np.float32)
        for part, distance in (
            (self.before[-NAMED:], np.arange(len(self.before[-NAMED:]))[::-1]),
            (self.after[:NEARBY], np.arange(len(self.after[:NEARBY])) + 8),
        ):
            weight = np.exp(-distance / 48.0) * (lexicon.names[part] & ~lexicon.joins(part))
            np.add.at(total, lexicon.bare[part], weight.astype(np.float32))
        spaced = np.zeros_like(total)
        np.add.at(spaced, lexicon.spaced, np.where(lexicon.bare == np.arange(len(total)), total, 0))
        return np.stack((spaced, total)) / max(float(total.sum()), 1e-9)

    def at_ends(self, hypotheses: Sequence[Sequence[int]], after: Ints | None = None) -> Place:
        """The places behind each of the hypotheses, which stand behind `before`; `after` is what
        comes next where that is not all of the text after."""
        behind = self.before[-WINDOW_BEFORE:].tolist()
        ahead = (self.after if after is None else after)[:WINDOW_AFTER].tolist()
        row: list[int] = []
        ends: list[int] = []
        for hypothesis in hypotheses:
            row += behind
            row += hypothesis
            ends.append(len(row))
            row += ahead
        last = [h[-1] if h else (behind[-1] if behind else 0) for h in hypotheses]
        contexts = self.shipped.lexicon.contexts(row)[:, ends]
        contexts[len(PLAIN) + len(SHAPE) :] = 0
        return Place(self, contexts, np.array(last, np.int64), opens=False)

    def at_new_line(self) -> Place:
        """The one place behind `before`, where the line end of a new line is to be written."""
        behind, ahead = self.before[-WINDOW_BEFORE:], self.after[:WINDOW_AFTER]
        line_end = int(np.flatnonzero(self.shipped.lexicon.ends_line)[0])
        row = np.concatenate((behind, [line_end], ahead)).astype(np.int64)  # a line with no words
        contexts = self.shipped.lexicon.contexts(row)[:, [len(behind)]]
        contexts[len(PLAIN) : len(PLAIN) + len(SHAPE)] = 0  # what follows the line is that line
        last = int(behind[-1]) if len(behind) else 0
        return Place(self, contexts, np.array([last], np.int64), opens=True)


@dataclass(frozen=True)
class Place:
    """Where the next token is asked for: many places at once, (families, places) of contexts."""

    local: Local
    contexts: Hashes
    last: Ints  # the token before each place
    opens: bool  # the next token is the line end of a new line

    @cached_property
    def found(self) -> list[tuple[Counts, Ints]]:
        """The tables in the experts' order, and in each the numbers (families, places)."""
        found = [
            (self.local.file, self.local.file.find(self.contexts[: len(IN_FILE)])),
            (self.local.near, self.local.near.find(self.contexts[: len(NEAR)])),
            (self.local.project, self.local.project.find(self.contexts[: len(IN_PROJECT)])),
        ]
        shipped = self.local.shipped.counts
        if shipped is not None:
            found.insert(0, (shipped, shipped.find(self.contexts)))
        return found

    @property
    def first(self) -> int:
        """The first expert that is there."""
        return 0 if self.local.shipped.counts is not None else FAMILIES

    @cached_property
    def copying(self) -> Floats:
        """(places): how probable a name from near by is, by the shipped table; 0 if unknown."""
        chance = np.zeros(len(self.last), np.float32)
        if self.first == 0:
            counts, numbers = self.found[0]
            pairs, tokens, shares = gathered(counts, numbers[[COPIER]])
            marked = tokens == COPY
            chance[pairs[1][marked]] = shares[marked]
        return np.minimum(chance, 1.0)

    @cached_property
    def features(self) -> Floats:
        """(places, experts, 2), all zero for an expert that has nothing to say."""
        features = np.zeros((len(self.last), EXPERTS, 2), np.float32)
        expert = self.first
        for counts, numbers in self.found:
            there = numbers >= 0
            at = np.maximum(numbers, 0)
            if len(counts.seen):
                rows = slice(expert, expert + len(numbers))
                features[:, rows, 0] = np.where(there, counts.seen[at], 0).T
                features[:, rows, 1] = np.where(there, counts.kinds[at], 0).T
            expert += len(numbers)
        features[:, TABLES, 0] = 4 * self.copying
        features[:, TABLES, 1] = features[:, COPIER, 0]
        local = self.local
        features[:, TABLES + 1, 0] = 1
        features[:, TABLES + 2, 0] = np.log1p(len(local.before) + len(local.after))
        features[:, TABLES + 3, 0] = np.log1p(
            len(local.before[-NEARBY:]) + len(local.after[:NEARBY])
        )
        features[:, TABLES + 4, 0] = 1 if self.opens else 2
        return features

    @cached_property
    def weights(self) -> Floats:
        return self.local.shipped.gate.weights(self.features)

    def probabilities(self) -> Floats:
        """(places, vocab), the experts' opinions mixed."""
        places, size = len(self.last), self.local.alone.shape[1]
        weights = self.weights
        cells: list[Ints] = []
        shares: list[Floats] = []
        expert = self.first
        for counts, numbers in self.found:
            here = weights[:, expert : expert + len(numbers)].T
            heard = np.where(here > SLIGHT, numbers, -1)
            (family, place), tokens, share = gathered(counts, heard)
            cells.append(place * size + tokens)
            shares.append(here[family, place] * share)
            expert += len(numbers)
        mixed = np.bincount(np.concatenate(cells), np.concatenate(shares), minlength=places * size)
        out = mixed.reshape(places, size).astype(np.float32) + self.without_context(weights)
        out[:, COPY] = 0
        return out

    def without_context(self, weights: Floats) -> Floats:
        lexicon = self.local.shipped.lexicon
        tight = lexicon.tight[self.last]
        named = weights[:, -1] + weights[:, TABLES] * self.copying
        spoken = np.column_stack((weights[:, TABLES + 1 : -1], named * ~tight, named * tight))
        opinions = spoken @ np.concatenate((self.local.alone, self.local.names))
        # A name does not begin in the middle of a word.
        opinions[np.ix_(lexicon.ends_wordy[self.last], lexicon.starts_wordy)] = 0
        return opinions

    def opinions(self, tokens: Ints) -> Floats:
        """(places, experts): the probability that each expert gives to the one token of each
        place; what the gate learns from."""
        out = np.zeros((len(self.last), EXPERTS), np.float32)
        expert = self.first
        for counts, numbers in self.found:
            (family, place), known, shares = gathered(counts, numbers)
            right = known == tokens[place]
            out[place[right], expert + family[right]] = shares[right]
            expert += len(numbers)
        lexicon = self.local.shipped.lexicon
        splits = lexicon.ends_wordy[self.last] & lexicon.starts_wordy[tokens]
        tight = lexicon.tight[self.last].astype(np.int64)
        named = np.where(splits, 0, self.local.names[tight, tokens])
        out[:, TABLES] = self.copying * named
        out[:, TABLES + 1 : -1] = np.where(splits, 0, self.local.alone[:, tokens]).T
        out[:, -1] = named
        return out

    def probability(self, tokens: Ints) -> Floats:
        """(places): of one token at each place."""
        out: Floats = (self.weights * self.opinions(tokens)).sum(axis=1)
        return out


def gathered(counts: Counts, numbers: Ints) -> tuple[tuple[Ints, Ints], Ints, Floats]:
    """All that followed the numbered contexts: ((family, place), token, share), one row for each.

    `numbers` is (families, places), -1 for none.
    """
    family, place = np.nonzero(numbers >= 0)
    at = numbers[family, place]
    starts = counts.starts[at]
    lengths = counts.starts[at + 1] - starts if len(at) else starts
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    rows = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    pairs = np.repeat(family, lengths), np.repeat(place, lengths)
    return pairs, counts.tokens[rows].astype(np.int64), counts.shares[rows]


def arrays_of(gate: Gate) -> Iterator[tuple[str, NDArray[Any]]]:
    for name in Gate.__slots__:
        yield f"gate_{name}", getattr(gate, name)


def shipped_from(arrays: Mapping[str, Any], bytes_of: Sequence[bytes]) -> Shipped:
    """From a file's arrays: those of a table, if there is one, of frequencies and of a gate.

    Raises `KeyError` or `ValueError` for arrays of something else.
    """
    gate = Gate(**{name: arrays[f"gate_{name}"] for name in Gate.__slots__})
    if gate.direct.shape != (EXPERTS, FEATURES):
        raise ValueError(
            f"its gate weighs {len(gate.direct)} experts, wanted are {EXPERTS}: it was made by "
            "another version of this program"
        )
    counts = unpacked(arrays) if "tokens" in arrays else None
    frequency = arrays["frequency"]
    if len(frequency) != len(bytes_of):
        raise ValueError(f"counts of {len(frequency)} tokens for a vocabulary of {len(bytes_of)}")
    return Shipped(Lexicon.of(bytes_of), counts, frequency, gate)
