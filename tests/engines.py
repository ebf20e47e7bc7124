"""Engines of a tiny random network, closed when they are done with; needs torch."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from model import Canvas, Card, Hole
from model.lengths.trial import Choosing
from model.masked.board import Start, Vocabulary
from model.masked.engine import Engine
from model.masked.network import Network
from model.masked.policy import Policy
from tests.boards import Letters, random_network

START = Start(line=6, block=9, context=32)
POLICY = Policy(threshold=1.0)  # a mask a step
WHOLE = Policy(threshold=1.0, cut=None)  # and no hole becomes shorter, so its steps can be counted
CANVAS = Canvas(("abc", "xyz"), (Hole(0, 0, limit=8),))


@contextmanager
def tiny_engine(
    limit: int = 8,
    *,
    network: Network | None = None,
    vocabulary: Vocabulary | None = None,
    start: Start = START,
    policy: Policy = POLICY,
    choosing: Choosing | None = None,
    batch: int = 8,
) -> Generator[Engine]:
    """One whose holes have at most `limit` tokens; by default letters, of which none means much."""
    made = Engine(
        Card("tiny", "1", 100, limit), network or random_network(1), vocabulary or Letters(),
        start=start, policy=policy, choosing=choosing, batch=batch,
    )  # fmt: skip
    try:
        yield made
    finally:
        made.close()
