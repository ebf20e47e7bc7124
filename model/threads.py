"""Torch without a team of helper threads, where little is computed."""

# pyright: reportUnknownMemberType=false
# torch is only partly typed.

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Generator[None]:
    """For loading: a second team beside the engine's slows its steps, see `Engine.warm_up`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
