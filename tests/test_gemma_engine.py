"""The engine of DiffusionGemma: drafts, cancelling, and a prompt that stays read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers.models.diffusion_gemma", reason="transformers is too old")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model import Claim, ModelError
from model.canvas import Canvas, Draft, Hole
from model.gemma import engine as engine_of_gemma
from model.gemma.decode import Decoding, Row
from model.gemma.engine import Engine, few
from model.gemma.load import load_gemma
from model.published.stock import row_for
from tests.gemma_folder import SPECIALS, write_gemma
from tests.gemma_trained import AFTER, ANSWER, BEFORE, LINE, trained_folder

FAR = "".join(f"x{i} = {i}\n" for i in range(300))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gemma(tmp_path_factory.mktemp("gemma") / "random")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_folder(tmp_path_factory.mktemp("gemma") / "trained")


def opened(folder: Path, **keys: Any) -> Engine:
    return load_gemma(folder, row_for(folder, keys), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[Engine]:
    engine = opened(folder, steps=4)
    yield engine
    engine.close()


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    engine = opened(folder, steps=5)
    yield engine
    engine.close()


async def all_of(engine: Engine, canvas: Canvas) -> list[Draft]:
    return [draft async for draft in engine.denoise(canvas)]


def drafts(engine: Engine, canvas: Canvas) -> list[Draft]:
    return asyncio.run(all_of(engine, canvas))


def texts_of(engine: Engine, canvas: Canvas) -> list[tuple[str, ...]]:
    """Of each draft; what was read in other portions may differ in the last digits."""
    return [draft.texts for draft in drafts(engine, canvas)]


def typed(before: str, after: str = AFTER, **hole: Any) -> Canvas:
    values: dict[str, Any] = {"limit": 16, **hole}
    return Canvas((before, after), (Hole(len(before), len(before), **values),))


@pytest.mark.parametrize("mode", ["clamped", "prompted"])
def test_what_was_learnt_is_filled_in_both_modes(trained: Path, mode: str) -> None:
    engine = opened(trained, mode=mode)
    found = drafts(engine, LINE)
    engine.close()
    assert found[-1].texts[0].rstrip() == ANSWER
    assert len(found) < engine.policy.steps  # it is sure before


def test_a_free_answer_is_over_once_the_hole_is_sure_whatever_follows(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is made to never agree with itself on what comes behind the hole."""

    class Restless(Decoding):
        def __next__(self) -> Any:
            step = super().__next__()
            (told,) = step.rows
            ids = (*told.ids[:-1], 500 + step.number)
            return replace(step, rows=(replace(told, ids=ids, done=False),), final=False)

    monkeypatch.setattr(engine_of_gemma, "Decoding", Restless)
    engine = opened(trained, mode="prompted")
    found = drafts(engine, LINE)
    engine.close()
    assert found[-1].texts[0] == ANSWER
    assert found[-2].texts[0] == ANSWER
    assert len(found) < engine.policy.steps / 2
    assert all(piece.settled for piece in found[-1].holes[0])


def test_experts_in_four_bits_fill_the_same(trained: Path) -> None:
    engine = opened(trained, weights="int4", mode="clamped")
    found = drafts(engine, LINE)
    engine.close()
    assert found[-1].texts[0].rstrip() == ANSWER


def test_every_step_is_a_draft_and_nothing_settles_before_the_last(shared: Engine) -> None:
    found = drafts(shared, typed(BEFORE))
    assert [draft.step for draft in found] == list(range(1, len(found) + 1))
    assert [draft.final for draft in found] == [False] * (len(found) - 1) + [True]
    assert {draft.settled_share for draft in found[:-1]} == {0.0}
    assert found[-1].settled_share == 1.0
    assert all(0 <= piece.confidence <= 1 for draft in found for piece in draft.holes[0])


@given(
    texts=st.tuples(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30)),
    multiline=st.booleans(),
    limit=st.integers(1, 24),
    seed=st.integers(0, 9),
)
@settings(max_examples=10, deadline=None)
def test_no_special_token_is_ever_shown_and_no_hole_passes_its_limit(
    shared: Engine, texts: tuple[str, str, str], multiline: bool, limit: int, seed: int
) -> None:
    shared.seed = seed
    hole = Hole(0, 0, multiline=multiline, limit=limit)
    for canvas in (Canvas(texts[:2], (hole,)), Canvas(texts, (hole, hole))):
        for mode in ("auto", "prompted"):
            shared.mode = mode
            for draft in drafts(shared, canvas):
                for pieces, text in zip(draft.holes, draft.texts, strict=True):
                    assert len(pieces) <= limit
                    assert not any(special in text for special in SPECIALS)
                    text.encode()  # whole characters
    shared.mode, shared.seed = "auto", 0


def test_a_line_stays_one_line(shared: Engine) -> None:
    for draft in drafts(shared, typed(BEFORE)):
        assert "\n" not in draft.texts[0]


def test_the_same_canvas_is_filled_alike_whatever_was_asked_before(engine: Engine) -> None:
    first = texts_of(engine, typed(BEFORE))
    read = engine.tokens_read
    assert texts_of(engine, typed(BEFORE)) == first
    assert engine.tokens_read == read  # nothing was read again
    drafts(engine, typed(FAR + "y = "))
    assert texts_of(engine, typed(BEFORE)) == first


def test_while_one_types_only_the_end_of_the_prompt_is_read(engine: Engine, folder: Path) -> None:
    text = FAR + BEFORE
    drafts(engine, typed(text))
    whole = engine.tokens_read
    assert whole > 1500
    for letter in "width * hei":
        text += letter
        before = engine.tokens_read
        drafts(engine, typed(text))
        assert engine.tokens_read - before <= 4
    fresh = opened(folder, steps=5)
    wanted = texts_of(fresh, typed(text))
    fresh.close()
    assert texts_of(engine, typed(text)) == wanted
    # A deleted line near the end is cut from what was read; one far up makes the rest new.
    before = engine.tokens_read
    drafts(engine, typed(FAR + "y = "))
    assert engine.tokens_read - before < 20
    drafts(engine, typed(FAR.replace("x9 = 9\n", "") + "y = "))
    assert engine.tokens_read - before > 1000


async def first_of(steps: AsyncGenerator[Draft, None]) -> Draft:
    return await anext(steps)


def test_no_step_starts_once_nobody_asks(engine: Engine) -> None:
    async def leave_early() -> None:
        steps = engine.denoise(typed(BEFORE))
        await anext(steps)
        await steps.aclose()

    asyncio.run(leave_early())
    drafts(engine, typed("x = ", limit=4))  # is served behind it
    assert engine.steps <= 3 + engine.policy.steps


def test_a_prompt_is_not_read_to_its_end_for_one_who_left(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_of_gemma, "PORTION", 16)

    async def leave_while_it_reads() -> None:
        asked = asyncio.create_task(first_of(engine.denoise(typed(FAR * 2))))
        while not engine.tokens_read:
            await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    asyncio.run(leave_while_it_reads())
    drafts(engine, typed("x = "))
    assert engine.tokens_read < 1000
    assert engine.steps <= engine.policy.steps


def test_one_who_left_before_its_turn_costs_nothing(engine: Engine) -> None:
    async def both() -> None:
        first = engine.denoise(typed(BEFORE))
        await anext(first)
        second = asyncio.create_task(first_of(engine.denoise(typed(FAR))))
        await asyncio.sleep(0)
        second.cancel()
        async for _ in first:
            pass

    asyncio.run(both())
    drafts(engine, typed(BEFORE))
    assert engine.tokens_read < 500


def test_two_askers_get_what_each_gets_alone(shared: Engine) -> None:
    one, other = typed(BEFORE), typed("y = ", "\nz = 1\n")

    async def together() -> list[list[Draft]]:
        return list(await asyncio.gather(all_of(shared, one), all_of(shared, other)))

    told = [[draft.texts for draft in each] for each in asyncio.run(together())]
    assert told == [texts_of(shared, one), texts_of(shared, other)]


def test_holes_too_far_apart_for_one_canvas_are_filled_one_after_the_other(shared: Engine) -> None:
    hole = Hole(0, 0, limit=8)
    found = drafts(shared, Canvas((BEFORE, FAR, "\n"), (hole, hole)))
    begun = next(i for i, draft in enumerate(found) if draft.holes[1])
    assert begun > 0
    assert len({draft.texts[0] for draft in found[begun:]}) == 1
    assert all(piece.settled for draft in found[begun:] for piece in draft.holes[0])
    assert [draft.final for draft in found] == [False] * (len(found) - 1) + [True]


def test_what_is_kept_of_a_rewritten_hole_stays(shared: Engine) -> None:
    former = "width * height + width * height"
    canvas = typed(BEFORE, former=former, strength=0.3, limit=48)
    kept = [piece.text for piece in drafts(shared, canvas)[0].holes[0] if piece.settled]
    assert len(kept) > 3
    for draft in drafts(shared, canvas):
        left = iter(piece.text for piece in draft.holes[0])
        assert all(text in left for text in kept)  # in this order


def test_a_step_that_fails_is_told_and_the_engine_lives(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = texts_of(engine, typed(BEFORE))
    drafts(engine, typed(FAR))

    def broken(history: Any, ids: Any) -> None:
        history.ids.extend(ids)  # as if they had been read
        raise RuntimeError("a wire is loose")

    with monkeypatch.context() as patched:
        patched.setattr(engine.network, "encode", broken)
        with pytest.raises(ModelError, match="failed at a step: RuntimeError: a wire is loose"):
            drafts(engine, typed(BEFORE))
    assert texts_of(engine, typed(BEFORE)) == wanted


def test_what_has_no_room_is_told_and_the_engine_lives(shared: Engine) -> None:
    canvas = typed(BEFORE, former="x1 = 1\n" * 200, strength=0.5, limit=900)
    with pytest.raises(ModelError, match=r"no room on a canvas of 256 .*: rewrite less at once"):
        drafts(shared, canvas)
    assert drafts(shared, typed(BEFORE))


def test_where_memory_runs_out_fewer_lengths_are_tried(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    class Small(Decoding):
        def __init__(self, desk: Any, history: Any, rows: Any, policy: Any) -> None:
            tried.append(len(rows))
            if len(rows) > 1:
                raise torch.OutOfMemoryError("too much")
            super().__init__(desk, history, rows, policy)

    monkeypatch.setattr(engine_of_gemma, "Decoding", Small)
    assert drafts(engine, typed(BEFORE))[-1].final
    assert tried == [3, 1]
    assert drafts(engine, typed(BEFORE))[-1].final
    assert tried == [3, 1, 1]  # for good


def test_the_length_goes_on_that_fits_best_with_what_follows(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[list[float]] = []
    kept: list[int] = []

    class Watched(Decoding):
        def __next__(self) -> Any:
            step = super().__next__()
            looks.append([told.hole_score + told.scored for told in step.rows])
            return step

        def keep(self, rows: Any, *, scored: bool = True) -> None:
            kept.extend(rows)
            super().keep(rows, scored=scored)

    monkeypatch.setattr(engine_of_gemma, "Decoding", Watched)
    found = drafts(engine, typed(BEFORE))
    assert [len(scores) for scores in looks] == [3, 3, 1, 1, 1]
    best = looks[1].index(max(looks[1]))
    assert kept == [best]
    assert len(found[-1].holes[0]) <= (4, 8, 16)[best]
    other = looks[1].index(min(looks[1]))
    assert other != best


def test_few_rows_are_spread_over_all_lengths_and_ask_for_no_more_than_may_be() -> None:
    rows = [Row((5,) * length, (range(length),)) for length in (8, 16, 32, 64, 128)]
    assert few(rows, 8, 384) == [0, 1, 2, 3, 4]
    assert few(rows, 2, 384) == [2, 4]
    assert few(rows, 8, 170) == [2, 4]
    assert few(rows, 1, 384) == few(rows, 8, 100) == [4]


def test_a_closed_engine_says_so(folder: Path) -> None:
    engine = opened(folder)
    engine.close()
    engine.close()
    with pytest.raises(ModelError, match="has been closed"):
        drafts(engine, typed(BEFORE))


async def together(engine: Engine, first: Claim, *claims: Claim) -> list[str]:
    """Askers in the order in which they were told a final draft; all wait while the first is in
    work."""
    order: list[str] = []

    async def ask(claim: Claim) -> None:
        async for draft in engine.denoise(typed(BEFORE), claim):
            if draft.final:
                order.append(claim.asker)

    drafts = engine.denoise(typed(BEFORE), first)
    await anext(drafts)
    waiting = [asyncio.create_task(ask(claim)) for claim in claims]
    async for draft in drafts:
        if draft.final:
            order.append(first.asker)
    await asyncio.gather(*waiting)
    return order


async def test_canvases_have_their_turns_in_rounds_over_the_askers(shared: Engine) -> None:
    many, one = Claim("many"), Claim("one")
    assert await together(shared, many, many, many, one) == ["many", "one", "many", "many"]


async def test_a_guess_makes_way_and_begins_anew_without_telling_a_draft_twice(
    shared: Engine,
) -> None:
    alone = await all_of(shared, typed(BEFORE))
    guess = shared.denoise(typed(BEFORE), Claim("one", speculative=True))
    told = [await anext(guess)]
    rest = asyncio.create_task(rest_of(guess))
    asked = await all_of(shared, typed("y = ", limit=4))
    assert asked[-1].final
    assert not rest.done()
    told += await rest
    assert [draft.step for draft in told] == list(range(1, len(told) + 1))
    assert [draft.texts for draft in told] == [draft.texts for draft in alone]


async def rest_of(drafts: AsyncGenerator[Draft, None]) -> list[Draft]:
    return [draft async for draft in drafts]


async def test_a_newer_canvas_and_a_deadline_end_one_in_work_and_one_that_waits(
    shared: Engine,
) -> None:
    window = Claim("window", "a.py")
    first = shared.denoise(typed(BEFORE), window)
    await anext(first)
    late = asyncio.create_task(all_with(shared, Claim("other", deadline_ms=0.001)))
    older = asyncio.create_task(all_with(shared, window))
    newer = asyncio.create_task(all_with(shared, window))
    ended = [draft async for draft in first]
    assert not any(draft.final for draft in ended)
    assert (await late, await older) == ([], [])
    assert (await newer)[-1].final
    steps = shared.steps
    half = await all_with(shared, Claim(deadline_ms=1000 * 1.5 * shared.traffic().seconds[-1]))
    assert not any(draft.final for draft in half)
    assert shared.steps - steps == len(half) < 4


async def all_with(engine: Engine, claim: Claim) -> list[Draft]:
    return [draft async for draft in engine.denoise(typed(BEFORE), claim)]


async def test_an_engine_of_canvases_says_what_it_has_done(engine: Engine) -> None:
    found = await all_of(engine, typed(BEFORE))
    traffic = engine.traffic()
    assert traffic.steps == len(found) == len(traffic.seconds)
    assert traffic.boards_stepped == 2 * 3 + len(found) - 2  # three lengths are tried at first
    assert traffic.tokens == len(found[-1].holes[0])
    assert (traffic.running, traffic.waiting) == ({}, {})
