"""While somebody types faster than fills are made, the model is not asked for each key."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.pace import LONGEST, TYPING, Pace
from model.scripted import Scripted
from tests.benches import bench_named
from tests.test_server import URI, Client, Message, client, until

gaps = st.lists(st.floats(0.02, 3.0), max_size=12)
END = {"speculate": False}


def after(gaps: list[float], fills: list[float]) -> tuple[Pace, float]:
    pace, now = Pace(), 100.0
    for gap in gaps:
        now += gap
        pace.typed("a", now)
    for seconds in fills:
        pace.filled(seconds)
    return pace, now


@given(gaps, st.lists(st.floats(0.0, 5.0), max_size=12), st.floats(0.0, 3.0))
def test_a_pause_is_never_long_and_ends_with_the_key_s_time(
    gaps: list[float], fills: list[float], later: float
) -> None:
    pace, now = after(gaps, fills)
    assert 0 <= pace.pause(now) <= LONGEST
    assert pace.pause(now + later) == pytest.approx(max(0.0, pace.pause(now) - later))


def test_only_who_types_much_faster_than_fills_are_made_waits() -> None:
    def pause(gap: float, fill: float) -> float:
        pace, now = after([gap] * 8, [fill] * 4)
        return pace.pause(now)

    assert pause(0.1, 0.05) == 0
    assert pause(0.1, 0.21) > 0.1
    assert pause(0.1, 0.19) == 0
    assert pause(0.3, 0.5) == 0
    assert pause(TYPING + 0.1, 5.0) == 0  # thinks


def test_one_fill_that_would_be_in_time_is_enough_not_to_wait() -> None:
    slow, some = (after([0.1] * 8, [2.0, 2.0, fill, 2.0]) for fill in (2.0, 0.15))
    assert slow[0].pause(slow[1]) > 0
    assert some[0].pause(some[1]) == 0


def test_nothing_is_waited_for_before_anything_is_known() -> None:
    assert after([0.1] * 8, [])[0].pause(101.0) == 0
    assert after([0.1], [1.0])[0].pause(101.0) == 0


def test_who_went_to_another_document_did_not_type_there() -> None:
    pace, now = after([], [1.0])
    for i in range(10):
        pace.typed("ab"[i % 2], now + i / 10)
    assert pace.pause(now + 1) == 0


async def type_fast(c: Client, text: str) -> None:
    """As if at a tenth of a second a key, with fills that take longer."""
    pace = c.server.session.pace
    for _ in range(4):
        pace.filled(0.5)
    for i, char in enumerate(text):
        c.insert(2 + i, char, character=11 + i)
        await until(lambda i=i: version(c) == 2 + i)
        await asyncio.sleep(0.05)


def version(c: Client) -> int:
    snapshot = c.server.session.documents.get(URI)
    return snapshot.version if snapshot is not None else 0


def invoked(c: Client, character: int) -> int:
    params: Message = {
        "textDocument": {"uri": URI},
        "position": {"line": 1, "character": character},
        "context": {"triggerKind": 1},
    }
    return c.request("textDocument/inlineCompletion", params)


async def paused_ms(c: Client) -> float:
    params = {"command": "infill.why", "arguments": [URI]}
    told = await c.answer(c.request("workspace/executeCommand", params))
    return told["result"]["timing"]["pause_ms"]


async def test_a_request_that_the_next_key_ends_within_its_pause_costs_no_step() -> None:
    denoiser = Scripted("a + b", steps_a_fill=1)
    async with client(denoiser, END) as c:
        await type_fast(c, "xxxxx")
        first = c.inline(character=16)
        await asyncio.sleep(0.01)
        c.insert(7, "x", character=16)
        assert await c.texts(first) is None
        assert denoiser.steps == 0
        last = c.inline(character=17)
        assert await c.texts(last) == ["a + b"]
        assert denoiser.steps == 1
        assert await paused_ms(c) > 0
        again = c.inline(character=17)  # remembered
        assert await c.texts(again) == ["a + b"]


async def test_who_asks_does_not_wait_for_another_key() -> None:
    async with client(Scripted("a + b"), END) as c:
        await type_fast(c, "xxxxx")
        assert await c.texts(invoked(c, 16)) == ["a + b"]
        assert await paused_ms(c) == 0


async def test_who_has_begun_a_line_does_not_wait_either() -> None:
    async with client(Scripted("a = b"), END) as c:
        await type_fast(c, "xxxxx")
        c.insert(7, "\n    ", character=16)
        assert await c.texts(c.inline(line=2, character=4)) == ["a = b"]
        assert await paused_ms(c) == 0


def test_the_bench_sees_that_pauses_spare_the_model_and_make_room_for_others() -> None:
    typing = bench_named("pauses").typing
    code = ["\n".join(f"def f{i}(a, b):\n    return a + b * {i}" for i in range(400))] * 4

    def outcomes(people: int) -> tuple[Any, Any]:
        at_once, paused = (typing(code[:people], 0.5, 0.1, 60.0, pauses=it) for it in (False, True))
        return at_once, paused

    at_once, paused = outcomes(1)
    assert paused.worked < at_once.worked
    assert paused.keys == at_once.keys
    at_once, paused = outcomes(4)
    assert len(paused.times) > len(at_once.times)
