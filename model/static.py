"""Buffers that stay where they are, and CUDA graphs of what is computed on them.

A step of a large network is a thousand small kernels, and to launch them one by one takes longer
than to run them. So each stage of a step is captured once for each of a few shapes, and then
replayed. Elsewhere than on CUDA, and wherever it is told to, a stage is simply called: the same
code on the same buffers. It knows no network.
"""

# pyright: reportUnknownMemberType=false
# torch is only partly typed.

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from torch import Tensor


class Static:
    """One place of work, for one thread. `carried` are names of buffers that a stage changes and
    the next step reads: a capture, which does the work a few times, must not be noticed by them."""

    def __init__(
        self, device: torch.device, *, capture: bool, carried: tuple[str, ...] = ()
    ) -> None:
        self.device = device
        self.capture = capture
        self.carried = carried
        self.buffers: dict[str, Tensor] = {}
        self.graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self.pool = torch.cuda.graph_pool_handle() if capture else None

    def hold(self, wanted: Mapping[str, tuple[int, torch.dtype]]) -> None:
        """Buffers of so many numbers at least. Where one has to grow all graphs are lost."""
        had = {name: len(buffer) for name, buffer in self.buffers.items()}
        if all(had.get(name, -1) >= size for name, (size, _) in wanted.items()):
            return
        self.forget()
        for name, (size, dtype) in wanted.items():
            size = max(size, had.get(name, 0))
            self.buffers[name] = torch.zeros(size, dtype=dtype, device=self.device)

    def view(self, name: str, *shape: int) -> Tensor:
        """The beginning of a buffer."""
        return self.buffers[name][: math.prod(shape)].view(*shape)

    def run(self, key: Hashable, work: Callable[[], None]) -> None:
        """Does the work; with `capture` by the graph of that key, captured if there is none yet."""
        if not self.capture:
            work()
            return
        if key not in self.graphs:
            before = {name: self.buffers[name].clone() for name in self.carried}
            self.graphs[key] = captured(work, self.pool)
            for name, kept in before.items():
                self.buffers[name].copy_(kept)
        self.graphs[key].replay()

    def forget(self) -> None:
        """Drops graphs and buffers, and gives their memory back."""
        self.graphs.clear()
        self.buffers.clear()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            self.pool = torch.cuda.graph_pool_handle() if self.capture else None
            torch.cuda.empty_cache()


def captured(work: Callable[[], None], pool: Any) -> torch.cuda.CUDAGraph:
    """The work as a graph. It is done twice before: libraries set themselves up at first use.

    Graphs may share one pool of memory for what they compute on the way, as they run in turn.
    """
    here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
    aside.wait_stream(here)
    with torch.cuda.stream(aside):
        for _ in range(2):
            work()
    here.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # Other threads may use the device meanwhile: only this one's mistakes should end a capture.
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        work()
    return graph
