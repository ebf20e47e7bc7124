"""The engine: one thread owns a network and steps the boards of all who ask, in one batch.

Boards join and leave between steps; `turns` says whose are stepped. On CUDA shapes are few and
steps are captured graphs (`graphs`). It knows no files and no editors; `load` makes one.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from model.asking import Asked, Job, Warming, ran_out
from model.canvas import Canvas, Card, Claim, ModelError
from model.evidence.weighing import Evidence
from model.lengths.grid import GRID, Place
from model.lengths.trial import Choosing, Trial, begun, step_all
from model.masked.board import Board, Start, Vocabulary
from model.masked.graphs import Desk
from model.masked.network import Network
from model.masked.policy import Policy
from model.masked.refine import hole_logits

logger = logging.getLogger(__name__)

# Parameters: below, a step is so short that a team of threads on a busy machine mostly waits for
# one of its own. Six holes took 15 s with two threads beside two other programs, 2 s with one.
SMALL = 20_000_000

TURN = 16  # steps: enough for most fills of a line


@dataclass(eq=False, slots=True)
class OnBoard(Job):
    """A job whose canvas is laid out. `trial` is None until the engine's thread has begun it."""

    board: Board = field(kw_only=True)
    trial: Trial | None = None
    written: int = 0  # tokens on its boards, as of the last step


class Engine(Asked[OnBoard]):
    """A Denoiser with its network in this process.

    `evidence` gathers what is known of a board beside the network, before its first step.
    `choosing` is for a network that cannot grow its holes: each canvas then has a few boards.
    `batch` is how many boards share a forward at most, and halved for good where a step runs out of
    memory. Unless it is said, it is one on a CPU: there a step of more takes as much longer, and
    who types on leaves it half-made. A canvas that was begun goes on for `TURN` steps before those
    of other askers. What is speculative keeps its boards meanwhile, and a canvas that is asked
    for anew goes on where it was.
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
        batch: int | None = None,
    ) -> None:
        on_cuda = network.lm_head.weight.is_cuda
        super().__init__(card, captures=on_cuda, turn=TURN)
        self.network = network.eval()
        self.vocabulary = vocabulary
        self.start = start
        self.policy = policy
        self.evidence = evidence
        self.choosing = choosing
        self.seed = seed
        self.batch = batch or (8 if on_cuda else 1)
        self.desk = Desk(self.network, vocabulary, buckets=on_cuda, capture=on_cuda)
        self.begin()

    def job_of(self, canvas: Canvas, claim: Claim) -> OnBoard:
        return OnBoard(canvas, claim, board=Board(canvas, self.vocabulary, self.start, self.seed))

    def carry_on(self, newer: OnBoard, older: OnBoard) -> None:
        if older.trial is not None and older.trial.running:
            newer.trial, newer.written, older.trial = older.trial, older.written, None

    def work(self) -> None:
        """The thread's life: take who came, step whose turn it is, sleep without anybody."""
        if sum(parameter.numel() for parameter in self.network.parameters()) < SMALL:
            torch.set_num_threads(1)  # this thread's own helpers; other threads keep theirs
        while self.at_boundary():
            self.warm()
            self.advance(self.first_of(self.turns.dealt()))  # nothing here holds them afterwards
        self.say_closed()

    def first_of(self, jobs: Iterable[OnBoard]) -> list[OnBoard]:
        """As many as have room in a batch with all of their boards, one at least."""
        some: list[OnBoard] = []
        room = self.batch
        for job in jobs:
            room -= self.boards_of(job)
            if some and room < 0:
                break
            some.append(job)
        return some

    def boards_of(self, job: OnBoard) -> int:
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

    def advance(self, jobs: list[OnBoard]) -> None:
        """One step for these jobs; a failure is told to each of them and the thread lives on.

        Where memory runs out half of them are stepped at a time, once more.
        """
        if not jobs:
            return
        self.turns.stepped(jobs)
        try:
            self.step(jobs)
            return
        except Exception as error:  # out of memory or a fault of ours: both must reach the user
            if not ran_out(error):
                self.fail(jobs, error)
                return
        # Not within `except`: the error holds on to all that was computed so far.
        self.shrink(min(self.batch, sum(map(self.boards_of, jobs))))
        while jobs := [job for job in jobs if job.wanted and not job.is_late(time.perf_counter())]:
            some, jobs = (few := self.first_of(jobs)), jobs[len(few) :]
            try:
                self.step(some)
            except Exception as error:
                self.fail(some, error)

    def step(self, jobs: list[OnBoard]) -> None:
        """One step for all boards of these jobs, and a draft to each asker."""
        began = time.perf_counter()
        for job in jobs:
            job.begin(began)
        trials = [self.trial_of(job) for job in jobs]
        boards = sum(len(trial.running) for trial in trials)
        step_all(self.network, trials, self.policy, self.desk, self.batch)
        tokens = sum(map(self.newly_written, jobs, trials))
        self.count(time.perf_counter() - began, boards, tokens)
        for job, trial in zip(jobs, trials, strict=True):
            draft = trial.drafted(self.look)
            if draft.final:
                job.wanted = False
            job.tell(replace(draft, queue_ms=job.waited_ms or 0.0))

    def trial_of(self, job: OnBoard) -> Trial:
        if job.trial is None:
            job.trial = begun(
                job.board, self.choosing, self.look, evidence=self.evidence, seed=self.seed
            )
        return job.trial

    def newly_written(self, job: OnBoard, trial: Trial) -> int:
        before, mask = job.written, self.vocabulary.specials.mask
        job.written = sum(
            cell.token != mask and not cell.given
            for runner in trial.runners
            for cells in runner.board.cells
            for cell in cells
        )
        return max(0, job.written - before)

    def look(self, rows: Sequence[list[int]], places: Sequence[Sequence[Place]]) -> list[Tensor]:
        """The logits at the places, by one forward, or by more where memory runs out."""
        try:
            return hole_logits(self.network, rows, places)
        except Exception as error:
            if len(rows) == 1 or not ran_out(error):
                raise
        half = len(rows) // 2
        return self.look(rows[:half], places[:half]) + self.look(rows[half:], places[half:])

    def fail(self, jobs: list[OnBoard], error: Exception) -> None:
        for job in jobs:
            job.end(ModelError(f"{self.card.name} failed at a step: {error}"))

    def shrink(self, boards: int) -> None:
        """After a step of so many boards ran out of memory."""
        self.batch = max(1, boards // 2)
        logger.warning(
            "%s: out of memory with %d boards in a step; from now on %d at most",
            self.card.name, boards, self.batch,
        )  # fmt: skip
        self.desk.forget()
