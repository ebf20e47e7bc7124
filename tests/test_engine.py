"""The engine: batches, cancels and fails without leaving anybody waiting."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from model import Canvas, Card, Claim, Draft, Hole, ModelError  # noqa: E402
from model.asking import Warming, ran_out  # noqa: E402
from model.lengths.grid import GRID, Curve, Grid, calibrated  # noqa: E402
from model.lengths.trial import Choosing  # noqa: E402
from model.masked.board import Board, Start  # noqa: E402
from model.masked.engine import Engine, OnBoard  # noqa: E402
from model.masked.graphs import Desk  # noqa: E402
from model.masked.network import Network  # noqa: E402
from model.masked.policy import Policy  # noqa: E402
from model.masked.refine import refine  # noqa: E402
from model.turns import Traffic  # noqa: E402
from tests.alphabet import Alphabet, Fixed  # noqa: E402
from tests.boards import Letters, random_network  # noqa: E402

START = Start(line=6, block=9, context=32)
POLICY = Policy(threshold=1.0)
CANVAS = Canvas(("abc", "xyz"), (Hole(0, 0, limit=8),))


@pytest.fixture
def engine():
    made = Engine(
        Card("tiny", "1", 100, 8),
        random_network(1),
        Letters(),
        start=START,
        policy=POLICY,
        batch=8,
    )
    yield made
    made.close()


async def test_drafts_are_those_of_the_loop(engine: Engine):
    expected = [d.texts for d in refine(engine.network, Board(CANVAS, Letters(), START), POLICY)]
    assert [draft.texts async for draft in engine.denoise(CANVAS)] == expected


async def test_no_step_starts_after_the_asker_has_gone():
    start = Start(line=90, block=90, context=32)
    canvas = Canvas(("abc", "xyz"), (Hole(0, 0, limit=90),))
    policy = Policy(threshold=1.0, cut=None)
    engine = Engine(
        Card("tiny", "1", 100, 90),
        random_network(1),
        Letters(),
        start=start,
        policy=policy,
        batch=8,
    )
    drafts = engine.denoise(canvas)
    await anext(drafts)
    await drafts.aclose()
    # Another canvas goes through the thread: by then a step for the first would have been taken.
    seen = [draft async for draft in engine.denoise(canvas)]
    boards = engine.boards_stepped
    await asyncio.sleep(0.05)
    assert engine.boards_stepped == boards
    engine.close()
    alone = len(list(refine(engine.network, Board(canvas, Letters(), start), policy)))
    assert len(seen) == alone
    assert boards < 2 * alone


async def test_many_askers_share_forwards(engine: Engine):
    async def ask() -> list[tuple[str, ...]]:
        return [draft.texts async for draft in engine.denoise(CANVAS)]

    answers = await asyncio.gather(*(ask() for _ in range(20)))
    assert all(answer[-1] == answers[0][-1] for answer in answers)
    assert engine.steps < engine.boards_stepped


@contextmanager
def failing(
    network: Network,
    error: Exception,
    above: int = 0,
    first: Callable[[int], bool] = lambda _: True,
) -> Iterator[list[int]]:
    """Forwards of more than that many boards raise; yields how many boards each had.

    The first one waits until `first`, told how many it has, says that it may.
    """
    sizes: list[int] = []

    def fail(_: object, inputs: tuple[torch.Tensor, ...]) -> None:
        while not sizes and not first(len(inputs[0])):
            time.sleep(0.001)
        sizes.append(len(inputs[0]))
        if sizes[-1] > above:
            raise error

    hook = network.model.register_forward_pre_hook(fail)
    try:
        yield sizes
    finally:
        hook.remove()


async def test_a_failing_step_is_told_and_the_engine_lives(engine: Engine):
    with (
        failing(engine.network, RuntimeError("a kernel is missing")),
        pytest.raises(ModelError, match="tiny failed at a step: a kernel is missing"),
    ):
        await anext(engine.denoise(CANVAS))
    assert [draft async for draft in engine.denoise(CANVAS)][-1].final


async def ask_together(
    engine: Engine, count: int, canvas: Canvas = CANVAS
) -> list[tuple[str, ...] | BaseException]:
    async def last() -> tuple[str, ...]:
        return [draft.texts async for draft in engine.denoise(canvas)][-1]

    return await asyncio.gather(*(last() for _ in range(count)), return_exceptions=True)


async def test_where_memory_runs_out_half_as_many_boards_share_a_step(
    engine: Engine, caplog: pytest.LogCaptureFixture
):
    (expected,) = await ask_together(engine, 1)
    gone = torch.OutOfMemoryError("CUDA out of memory")
    others_wait = lambda boards: engine.arrivals.qsize() + boards == 8  # noqa: E731
    with failing(engine.network, gone, above=4, first=others_wait) as sizes:
        answers = await ask_together(engine, 8)
    assert answers == [expected] * 8
    assert max(sizes) > 4
    assert max(sizes[sizes.index(max(sizes)) + 1 :]) <= 4
    assert engine.batch <= 4
    assert "out of memory with" in caplog.text


async def test_where_memory_is_out_for_good_askers_are_told_and_the_engine_lives(
    engine: Engine, caplog: pytest.LogCaptureFixture
):
    gone = torch.OutOfMemoryError("CUDA out of memory")
    with failing(engine.network, gone) as sizes:
        (answer,) = await ask_together(engine, 1)
    assert isinstance(answer, ModelError)
    assert "out of memory" in str(answer)
    assert sizes == [1, 1]
    assert "from now on 1 at most" in caplog.text
    (answer,) = await ask_together(engine, 1)
    assert isinstance(answer, tuple)


ALPHABET = Canvas(("abcde", "jklmnopqrstuvwxyz"), (Hole(5, 5, limit=64),))  # fghi is missing
BY_TRIAL = Choosing(Grid(calibrated(Curve())))


@pytest.fixture
def chooser():
    """An engine of a network that cannot grow its holes."""
    made = Engine(
        Card("letters", "1", 100, 64), Alphabet(), Fixed(), start=Start(line=6, context=48),
        policy=POLICY, choosing=BY_TRIAL, batch=8,
    )  # fmt: skip
    yield made
    made.close()


def sizes_of(engine: Engine) -> list[int]:
    assert isinstance(engine.network, Alphabet)
    return engine.network.model.sizes


async def test_where_lengths_are_chosen_the_best_few_are_stepped_together(chooser: Engine):
    drafts = [draft async for draft in chooser.denoise(ALPHABET)]
    assert drafts[-1].texts == ("fghi",)
    assert [draft.final for draft in drafts] == [False] * (len(drafts) - 1) + [True]
    best = max(drafts[-1].rivals[0], key=lambda it: it.probability)
    assert best.text == "fghi"
    assert len(drafts[-1].rivals[0]) > 1
    grid, near, first, *_ = sizes_of(chooser)
    assert (grid, first) == (len(GRID), BY_TRIAL.boards)
    assert near < len(GRID)
    assert len(sizes_of(chooser)) == len(drafts) + 3  # two looks before, one after


async def test_no_candidate_is_stepped_after_the_asker_has_gone(chooser: Engine):
    canvas = Canvas(("abcde", "stuvwxyz"), (Hole(5, 5, limit=64),))
    slow = chooser.network.model.register_forward_pre_hook(lambda *_: time.sleep(0.01))
    alone = len([draft async for draft in chooser.denoise(canvas)])
    boards = chooser.boards_stepped
    drafts = chooser.denoise(canvas)
    await anext(drafts)
    await drafts.aclose()
    assert len([draft async for draft in chooser.denoise(canvas)]) == alone
    slow.remove()
    assert boards > 2 * alone  # several were on their way
    assert 2 * boards < chooser.boards_stepped < 2 * boards + boards // 2


async def test_no_more_boards_share_a_forward_than_may(chooser: Engine):
    chooser.batch = 2
    answers = await ask_together(chooser, 5, ALPHABET)
    assert answers == [("fghi",)] * 5
    steps = [size for size in sizes_of(chooser) if size in (1, 2, 3)]
    assert set(steps) == {1, 2}


async def test_where_memory_runs_out_lengths_are_looked_at_in_parts(chooser: Engine):
    gone = torch.OutOfMemoryError("CUDA out of memory")
    with failing(chooser.network, gone, above=4) as sizes:
        assert await ask_together(chooser, 1, ALPHABET) == [("fghi",)]
    assert max(sizes) > 4
    assert chooser.batch == 8  # looking is no step


def test_memory_that_ran_out_while_a_graph_was_captured_is_known_as_such():
    def capture() -> None:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        finally:
            raise RuntimeError("the capture was invalidated")  # as torch.cuda.graph does on its way

    with pytest.raises(RuntimeError) as caught:
        capture()
    assert ran_out(caught.value)
    assert not ran_out(RuntimeError("something else"))


def test_shapes_are_prepared_by_the_engine_s_thread_in_as_large_a_batch_as_fits():
    engine = Engine(
        Card("tiny", "1", 100, 8),
        random_network(1),
        Letters(),
        start=START,
        policy=POLICY,
        batch=8,
    )
    engine.desk = Desk(engine.network, Letters(), buckets=True)
    warming = Warming(shares := [].append)  # type: ignore[var-annotated]
    with failing(engine.network, torch.OutOfMemoryError("CUDA out of memory"), above=2) as sizes:
        engine.arrivals.put(warming)
        warming.done.result(timeout=60)
    assert shares.__self__[-1] == 1
    assert engine.batch == 2
    assert set(sizes) == {8, 4, 2, 1}
    broken = Warming(print)
    with failing(engine.network, RuntimeError("a kernel is missing")):
        engine.arrivals.put(broken)
        with pytest.raises(ModelError, match="could not be warmed up: a kernel is missing"):
            broken.done.result(timeout=60)
    engine.warm_up()
    engine.close()


async def test_a_closed_engine_says_so(engine: Engine):
    engine.close()
    engine.close()
    with pytest.raises(ModelError, match="closed"):
        await anext(engine.denoise(CANVAS))


async def test_closing_answers_those_who_wait():
    many_steps = Start(line=400, context=100)  # more than there is time for before it is closed
    engine = Engine(
        Card("tiny", "1", 100, 400), random_network(1), Letters(), start=many_steps,
        policy=Policy(threshold=1.0, cut=None), batch=8,
    )  # fmt: skip
    drafts = engine.denoise(Canvas(("ab", "cd"), (Hole(2, 2, limit=400),)))
    await anext(drafts)
    engine.close()
    with pytest.raises(ModelError, match="closed"):
        [draft async for draft in drafts]


LONG = Canvas(("abc", "xyz"), (Hole(0, 0, limit=400),))  # one mask a step: more than there is time


@pytest.fixture
def slow():
    """An engine whose canvases take 400 steps of a millisecond at least, two boards in each."""
    made = Engine(
        Card("tiny", "1", 100, 400), random_network(1), Letters(),
        start=Start(line=400, block=9, context=32), policy=Policy(threshold=1.0, cut=None), batch=2,
    )  # fmt: skip
    made.network.model.register_forward_pre_hook(lambda *_: time.sleep(0.001))
    yield made
    made.close()


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
    engine = Engine(
        Card("tiny", "1", 100, 60), random_network(1), Letters(),
        start=Start(line=60, block=60, context=32), policy=Policy(threshold=1.0, cut=None), batch=8,
    )  # fmt: skip
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

    await wave(0, 500)  # what is made once, is made
    memory = resident_after_collection()
    await wave(500, 1000)
    assert not late
    assert engine.traffic().running == engine.traffic().waiting == {}
    assert engine.arrivals.empty()
    assert (alive(OnBoard), alive(Board)) == (0, 0)
    assert resident_after_collection() - memory < 16_000_000  # so much an allocator may keep
    boards = engine.boards_stepped
    await asyncio.sleep(0.05)
    assert engine.boards_stepped == boards
    assert [draft async for draft in engine.denoise(CANVAS)][-1].final
    engine.close()


def resident_after_collection() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss
