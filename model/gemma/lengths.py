"""At which lengths a clamped hole is tried, all in one batch, and how many at once. No torch."""

from __future__ import annotations

from model.canvas import Hole

# Tokens. Doubled from one to the next: guesses, until real weights can be asked.
LINE = (4, 8, 16, 32)
BLOCK = (8, 16, 32, 64, 128)
# How many tokens a step may ask the head about, in the holes of all lengths and behind them: each
# is a row as wide as the vocabulary, several times over. All lengths of a block have room.
ASKED = 384


def lengths_of(hole: Hole, cap: int) -> list[int]:
    """Short ones within a line, up to a screen for a block; the last is the most that there may
    be, so that nothing is too long to be tried."""
    most = max(1, min(hole.limit, cap))
    return [*(length for length in (BLOCK if hole.multiline else LINE) if length < most), most]
