"""A small vocabulary and counts over a few lines of code, to try evidence by counting on."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from model.evidence.codeonly import code_of
from model.evidence.lexicon import Lexicon
from model.evidence.mixture import EXPERTS, FEATURES, Gate, Shipped
from model.evidence.proposals import Proposer
from model.tokens import Tokens, train_tokens
from model.training.counting import count, cuts, fit_gate, frequency_of

LEARNT = [
    '''
def total_of(values):
    """Prose that nobody counts."""
    total = 0
    for value in values:
        total += value
    return total
''',
    """
def longest(rows):
    best = []
    for row in rows:
        if len(row) > len(best):
            best = row
    return best
""",
    """
class Shelf:
    def __init__(self, name, size):
        self.name = name
        self.size = size

    def is_full(self):
        return len(self.books) >= self.size
""",
    """
def first_of(items):
    if not items:
        return None
    return items[0]
""",
]


@cache
def tokens() -> Tokens:
    return train_tokens(LEARNT * 3, 400)


def encoded(text: str) -> np.ndarray:
    return np.array(tokens().encode(text), np.int64)


def level_gate() -> Gate:
    """Nothing fitted: the more often a context was seen, the more it has to say."""
    rng = np.random.default_rng(0)
    direct = np.zeros((EXPERTS, FEATURES), np.float32)
    direct[np.arange(EXPERTS), 2 * np.arange(EXPERTS)] = 3.0
    some = rng.normal(0, 0.01, (4, FEATURES)).astype(np.float32)
    zeros = np.zeros
    return Gate(
        direct, zeros(EXPERTS, np.float32), some, zeros(4, np.float32), some[:, :EXPERTS].T.copy()
    )


@cache
def unfitted() -> Shipped:
    lexicon = Lexicon.of(tokens().bytes_of)
    rows = [encoded(code_of(text)) for text in LEARNT]
    counts = count(rows, lexicon, fewest=1)
    return Shipped(lexicon, counts, frequency_of(rows, len(tokens())), level_gate())


@cache
def shipped() -> Shipped:
    """With a gate that has learnt to trust the counts."""
    gate, _ = fit_gate(cuts(LEARNT, 40, 0), telling(unfitted()), rounds=40)
    return replace(unfitted(), gate=gate)


@cache
def proposer() -> Proposer:
    return telling(shipped())


def telling(it: Shipped) -> Proposer:
    return Proposer(it, tokens().bytes_of, tokens().encode)
