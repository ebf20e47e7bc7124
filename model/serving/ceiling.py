"""How much memory this process holds, and how it goes back to the system. Knows no requests."""

from __future__ import annotations

import ctypes
import gc
import sys

import psutil


def resident() -> int:
    """Bytes of this process that are in memory."""
    return psutil.Process().memory_info().rss


def give_back() -> None:
    """What Python, torch and the C library keep for later goes back to the system."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
        if trim is not None:
            trim(0)
