"""How long to wait for another key before the model is asked. Knows keys' times, no text.

A fill that is superseded was made in vain, and was in the way of others. But where some fills are
there before the next key, each is begun at once: waiting would lose those. Only where even the
fastest take much longer than there is between two keys is none begun until the keys have become
rarer. What that costs and gains is measured by bench/pauses.py.
"""

from __future__ import annotations

from collections import deque
from statistics import median

LONGEST = 0.15  # seconds; who pauses to look for a fill waits longer than that anyway
TYPING = 1.0  # seconds: with longer gaps somebody thinks, which says nothing of the next key
KEYS, FILLS = 6, 8  # so many of the last are looked at
LATE = 2.0  # gaps: a fill that takes as long is hardly ever in time
AGAIN = 1.25  # gaps without a key, and the next is not likely to be as soon


class Pace:
    """Of one window: how fast somebody types, and how long fills take."""

    def __init__(self) -> None:
        self._key: tuple[str, float] | None = None
        self._gaps: deque[float] = deque(maxlen=KEYS)
        self._fills: deque[float] = deque(maxlen=FILLS)

    def typed(self, key: str, now: float) -> None:
        """Something was typed into the document `key`."""
        if self._key is not None and self._key[0] == key and now - self._key[1] < TYPING:
            self._gaps.append(now - self._key[1])
        self._key = key, now

    def filled(self, seconds: float) -> None:
        """So long a fill took, or had taken when it was given up."""
        self._fills.append(seconds)

    def pause(self, now: float) -> float:
        """Seconds from `now`; 0 where fills may be in time, or nothing is known yet."""
        if len(self._gaps) < KEYS // 2 or not self._fills or self._key is None:
            return 0.0
        gap = median(self._gaps)
        if min(self._fills) < LATE * gap:
            return 0.0
        return max(0.0, min(LONGEST, AGAIN * gap) - (now - self._key[1]))
