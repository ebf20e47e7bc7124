"""Replicas by Ray Serve: windows that ask them, one of them killed, one that is no use.

INFILL_TESTS_WITHOUT_RAY=1 leaves it out: on two busy cores it takes a minute.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from model.canvas import Claim
from model.fallback import Loaded
from model.load import load
from model.serving.reach import SESSION
from model.serving.weights import Weights
from model.serving.wire import Ask, ask_to
from tests.rays import (
    CANVAS,
    PATIENCE,
    WINDOWS,
    Cluster,
    finals,
    load_of,
    needs_ray,
    reached,
    serving,
    windows,
)


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
    (replacement,) = last.keys() - former.keys()
    assert victim not in last
    # Of the second half it serves as much as a replica may by the hash of its windows' names.
    served = {pid: finals(last[pid]) - finals(second[pid]) for pid in last}
    assert served[replacement] > sum(served.values()) / 10


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
