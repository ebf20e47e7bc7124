"""A process's ceiling of memory, what it holds, and how that goes back to the system. Knows no
requests.

There are two, of the same height and each by itself: what this process has in the machine's memory,
and what torch has on the GPU, of which the first says nothing. What is kept of them, and what not:
- Nothing is loaded whose plan (`model.published.memory`) goes beyond it, and `auto` chooses among
  the rest. A folder of our own making, as the bundled model, has no plan: it is loaded, and
  measured.
- On the GPU torch's allocator holds no more than it; a step that needs more is tried with fewer
  boards, or fails and is told. What CUDA itself takes there (a context, kernels, graphs) is not
  counted.
- The host's memory is looked at each second. What goes beyond it in between, as one huge request
  may, is there for up to that second. From then on fills are refused, and what is held only for
  later goes back. While still above, fills in work are ended after some seconds, and the weights go
  back as soon as there are none. It never ends the process.
- The libraries that were once imported stay: the smallest ceiling that lets anything run is what a
  process with torch holds, a few hundred MB.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch is only partly typed.

from __future__ import annotations

import ctypes
import gc
import sys

import psutil

from model.machine import has_gpu, keep_within

FIRST = 0  # the GPU that networks are on: no other is used


def resident() -> int:
    """Bytes of this process that are in memory."""
    return psutil.Process().memory_info().rss


def hold(most: int) -> None:
    """Tells those who plan, and torch's allocator on CUDA. It imports torch where there is a GPU,
    so it takes its time."""
    keep_within(most)
    if not has_gpu():
        return
    try:
        import torch
    except ImportError:
        return  # whoever needs it says so
    if torch.cuda.is_available():
        whole = torch.cuda.get_device_properties(FIRST).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, most / whole), FIRST)


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
