"""`infill-lsp bench` really measures, and catches a model that goes on after a cancel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest

from infill.measure import benchmark
from infill.measure.benchmark import fill_times, spots, steps_after_cancel, typed_along
from infill.settings import Settings
from lsp.command import run
from model import Canvas, Claim, Draft
from model.scripted import Scripted

SETTINGS = Settings(deadline_ms=60_000)


def test_the_verb_measures_fills_and_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--json", "--fills", "2", "--model", "scripted:value"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["fill"]["fills"] == 2
    assert report["fill"]["total_ms"]["p95"] >= report["fill"]["total_ms"]["p50"] > 0
    assert report["typed_along"]["hits"] > 0
    assert report["after_cancel"] == {"cancelled": 5, "late_steps": 0, "counted": "steps"}
    assert report["window"]["initialize_ms"]["p50"] > 0
    assert report["window"]["first_fill_s"] * 1000 > report["window"]["initialize_ms"]["p50"]


def test_the_places_are_the_same_every_time_and_lack_the_rest_of_a_line() -> None:
    assert spots(10) == spots(10)
    assert len({(spot.document.text, spot.cursor) for spot in spots(10)}) == 10
    assert all(spot.document.text[spot.cursor] == "\n" for spot in spots(10))


class Stubborn(Scripted):
    """Goes on stepping although nobody asks any more."""

    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        going_on = asyncio.create_task(self.step_on())
        async for draft in super().denoise(canvas, claim):
            yield draft
        await going_on

    async def step_on(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0.01)
            self.steps += 1


async def test_steps_after_a_cancel_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "LONGER_THAN_A_STEP", 0.3)
    obedient = Scripted("value", seconds_a_step=0.01, steps_a_fill=10)
    stubborn = Stubborn("value", seconds_a_step=0.01, steps_a_fill=10)
    assert (await steps_after_cancel(obedient, SETTINGS, 1))["late_steps"] == 0
    assert (await steps_after_cancel(stubborn, SETTINGS, 1))["late_steps"] > 3


async def test_each_fill_is_counted_and_the_first_is_for_warming_up() -> None:
    seen: list[None] = []
    denoiser = Scripted("value")
    report = await fill_times(denoiser, SETTINGS, 3, lambda: seen.append(None))
    assert (report["fills"], len(seen)) == (3, 4)
    assert report["shown"] <= 3
    assert all(len("".join(canvas.texts)) <= benchmark.CONTEXT for canvas in denoiser.seen)


async def test_typing_along_asks_no_model() -> None:
    report = await typed_along(SETTINGS, 5)
    assert report["hits"] > 0
