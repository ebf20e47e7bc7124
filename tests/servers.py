"""The model servers that tests start: which there are, and that none is left."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
import psutil

from model.serving.reach import Reach
from model.serving.runtime import FOLDER, answers
from model.serving.supervise import EXIT_AFTER, LAUNCHER

SHORT = 5.0  # seconds without a client after which a test's server ends
PATIENCE = 60.0  # seconds until what does not happen is a failure


def short_folder() -> Path:
    """A folder for runtime files with a path that a socket's fits into."""
    return Path(mkdtemp(prefix="inf", dir="/tmp"))


def environment(folder: Path, exit_after: float = SHORT) -> dict[str, str]:
    return {FOLDER: str(folder), EXIT_AFTER: f"{exit_after:g}"}


def servers(folder: Path) -> list[psutil.Process]:
    """The servers that were started for this folder, whether or not it still knows them."""

    def is_one(process: psutil.Process) -> bool:
        try:
            command = process.cmdline()
            ours = str(LAUNCHER) in command and "serve" in command
            return ours and process.environ().get(FOLDER) == str(folder)
        except psutil.Error:  # it has ended, is nobody's any more, or another user's
            return False

    return [process for process in psutil.process_iter() if is_one(process)]


def until(true: Callable[[], object], what: str, patience: float = PATIENCE) -> float:
    """Waits; returns the seconds that it took."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > patience:
            raise AssertionError(f"not within {patience:g} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


@contextmanager
def swept(folder: Path, exit_after: float = SHORT) -> Iterator[None]:
    """Fails where a server has not ended by itself some time after its last client has gone; all
    are killed in any case, and the folder is removed."""
    try:
        yield
        # Servers end by themselves; a slow machine gets three times as long.
        until(lambda: not servers(folder), "all servers have ended", 3 * exit_after + 10)
    finally:
        for process in servers(folder):
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


class Served:
    """A server with a script in the model's place, started by hand."""

    def __init__(self, folder: Path, *options: str, **script: object) -> None:
        self.path = folder / "by-hand.sock"
        model = "scripted:" + json.dumps(script)
        self.command = [sys.executable, "-I", str(LAUNCHER), "serve", "--model", model,
                        "--socket", str(self.path), *options]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Served:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        until(self.answers, "the server listens")

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def answers(self) -> bool:
        return answers(self.path)

    def get(self, path: str) -> dict[str, Any]:
        with Reach(self.path).client(httpx.Timeout(10)) as client:
            return client.get(path).raise_for_status().json()

    @property
    def address(self) -> str:
        return f"unix:{self.path}"
