"""Between those who ask and the one thread that computes: canvases come through a queue, drafts go
back to each asker's event loop. Knows no network.

All computing goes through that thread: a second one would have a team of helpers of its own, and
OpenMP lets all of them sleep between two operations once they outnumber the cores, which doubled
the time of a step.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# torch is only partly typed.

from __future__ import annotations

import asyncio
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch

from model.canvas import Canvas, Card, Claim, Draft, Hole, ModelError


@dataclass(eq=False, slots=True)
class Job:
    """A canvas in work, or waiting. `wanted` turns false when its asker has gone: from then on no
    step is made for it."""

    canvas: Canvas
    loop: asyncio.AbstractEventLoop
    drafts: asyncio.Queue[Draft | ModelError] = field(default_factory=asyncio.Queue)
    wanted: bool = True
    came: float = field(default_factory=time.perf_counter)

    def tell(self, news: Draft | ModelError) -> None:
        try:
            self.loop.call_soon_threadsafe(self.drafts.put_nowait, news)
        except RuntimeError:  # the asker's event loop has ended, and the asker with it
            self.wanted = False


@dataclass(eq=False, slots=True)
class Warming:
    """Asks the thread to get ready all that a later step may need."""

    tell: Callable[[float], None]
    done: Future[None] = field(default_factory=Future[None])


J = TypeVar("J", bound=Job)


class Asked(ABC, Generic[J]):
    """A Denoiser with its network in this process. Its thread, which `begin` starts, lives in
    `work`: it takes what comes from `arrivals`, where None ends it, and tells each job its drafts.
    """

    def __init__(self, card: Card, *, captures: bool) -> None:
        self.card = card
        self.captures = captures  # steps are captured graphs, so warming up is worth its time
        self.arrivals: queue.SimpleQueue[J | Warming | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self.work, name="infill-engine", daemon=True)

    def begin(self) -> None:
        self.thread.start()

    @abstractmethod
    def work(self) -> None:
        """The thread's life."""

    @abstractmethod
    def job_of(self, canvas: Canvas, loop: asyncio.AbstractEventLoop) -> J:
        """Raises `ModelError` for a canvas that cannot be worked on."""

    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        if not self.thread.is_alive():
            raise ModelError(f"the engine of {self.card.name} has been closed")
        job = self.job_of(canvas, asyncio.get_running_loop())
        self.arrivals.put(job)
        try:
            while True:
                news = await job.drafts.get()
                if isinstance(news, ModelError):
                    raise news
                yield news
                if news.final:
                    return
        finally:
            job.wanted = False

    def warm_up(self, on_share: Callable[[float], None] | None = None) -> None:
        """Captures graphs and fills one small hole, so that no request pays for first-time work.

        `on_share` hears the share of it done, from the thread. Not for use inside an event loop.
        """
        if self.captures:
            warming = Warming(on_share or (lambda _: None))
            self.arrivals.put(warming)
            warming.done.result()
        asyncio.run(self.one_fill())

    async def one_fill(self) -> None:
        async for _ in self.denoise(Canvas(("x = ", "\n"), (Hole(4, 4, limit=2),))):
            pass

    def close(self) -> None:
        self.arrivals.put(None)
        if threading.current_thread() is not self.thread:
            self.thread.join(timeout=30)

    def left(self) -> Iterator[J]:
        """The jobs that came after the end."""
        while True:
            try:
                job = self.arrivals.get_nowait()
            except queue.Empty:
                return
            if job is not None and not isinstance(job, Warming):
                yield job


def ran_out(error: BaseException | None) -> bool:
    """Whether memory ran out, perhaps within the capture of a graph, which then fails itself."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError):
            return True
        error = error.__context__
    return False
