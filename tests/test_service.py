"""Who waits for a model hears how it went: the service behind the endpoints, with loads that take
their time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator

import pytest

from model import Canvas, Draft, Hole, ModelError
from model.canvas import Claim
from model.fallback import Loaded
from model.load import Progress
from model.scripted import Scripted
from model.serving import weights as its
from model.serving.service import Limits, Service, Visit
from model.serving.wire import Refused

CANVAS = Canvas(("x = ", "\n"), (Hole(4, 4),))


class Gate:
    """A load that waits until it may go on."""

    def __init__(self, *outcomes: Loaded) -> None:
        self.outcomes = list(outcomes)
        self.opened = threading.Event()
        self.begun = 0

    def __call__(self, tell: Progress) -> Loaded:
        self.begun += 1
        tell("reading", 0.5)
        self.opened.wait(30)
        return self.outcomes.pop(0)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate(Loaded(Scripted("abc")))
    yield gate
    gate.opened.set()


async def all_of(
    service: Service, claim: Claim = Claim(), visit: Visit | None = None
) -> list[Draft]:
    return [draft async for draft in service.drafts(CANVAS, claim, visit)]


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_fill_waits_for_the_load_and_all_share_one(gate: Gate):
    service = Service(gate)
    service.start()
    fills = [asyncio.ensure_future(all_of(service)) for _ in range(5)]
    await until(lambda: service.weights.what == "reading")
    assert service.weights.told() == {"state": "loading", "what": "reading", "share": 0.5}
    assert (service.queued, service.running) == (5, 0)
    gate.opened.set()
    assert [(await fill)[-1].texts for fill in fills] == [("abc",)] * 5
    assert gate.begun == service.weights.loads == 1
    assert service.visits == {}
    await service.close()


async def test_a_deadline_holds_while_the_model_is_loaded(gate: Gate):
    service = Service(gate)
    claim = Claim(deadline_ms=50)
    visit = service.visit(claim)
    assert await all_of(service, claim, visit) == []
    assert (visit.end.reason, visit.end.steps) == ("deadline", 0)
    assert service.weights.state == "loading"  # for the next
    await service.close()


async def test_a_newer_canvas_ends_one_that_waits_for_the_load(gate: Gate):
    service = Service(gate)
    claim = Claim("me", "document")
    older = service.visit(claim)
    fill = asyncio.ensure_future(all_of(service, claim, older))
    await until(lambda: gate.begun)
    newer = asyncio.ensure_future(all_of(service, claim))
    assert await fill == []
    assert older.end.reason == "superseded"
    gate.opened.set()
    assert (await newer)[-1].final
    await service.close()


async def test_who_leaves_during_a_load_leaves_it_to_the_others(gate: Gate):
    service = Service(gate)
    fill = asyncio.ensure_future(all_of(service))
    await until(lambda: gate.begun)
    fill.cancel()
    await asyncio.wait([fill])
    assert service.queued == 0
    gate.opened.set()
    assert (await service.card()).name == "scripted"
    assert gate.begun == 1
    await service.close()


async def test_what_failed_to_load_is_told_and_tried_again_later(monkeypatch: pytest.MonkeyPatch):
    gate = Gate(Loaded(None, "no such file"), Loaded(Scripted("abc")))
    gate.opened.set()
    service = Service(gate)
    for _ in range(3):  # once is enough
        with pytest.raises(Refused, match="no such file") as refused:
            await all_of(service)
        assert refused.value.status == 503
        assert refused.value.retry
    assert gate.begun == 1
    assert service.weights.told() == {"state": "failed", "failure": "no such file"}
    monkeypatch.setattr(its, "monotonic", lambda: float("inf"))
    assert (await all_of(service))[-1].final
    await service.close()


async def test_a_new_window_has_the_model_tried_for_again_where_another_stands_in(
    monkeypatch: pytest.MonkeyPatch,
):
    gate = Gate(Loaded(Scripted("abc"), "it is not on disk"), Loaded(Scripted("def")))
    gate.opened.set()
    service = Service(gate)
    assert (await all_of(service))[-1].texts == ("abc",)
    told = await anext(service.watch("one", 1, "window"))
    assert told["failure"] == "it is not on disk"
    monkeypatch.setattr(its, "monotonic", lambda: float("inf"))
    watch = service.watch("other", 2, "window")
    assert (await anext(watch))["state"] in ("unloaded", "loading")
    assert (await all_of(service))[-1].texts == ("def",)
    assert (await anext(watch))["failure"] is None
    await service.close()


async def test_a_load_that_raises_is_told():
    def load(tell: Progress) -> Loaded:
        raise RuntimeError("a fault")

    service = Service(load)
    with pytest.raises(Refused, match="RuntimeError"):
        await all_of(service)
    await service.close()


async def taken(service: Service, *claims: Claim) -> list[asyncio.Future[list[Draft]]]:
    """Fills that were begun one after the other. Raises what the last was refused with."""
    fills: list[asyncio.Future[list[Draft]]] = []
    for claim in claims:
        visit = service.visit(claim)
        fills.append(asyncio.ensure_future(all_of(service, claim, visit)))
        await asyncio.sleep(0)
    return fills


async def test_a_speculative_fill_leaves_places_for_those_who_wait(gate: Gate):
    service = Service(gate, limits=Limits(queue=4))
    fills = await taken(service, *(Claim(asker, speculative=True) for asker in "ab"))
    with pytest.raises(Refused) as refused:
        service.visit(Claim("c", speculative=True))
    assert refused.value.status == 429
    fills += await taken(service, Claim("c"), Claim("d"))
    with pytest.raises(Refused):
        service.visit(Claim("e"))
    gate.opened.set()
    await asyncio.gather(*fills)
    await service.close()


@pytest.mark.parametrize("speculative", [False, True])
async def test_however_many_fills_one_asker_wants_those_of_others_are_taken(
    gate: Gate, speculative: bool
):
    service = Service(gate, limits=Limits(queue=64))
    fills: list[asyncio.Future[list[Draft]]] = []
    held: list[int] = []
    for greedy in ("one", "two", "three", ""):  # nobody's name is one asker's, too
        refused = None
        while refused is None:
            try:
                fills += await taken(service, Claim(greedy, speculative=speculative))
            except Refused as error:
                refused = error
        assert (refused.status, refused.retry) == (429, 1)
        assert "fills of yours are in work" in str(refused)
        held.append(sum(visit.claim.asker == greedy for visit in service.in_hand))
        fills += await taken(service, Claim(f"beside {greedy}"))
    assert held == ([16, 8, 3, 1] if speculative else [32, 16, 7, 3])
    for fill in fills[:30]:  # what has ended is free again
        fill.cancel()
    await asyncio.wait(fills[:30])
    fills[:30] = await taken(service, Claim("two"))
    gate.opened.set()
    await asyncio.gather(*fills)
    await service.close()


async def test_who_has_no_share_left_may_still_ask_anew_in_the_same_document(gate: Gate):
    service = Service(gate, limits=Limits(queue=2))
    (older,) = await taken(service, Claim("me", "document"))
    with pytest.raises(Refused):
        service.visit(Claim("me", "another document"))
    (newer,) = await taken(service, Claim("me", "document"))
    gate.opened.set()
    assert (await older, (await newer)[-1].final) == ([], True)
    await service.close()


async def test_no_hole_may_grow_further_than_the_models_own():
    scripted = Scripted("abc")
    service = Service(lambda tell: Loaded(scripted))
    canvas = Canvas(("", "", ""), (Hole(0, 0, limit=10**12), Hole(0, 0, limit=3)))
    async for _ in service.drafts(canvas):
        pass
    limits = [hole.limit for hole in scripted.seen[0].holes]
    assert limits == [scripted.card.hole_limit, 3]
    await service.close()


class Threaded(Scripted):
    """A model whose thread has ended."""

    def __init__(self, script: str) -> None:
        super().__init__(script)
        self.thread = threading.Thread(target=lambda: None)


async def test_a_model_whose_thread_has_died_is_loaded_anew():
    gate = Gate(Loaded(Threaded("abc")), Loaded(Scripted("def")))
    gate.opened.set()
    service = Service(gate)
    await service.card()
    assert "thread" in (service.weights.trouble or "")
    assert (await all_of(service))[-1].texts == ("def",)
    assert service.weights.trouble is None
    await service.close()


class Lasting(Scripted):
    """Is in a step that no one can end."""

    ended = threading.Event()

    def close(self) -> None:
        self.ended.wait(20)


async def test_the_end_waits_for_no_step_that_takes_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(its, "LAST", 0.05)
    service = Service(lambda tell: Loaded(Lasting("abc")))
    await all_of(service)
    async with asyncio.timeout(5):
        await service.close()
    assert service.weights.busy  # so the process does not wait either
    Lasting.ended.set()


class Broken(Scripted):
    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        async for draft in super().denoise(canvas, claim):
            yield draft
            raise ValueError(f"cannot read {canvas.texts}")


async def test_a_fault_is_told_without_the_code_that_it_names(caplog: pytest.LogCaptureFixture):
    service = Service(lambda tell: Loaded(Broken("abc")))
    with pytest.raises(ModelError, match="ValueError") as raised:
        await all_of(service)
    assert "x = " not in str(raised.value) + caplog.text
    assert "ValueError" in caplog.text
    await service.close()


async def test_the_weights_are_closed_once_and_their_counts_stay():
    first, second = Scripted("abc"), Scripted("abc")
    gate = Gate(Loaded(first), Loaded(second))
    gate.opened.set()
    service = Service(gate)
    await all_of(service)
    steps = service.weights.counts[0]
    assert steps == first.steps > 0
    await service.weights.unload()
    assert service.weights.told()["state"] == "unloaded"
    assert service.weights.counts[0] == steps
    await all_of(service)
    assert service.weights.counts[0] == steps + second.steps
    await service.close()


async def test_after_its_end_a_service_loads_nothing(gate: Gate):
    service = Service(gate)
    service.start()
    fill = asyncio.ensure_future(all_of(service))
    await until(lambda: gate.begun)
    await service.close()
    with pytest.raises(ModelError, match="ending"):
        await fill
    with pytest.raises(Refused, match="ending"):
        service.visit(Claim())
    gate.opened.set()
    await until(lambda: not service.weights.busy)
    assert service.weights.loads == 0
