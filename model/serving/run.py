"""The process of a server: it listens, runs the app with uvicorn, and ends when nobody needs it.

This file alone knows uvicorn. What is asked is not its business, and none of it is logged.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from model.canvas import ModelError
from model.fallback import Load, Loaded, load_or_bundled
from model.load import Progress, load
from model.serving.app import Guard, app_of
from model.serving.ceiling import hold
from model.serving.dialects.telling import Choose, chosen_here
from model.serving.listening import Listener, Tls, at_address, at_path
from model.serving.runtime import Note, has_unix_sockets, place_for
from model.serving.service import Limits, Service

logger = logging.getLogger(__name__)

LOG = 1_000_000  # bytes, then the log is begun anew; one former is kept
HEAD = 10.0  # seconds for the head of a request, once it has begun
KEPT = 120.0  # seconds for which a connection without requests is kept
CONNECTIONS = 512
LAST = 2  # seconds for readers to take their last line


@dataclass(frozen=True, slots=True)
class Serving:
    """What the command line says. `listen` is host and port; without it and a socket, the socket
    of this model in the runtime folder. Durations are in seconds, 0 is never."""

    model: str
    keys: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seed: int = 0
    socket: Path | None = None
    listen: tuple[str, int] | None = None
    tls: Tls | None = None
    token_env: str | None = None
    unload_after: float = 600.0
    exit_after: float | None = None  # None: 60 on a socket, never on TCP
    limits: Limits = field(default_factory=Limits)
    log_file: Path | None = None
    log_level: str = "warning"


def serve(serving: Serving, load: Load = load, *, choose: Choose = chosen_here) -> int:
    """Serves until nobody needs it, or it is told to end; returns the exit status. `choose` is
    `app_of`'s. Raises `ModelError` where it cannot listen."""
    os.umask(0o077)  # the log, the note and the socket are this user's alone
    service = service_of(serving, load)
    with ExitStack() as left:
        listener = listener_of(serving)
        left.callback(listener.close)
        log_to(serving.log_file or log_beside(listener), serving.log_level)
        left.callback(note_of(serving, listener))
        app = app_of(service, guard=Guard(listener.token), choose=choose)
        server = Server(config_of(serving, app), service, listener, patience(serving))
        with suppress(OSError):
            print(f"infill-lsp: {serving.model} on {listener.url} (pid {os.getpid()})",
                  file=sys.stderr, flush=True)  # fmt: skip
        asyncio.run(server.serve(sockets=[listener.socket]))
    if service.weights.busy:  # in a load or a step, which nothing but time ends
        logging.shutdown()
        os._exit(0)
    return 0


def patience(serving: Serving) -> float:
    """Seconds without anyone until it ends; a team's server waits for its team."""
    if serving.exit_after is not None:
        return serving.exit_after
    return 0.0 if serving.listen else 60.0


def service_of(serving: Serving, load: Load) -> Service:
    def loaded(tell: Progress) -> Loaded:
        if serving.limits.memory is not None:
            hold(serving.limits.memory)
        return load_or_bundled(
            load, serving.model, keys=serving.keys, seed=serving.seed, on_progress=tell,
            on_choice=service.chosen,
        )  # fmt: skip

    service = Service(
        loaded, limits=serving.limits, unload_after=serving.unload_after or None,
        name=serving.model,
    )  # fmt: skip
    return service


def listener_of(serving: Serving) -> Listener:
    if serving.listen is not None:
        return at_address(*serving.listen, token=token_of(serving), tls=serving.tls)
    if serving.socket is not None:
        return at_path(serving.socket)
    if has_unix_sockets():
        return at_path(place_for(serving.model, serving.keys, serving.seed).socket)
    return at_address("127.0.0.1", 0, token=token_of(serving), tls=serving.tls)


def token_of(serving: Serving) -> str:
    if serving.token_env is None:
        return ""
    token = os.environ.get(serving.token_env, "")
    if not token:
        raise ModelError(f"--token-env {serving.token_env}: there is no such variable, or it is "
                         "empty; put the token into it")  # fmt: skip
    return token


def note_of(serving: Serving, listener: Listener) -> Callable[[], None]:
    """Writes down, for the windows, who serves here; the return removes it again. A token that
    somebody gave is theirs to keep, so it is not written."""
    if serving.socket is not None:
        return lambda: None
    place = place_for(serving.model, serving.keys, serving.seed)
    if serving.listen is not None:  # beside the windows' own server of this model
        port = listener.socket.getsockname()[1]
        place = replace(place, digest=f"{place.digest}-{port}")
    url = "" if listener.path else listener.url
    place.write_note(Note(os.getpid(), url, listener.token if listener.made else ""))

    def remove() -> None:
        noted = place.noted()
        if noted is not None and noted.pid == os.getpid():
            place.note.unlink(missing_ok=True)

    return remove


def config_of(serving: Serving, app: Starlette) -> uvicorn.Config:
    tls = serving.tls
    return uvicorn.Config(
        app,
        http=Impatient, loop="asyncio", ws="none", lifespan="on",  # the same wherever it runs
        log_config=None, access_log=False, server_header=False, proxy_headers=False,
        timeout_keep_alive=int(KEPT), timeout_graceful_shutdown=LAST,
        limit_concurrency=CONNECTIONS,
        ssl_certfile=tls.cert if tls else None, ssl_keyfile=tls.key if tls else None,
    )  # fmt: skip


class Server(uvicorn.Server):
    """Ends by itself after some time without anyone, or when nobody can find it any more."""

    def __init__(
        self, config: uvicorn.Config, service: Service, listener: Listener, exit_after: float
    ) -> None:
        super().__init__(config)
        self.service = service
        self.listener = listener
        self.exit_after = exit_after

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or (counter % 5 == 0 and self.needless())

    def needless(self) -> bool:
        if self.exit_after and self.service.quiet > self.exit_after:
            logger.info("nobody asked for %.0f s: ending", self.exit_after)
            return True
        if self.listener.gone and not self.service.in_hand:
            logger.warning("the socket was removed: ending, so that the next one is found")
            return True
        return False

    async def shutdown(self, sockets: Any = None) -> None:
        self.service.end()  # first, or the streams would never end by themselves
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        with super().capture_signals():
            yield
            self._captured_signals.clear()  # it would raise them again, before we tidied up


class Impatient(H11Protocol):
    """Leaves who begins the head of a request and does not end it."""

    late: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waiting = not self.cycle or self.cycle.response_complete
        begun = waiting and self.conn.trailing_data[0] != b""
        if not begun and self.late:
            self.late.cancel()
            self.late = None
        elif begun and not self.late:
            self.late = self.loop.call_later(HEAD, self.transport.close)


def log_beside(listener: Listener) -> Path | None:
    return listener.path.with_suffix(".log") if listener.path else None


def log_to(path: Path | None, level: str) -> None:
    """A log that cannot be written, on a full disk for instance, hinders nothing."""
    logging.raiseExceptions = False
    handler: logging.Handler = logging.StreamHandler()
    if path is not None:
        try:
            handler = RotatingFileHandler(path, maxBytes=LOG, backupCount=1, encoding="utf-8")
        except OSError:
            handler = logging.NullHandler()
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(handlers=[handler], level=level.upper())
    logging.getLogger("httpx").setLevel(logging.WARNING)
