"""Replicas by Ray Serve for tests: real ones on this machine's processor, and windows that ask."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import filelock
import httpx
import psutil
import pytest

from model.canvas import Canvas, Claim, Hole
from model.serving.client import Shared, connected
from model.serving.reach import SESSION, TOKEN, Reach
from model.serving.runtime import FOLDER
from model.serving.supervise import Asked
from tests.raw_client import ROOT
from tests.servers import short_folder, until

PATIENCE = 240.0  # seconds; a Ray starts six processes, on two cores that others use, too
WINDOWS = 8
BEFORE = "def total(prices):\n    result = 0\n    for price in prices:\n        "
CANVAS = Canvas((BEFORE, "\n    return result\n"), (Hole(1, 1, multiline=True),))
GIVEN = "T"  # the variable with a token that somebody gave
Popen = subprocess.Popen[bytes]

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None or "INFILL_TESTS_WITHOUT_RAY" in os.environ,
    reason="ray is not installed, or is left out",
)


@dataclass(frozen=True)
class Cluster:
    process: Popen
    folder: Path
    reach: Reach

    async def state(self, session: str) -> dict[str, Any]:
        """Of the replica that serves this session."""
        async with self.reach.async_client(httpx.Timeout(60)) as client:
            return (await client.get("/v1/state", headers={SESSION: session})).json()

    async def replicas(self) -> dict[int, dict[str, Any]]:
        """The states of those that take requests, by their processes."""
        states = await asyncio.gather(*[self.state(f"{each}") for each in range(24)])
        return {state["pid"]: state for state in states}


def processes(folder: Path) -> list[psutil.Process]:
    """Those of the Ray that was started with this folder."""

    def is_one(process: psutil.Process) -> bool:
        try:
            return process.environ().get("RAY_TMPDIR", "").startswith(str(folder))
        except psutil.Error:  # it has ended, or is another user's
            return False

    return [process for process in psutil.process_iter() if is_one(process)]


@contextmanager
def folder_of_a_ray() -> Generator[Path]:
    """For its files; there is one Ray at a time. Fails where one of its processes is left."""
    folder = short_folder()
    with filelock.FileLock(folder.with_name(f"inf-rays-{os.getuid()}.lock"), mode=0o600):
        try:
            yield folder
            until(lambda: not processes(folder), "no process of Ray's is left")
        finally:
            for left in processes(folder):
                left.kill()
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def started(command: list[str], folder: Path, end: int, **environment: str) -> Generator[Popen]:
    """Fails where it does not end well when it is told to, as by Ctrl-C, which the whole group of
    processes hears."""
    ray = {"RAY_TMPDIR": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | ray | environment, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
        os.killpg(process.pid, end) if end == signal.SIGINT else process.send_signal(end)
        assert process.wait(PATIENCE) == 0, (folder / "out").read_text()
    finally:
        process.kill()
        process.wait()


@contextmanager
def serving(*options: str, model: str = "bundled", end: int = signal.SIGTERM) -> Generator[Cluster]:
    with folder_of_a_ray() as folder:
        strangers = folder / "strangers"  # what a replica could import
        for name in ("model", "lsp"):
            (strangers / name).mkdir(parents=True)
            (strangers / name / "__init__.py").write_text("raise SystemExit('a stranger')")
        command = [sys.executable, str(ROOT / "infill_lsp.py"), "serve", "--ray", *options]
        environment = {
            FOLDER: str(folder / "run"), "PYTHONPATH": str(strangers), GIVEN: "a-token-long-enough",
        }  # fmt: skip
        with started([*command, "--model", model], folder, end, **environment) as process:
            until(lambda: address(process, folder), "replicas that answer", PATIENCE)
            (note,) = (folder / "run").glob("*.json")
            token = json.loads(note.read_text())["token"] or environment[GIVEN]
            yield Cluster(process, folder, Reach(url=address(process, folder), token=token))
        assert list((folder / "run").glob("*.json")) == []


def address(process: Popen, folder: Path) -> str:
    """Empty before it says one. Fails where it has ended, with what it said."""
    told = (folder / "out").read_text()
    assert process.poll() is None, told
    found = re.search(r"infill-lsp: .* on (\S+) \(Ray", told)
    return found[1].replace("0.0.0.0", "127.0.0.1") if found else ""


def finals(state: dict[str, Any]) -> int:
    """The fills that a replica has finished."""
    return state["outcomes"].get("final", 0)


async def load_of(window: Shared, fills: list[int], enough: asyncio.Event) -> None:
    """Fills one after the other, for many askers, as if it were many windows."""
    while not enough.is_set():
        claim = Claim(asker=f"{window.asker}-{fills[0] % 16}")
        drafts = [draft async for draft in window.denoise(CANVAS, claim)]
        assert drafts[-1].final
        fills[0] += 1


async def reached(fills: list[int], most: int, loads: Sequence[asyncio.Future[None]]) -> None:
    """Waits for so many fills. Fails where a window has stopped asking."""
    async with asyncio.timeout(PATIENCE):
        while fills[0] < most:
            await asyncio.sleep(0.02)
            for load in loads:
                assert not load.done(), load.exception()


@asynccontextmanager
async def windows(reach: Reach) -> AsyncGenerator[list[Shared]]:
    """As editors' windows are whose setting `server` is the address."""

    def opened() -> Shared:
        loaded = connected(
            reach.url, Asked("bundled", {}, 0), on_progress=lambda what, share: None,
            on_choice=lambda choice: None, on_news=lambda news: None, still=lambda: True,
        )  # fmt: skip
        assert isinstance(loaded.denoiser, Shared), loaded
        return loaded.denoiser

    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv(TOKEN, reach.token)
        opening = [asyncio.to_thread(opened) for _ in range(WINDOWS)]
        yield [stack.enter_context(closing(one)) for one in await asyncio.gather(*opening)]
