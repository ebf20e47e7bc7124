"""The code fence that a text can stand in. Knows text only."""

from __future__ import annotations

import re

RUN = re.compile(r"`{3,}")


def fence_for(*texts: str) -> str:
    """A row of backticks, three at least, that closes nowhere within the texts."""
    longest = max((len(run) for text in texts for run in RUN.findall(text)), default=2)
    return "`" * (longest + 1)
