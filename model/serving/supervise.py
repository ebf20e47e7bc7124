"""Finds the server of a model, or starts one: however many windows look at once, one is started.

It knows processes and the files of `runtime.py`; what a server says is read elsewhere.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import filelock

from model.canvas import ModelError
from model.serving.reach import Absent, Hung, Reach, checked
from model.serving.runtime import Place, absolute, has_unix_sockets, place_for, tidy

LAUNCHER = Path(__file__).resolve().parent.parent.parent / "infill_lsp.py"
NEEDED = ("starlette", "uvicorn", "torch")
PATIENCE = 120.0  # seconds until what ought to listen is given up; it listens before it loads
HUNG = 15.0  # seconds of silence after which a server that listens is taken for dead
LOG = 1_000_000  # bytes, beyond which a server's log is begun anew
LEVELS = ("debug", "info", "warning", "error")
LOOK = 0.05  # seconds between two looks
EXIT_AFTER = "INFILL_EXIT_AFTER"  # seconds without a client, in place of the server's default


class Unwanted(Exception):
    """Nobody waits for the server any more."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The model that a server is to serve."""

    name: str
    keys: Mapping[str, Any]
    seed: int
    unload_after: int = 600  # seconds; of a server that is started, 0 for never


def found_or_started(asked: Asked, unwanted: Callable[[], bool]) -> tuple[Reach, int]:
    """A server that serves it, and its process. Blocks until it listens; it may still be loading.

    Raises `ModelError`, and `Unwanted` as soon as it is `unwanted`.
    """
    name = absolute(asked.name)
    place = place_for(asked.name, asked.keys, asked.seed)
    since = time.monotonic()
    quiet: float | None = None
    while not unwanted():
        try:
            if running := adopted(place, name):
                return running
            with filelock.FileLock(place.lock, timeout=0):
                if running := adopted(place, name):
                    return running  # another window was quicker
                tidy(place.folder)
                return started(place, asked, unwanted)
        except Hung:
            quiet = quiet or time.monotonic()
            if time.monotonic() - quiet > HUNG:
                end_hung(place)
        except filelock.Timeout:
            pass  # another window is starting it
        except OSError as error:
            raise ModelError(
                f"the model's server cannot be started from {place.folder}: {error}"
            ) from error
        if time.monotonic() - since > PATIENCE:
            raise ModelError(
                f"another window has been starting the model's server for {PATIENCE:g} s: restart "
                f"your editors, or remove {place.lock}"
            )
        time.sleep(LOOK)
    raise Unwanted


def adopted(place: Place, name: str) -> tuple[Reach, int] | None:
    """The server that runs there. Raises `ModelError` where it cannot be used, `Hung`."""
    reach = reach_of(place)
    if reach is None:
        return None
    try:
        return reach, checked(reach, model=name).pid
    except Absent:
        return None


def reach_of(place: Place) -> Reach | None:
    """Where its server would listen, by the files that are there."""
    if has_unix_sockets():
        return Reach(place.socket) if place.socket.exists() else None
    note = place.noted()
    return Reach(url=note.url, token=note.token) if note and note.url else None


def started(place: Place, asked: Asked, unwanted: Callable[[], bool]) -> tuple[Reach, int]:
    """Starts a server and waits until it listens. To be called with the place's lock held."""
    if lacking := [name for name in NEEDED if find_spec(name) is None]:
        raise ModelError(
            f"the model's server needs {', '.join(lacking)}, not installed here: "
            "pip install 'infill-lsp[local]'"
        )
    log, before = opened(place.log)
    try:
        process = subprocess.Popen(
            command(asked), cwd=Path(sys.executable).anchor, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log or subprocess.DEVNULL,
        )  # fmt: skip
    finally:
        if log:
            log.close()
    # One that ends before this process does would otherwise stay in the table of processes.
    threading.Thread(target=process.wait, name="infill-reaper", daemon=True).start()
    since = time.monotonic()
    while not unwanted():
        try:
            if running := adopted(place, absolute(asked.name)):
                return running
        except Hung:
            pass  # busy with its first steps
        if (status := process.poll()) is not None:
            raise ModelError(
                f"the model's server ended at its start ({ended(status)}): "
                f"{last_line(place.log, before) or f'it logged nothing to {place.log}'}"
            )
        if time.monotonic() - since > PATIENCE:
            process.kill()
            raise ModelError(
                f"the model's server did not listen within {PATIENCE:g} s: {place.log} may say why"
            )
        time.sleep(LOOK)
    raise Unwanted


def command(asked: Asked) -> list[str]:
    """By whole paths, since it starts in the root folder. `-P`: no other's packages come first. It
    logs as much as this process does."""
    level = logging.getLevelName(logging.getLogger().getEffectiveLevel()).lower()
    after = os.environ.get(EXIT_AFTER)
    return [
        sys.executable, "-I" if sys.flags.isolated else "-P", os.fspath(LAUNCHER),
        *(("--log-level", level) if level in LEVELS else ()), "serve",
        "--model", absolute(asked.name), "--model-keys", json.dumps(dict(asked.keys)),
        "--seed", str(asked.seed), "--unload-after", str(max(0, asked.unload_after)),
        *(("--exit-after", after) if after else ()),
    ]  # fmt: skip


def opened(log: Path) -> tuple[IO[bytes] | None, int]:
    """The log to write on and its length so far; None where there is none to be had, since a full
    disk keeps nobody from filling holes."""
    try:
        full = log.exists() and log.stat().st_size > LOG
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC * full), 0o600)
        return os.fdopen(handle, "wb"), os.fstat(handle).st_size
    except OSError:
        return None, 0


def last_line(log: Path, before: int) -> str:
    """What a server said last, of what it said since the log had that length."""
    try:
        with log.open("rb") as file:
            file.seek(before)
            said = file.read(LOG).decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(said) if line.strip()), "")


def ended(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status}"


def end_hung(place: Place) -> None:
    """Ends a server that listens and never answers: it would keep its memory and its socket."""
    if (pid := listener(place)) is not None:
        os.kill(pid, signal.SIGKILL)


def listener(place: Place) -> int | None:
    """The process behind the socket, as the system knows it, or else as it was noted."""
    if hasattr(socket, "SO_PEERCRED"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(os.fspath(place.socket))
            except OSError:
                return None
            told = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return struct.unpack("3i", told)[0]
    note = place.noted()
    return note.pid if note else None
