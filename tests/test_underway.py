"""No step is made in vain: what is late is finished for the next key, and who types along with a
draft is waited for by it."""

from __future__ import annotations

import asyncio

import pytest

from infill.document import Document
from infill.fill import fill_at
from infill.memory import Memory
from infill.settings import Settings
from model.scripted import Scripted
from tests.test_server import URI, client, until

STEPS = 50
END = {"speculate": False}


def slowly(confidence: float = 0.99) -> Scripted:
    return Scripted("a + b", seconds_a_step=0.01, steps_a_fill=STEPS, confidence=confidence)


async def test_what_is_late_is_answered_with_what_there_is_and_finished_for_the_next_key() -> None:
    # Settled in the order it is read: after a third of the steps "a" is, after all "alpha".
    denoiser = Scripted("alpha", seconds_a_step=0.05, steps_a_fill=20)
    async with client(denoiser, END | {"deadline_ms": 500}) as c:
        half = await c.texts(c.inline())
        assert half is not None
        assert "alpha".startswith(half[0])
        assert denoiser.steps < 20
        await until(lambda: not c.server.session.works_behind)
        assert denoiser.steps == 20
        assert await c.texts(c.inline()) == ["alpha"]
        c.insert(2, "al")
        assert await c.texts(c.inline(character=13)) == ["pha"]
        assert denoiser.steps == 20


async def test_a_server_hears_from_when_on_nobody_waits() -> None:
    denoiser = slowly()
    async with client(denoiser, END | {"deadline_ms": 500}) as c:
        await c.texts(c.inline())
        (claim,) = denoiser.claims
        assert claim.deadline_ms - claim.behind_ms == pytest.approx(500, abs=100)
        assert claim.behind_ms == 1500


async def test_typing_along_with_a_draft_joins_the_fill_that_is_being_made() -> None:
    denoiser = slowly()
    async with client(denoiser, END) as c:
        first = c.inline()
        await until(lambda: denoiser.steps > 1)
        c.insert(2, "a ")
        along = c.inline(character=13)
        assert await c.texts(along) == ["+ b"]
        assert await c.texts(first) is None
        assert denoiser.steps == STEPS
        assert len(denoiser.seen) == 1


async def test_typing_something_else_ends_it_and_begins_anew() -> None:
    denoiser = slowly()
    async with client(denoiser, END) as c:
        c.inline()
        await until(lambda: denoiser.steps > 1)
        c.insert(2, "b")
        assert await c.texts(c.inline(character=12)) == ["a + b"]
        assert len(denoiser.seen) == 2
        assert denoiser.steps < 2 * STEPS


async def test_a_draft_that_changed_its_mind_is_not_what_was_typed_along_with() -> None:
    rivals = {"a * b": 0.999}  # the draft says "a + b" to its end
    denoiser = Scripted("a + b", seconds_a_step=0.01, steps_a_fill=STEPS, rivals=rivals)
    async with client(denoiser, END) as c:
        c.inline()
        await until(lambda: denoiser.steps > 1)
        c.insert(2, "a + ")
        again = c.inline(character=15)
        assert await c.texts(again) is not None
        assert len(denoiser.seen) == 2


@pytest.mark.parametrize(("confidence", "shown"), [(0.99, ["a + b"]), (0.01, [])])
async def test_the_same_question_twice_is_worked_on_once(
    confidence: float, shown: list[str]
) -> None:
    denoiser = slowly(confidence)
    async with client(denoiser, END) as c:
        ids = [c.inline()]
        await until(lambda: denoiser.steps > 1)
        ids += [c.inline() for _ in range(2)]
        assert [await c.texts(i) for i in ids] == [None, None, shown]
        assert denoiser.steps == STEPS


async def test_who_asks_does_not_get_what_was_begun_unasked() -> None:
    rivals = {"a": 0.3, "b": 0.2}
    denoiser = Scripted("a", seconds_a_step=0.01, steps_a_fill=STEPS, rivals=rivals)
    async with client(denoiser, END) as c:
        c.inline()
        await until(lambda: denoiser.steps > 1)
        params = {
            "textDocument": {"uri": URI},
            "position": {"line": 1, "character": 11},
            "context": {"triggerKind": 1},
        }
        several = await c.texts(c.request("textDocument/inlineCompletion", params))
        assert several is not None
        assert sorted(several) == ["a", "b"]


async def test_what_goes_on_behind_ends_with_its_document() -> None:
    denoiser = Scripted("alpha", seconds_a_step=0.05, steps_a_fill=1000)
    async with client(denoiser, END | {"deadline_ms": 500}) as c:
        await c.texts(c.inline())
        assert c.server.session.works_behind
        c.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        await until(lambda: len(c.server.session.documents) == 0)
        steps = denoiser.steps
        await asyncio.sleep(0.3)
        assert denoiser.steps == steps


async def test_half_a_fill_is_not_remembered_as_if_it_were_all() -> None:
    memory, denoiser = Memory(), Scripted("alpha", seconds_a_step=0.02, steps_a_fill=60)
    fill = await fill_at(
        Document(None, "python", "x = \n"), 4, denoiser=denoiser,
        settings=Settings(deadline_ms=500, min_confidence=0.0), memory=memory,
    )  # fmt: skip
    assert not fill.whole
    assert memory.count == 0
