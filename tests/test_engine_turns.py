"""The engine among several who ask: newer canvases, guesses, deadlines, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from model import Canvas, Claim, Draft, Hole  # noqa: E402
from model.masked.board import Board, Start  # noqa: E402
from model.masked.engine import Engine, OnBoard  # noqa: E402
from model.serving.ceiling import give_back, resident  # noqa: E402
from model.turns import Traffic  # noqa: E402
from tests.engines import CANVAS, WHOLE, tiny_engine  # noqa: E402

LONG = Canvas(("abc", "xyz"), (Hole(0, 0, limit=400),))  # one mask a step: more than there is time


@pytest.fixture
def slow():
    """An engine whose canvases take 400 steps of a millisecond at least, two boards in each."""
    start = Start(line=400, block=9, context=32)
    with tiny_engine(400, start=start, policy=WHOLE, batch=2) as made:
        made.network.model.register_forward_pre_hook(lambda *_: time.sleep(0.001))
        yield made


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.001)


async def rest_of(drafts: AsyncIterator[Draft]) -> list[Draft]:
    return [draft async for draft in drafts]


async def test_a_newer_canvas_of_the_same_document_ends_the_older(slow: Engine):
    one, other = Claim("window", "a.py"), Claim("window", "b.py")
    first, beside = slow.denoise(LONG, one), slow.denoise(LONG, other)
    await anext(first), await anext(beside)
    waits = [slow.denoise(LONG, one) for _ in range(3)]
    asked = [asyncio.create_task(rest_of(drafts)) for drafts in waits]
    ended = await asyncio.wait_for(rest_of(first), 1)
    assert not any(draft.final for draft in ended)
    assert [await asyncio.wait_for(each, 1) for each in asked[:2]] == [[], []]
    await anext(beside)
    await until(lambda: slow.traffic().running == {"window": 2})  # the last one, too
    asked[2].cancel()
    await beside.aclose()


async def test_another_s_document_of_that_name_goes_on(slow: Engine):
    first = slow.denoise(LONG, Claim("one", "a.py"))
    await anext(first)
    second = slow.denoise(LONG, Claim("other", "a.py"))
    await anext(second)
    for _ in range(20):  # more than were told before the second came
        await anext(first)
    await first.aclose(), await second.aclose()


async def test_what_is_asked_for_anew_goes_on_where_it_was(slow: Engine):
    guessed, asked = Claim("window", "a.py", speculative=True), Claim("window", "a.py")
    alone = [draft.texts async for draft in slow.denoise(CANVAS)]
    first = slow.denoise(CANVAS, guessed)
    told = [(await anext(first)).texts for _ in range(3)]
    second = [draft async for draft in slow.denoise(CANVAS, asked)]
    told += [draft.texts async for draft in first]
    assert told == alone[: len(told)]
    assert [draft.texts for draft in second] == alone[second[0].step - 1 :]
    assert 0 < second[0].step - len(told) <= 2  # of a step under way nobody may hear
    # Of another canvas nothing is taken over.
    first = slow.denoise(Canvas(("abd", "xyz"), CANVAS.holes), guessed)
    await anext(first)
    assert [draft.texts async for draft in slow.denoise(CANVAS, asked)] == alone
    await first.aclose()


async def test_a_guess_is_stepped_only_while_nobody_waits_and_keeps_what_it_has(slow: Engine):
    guess = slow.denoise(CANVAS, Claim("one", speculative=True))
    told = [(await anext(guess)).texts]
    asked = [draft async for draft in slow.denoise(CANVAS, Claim("other"))]
    told += [draft.texts async for draft in guess]
    assert told == [draft.texts for draft in asked]
    # There was room for both in each step, yet they shared none.
    assert slow.boards_stepped == slow.steps == 2 * len(asked)


async def test_what_nobody_waits_for_any_more_stands_behind_a_question_and_goes_on(slow: Engine):
    late = slow.denoise(LONG, Claim("one", deadline_ms=60_000, behind_ms=59_800))
    told = [await anext(late)]
    asked = slow.denoise(LONG, Claim("other"))
    await anext(asked)
    await until(lambda: slow.boards_stepped > slow.steps)  # so long, both have a place in a step
    await until(lambda: slow.turns._speculative.get("one"))  # pyright: ignore
    steps = slow.steps
    while slow.steps < steps + 20:
        await anext(asked)
    apart = slow.boards_stepped - slow.steps
    while slow.steps < steps + 40:
        await anext(asked)
    assert slow.boards_stepped - slow.steps == apart
    await asked.aclose()
    told += await rest_of(late)
    assert told[-1].final
    assert [draft.step for draft in told] == [*range(1, len(told) + 1)]  # none was made twice


async def test_at_its_deadline_a_canvas_ends_with_the_best_there_is(slow: Engine):
    began = time.perf_counter()
    drafts = [draft async for draft in slow.denoise(LONG, Claim(deadline_ms=100))]
    assert drafts
    assert not drafts[-1].final
    assert drafts[-1].settled_share > 0
    assert time.perf_counter() - began < 1
    steps = slow.steps
    assert len(drafts) == steps
    await asyncio.sleep(0.02)
    assert slow.steps == steps


async def test_one_who_waits_is_not_stepped_after_its_deadline(slow: Engine):
    slow.batch = 1
    first = slow.denoise(LONG, Claim("one"))
    await anext(first)
    guess = slow.denoise(LONG, Claim("other", speculative=True, deadline_ms=50))
    began = time.perf_counter()
    assert [draft async for draft in guess] == []
    assert 0.05 <= time.perf_counter() - began < 1
    boards = slow.boards_stepped
    await first.aclose()
    assert [draft async for draft in slow.denoise(LONG, Claim(deadline_ms=0.001))] == []
    assert slow.boards_stepped <= boards + 2
    assert slow.traffic().waiting == {}


async def test_one_canvas_does_not_starve_beside_another_s_sixteen(slow: Engine):
    many = [slow.denoise(LONG, Claim("many")) for _ in range(16)]
    going = [asyncio.create_task(rest_of(drafts)) for drafts in many]
    await until(lambda: slow.traffic().running == {"many": 16})
    before = slow.steps
    drafts = [draft async for draft in slow.denoise(CANVAS, Claim("one"))]
    # In each step there were two places, and one of them was for the one.
    assert slow.steps - before <= len(drafts) + 4
    for each in going:
        each.cancel()
    await asyncio.gather(*going, return_exceptions=True)


async def test_an_engine_says_for_whom_it_works_and_what_it_has_done(slow: Engine):
    assert slow.traffic() == Traffic(0, 0, 0, (), {}, {})
    drafts = [draft async for draft in slow.denoise(CANVAS, Claim("one"))]
    traffic = slow.traffic()
    assert (traffic.steps, traffic.boards_stepped) == (len(drafts), len(drafts))
    assert traffic.tokens == 8  # a mask a step, cuts are switched off
    assert len(traffic.seconds) == len(drafts)
    assert all(0.001 <= seconds < 1 for seconds in traffic.seconds)
    slow.batch = 1
    first = slow.denoise(LONG, Claim("one"))
    await anext(first)
    guess = asyncio.create_task(rest_of(slow.denoise(LONG, Claim("two", speculative=True))))
    await until(lambda: bool(slow.traffic().waiting))
    assert (slow.traffic().running, slow.traffic().waiting) == ({"one": 1}, {"two": 1})
    guess.cancel()
    await asyncio.wait([guess])
    await first.aclose()
    assert (slow.traffic().running, slow.traffic().waiting) == ({}, {})


def alive(kind: type) -> int:
    gc.collect()
    return sum(type(it) is kind for it in gc.get_objects())


async def test_a_thousand_requests_cancelled_at_random_leave_nothing_behind():
    """No board is stepped after its cancel was seen: the engine's own steps are recorded."""
    chance = random.Random(0)
    start = Start(line=60, block=60, context=32)
    with tiny_engine(60, start=start, policy=WHOLE) as engine:
        inner, late = engine.step, list[OnBoard]()
        gone: dict[OnBoard, int] = {}  # from which step on it must be in none

        def step(jobs: list[OnBoard]) -> None:
            late.extend(job for job in jobs if gone.get(job, math.inf) <= engine.steps)
            inner(jobs)

        engine.step = step

        async def ask(number: int) -> None:
            claim = Claim(
                chance.choice("abcd"), chance.choice(["", "x", "y"]),
                speculative=chance.random() < 0.2, deadline_ms=chance.choice([0, 0, 20.0]),
            )  # fmt: skip
            drafts = engine.denoise(Canvas((f"abc{number}", "xyz"), (Hole(0, 0, limit=60),)), claim)
            task = asyncio.create_task(rest_of(drafts))
            await asyncio.sleep(chance.random() * 0.06)
            mine = [job for job in engine.open if job.canvas.texts[0] == f"abc{number}"]
            task.cancel()
            await asyncio.wait([task])
            for job in mine:
                assert not job.wanted
                gone[job] = engine.steps + 1  # one may have been begun just before

        async def wave(first: int, count: int) -> None:
            for start in range(first, first + count, 25):
                await asyncio.gather(*map(ask, range(start, start + 25)))
            gone.clear()
            await until(lambda: not engine.turns)

        held = [kept()]
        for first in range(0, 1000, 250):
            await wave(first, 250)
            held.append(kept())
        assert not late
        assert engine.traffic().running == engine.traffic().waiting == {}
        assert engine.arrivals.empty()
        assert (alive(OnBoard), alive(Board)) == (0, 0)
        # What is left behind grows with each wave, what an allocator keeps grows with some.
        blocks, memory = (min(b - a for a, b in pairwise(each)) for each in zip(*held, strict=True))
        assert blocks < 250  # less than an object a request
        assert memory < 250_000  # and a kilobyte
        boards = engine.boards_stepped
        await asyncio.sleep(0.05)
        assert engine.boards_stepped == boards
        assert [draft async for draft in engine.denoise(CANVAS)][-1].final


def kept() -> tuple[int, int]:
    """Python's blocks of memory, and bytes of the process, without what is only held for later."""
    give_back()
    return sys.getallocatedblocks(), resident()
