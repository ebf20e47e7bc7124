"""Keeps the event loop free while a large file is worked on. Knows nothing of the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from infill.document import Document

LARGE = 40_000  # characters, about 1,000 lines: parsing takes some 10 ms from here on

T = TypeVar("T")


async def aside(document: Document, work: Callable[[], T]) -> T:
    """The work's result. Only for a large document is it worth a thread of its own: handing work
    over costs more than parsing a small one."""
    return work() if len(document.text) < LARGE else await asyncio.to_thread(work)
