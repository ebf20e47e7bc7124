"""The engine: batches, cancels and fails without leaving anybody waiting."""

from __future__ import annotations

import asyncio

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from model import Canvas, Card, Hole, ModelError  # noqa: E402
from model.board import Board, Start  # noqa: E402
from model.engine import Engine  # noqa: E402
from model.refine import Policy, refine  # noqa: E402
from tests.boards import Letters, random_network  # noqa: E402

START = Start(line=6, block=9, context=32)
POLICY = Policy(threshold=1.0)
CANVAS = Canvas(("abc", "xyz"), (Hole(0, 0, limit=8),))


@pytest.fixture
def engine():
    made = Engine(
        Card("tiny", "1", 100, 8), random_network(1), Letters(), start=START, policy=POLICY
    )
    yield made
    made.close()


async def test_drafts_are_those_of_the_loop(engine: Engine):
    expected = [d.texts for d in refine(engine.network, Board(CANVAS, Letters(), START), POLICY)]
    assert [draft.texts async for draft in engine.denoise(CANVAS)] == expected


async def test_no_step_starts_after_the_asker_has_gone(engine: Engine):
    drafts = engine.denoise(CANVAS)
    await anext(drafts)
    await drafts.aclose()
    # Another canvas goes through the thread: by then a step for the first would have been taken.
    seen = [draft async for draft in engine.denoise(CANVAS)]
    boards = engine.boards_stepped
    await asyncio.sleep(0.05)
    assert engine.boards_stepped == boards
    alone = len(list(refine(engine.network, Board(CANVAS, Letters(), START), POLICY)))
    assert len(seen) == alone
    assert boards < 2 * alone


async def test_many_askers_share_forwards(engine: Engine):
    async def ask() -> list[tuple[str, ...]]:
        return [draft.texts async for draft in engine.denoise(CANVAS)]

    answers = await asyncio.gather(*(ask() for _ in range(20)))
    assert all(answer[-1] == answers[0][-1] for answer in answers)
    assert engine.steps < engine.boards_stepped


async def test_a_failing_step_is_told_and_the_engine_lives(engine: Engine):
    good = engine.network

    class Broken(torch.nn.Module):
        lm_head = good.lm_head

        def forward(self, *_: object) -> None:
            raise RuntimeError("out of memory")

    engine.network = Broken()  # type: ignore[assignment]
    with pytest.raises(ModelError, match="out of memory"):
        await anext(engine.denoise(CANVAS))
    engine.network = good
    assert [draft async for draft in engine.denoise(CANVAS)][-1].final


async def test_a_closed_engine_says_so(engine: Engine):
    engine.close()
    engine.close()
    with pytest.raises(ModelError, match="closed"):
        await anext(engine.denoise(CANVAS))


async def test_closing_answers_those_who_wait():
    many_steps = Start(line=400, context=100)  # more than there is time for before it is closed
    engine = Engine(
        Card("tiny", "1", 100, 400), random_network(1), Letters(), start=many_steps,
        policy=Policy(threshold=1.0, cut=None),
    )  # fmt: skip
    drafts = engine.denoise(Canvas(("ab", "cd"), (Hole(2, 2, limit=400),)))
    await anext(drafts)
    engine.close()
    with pytest.raises(ModelError, match="closed"):
        [draft async for draft in drafts]
