"""The engine of DiffusionGemma: one thread owns the network, and what it has read stays read.

Canvases are refined one after the other: each has a prompt of its own, and one that begins like the
last is read from where they differ. `turns` says whose is the next. One in work is not put aside
for another asker's, since its prompt would have to be read again for each change; only what is
speculative makes way, and begins anew later. It knows no files and no editors; `load` makes one.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# torch is only partly typed.

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from model.asking import Asked, Job, Warming, ran_out
from model.canvas import Canvas, Card, Claim, Draft, ModelError, Piece, text_of
from model.gemma.answer import pieces_of
from model.gemma.decode import Decoding, Row, Told
from model.gemma.desk import Desk
from model.gemma.layout import Layout, Room, groups_of, laid_out
from model.gemma.lengths import ASKED, BLOCK
from model.gemma.network import Network
from model.gemma.sampler import Policy
from model.gemma.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

PORTION = 1024  # tokens of a prompt that are read at once: between two one may stop asking
LOOKS = 2  # steps before a length is chosen: what the first says of noise says little


@dataclass(eq=False, slots=True)
class OnPaper(Job):
    """A job, and how many drafts it was told: those it is not told again if it begins anew."""

    told: int = 0


class Engine(Asked[OnPaper]):
    """A Denoiser with its network in this process.

    `mode` is the catalog's key. `tokens_read` counts tokens of prompts: what was kept from one
    request to the next is not read again. `candidates` is how many lengths are tried at most; where
    memory runs out it is halved for good.
    """

    def __init__(
        self,
        card: Card,
        network: Network,
        vocabulary: Vocabulary,
        *,
        room: Room,
        policy: Policy,
        mode: str = "auto",
        seed: int = 0,
    ) -> None:
        on_cuda = network.weight.is_cuda
        super().__init__(card, captures=on_cuda)
        self.network = network
        self.vocabulary = vocabulary
        self.room = room
        self.policy = policy
        self.mode = mode
        self.seed = seed
        self.candidates = len(BLOCK)
        self.tokens_read = 0
        self.desk = Desk(network, banned=vocabulary.silent, buckets=on_cuda, capture=on_cuda)
        self.history = network.history()
        self.begin()

    def job_of(self, canvas: Canvas, claim: Claim) -> OnPaper:
        return OnPaper(canvas, claim)

    def get_ready(self, warming: Warming) -> None:
        """Steps of all sizes there can be: one canvas that is refined, and all of a block's lengths
        side by side while they are tried. Where these have no room, half as many are tried."""
        while True:
            try:
                canvases = self.candidates * self.room.canvas
                for share in self.desk.warm(
                    self.policy, self.room.prompt, canvases, self.candidates, ASKED
                ):
                    warming.tell(share)
            except Exception as error:
                if self.candidates == 1 or not ran_out(error):
                    told = ModelError(f"{self.card.name} could not be warmed up: {in_words(error)}")
                    warming.done.set_exception(told)
                    return
            else:
                warming.done.set_result(None)
                return
            self.shrink(self.candidates)

    @torch.inference_mode()
    def work(self) -> None:
        """The thread's life: one canvas after the other, those that are still wanted."""
        while self.at_boundary():
            self.warm()
            self.advance(next(self.turns.dealt(), None))  # nothing here holds it afterwards
        self.say_closed()

    def advance(self, job: OnPaper | None) -> None:
        """All steps of a canvas; a failure is told, and the thread lives on."""
        if job is None:
            return
        try:
            self.serve(job)
        except ModelError as error:
            job.end(error)
        except Exception as error:  # out of memory or a fault of ours: both must reach the user
            logger.debug("a canvas failed", exc_info=True)
            self.history = self.network.history()  # whatever state it was left in
            job.end(ModelError(f"{self.card.name} failed at a step: {in_words(error)}"))
        self.turns.stepped([job])  # only now: who came meanwhile has waited for longer

    def serve(self, job: OnPaper) -> None:
        """Tells drafts for as long as they are wanted, and nothing else is wanted more."""
        job.begin(time.perf_counter())
        for draft in self.drafts_of(job.canvas):
            if draft is not None and draft.step > job.told:
                job.told = draft.step
                job.tell(replace(draft, queue_ms=job.waited_ms or 0.0))
            if draft is not None and draft.final:
                job.wanted = False
                return
            if not self.at_boundary() or not job.wanted:
                return
            if job.claim.speculative and self.turns.urgent:
                return

    def drafts_of(self, canvas: Canvas) -> Iterator[Draft | None]:
        """A draft a step, and None wherever else one may leave."""
        shown: list[tuple[Piece, ...]] = [()] * len(canvas.holes)
        groups = groups_of(canvas, self.vocabulary, self.room, self.mode)
        number = 0
        for group in groups:
            written = [text_of(pieces) for pieces in shown]
            layout = laid_out(
                canvas, group, written, self.vocabulary, self.room, self.mode, self.seed
            )
            yield from self.read(layout.prompt.ids)
            for pieces, final in self.refined(layout):
                shown[group.start : group.stop] = pieces
                number += 1
                yield Draft(number, tuple(shown), final=final and group is groups[-1])

    def read(self, ids: Sequence[int]) -> Iterator[None]:
        """Reads a prompt, from where it is another than the last."""
        self.history.cut(self.history.agree(ids))
        while (start := self.history.length) < len(ids):
            portion = ids[start : start + PORTION]
            self.network.encode(self.history, portion)
            self.tokens_read += len(portion)
            yield

    def refined(self, layout: Layout) -> Iterator[tuple[list[tuple[Piece, ...]], bool]]:
        """What the holes of a layout say after each step, and whether that was the last."""
        while True:
            rows = few(layout.rows, self.candidates, ASKED)
            try:
                yield from self.attempt(layout, rows)
            except torch.OutOfMemoryError:
                if len(rows) == 1:
                    raise
            else:
                return
            # Not within `except`: the error holds on to all that was computed so far.
            self.shrink(len(rows))

    def shrink(self, lengths: int) -> None:
        """After a step of so many lengths ran out of memory."""
        self.candidates = max(1, lengths // 2)
        logger.warning(
            "%s: out of memory with %d lengths in a step; from now on %d at most",
            self.card.name, lengths, self.candidates,
        )  # fmt: skip
        self.desk.forget()

    def ban(self, ids: Sequence[int]) -> None:
        """In place: the desk's graphs were captured with this very tensor."""
        self.desk.banned.zero_()
        self.desk.banned[torch.tensor(ids, device=self.desk.device)] = True

    def attempt(
        self, layout: Layout, numbers: Sequence[int]
    ) -> Iterator[tuple[list[tuple[Piece, ...]], bool]]:
        """Some of a layout's rows, together until one is chosen."""
        rows = [layout.rows[i] for i in numbers]
        self.ban(layout.banned)
        decoding = Decoding(self.desk, self.history, rows, self.policy)
        former = ""
        began = time.perf_counter()
        for step in decoding:
            spent, boards = time.perf_counter() - began, len(numbers)
            best = max(range(len(numbers)), key=lambda i: worth(step.rows[i]))
            final = step.final or (step.rows[best].done and step.number >= LOOKS)
            told = step.rows[best]
            pieces = pieces_of(layout, numbers[best], told, self.vocabulary, final=final)
            if layout.mode == "prompted" and not final:
                # What the network would go on with behind the hole need not be sure.
                text = text_of(pieces[0])
                final = text == former and doubt_of(pieces[0]) <= self.policy.doubt
                former = text
                pieces = pieces_of(layout, numbers[best], told, self.vocabulary, final=final)
            # Until the end nothing is committed: any token may leave the canvas again.
            self.count(spent, boards, sum(map(len, pieces)) if final else 0)
            yield pieces, final
            if final:
                return
            if step.number >= LOOKS and len(numbers) > 1:
                decoding.keep([best], scored=False)
                numbers = [numbers[best]]
            began = time.perf_counter()


def worth(told: Told) -> float:
    """How well a length fits: what is written is likely, and so is what is clamped behind it. A
    hole too short or too long makes the network doubt what follows."""
    return told.hole_score + told.scored


def doubt_of(pieces: Sequence[Piece]) -> float:
    """Nats by which these very tokens are not certain; infinite where there are none."""
    if not pieces:
        return math.inf
    return -sum(math.log(max(piece.confidence, 1e-30)) for piece in pieces)


def few(rows: Sequence[Row], most: int, asked: int) -> list[int]:
    """At most so many of the rows, evenly over their lengths, the longest one among them; together
    they ask about at most so many tokens, or there is but one."""
    for count in range(min(most, len(rows)), 1, -1):
        numbers = sorted({len(rows) - 1 - i * len(rows) // count for i in range(count)})
        if sum(len(rows[i].open) + len(rows[i].known) for i in numbers) <= asked:
            return numbers
    return [len(rows) - 1]


def in_words(error: Exception) -> str:
    if ran_out(error):
        return "its memory is used up, even for one canvas: close what else uses it"
    return f"{type(error).__name__}: {error}"
