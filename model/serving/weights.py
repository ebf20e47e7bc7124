"""The weights of a server: loaded off the event loop, given back when nobody needs them, loaded
again when someone does. Knows neither requests nor where what it says is shown.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import add
from time import monotonic
from typing import Any, Literal, TypeVar

from model.canvas import Card, Denoiser
from model.fallback import Loaded
from model.load import Progress
from model.serving.ceiling import give_back
from model.serving.wire import Refused, card_of

logger = logging.getLogger(__name__)

State = Literal["unloaded", "loading", "ready", "failed"]
COUNTED = ("steps", "boards_stepped", "tokens")  # what an engine may count, since it was made
LAST = 2.0  # seconds for a step to end when all does
RETRY = 30.0  # seconds before what failed is tried again: a user may have fetched it meanwhile

T = TypeVar("T")


class Weights:
    """At most one denoiser. All of it is called on one event loop; `on_change` is, too.

    `failure` says why the model is not the one that was asked for, or why there is none.
    """

    def __init__(
        self, load: Callable[[Progress], Loaded], *, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self.state: State = "unloaded"
        self.card: Card | None = None  # stays while the weights are unloaded
        self.failure: str | None = None
        self.choice: str | None = None
        self.what, self.share = "", 0.0
        self.loads = 0
        self.since = monotonic()  # of the last load's end
        self.before = (0, 0, 0)  # what engines counted that have been unloaded
        self._load = load
        self._on_change = on_change
        self._denoiser: Denoiser | None = None
        self._loading: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._retry_at = 0.0
        self.closed = False
        self.busy = False  # a thread is inside what nothing but time ends

    @property
    def trouble(self) -> str | None:
        """Why it is not the model that was asked for that fills here; None where it is."""
        return "the thread that steps the model has ended" if self.dead else self.failure

    @property
    def dead(self) -> bool:
        """Nothing is stepped any more; only a fault does that."""
        thread = getattr(self._denoiser, "thread", None)
        return thread is not None and not thread.is_alive()

    @property
    def counts(self) -> tuple[int, int, int]:
        """Steps since the start, the boards in them, and the tokens that were committed, as far as
        the engine counts."""
        now: list[int] = [getattr(self._denoiser, name, 0) for name in COUNTED]
        steps, boards, tokens = map(add, self.before, now)
        return steps, boards, tokens

    @property
    def seconds(self) -> Sequence[float]:
        """What the latest steps took, where the engine tells."""
        return getattr(self._denoiser, "seconds", ())

    def told(self) -> dict[str, Any]:
        """What a watcher is told, as an object of JSON."""
        card = card_of(self.card) if self.card else None
        match self.state:
            case "loading":
                return {"state": "loading", "what": self.what, "share": self.share}
            case "ready":
                told = {"card": card, "failure": self.failure, "choice": self.choice}
                return {"state": "ready"} | told
            case "failed":
                return {"state": "failed", "failure": self.failure}
            case "unloaded":
                return {"state": "unloaded", "card": card}

    def begin(self) -> None:
        """Starts to load where nothing is loaded or on its way."""
        if self._denoiser is None and self._loading is None and not self.closed:
            self._loading = asyncio.get_running_loop().create_task(self._loaded())

    async def denoiser(self) -> Denoiser:
        """Waits for the load. To give up waiting does not end the load. Raises `Refused`."""
        if self.dead:
            logger.error("%s; it is loaded anew", self.trouble)
            await self.unload()
        while self._denoiser is None:
            wait = self._retry_at - monotonic()
            if self.state == "failed" and wait > 0:
                raise Refused(503, self.failure or "there is no model", retry=round(wait) + 1)
            self.begin()
            if self._loading is None:
                raise Refused(503, "this server is ending")
            await asyncio.shield(self._loading)
        return self._denoiser

    async def reconsider(self) -> None:
        """Tries once more for the model that was asked for, where another stands in for it."""
        stands_in = self.state == "ready" and self.failure is not None
        if stands_in and monotonic() > self.since + RETRY:
            await self.unload()
            self.begin()

    async def unload(self, failure: str | None = None, *, retry: float = RETRY) -> None:
        """Gives the memory back. With a failure the model is not loaded again for a while."""
        async with self._changing:
            if self._denoiser is None and failure is None:
                return
            self.before = self.counts
            former, self._denoiser = self._denoiser, None
            self.state, self.failure = ("failed", failure) if failure else ("unloaded", None)
            self._retry_at = monotonic() + retry
            self._on_change()
            if former is not None:
                held = [former]
                del former  # or this frame would keep the weights
                await aside(lambda: held.pop().close())
            await aside(give_back)

    async def close(self) -> None:
        """A load that is on its way, or a step that takes long, goes on in its thread and leaves
        this `busy`; what is loaded is not kept."""
        self.closed = True
        former, self._denoiser = self._denoiser, None
        if former is not None:
            self.busy = True
            with suppress(TimeoutError):
                await asyncio.wait_for(aside(former.close), LAST)
                self.busy = False

    async def _loaded(self) -> None:
        loop = asyncio.get_running_loop()

        def tell(what: str, share: float) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._progress, what, share)

        def in_thread() -> Loaded:
            self.busy = True
            try:
                loaded = self._load(tell)
                give_back()  # what reading took, which the heap would keep
                return loaded
            finally:
                self.busy = False

        try:
            async with self._changing:
                self.state, self.what, self.share, self.failure = "loading", "loading", 0.0, None
                self._on_change()
                loaded = await aside(in_thread)
                if self.closed:
                    if loaded.denoiser is not None:
                        await aside(loaded.denoiser.close)
                    return
                self.loads += 1
                self.since = monotonic()
                self._denoiser, self.failure = loaded.denoiser, loaded.failure
                if loaded.denoiser is None:
                    self.state, self._retry_at = "failed", monotonic() + RETRY
                    self.failure = loaded.failure or "there is no model"
                else:
                    self.state, self.card = "ready", loaded.denoiser.card
                if self.failure:
                    logger.warning("%s", self.failure)
        except Exception as error:  # a fault of ours: those who wait must hear of it
            self.state, self._retry_at = "failed", monotonic() + RETRY
            self.failure = f"loading the model failed: {type(error).__name__}: {error}"
            logger.exception("loading failed")
        finally:
            self._loading = None
            self._on_change()

    def _progress(self, what: str, share: float) -> None:
        if self.state == "loading":
            self.what, self.share = what, share
            self._on_change()


async def aside(work: Callable[[], T]) -> T:
    """Does the work in a thread of its own, for which, unlike asyncio's, the end of the process
    does not wait."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def set_once(set: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            set(value)

    def run() -> None:
        try:
            outcome = (done.set_result, work())
        except BaseException as error:
            outcome = (done.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(set_once, *outcome)

    threading.Thread(target=run, name="infill-weights", daemon=True).start()
    return await done
