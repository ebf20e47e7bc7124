"""Replicas by Ray Serve: a real Ray on this machine's processor, and windows that ask it.

INFILL_TESTS_WITHOUT_RAY=1 leaves it out: on two busy cores it takes two minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from model.canvas import Canvas, Claim, Hole
from model.fallback import Loaded
from model.load import load
from model.serving.client import Shared, connected
from model.serving.reach import SESSION, TOKEN, Reach
from model.serving.runtime import FOLDER
from model.serving.supervise import Asked
from model.serving.weights import Weights
from model.serving.wire import Ask, ask_to
from tests.raw_client import ROOT
from tests.servers import short_folder, until

PATIENCE = 240.0  # seconds; a Ray starts six processes, on two cores that others use, too
WINDOWS = 8
BEFORE = "def total(prices):\n    result = 0\n    for price in prices:\n        "
CANVAS = Canvas((BEFORE, "\n    return result\n"), (Hole(1, 1, multiline=True),))

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None or "INFILL_TESTS_WITHOUT_RAY" in os.environ,
    reason="ray is not installed, or is left out",
)


@dataclass(frozen=True)
class Cluster:
    process: subprocess.Popen[bytes]
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
            return process.environ().get("RAY_TMPDIR") == str(folder)
        except psutil.Error:  # it has ended, or is another user's
            return False

    return [process for process in psutil.process_iter() if is_one(process)]


@contextmanager
def serving(*options: str) -> Generator[Cluster]:
    """Fails where it does not end when it is told to, or leaves a process behind."""
    folder = short_folder()
    strangers = folder / "strangers"  # where it is started, and what a replica could import
    for name in ("model", "lsp"):
        (strangers / name).mkdir(parents=True)
        (strangers / name / "__init__.py").write_text("raise SystemExit('a stranger')")
    environment = os.environ | {
        "RAY_TMPDIR": str(folder), FOLDER: str(folder / "run"), "PYTHONPATH": str(strangers),
    }  # fmt: skip
    command = [sys.executable, str(ROOT / "infill_lsp.py"), "serve", "--ray", *options]
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            command, cwd=strangers, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        until(lambda: address(process, folder), "replicas that answer", PATIENCE)
        (note,) = (folder / "run").glob("*.json")
        token = json.loads(note.read_text())["token"]
        yield Cluster(process, folder, Reach(url=address(process, folder), token=token))
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, (folder / "out").read_text()
        until(lambda: not processes(folder), "no process of Ray's is left")
        assert list((folder / "run").glob("*.json")) == []
    finally:
        for left in processes(folder):
            left.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def address(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Empty before it says one. Fails where it has ended, with what it said."""
    told = (folder / "out").read_text()
    assert process.poll() is None, told
    found = re.search(r"infill-lsp: bundled on (\S+) ", told)
    return found[1] if found else ""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with serving("--replicas", "2") as cluster:
        yield cluster


@needs_ray
def test_nobody_without_the_token_reaches_a_replica(cluster: Cluster) -> None:
    for path in ("/v1/state", "/v1/card", "/metrics"):
        assert httpx.get(f"{cluster.reach.url}{path}", timeout=60).status_code == 401
    assert httpx.get(f"{cluster.reach.url}/healthz", timeout=60).json()["model"] == "bundled"


@needs_ray
async def test_a_window_stays_with_its_replica(cluster: Cluster) -> None:
    assert len(await cluster.replicas()) == 2
    assert len({(await cluster.state("a window"))["pid"] for _ in range(8)}) == 1


@needs_ray
async def test_what_nobody_reads_any_more_is_not_stepped(cluster: Cluster) -> None:
    async def steps() -> int:
        return (await cluster.state("leaver"))["steps"]

    before = await steps()
    async with cluster.reach.async_client(httpx.Timeout(60)) as client:
        asked = ask_to(Ask(CANVAS, Claim(asker="leaver")))
        whole = await client.post("/v1/fill", content=asked, headers={SESSION: "leaver"})
        needed = await steps() - before
        assert '"reason":"final"' in whole.text.replace(" ", "")
        async with client.stream(
            "POST", "/v1/fill", content=asked, headers={SESSION: "leaver"}
        ) as answer:
            await anext(answer.aiter_lines())
    await asyncio.sleep(1)  # one step is in work, and the proxy has to be told
    left = await steps() - before - needed
    await asyncio.sleep(2)
    assert await steps() - before - needed == left < needed
    state = await cluster.state("leaver")
    assert (state["queue"], state["running"]) == (0, 0)


@needs_ray
async def test_no_window_sees_that_a_replica_died_and_another_takes_its_place(
    cluster: Cluster,
) -> None:
    former = await cluster.replicas()
    victim = min(former)
    async with windows(cluster.reach) as asking:
        fills = [0]
        enough = asyncio.Event()
        loads = [asyncio.ensure_future(load_of(one, fills, enough)) for one in asking]
        try:
            await reached(fills, WINDOWS, loads)
            os.kill(victim, signal.SIGKILL)
            killed_at = fills[0]
            async with asyncio.timeout(PATIENCE):
                while len(await cluster.replicas() | {victim: {}}) < 3:
                    await asyncio.sleep(0.2)
            second = await cluster.replicas()
            assert fills[0] > killed_at  # the other one went on in the meantime
            await reached(fills, fills[0] + max(40, killed_at), loads)
        finally:
            enough.set()
        await asyncio.gather(*loads)  # raises what a window was told in place of a fill
        assert any(one.seen.turn > 1 for one in asking)  # some had asked the one that died
    last = await cluster.replicas()
    assert last.keys() == second.keys()
    assert victim not in last
    assert all(last[pid]["steps"] > second[pid]["steps"] for pid in last)


async def load_of(window: Shared, fills: list[int], enough: asyncio.Event) -> None:
    """Fills one after the other, for many askers, as if it were many windows."""
    while not enough.is_set():
        claim = Claim(asker=f"{window.asker}-{fills[0] % 16}")
        drafts = [draft async for draft in window.denoise(CANVAS, claim)]
        assert drafts[-1].final
        fills[0] += 1


async def reached(fills: list[int], most: int, loads: list[asyncio.Future[None]]) -> None:
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


def test_a_replica_with_a_dead_engine_says_so() -> None:
    async def told() -> tuple[str | None, str | None]:
        weights = Weights(
            lambda tell: Loaded(load("bundled", keys={}, seed=0, on_progress=tell, on_choice=None))
        )
        denoiser: Any = await weights.denoiser()
        before = weights.trouble
        denoiser.close()
        denoiser.thread.join(10)
        return before, weights.trouble

    assert asyncio.run(told()) == (None, "the thread that steps the model has ended")


def test_a_replica_that_fills_with_another_model_than_was_asked_for_says_so() -> None:
    bundled = load("bundled", keys={}, seed=0, on_progress=None, on_choice=None)

    async def told() -> str | None:
        weights = Weights(lambda tell: Loaded(bundled, "there is no such folder"))
        await weights.denoiser()
        await weights.close()
        return weights.trouble

    assert asyncio.run(told()) == "there is no such folder"


@needs_ray
@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--socket", "/tmp/s"], "--listen HOST:PORT in place of --socket"),
        (["--listen", "0.0.0.0:0"], "can be reached from other machines; it needs --tls-cert"),
    ],
)
def test_what_ray_must_not_serve_is_refused_before_it_starts(options: list[str], why: str) -> None:
    folder = short_folder()
    done = subprocess.run(
        [sys.executable, str(ROOT / "infill_lsp.py"), "serve", "--ray", *options],
        capture_output=True, text=True, timeout=PATIENCE,
        env=os.environ | {"RAY_TMPDIR": str(folder), FOLDER: str(folder)},
    )  # fmt: skip
    assert (done.returncode, processes(folder)) == (1, [])
    assert why in done.stderr
    shutil.rmtree(folder)


@needs_ray
def test_what_a_cluster_is_told_wrongly_is_named() -> None:
    wrong = {
        "modle: not known; what can be told is model, ": {"modle": "bundled"},
        "min_replicas is 3 and max_replicas 1": {"min_replicas": "3"},
        "seed=none: not understood": {"seed": "none"},
    }
    program = f"""
import infill_lsp
for told in {list(wrong.values())!r}:
    try:
        infill_lsp.ray_application(told)
    except Exception as error:
        print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    said = done.stdout.splitlines()
    assert len(said) == len(wrong), done
    for line, why in zip(said, wrong, strict=True):
        assert line.startswith(f"ModelError {why}")
