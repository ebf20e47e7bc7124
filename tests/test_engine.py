"""The engine: batches, cancels and fails without leaving anybody waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from model import Canvas, Hole, ModelError  # noqa: E402
from model.asking import Warming, ran_out  # noqa: E402
from model.lengths.grid import GRID, Curve, Grid, calibrated  # noqa: E402
from model.lengths.trial import Choosing  # noqa: E402
from model.masked.board import Board, Start  # noqa: E402
from model.masked.engine import Engine  # noqa: E402
from model.masked.graphs import Desk  # noqa: E402
from model.masked.network import Network  # noqa: E402
from model.masked.refine import refine  # noqa: E402
from tests.alphabet import Alphabet, Fixed  # noqa: E402
from tests.boards import Letters  # noqa: E402
from tests.engines import CANVAS, POLICY, START, WHOLE, tiny_engine  # noqa: E402


@pytest.fixture
def engine():
    with tiny_engine() as made:
        yield made


async def test_drafts_are_those_of_the_loop(engine: Engine):
    expected = [d.texts for d in refine(engine.network, Board(CANVAS, Letters(), START), POLICY)]
    assert [draft.texts async for draft in engine.denoise(CANVAS)] == expected


async def test_no_step_starts_after_the_asker_has_gone():
    start = Start(line=90, block=90, context=32)
    canvas = Canvas(("abc", "xyz"), (Hole(0, 0, limit=90),))
    with tiny_engine(90, start=start, policy=WHOLE) as engine:
        drafts = engine.denoise(canvas)
        await anext(drafts)
        await drafts.aclose()
        # Another canvas goes through the thread: by then a step for the first would be taken.
        seen = [draft async for draft in engine.denoise(canvas)]
        boards = engine.boards_stepped
        await asyncio.sleep(0.05)
        assert engine.boards_stepped == boards
    alone = len(list(refine(engine.network, Board(canvas, Letters(), start), WHOLE)))
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
    start = Start(line=6, context=48)
    with tiny_engine(
        64, network=Alphabet(), vocabulary=Fixed(), start=start, choosing=BY_TRIAL
    ) as made:
        yield made


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


def test_shapes_are_prepared_by_the_engine_s_thread_in_as_large_a_batch_as_fits(engine: Engine):
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


async def test_a_closed_engine_says_so(engine: Engine):
    engine.close()
    engine.close()
    with pytest.raises(ModelError, match="closed"):
        await anext(engine.denoise(CANVAS))


async def test_closing_answers_those_who_wait():
    many_steps = Start(line=400, context=100)  # more than there is time for before it is closed
    with tiny_engine(400, start=many_steps, policy=WHOLE) as engine:
        drafts = engine.denoise(Canvas(("ab", "cd"), (Hole(2, 2, limit=400),)))
        await anext(drafts)
    with pytest.raises(ModelError, match="closed"):
        [draft async for draft in drafts]
