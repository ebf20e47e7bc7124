"""What every endpoint of a server calls: canvases of many clients in, drafts out, within limits.

It knows who asks and how many wait, and that memory is to be kept; neither HTTP nor sockets.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import takewhile
from statistics import median
from time import monotonic
from typing import Any, cast

from model.canvas import Canvas, Card, Claim, Draft, ModelError
from model.fallback import Loaded
from model.load import Progress
from model.published.hub import gb
from model.serving.ceiling import give_back, resident
from model.serving.metrics import Metrics
from model.serving.weights import Weights, aside
from model.serving.wire import MAX_BODY, MAX_HOLES, End, Refused, card_of
from model.turns import ends

logger = logging.getLogger(__name__)

TICK = 1.0  # seconds between two looks at memory and idleness
PATIENCE = 5.0  # seconds above the ceiling until fills in work are ended
RECENT = 10.0  # seconds over which the speed is told


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server takes. `memory` is in bytes, None for no ceiling."""

    body: int = MAX_BODY
    holes: int = MAX_HOLES
    queue: int = 64  # fills at once, in work or waiting; one asker alone may have half of them
    memory: int | None = None


@dataclass(eq=False, slots=True)
class Visit:
    """One fill in hand. Of its drafts only the newest waits for whoever reads them."""

    claim: Claim
    came: float = field(default_factory=monotonic)
    reason: str = ""  # one of `wire.REASONS` once it is over, "failed" or "cancelled"
    begun: bool = False  # the denoiser has it
    steps: int = 0
    queue_ms: float = 0.0
    work: asyncio.Task[None] | None = None  # what takes the drafts of the denoiser
    _newest: Draft | None = None
    _error: Exception | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ms(self) -> float:
        return (monotonic() - self.came) * 1000

    @property
    def end(self) -> End:
        return End(self.reason, self.queue_ms, round(self.ms, 1), self.steps, self.claim.trace)

    def tell(self, draft: Draft) -> None:
        if not self.reason:
            self._newest = draft
            self._news.set()

    def over(self, reason: str, error: Exception | None = None) -> None:
        """Only the first reason counts. From here on no step is made, even if nobody reads."""
        if not self.reason:
            self.reason, self._error = reason, error
            self._news.set()
            if self.work is not None:
                self.work.cancel()

    async def next(self) -> Draft | None:
        """The newest draft that was not read; None at the end. Raises what it failed with."""
        await self._news.wait()
        draft, self._newest = self._newest, None
        if draft is not None:
            if not self.reason:
                self._news.clear()
            return draft
        if self._error is not None:
            raise self._error
        return None


@dataclass(eq=False, slots=True)
class Client:
    """Whoever watches: a window."""

    name: str
    pid: int | None
    watches: int = 0
    fills: int = 0


class Service:
    """`start` it on the event loop that it is used on, and `close` it there."""

    def __init__(
        self,
        load: Callable[[Progress], Loaded],
        *,
        limits: Limits | None = None,
        unload_after: float | None = None,
        name: str = "",
    ) -> None:
        self.name = name  # of the model, as it was asked for
        self.limits = limits or Limits()
        self.unload_after = unload_after
        self.weights = Weights(load, on_change=self._changed)
        self.metrics = Metrics(self)
        self.visits: dict[Visit, None] = {}  # in the order in which they came
        self.clients: dict[str, Client] = {}
        self.told: Counter[str] = Counter()
        self.silences: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()  # of all fills, by how they ended
        self.over = False  # above the ceiling
        self.ending = False
        self.started = self.used = self.asked = monotonic()
        self.inside = 0  # requests
        self.rss = resident()
        self._above_since: float | None = None
        self._change = asyncio.Event()
        self._tokens: deque[int] = deque([0], maxlen=round(RECENT / TICK) + 1)
        self._tending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to load, and to tend."""
        self.started = self.used = self.asked = monotonic()
        self.weights.begin()
        self._tending = asyncio.get_running_loop().create_task(self._tend())

    def chosen(self, sentence: str) -> None:
        """What "auto" was and why; may be called from the thread that loads."""
        self.weights.choice = sentence

    async def card(self) -> Card:
        """Raises `Refused` where there is no model."""
        return self.weights.card or (await self.weights.denoiser()).card

    def check_room(self) -> None:
        """Raises `Refused` where no fill of anybody's could be taken now."""
        if self.ending:
            raise Refused(503, "this server is ending: ask again, another one will answer", retry=1)
        if self.over:
            most = self.limits.memory
            told = f"this server holds more memory than its ceiling of {gb(most or 0)}"
            raise Refused(503, told, retry=2)
        if (inside := len(self.in_hand)) >= self.limits.queue:
            raise Refused(429, f"{inside} fills are in work or waiting: no more are taken", retry=1)

    def check_share(self, claim: Claim) -> None:
        """Raises `Refused` where this asker has to leave the places that there are to others.

        Each may hold as many as are free: one alone half of them, two a third each, so that however
        many one asks for, there is room for who comes next. For what nobody waits for, half of the
        places are enough. One that it ends does not count.
        """
        most = max(self.limits.queue // 2, 1) if claim.speculative else self.limits.queue
        in_hand = [visit for visit in self.in_hand if not ends(claim, visit.claim)]
        mine = sum(visit.claim.asker == claim.asker for visit in in_hand)
        if mine >= (free := most - len(in_hand)):
            raise Refused(
                429, f"{mine} fills of yours are in work or waiting, and the {max(free, 0)} places "
                "that are free are kept for others: ask again once one of yours has ended",
                retry=1,
            )  # fmt: skip

    def visit(self, claim: Claim) -> Visit:
        """A fill's place, given free by `drafts`. Raises `Refused`."""
        self.check_room()
        self.check_share(claim)
        visit = Visit(claim)
        self.visits[visit] = None
        self._supersede(visit, begun=False)
        if client := self.clients.get(claim.asker):
            client.fills += 1
        return visit

    async def drafts(
        self, canvas: Canvas, claim: Claim = Claim(), visit: Visit | None = None
    ) -> AsyncGenerator[Draft, None]:
        """The newest draft each time one is asked for; to cancel is to close it. Raises `Refused`
        and `ModelError`. A visit that is handed in knows afterwards how it went."""
        visit = visit or self.visit(claim)
        loop = asyncio.get_running_loop()
        late = None
        if claim.deadline_ms:
            late = loop.call_later(claim.deadline_ms / 1000, visit.over, "deadline")
        work = visit.work = loop.create_task(self._work(visit, canvas))
        try:
            while (draft := await visit.next()) is not None:
                yield draft
        finally:
            visit.over("cancelled")
            if late:
                late.cancel()
            self.visits.pop(visit, None)
            self.used = self.asked = monotonic()
            self._ended(visit)
            await asyncio.wait([work])

    def _ended(self, visit: Visit) -> None:
        self.metrics.fill(visit.reason, visit.ms / 1000)
        self.outcomes[visit.reason] += 1
        logger.debug(
            "fill %s: %s after %.1f ms, of them %.1f in the queue, %d steps",
            visit.claim.trace or "-", visit.reason, visit.ms, visit.queue_ms, visit.steps,
        )  # fmt: skip

    async def _work(self, visit: Visit, canvas: Canvas) -> None:
        """Takes the drafts of the denoiser, whether or not someone reads them."""
        try:
            denoiser = await self.weights.denoiser()
            card = denoiser.card
            canvas, claim = fitting(canvas, card), remaining(visit)
            before, visit.begun, visit.queue_ms = monotonic(), True, visit.ms
            drafts = cast(AsyncGenerator[Draft], denoiser.denoise(canvas, claim))
            async with aclosing(drafts):
                async for draft in drafts:
                    now = monotonic()
                    self._stepped(visit, draft, now - before)
                    before = now
                    visit.tell(draft)
                    if draft.final:
                        visit.over("final")
            late = claim.deadline_ms and visit.ms >= visit.claim.deadline_ms - 10
            visit.over("deadline" if late else "superseded")
        except (ModelError, Refused) as error:
            visit.over("failed", error)
        except Exception as error:  # whatever it is, the asker hears of it; its text may hold code
            logger.error("a fill failed: %s", placed(error))
            visit.over("failed", ModelError(f"the model failed ({type(error).__name__})"))

    def _supersede(self, newer: Visit, *, begun: bool) -> None:
        """Ends the older ones of its document. Those that are begun only once it is begun itself:
        an engine may let it go on where they are."""
        for older in takewhile(lambda one: one is not newer, self.visits):
            if older.begun == begun and ends(newer.claim, older.claim):
                older.over("superseded")

    def _stepped(self, visit: Visit, draft: Draft, seconds: float) -> None:
        if not visit.steps:
            visit.queue_ms = round(visit.queue_ms + draft.queue_ms, 1)
            self._supersede(visit, begun=True)
        else:
            self.metrics.step(seconds)
        visit.steps += 1
        self.metrics.draft()

    def watch(self, asker: str, pid: int | None, name: str) -> AsyncGenerator[dict[str, Any], None]:
        """The state of the weights, at each change and at least every five seconds. Whoever holds
        it open is a client."""
        return self._watched(asker, pid, name)

    async def _watched(
        self, asker: str, pid: int | None, name: str
    ) -> AsyncGenerator[dict[str, Any], None]:
        client = self.clients.setdefault(asker, Client(name, pid))
        client.watches += 1
        try:
            if not self.visits:  # whoever opens a window may have fetched the model meanwhile
                await self.weights.reconsider()
            while not self.ending:
                change = self._change
                yield self.weights.told()
                with suppress(TimeoutError):
                    await asyncio.wait_for(change.wait(), 5.0)
        finally:
            client.watches -= 1
            if not client.watches and self.clients.get(asker) is client:
                del self.clients[asker]

    @contextmanager
    def present(self) -> Generator[None]:
        """Someone is here."""
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1
            self.used = monotonic()

    def tell(self, counts: Mapping[str, int], silences: Mapping[str, int]) -> None:
        """What became of fills in a window, for who looks at this server; goes nowhere else."""
        self.told.update(counts)
        for reason, count in silences.items():
            if reason in self.silences or len(self.silences) < 100:
                self.silences[reason] += count

    @property
    def in_hand(self) -> list[Visit]:
        """Those that still work or wait, not those whose last lines are only being read."""
        return [visit for visit in self.visits if not visit.reason]

    @property
    def running(self) -> int:
        return sum(visit.steps > 0 for visit in self.in_hand)

    @property
    def queued(self) -> int:
        return len(self.in_hand) - self.running

    @property
    def counted(self) -> tuple[int, int, int, int]:
        return *self.weights.counts, self.weights.loads

    @property
    def quiet(self) -> float:
        """Seconds since someone was here, 0 while someone is."""
        return 0.0 if self.visits or self.inside else monotonic() - self.used

    def state(self) -> dict[str, Any]:
        """All that there is to see, as an object of JSON; nothing in it is code."""
        weights, now = self.weights, monotonic()
        steps, boards, tokens = weights.counts
        over = max(min(RECENT, now - self.started), TICK)
        waiting = Counter(visit.claim.asker for visit in self.in_hand)
        return {
            "model": self.name,
            "card": card_of(weights.card) if weights.card else None,
            "state": weights.state,
            "failure": weights.failure,
            "choice": weights.choice,
            "loading": {"what": weights.what, "share": weights.share} if weights.busy else None,
            "clients": [
                {"name": one.name, "pid": one.pid, "fills": one.fills, "queue": waiting[asker]}
                for asker, one in self.clients.items()
            ],
            "queue": self.queued,
            "running": self.running,
            "steps": steps,
            "boards_stepped": boards,
            "step_ms": round(median(weights.seconds) * 1000, 2) if weights.seconds else None,
            "steps_ms": [round(each * 1000, 1) for each in weights.seconds],
            "tokens": tokens,
            "tokens_a_second": round((tokens - self._tokens[0]) / over, 2),
            "rss": resident(),
            "ceiling": self.limits.memory,
            "over": self.over,
            "uptime": round(now - self.started, 1),
            "pid": os.getpid(),
            "outcomes": dict(self.outcomes),
            "silences": dict(self.silences),
            "told": dict(self.told),
        }

    def end(self) -> None:
        """Ends what is in hand, and takes no more; each asker hears that it ends."""
        self.ending = True
        for visit in list(self.visits):
            visit.over("failed", ModelError("the model's server is ending"))
        self._changed()

    async def close(self) -> None:
        self.end()
        if self._tending:
            self._tending.cancel()
            await asyncio.wait([self._tending])
        await self.weights.close()

    def _changed(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            try:
                self.rss = resident()
                self._tokens.append(self.weights.counts[2])
                await self._keep_ceiling()
                idle = 0 if self.in_hand else monotonic() - max(self.asked, self.weights.since)
                if self.unload_after and idle > self.unload_after and self.weights.state == "ready":
                    logger.info("idle for %.0f s: the weights are given back", idle)
                    await self.weights.unload()
            except Exception as error:  # it must go on, or nothing keeps the ceiling
                logger.error("tending failed: %s", placed(error))

    async def _keep_ceiling(self) -> None:
        most = self.limits.memory
        if most is None:
            return
        if self.rss > most:
            await aside(give_back)
            self.rss = resident()
        self.over = self.rss > most
        if not self.over:
            self._above_since = None
            return
        since = self._above_since = self._above_since or monotonic()
        told = f"the model's server holds {gb(self.rss)} of memory, above its ceiling of {gb(most)}"
        if self.in_hand and monotonic() - since > PATIENCE:
            for visit in self.in_hand:
                visit.over("failed", ModelError(told))
        elif not self.in_hand and self.weights.state == "ready":
            logger.warning("%s: the weights are given back", told)
            await self.weights.unload(
                f"{told}, with the model loaded: set a higher one, or choose a smaller model"
            )


def fitting(canvas: Canvas, card: Card) -> Canvas:
    """No hole may grow further than the model's own holes do. Raises `Refused` for more text
    between holes, which no model cuts, than it could ever lay out."""
    between = sum(map(len, canvas.texts[1:-1])) + sum(len(hole.former) for hole in canvas.holes)
    if between > 4 * card.context:
        raise Refused(
            413, f"between the holes and in them are {between} characters; {card.name} can see "
            f"{card.context} at once",
        )  # fmt: skip
    most = card.hole_limit
    holes = tuple(replace(hole, limit=min(hole.limit, most)) for hole in canvas.holes)
    return replace(canvas, holes=holes)


def remaining(visit: Visit) -> Claim:
    """The claim, with what is left of its time after waiting for the model."""
    if not visit.claim.deadline_ms:
        return visit.claim
    return replace(visit.claim, deadline_ms=max(1.0, visit.claim.deadline_ms - visit.ms))


def placed(error: BaseException) -> str:
    """The kind of the error and where it was raised, without its text, which may hold code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{where}"
