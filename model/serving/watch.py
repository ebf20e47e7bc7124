"""Keeps a window a client of its server: notices its end at once, and has another brought up.

An open connection is what makes a window a client. A thread of its own holds it, so that whatever
the window is busy with the server's end is seen. It knows nothing of canvases.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import httpx

from model.canvas import Card, ModelError
from model.serving.reach import CONNECT, SESSION, Reach
from model.serving.runtime import answers
from model.serving.supervise import Unwanted
from model.serving.wire import Refused, card_from

QUIET = 30.0  # seconds; a server says something every 5, unless all of it hangs
PAUSES = (0.0, 0.5, 1.0, 2.0)  # seconds before each attempt; the last one from then on
MOST = 5  # ends in a row after which a server is not started again
STABLE = 60.0  # seconds: after so long the next end is the first in a row
STARTED_AGAIN = "the model's server ended and was started again"

Find = Callable[[Callable[[], bool]], tuple[Reach, int]]  # blocks; is told when it is unwanted


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the server. `state` is what it says (loading, ready, unloaded, failed), or
    here `looking` before there is one, `lost` while another is brought up, `given up`, `closed`."""

    state: str = "looking"
    what: str = ""
    share: float = 0.0
    card: Card | None = None
    failure: str | None = None  # why it is not the model that was asked for, or why none answers
    choice: str | None = None
    reach: Reach | None = None
    pid: int = 0
    turn: int = 0  # how many connections there have been

    @property
    def there(self) -> bool:
        """It can be asked; what it still has to load, or why it cannot, it knows itself."""
        return self.state in ("loading", "ready", "unloaded", "failed")

    @property
    def ready(self) -> bool:
        """It has its model, or had it and loads it once more when it is asked."""
        return self.state in ("ready", "unloaded") and self.card is not None

    @property
    def over(self) -> bool:
        """Nothing changes any more unless someone asks for it."""
        return self.state in ("given up", "closed")


class Watch:
    """Follows one server and those that take its place, until it is closed."""

    def __init__(
        self,
        find: Find,
        asker: str,
        name: str = "infill-lsp",
        *,
        starts: bool,
        on_news: Callable[[str], None],
        on_change: Callable[[Seen], None] = lambda _: None,
    ) -> None:
        """`starts`: `find` starts a server where none runs, so failing is for good. What is passed
        in is called from threads."""
        self._find = find
        self._params = {"asker": asker, "pid": str(os.getpid()), "name": name[:80]}
        self._starts = starts
        self._on_news = on_news
        self._on_change = on_change
        self._seen = Seen()
        self._changed = threading.Condition()
        self._askers: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._over = threading.Event()
        self._connection: socket.socket | None = None
        self._ends = 0
        self._stable_since: float | None = None
        self._thread = threading.Thread(target=self._live, name="infill-watch", daemon=True)
        self._thread.start()

    @property
    def seen(self) -> Seen:
        return self._seen

    def wait(self, done: Callable[[Seen], bool], wanted: Callable[[], bool]) -> Seen:
        """Until what is seen is `done`, or nobody wants it any more."""
        with self._changed:
            while wanted() and not done(self._seen):
                self._changed.wait(0.1)
            return self._seen

    async def asked(self, after: int = 0) -> Seen:
        """A server that can be asked, of a later turn than `after`. Raises `ModelError`."""
        while True:
            event = asyncio.Event()
            with self._changed:
                seen = self._seen
                if seen.over:
                    raise ModelError(seen.failure or "the model's server was closed")
                if seen.there and seen.turn > after:
                    return seen
                if seen.state == "lost" and not (after or self._starts) and seen.failure:
                    raise ModelError(seen.failure)
                self._askers.append((asyncio.get_running_loop(), event))
            await event.wait()

    def doubt(self, turn: int) -> None:
        """Looks again whether the server of that turn is there: a request to it broke."""
        if self._seen.turn == turn:
            self._disconnect()

    def close(self) -> None:
        self._over.set()
        self._disconnect()
        self._change(replace(self._seen, state="closed", failure=None))

    def _disconnect(self) -> None:
        if (connection := self._connection) is not None:
            with suppress(OSError):  # it is broken already
                connection.shutdown(socket.SHUT_RDWR)

    def _change(self, seen: Seen) -> None:
        with self._changed:
            if self._seen.state == "closed":
                return
            self._seen = seen
            self._changed.notify_all()
            askers, self._askers = self._askers, []
        for loop, event in askers:
            with suppress(RuntimeError):  # its event loop has ended, and the asker with it
                loop.call_soon_threadsafe(event.set)
        self._on_change(seen)

    def _live(self) -> None:
        former = 0  # the process of the last server
        while not self._over.is_set():
            failure = None
            try:
                reach, pid = self._find(self._over.is_set)
                # One of several that share an address is not the next of another.
                was_replaced = self._starts and former not in (0, pid)
                self._follow(reach, pid, was_replaced=was_replaced)
                former = pid
            except Unwanted:
                return
            except ModelError as error:
                failure = str(error)
            if self._over.is_set() or not self._goes_on(failure, former):
                return
            self._over.wait(PAUSES[min(self._ends, len(PAUSES)) - 1])

    def _goes_on(self, failure: str | None, former: int) -> bool:
        """Notes that the server ended, or did not begin, and says whether another is tried."""
        since, self._stable_since = self._stable_since, None
        if since is not None and time.monotonic() - since > STABLE:
            self._ends = 0
        self._ends += 1
        if self._starts and not former:  # it has never been there: whoever asked for it is told
            self._change(replace(self._seen, state="given up", failure=failure))
            return False
        if self._starts and self._ends >= MOST:
            told = (
                f"the model's server ended {self._ends} times in a row and is not started again "
                f"until you change a setting or restart infill-lsp; `infill-lsp doctor` looks for "
                f"the cause{f' ({failure})' if failure else ''}"
            )
            self._change(replace(self._seen, state="given up", failure=told))
            self._on_news(told)
            return False
        self._change(replace(self._seen, state="lost", failure=failure))
        return True

    def _follow(self, reach: Reach, pid: int, *, was_replaced: bool) -> None:
        """Until the connection ends. Raises `ModelError` where it is refused."""
        turn = self._seen.turn + 1
        if reach.socket and not answers(reach.socket):
            return
        try:
            with (
                reach.client(httpx.Timeout(QUIET, connect=CONNECT)) as client,
                client.stream(
                    "GET",
                    "/v1/watch",
                    params=self._params,
                    headers={SESSION: self._params["asker"]},
                    extensions={"trace": self._traced},
                ) as response,
            ):
                if not response.is_success:
                    raise ModelError(f"the server at {reach} refused: {told_in(response.read())}")
                for line in lines_of(response.iter_raw()):
                    known = Seen(reach=reach, pid=pid, turn=turn, card=self._seen.card)
                    seen = seen_in(line, known)
                    if seen.ready and self._stable_since is None:
                        self._stable_since = time.monotonic()
                    if seen != self._seen:
                        self._change(seen)
                    if was_replaced and (seen.ready or seen.state == "failed"):
                        was_replaced = False
                        self._on_news(". ".join(filter(None, (STARTED_AGAIN, seen.failure))))
        except httpx.TransportError:
            return
        finally:
            self._connection = None

    def _traced(self, event: str, info: dict[str, Any]) -> None:
        """Keeps the socket as soon as there is one: to shut it is the one way to wake a thread that
        waits for what a server has to say."""
        if event.endswith((".connect_unix_socket.complete", ".connect_tcp.complete")):
            stream = info["return_value"]
            self._connection = cast(socket.socket, stream.get_extra_info("socket"))
            if self._over.is_set():
                self._disconnect()


def seen_in(line: bytes, known: Seen) -> Seen:
    """What the server says in a line of its watch. Raises `ModelError` where it is none."""
    try:
        told: dict[str, Any] = json.loads(line)
        card = told.get("card")
        return replace(
            known,
            state=str(told["state"]),
            what=str(told.get("what") or ""),
            share=float(told.get("share") or 0.0),
            card=card_from(card) if card else known.card,
            failure=told.get("failure"),
            choice=told.get("choice"),
        )
    except (ValueError, TypeError, KeyError, AttributeError, Refused) as error:
        raise ModelError(f"the server at {known.reach} says what is not understood") from error


def told_in(body: bytes) -> str:
    """The sentence of a refusal."""
    match loaded(body):
        case {"error": {"message": str(message)}}:
            return message
        case _:
            return "it does not say why"


def loaded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def lines_of(chunks: Iterator[bytes]) -> Iterator[bytes]:
    kept = b""
    for chunk in chunks:
        *lines, kept = (kept + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())
