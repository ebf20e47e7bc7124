"""Keeps the event loop free while a large file is worked on. Knows nothing of the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

LARGE = 40_000  # characters, about 1,000 lines: parsing takes some 10 ms from here on

T = TypeVar("T")


async def aside(size: int, work: Callable[[], T]) -> T:
    """The work's result, where `size` is how many characters it looks at. Only for many is a
    thread worth it: handing work over costs more than parsing a small file."""
    return work() if size < LARGE else await asyncio.to_thread(work)
