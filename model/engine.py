"""The engine: one thread owns a network and steps the boards of all who ask, in one batch.

Boards join and leave between steps. On CUDA shapes are few and steps are captured graphs
(`graphs`). It knows no files and no editors; `load` makes one.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from model.board import Board, Start, Vocabulary
from model.canvas import Canvas, Card, Draft, Hole, ModelError
from model.evidence import Evidence
from model.graphs import Desk
from model.length import GRID, Place
from model.network import Network
from model.policy import Policy
from model.refine import hole_logits
from model.trial import Choosing, Trial, begun, step_all

logger = logging.getLogger(__name__)

# Parameters: below, a step is so short that a team of threads on a busy machine mostly waits for
# one of its own. Six holes took 15 s with two threads beside two other programs, 2 s with one.
SMALL = 20_000_000


@dataclass(eq=False, slots=True)
class Job:
    """A canvas in work. `wanted` turns false when its asker has gone: none of its boards is then
    stepped. `trial` is None until the engine's thread has begun it."""

    board: Board
    loop: asyncio.AbstractEventLoop
    drafts: asyncio.Queue[Draft | ModelError] = field(default_factory=asyncio.Queue)
    wanted: bool = True
    came: float = field(default_factory=time.perf_counter)
    waited_ms: float | None = None  # from asking to the first step's beginning
    trial: Trial | None = None

    def tell(self, news: Draft | ModelError) -> None:
        try:
            self.loop.call_soon_threadsafe(self.drafts.put_nowait, news)
        except RuntimeError:  # the asker's event loop has ended, and the asker with it
            self.wanted = False


@dataclass(eq=False, slots=True)
class Warming:
    """Asks the engine's thread to get ready all that a later step may need."""

    tell: Callable[[float], None]
    done: Future[None] = field(default_factory=Future[None])


class Engine:
    """A Denoiser with its network in this process.

    `evidence` gathers what is known of a board beside the network, before its first step.
    `choosing` is for a network that cannot grow its holes: each canvas then has a few boards.
    `batch` is how many boards share a forward at most; a step that runs out of memory halves it for
    good. `steps` counts steps, `boards_stepped` the boards in them.
    """

    def __init__(
        self,
        card: Card,
        network: Network,
        vocabulary: Vocabulary,
        *,
        start: Start,
        policy: Policy,
        evidence: Callable[[Board], Evidence] | None = None,
        choosing: Choosing | None = None,
        seed: int = 0,
        batch: int = 8,
    ) -> None:
        self.card = card
        self.network = network.eval()
        self.vocabulary = vocabulary
        self.start = start
        self.policy = policy
        self.evidence = evidence
        self.choosing = choosing
        self.seed = seed
        self.batch = batch
        on_cuda = network.lm_head.weight.is_cuda
        self.desk = Desk(self.network, vocabulary, buckets=on_cuda, capture=on_cuda)
        self.steps = 0
        self.boards_stepped = 0
        self.arrivals: queue.SimpleQueue[Job | Warming | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self.work, name="infill-engine", daemon=True)
        self.thread.start()

    async def denoise(self, canvas: Canvas) -> AsyncGenerator[Draft, None]:
        if not self.thread.is_alive():
            raise ModelError(f"the engine of {self.card.name} has been closed")
        board = Board(canvas, self.vocabulary, self.start, self.seed)
        job = Job(board, asyncio.get_running_loop())
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

        `on_share` hears the share of it done, from the engine's thread. All goes through that
        thread: a second one that computes would have a team of helpers of its own, and OpenMP lets
        all of them sleep between two operations once they outnumber the cores, which doubled the
        time of a step. Not for use inside an event loop.
        """
        if self.desk.capture:
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

    def work(self) -> None:
        """The thread's life: take who came, step who is still wanted, sleep without them."""
        if sum(parameter.numel() for parameter in self.network.parameters()) < SMALL:
            torch.set_num_threads(1)  # this thread's own helpers; other threads keep theirs
        jobs: list[Job] = []
        while True:
            try:
                arrived = self.arrivals.get(block=not jobs)
            except queue.Empty:
                pass
            else:
                if arrived is None:
                    break
                if isinstance(arrived, Warming):
                    self.get_ready(arrived)
                else:
                    jobs.append(arrived)
                continue  # until the queue is empty: all of them join the same batch
            jobs = [job for job in jobs if job.wanted]
            some = self.first_of(jobs)
            self.advance(some)
            # Those stepped go to the back, so that more askers than places take turns.
            jobs = jobs[len(some) :] + [job for job in some if job.wanted]
        for job in jobs:
            job.tell(ModelError(f"the engine of {self.card.name} was closed"))

    def first_of(self, jobs: list[Job]) -> list[Job]:
        """As many as have room in a batch with all of their boards, one at least."""
        some: list[Job] = []
        room = self.batch
        for job in jobs:
            room -= self.boards_of(job)
            if some and room < 0:
                break
            some.append(job)
        return some

    def boards_of(self, job: Job) -> int:
        if job.trial is not None:
            return len(job.trial.running)
        return self.choosing.boards if self.choosing else 1

    def get_ready(self, warming: Warming) -> None:
        """Steps of all shapes that boards of the usual size can have, in as large a batch as fits.

        Larger ones, as of canvases with many holes, are captured when they come.
        """
        start = self.start
        most = max(start.line, start.block)
        if self.choosing is not None:
            most = max(most, min(max(GRID), self.card.hole_limit))
        masks, length = min(most, self.policy.block), start.context + most
        while True:
            try:
                for share in self.desk.warm(self.policy, self.batch, length, masks):
                    warming.tell(share)
            except Exception as error:
                if self.batch == 1 or not ran_out(error):
                    told = ModelError(f"{self.card.name} could not be warmed up: {error}")
                    warming.done.set_exception(told)
                    return
            else:
                warming.done.set_result(None)
                return
            self.shrink(self.batch)

    def advance(self, jobs: list[Job]) -> None:
        """One step for these jobs; a failure is told to each of them and the thread lives on.

        Where memory runs out half of them are stepped at a time, once more.
        """
        if not jobs:
            return
        try:
            self.step(jobs)
            return
        except Exception as error:  # out of memory or a fault of ours: both must reach the user
            if not ran_out(error):
                self.fail(jobs, error)
                return
        # Not within `except`: the error holds on to all that was computed so far.
        self.shrink(min(self.batch, sum(map(self.boards_of, jobs))))
        while jobs:
            some, jobs = (few := self.first_of(jobs)), jobs[len(few) :]
            try:
                self.step(some)
            except Exception as error:
                self.fail(some, error)

    def step(self, jobs: list[Job]) -> None:
        """One step for all boards of these jobs, and a draft to each asker."""
        now = time.perf_counter()
        for job in jobs:
            if job.waited_ms is None:
                job.waited_ms = (now - job.came) * 1000
        trials = [self.trial_of(job) for job in jobs]
        boards = sum(len(trial.running) for trial in trials)
        step_all(self.network, trials, self.policy, self.desk, self.batch)
        self.steps += 1
        self.boards_stepped += boards
        for job, trial in zip(jobs, trials, strict=True):
            draft = trial.drafted(self.look)
            if draft.final:
                job.wanted = False
            job.tell(replace(draft, queue_ms=job.waited_ms or 0.0))

    def trial_of(self, job: Job) -> Trial:
        if job.trial is None:
            job.trial = begun(
                job.board, self.choosing, self.look, evidence=self.evidence, seed=self.seed
            )
        return job.trial

    def look(self, rows: Sequence[list[int]], places: Sequence[Sequence[Place]]) -> list[Tensor]:
        """The logits at the places, by one forward, or by more where memory runs out."""
        try:
            return hole_logits(self.network, rows, places)
        except Exception as error:
            if len(rows) == 1 or not ran_out(error):
                raise
        half = len(rows) // 2
        return self.look(rows[:half], places[:half]) + self.look(rows[half:], places[half:])

    def fail(self, jobs: list[Job], error: Exception) -> None:
        for job in jobs:
            job.tell(ModelError(f"{self.card.name} failed at a step: {error}"))
            job.wanted = False

    def shrink(self, boards: int) -> None:
        """After a step of so many boards ran out of memory."""
        self.batch = max(1, boards // 2)
        logger.warning(
            "%s: out of memory with %d boards in a step; from now on %d at most",
            self.card.name, boards, self.batch,
        )  # fmt: skip
        self.desk.forget()


def ran_out(error: BaseException | None) -> bool:
    """Whether memory ran out, perhaps within the capture of a graph, which then fails itself."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError):
            return True
        error = error.__context__
    return False
