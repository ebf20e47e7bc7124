"""Between those who ask and the one thread that computes: canvases come through a queue, drafts go
back to each asker's event loop. Whose turn it is is `turns`' business. Knows no network.

All computing goes through that thread: a second one would have a team of helpers of its own, and
OpenMP lets all of them sleep between two operations once they outnumber the cores, which doubled
the time of a step.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# torch is only partly typed.

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import torch

from model.canvas import Canvas, Card, Claim, Draft, Hole, ModelError
from model.turns import Traffic, Turns, ends

LATEST = 64  # steps whose times are kept: enough for a median that follows what goes on now


@dataclass(eq=False, slots=True)
class Job:
    """A canvas in work, or waiting. `wanted` turns false when its asker has gone, or when it is
    over for another reason: from then on no step is begun for it."""

    canvas: Canvas
    claim: Claim
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    drafts: asyncio.Queue[Draft | ModelError | None] = field(default_factory=asyncio.Queue)
    wanted: bool = True
    came: float = field(default_factory=time.perf_counter)
    waited_ms: float | None = None  # from asking to the first step's beginning

    def begin(self, now: float) -> None:
        if self.waited_ms is None:
            self.waited_ms = (now - self.came) * 1000

    def left_ms(self, now: float) -> float:
        """Until its deadline, infinite where it has none."""
        limit = self.claim.deadline_ms
        return limit - (now - self.came) * 1000 if limit > 0 else math.inf

    def is_late(self, now: float) -> bool:
        return self.left_ms(now) <= 0

    def is_left(self, now: float) -> bool:
        """Whether nobody waits for it any more, and it has been among those who are waited for."""
        return not self.claim.speculative and self.left_ms(now) <= self.claim.behind_ms

    def tell(self, news: Draft | ModelError | None) -> None:
        """None: what was told is all there will be."""
        try:
            self.loop.call_soon_threadsafe(self.drafts.put_nowait, news)
        except RuntimeError:  # the asker's event loop has ended, and the asker with it
            self.wanted = False

    def end(self, error: ModelError | None = None) -> None:
        self.wanted = False
        self.tell(error)


@dataclass(eq=False, slots=True)
class Warming:
    """Asks the thread to get ready all that a later step may need."""

    tell: Callable[[float], None]
    done: Future[None] = field(default_factory=Future[None])


J = TypeVar("J", bound=Job)


class Asked(ABC, Generic[J]):
    """A Denoiser with its network in this process. Its thread, which `begin` starts, lives in
    `work`: `at_boundary` brings it what comes from `arrivals`, where None ends it, and it tells
    each job its drafts. `turns` belong to that thread alone; `open` are the jobs still asked for.

    `steps` counts steps, `boards_stepped` the boards in them, `tokens` what was committed.
    """

    def __init__(self, card: Card, *, captures: bool, turn: int = 1) -> None:
        self.card = card
        self.captures = captures  # steps are captured graphs, so warming up is worth its time
        self.arrivals: queue.SimpleQueue[J | Warming | None] = queue.SimpleQueue()
        self.turns: Turns[J] = Turns(turn)
        self.open: dict[J, None] = {}
        self.warmings: list[Warming] = []
        self.steps = self.boards_stepped = self.tokens = 0
        self.seconds: tuple[float, ...] = ()
        self.over = False
        self.thread = threading.Thread(target=self.work, name="infill-engine", daemon=True)

    def begin(self) -> None:
        self.thread.start()

    @abstractmethod
    def work(self) -> None:
        """The thread's life."""

    @abstractmethod
    def job_of(self, canvas: Canvas, claim: Claim) -> J:
        """Raises `ModelError` for a canvas that cannot be worked on."""

    @abstractmethod
    def get_ready(self, warming: Warming) -> None:
        """Does what it asks for, and says how it went."""

    def carry_on(self, newer: J, older: J) -> None:
        """Lets the newer job begin where the older one of the same canvas is, if that can be."""

    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        if not self.thread.is_alive():
            raise ModelError(f"the engine of {self.card.name} has been closed")
        came = time.perf_counter()
        job = self.job_of(canvas, claim)
        job.came = came
        self.open[job] = None
        # Only now: of two that come at once, from two threads, the later one sees the other.
        for older in tuple(self.open):
            if older is job:
                break
            if ends(claim, older.claim):
                older.end()
        self.arrivals.put(job)
        if self.over:  # then it may be that nobody looks there any more
            job.end(ModelError(f"the engine of {self.card.name} was closed"))
        try:
            while (news := await job.drafts.get()) is not None:
                if isinstance(news, ModelError):
                    raise news
                yield news
                if news.final:
                    return
        finally:
            job.wanted = False
            del self.open[job]

    def at_boundary(self) -> bool:
        """Between two steps: takes in who has come, lets go who needs no further step, and puts
        behind the others for whom nobody waits any more. Waits while there is nobody. False once
        the engine is closed.

        What asks for warming up is put aside, since it may be in the way of what is in work.
        """
        while not self.over:
            try:
                arrived = self.arrivals.get(block=not (self.turns or self.warmings))
            except queue.Empty:
                break
            match arrived:
                case None:
                    self.over = True
                case Warming():
                    self.warmings.append(arrived)
                case job:
                    for older in self.turns:
                        if ends(job.claim, older.claim) and job.canvas == older.canvas:
                            self.carry_on(job, older)
                    self.turns.add(job)
        now = time.perf_counter()
        for job in tuple(self.turns):
            if job.wanted and job.is_late(now):
                job.end()
            if not job.wanted:
                self.turns.remove(job)
            elif job.is_left(now):
                self.turns.remove(job)
                job.claim = replace(job.claim, speculative=True)
                self.turns.add(job)
        return not self.over

    def warm(self) -> None:
        """What was put aside."""
        while self.warmings:
            self.get_ready(self.warmings.pop(0))

    def count(self, seconds: float, boards: int, tokens: int) -> None:
        """What a step took, and what came of it."""
        self.seconds = (*self.seconds[1 - LATEST :], seconds)
        self.steps += 1
        self.boards_stepped += boards
        self.tokens += tokens

    def traffic(self) -> Traffic:
        """May be asked from any thread at any time, and waits for nothing."""
        jobs = tuple(self.open)
        return Traffic(
            self.steps, self.boards_stepped, self.tokens, self.seconds,
            running=Counter(job.claim.asker for job in jobs if job.waited_ms is not None),
            waiting=Counter(job.claim.asker for job in jobs if job.waited_ms is None),
        )  # fmt: skip

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

    def say_closed(self) -> None:
        """To all who are in work, wait, or came after the end."""
        closed = ModelError(f"the engine of {self.card.name} was closed")
        for job in self.turns:
            job.end(closed)
        while True:
            try:
                late = self.arrivals.get_nowait()
            except queue.Empty:
                break
            if isinstance(late, Warming):
                self.warmings.append(late)
            elif late is not None:
                late.end(closed)
        for warming in self.warmings:
            warming.done.set_exception(closed)


def ran_out(error: BaseException | None) -> bool:
    """Whether memory ran out, perhaps within the capture of a graph, which then fails itself."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError):
            return True
        error = error.__context__
    return False
