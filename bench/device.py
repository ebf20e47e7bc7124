"""What a device did just now: how long work took, how fast it copies and multiplies, its peak."""

# pyright: reportUnknownMemberType=false
# torch is only partly typed.

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch


def seconds(work: Callable[[], object], device: str, times: int = 10) -> float:
    """What it takes at the median, each time waited for; the first two do not count."""
    taken: list[float] = []
    for _ in range(times + 2):
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        taken.append(time.perf_counter() - began)
    return median(taken[2:])


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def copy_speed(device: str) -> float:
    """Bytes a second, read and written, of a copy of two gigabytes."""
    large = torch.empty(2**30 if device == "cuda" else 2**20, device=device, dtype=torch.bfloat16)
    target = torch.empty_like(large)
    return 2 * large.nbytes / seconds(lambda: target.copy_(large), device)


def product_speed(device: str, dtype: torch.dtype) -> float:
    """Operations a second of a large product."""
    size = 8192 if device == "cuda" else 128
    one, other = torch.randn(2, size, size, device=device, dtype=dtype)
    return 2 * size**3 / seconds(lambda: one @ other, device)


def machine(device: str) -> str:
    name = torch.cuda.get_device_name() if device == "cuda" else "a CPU, in a tiny shape"
    return f"{name}, torch {torch.__version__}"


def peak(device: str) -> str:
    if device != "cuda":
        return "not known"
    return f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
