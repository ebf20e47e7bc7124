"""Drafts that are watched while a document is written into, and holes that a client asks to fill.

A script plays the model, so it is known to the letter what may be shown of each hole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infill.deeds.drafts import Places, Stretch
from infill.deeds.holes import Gap, Kind
from infill.document import Document
from infill.edit import Edit
from lsp.drafts import Drafts
from lsp.greeting import ENCODINGS
from lsp.sync import lines_of, opened
from model.canvas import Canvas, Draft, Hole, Piece
from model.scripted import Scripted
from tests import strategies
from tests.raw_client import RawClient
from tests.test_actions import (
    BROKEN,
    CAPABILITIES,
    FILLED,
    FIVE,
    SELECTED,
    TEXTS,
    after,
    scripted,
)  # fmt: skip
from tests.test_server import URI, Client, Message, settled, until
from tests.test_server import client as served

OTHER = "file:///w/b.py"
WATCHING = {"canvas": True}
PLACES = [(1, 4, 1, 7), (5, 11, 5, 19), (9, 4, 9, 8), (13, 4, 13, 29), (16, 8, 16, 16)]  # of FIVE
MS = 1000


def by_holes(canvas: Canvas) -> tuple[str, ...]:
    """What FIVE's holes are filled with, also where they are fewer on one canvas."""
    return tuple(TEXTS[: len(canvas.holes)])


def playing(seconds_a_step: float = 0.0, steps: int = 40, **more: Any) -> Scripted:
    return Scripted(by_holes, seconds_a_step=seconds_a_step, steps_a_fill=steps, **more)


def slow() -> Scripted:
    """Not done before the test is."""
    return playing(0.02, 100_000)


def watched(denoiser: Scripted, options: object = WATCHING) -> AbstractAsyncContextManager[Client]:
    return served(denoiser, options=options, capabilities=CAPABILITIES)


def begin(client: Client, text: str = FIVE, uri: str = URI) -> None:
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    client.open(uri, text)


def act(client: Client, deed: str = "fill-file", at: tuple[int, ...] = (0, 0, 0, 0)) -> int:
    wish = {"deed": deed, "uri": URI, "range": range_of(*at)}
    params = {"command": "infill.act", "arguments": [wish]}
    return client.request("workspace/executeCommand", params)


def start(client: Client, **more: Any) -> int:
    return client.request("infill/start", asking(**more))


def asking(uri: str = URI, version: int = 1, places: Any = PLACES, **more: Any) -> Message:
    holes = [{"id": f"h{n}", "range": range_of(*at)} for n, at in enumerate(places)]
    return {"textDocument": {"uri": uri, "version": version}, "holes": holes, **more}


def range_of(line: int, character: int, end_line: int, end_character: int) -> Message:
    begin = {"line": line, "character": character}
    return {"start": begin, "end": {"line": end_line, "character": end_character}}


def canvases(client: Client, uri: str = URI) -> list[Message]:
    told = [m["params"] for m in client.output.messages if m.get("method") == "infill/canvas"]
    return [each for each in told if each["uri"] == uri]


def is_last(message: Message) -> bool:
    if message.get("method") != "infill/canvas":
        return False
    return "final" in message["params"] or "cancelled" in message["params"]


async def last(client: Client, uri: str = URI) -> Message:
    told = await client.message(lambda it: is_last(it) and it["params"]["uri"] == uri)
    return told["params"]


async def nothing_more(client: Client) -> None:
    """Waits longer than drafts are held back."""
    await asyncio.sleep(0.2)
    await client.answer(
        client.request("workspace/executeCommand", {"command": "infill.status", "arguments": []})
    )


def applied(text: str, holes: Sequence[Message], encoding: str = "utf-16") -> str:
    """The text with every draft in its place."""
    lines = lines_of(text)
    for hole in sorted(holes, key=lambda it: place_in(it["range"]["start"]), reverse=True):
        a, b = (offset(lines, hole["range"][name], encoding) for name in ("start", "end"))
        text = text[:a] + hole["text"] + text[b:]
    return text


def place_in(at: Message) -> tuple[int, int]:
    return at["line"], at["character"]


def offset(lines: Sequence[str], at: Message, encoding: str) -> int:
    name, width = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}[
        encoding
    ]
    number = int(at["line"])
    line = lines[number].encode(name)[: at["character"] * width]
    return sum(map(len, lines[:number])) + len(line.decode(name))


def parts(text: str, frozen: Iterable[Sequence[int]], encoding: str) -> list[str]:
    name, width = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}[
        encoding
    ]
    data = text.encode(name)
    return [data[width * a : width * (a + n)].decode(name) for a, n in frozen]


def check_order(told: Sequence[Message]) -> None:
    """One name, steps that only grow, and nothing after the one that ends it."""
    assert len({each["id"] for each in told}) == 1
    assert all(a["step"] < b["step"] for a, b in pairwise(told))
    ends = ["final" in each or "cancelled" in each for each in told]
    assert ends == [False] * (len(told) - 1) + [True]


# Watching code actions.


async def test_each_notification_tells_of_all_five_holes_and_the_last_what_the_edit_does() -> None:
    async with watched(playing(0.01)) as c:
        begin(c)
        act(c)
        edit = await c.message(lambda it: it.get("method") == "workspace/applyEdit")
        told = canvases(c)
        check_order(told)
        assert len(told) > 2
        assert {len(each["holes"]) for each in told} == {5}
        assert {applied(FIVE, each["holes"]) for each in told} == {FILLED}
        assert all(len(hole["frozen"]) <= 1 for each in told for hole in each["holes"])
        assert told[-1]["final"] is True
        assert after(FIVE, edit) == FILLED
        assert is_last(c.output.messages[c.output.messages.index(edit) - 1])


async def test_what_has_settled_grows_until_all_has() -> None:
    async with watched(playing(0.01)) as c:
        begin(c)
        act(c)
        await last(c)
        told = canvases(c)
        shares = [sum(n for h in each["holes"] for _, n in h["frozen"]) for each in told]
        assert shares == sorted(shares)
        assert shares[0] < shares[-1] == sum(map(len, TEXTS))


async def test_the_canvas_is_named_as_its_bar_so_that_either_can_be_cancelled() -> None:
    async with watched(slow()) as c:
        begin(c)
        act(c)
        first = await c.message(lambda it: it.get("method") == "infill/canvas")
        asked = [m["params"] for m in c.output.messages if str(m.get("method")).endswith("/create")]
        assert asked[-1]["token"] == first["params"]["id"]
        c.notify("window/workDoneProgress/cancel", {"token": first["params"]["id"]})
        assert (await last(c))["cancelled"] is True


@pytest.mark.parametrize("arguments", [[URI], []], ids=["one", "all"])
async def test_cancelling_ends_with_cancelled_and_without_an_edit(arguments: list[str]) -> None:
    denoiser = slow()
    async with watched(denoiser) as c:
        begin(c)
        act(c)
        await c.message(lambda it: it.get("method") == "infill/canvas")
        params = {"command": "infill.cancel", "arguments": arguments}
        c.request("workspace/executeCommand", params)
        end = await last(c)
        assert (end["cancelled"], end["holes"]) == (True, [])
        steps = denoiser.steps
        await nothing_more(c)
        check_order(canvases(c))
        assert denoiser.steps <= steps + 1
        assert not [m for m in c.output.messages if m.get("method") == "workspace/applyEdit"]


async def test_a_change_of_the_document_ends_with_cancelled() -> None:
    async with watched(slow()) as c:
        begin(c)
        act(c)
        await c.message(lambda it: it.get("method") == "infill/canvas")
        c.insert(2, "x", line=0, character=0)
        end = await last(c)
        assert (end["cancelled"], end["version"]) == (True, 1)
        await nothing_more(c)
        check_order(canvases(c))


async def test_a_model_that_fails_ends_with_cancelled() -> None:
    async with watched(playing(error="the GPU is out of memory")) as c:
        begin(c)
        act(c)
        assert (await last(c))["cancelled"] is True
        check_order(canvases(c))


async def test_a_fill_that_may_not_stand_there_ends_with_cancelled() -> None:
    async with watched(Scripted('""" (')) as c:
        begin(c)
        act(c, at=(5, 11, 5, 11), deed="fill-hole")
        assert (await last(c))["cancelled"] is True
        assert any("nothing was filled" in said for said in c.shown())


async def test_a_docstring_is_shown_with_its_quotes_and_its_line() -> None:
    text = "def area(width, height):\n    return width\n"
    becomes = 'def area(width, height):\n    """Say it."""\n    return width\n'
    async with watched(Scripted("Say it.", seconds_a_step=0.05)) as c:
        begin(c, text)
        act(c, "write-docstring")
        await last(c)
        assert {applied(text, each["holes"]) for each in canvases(c)} == {becomes}


async def test_of_several_rewrites_at_once_one_is_watched() -> None:
    texts = iter(["height * width", *["width * (height)"] * 20])
    denoiser = Scripted(lambda canvas: (next(texts),), seconds_a_step=0.05)
    async with watched(denoiser) as c:
        begin(c, SELECTED)
        act(c, "rewrite-freely", (1, 11, 1, 25))
        await last(c)
        shown = {applied(SELECTED, each["holes"]) for each in canvases(c)[:-1]}
        assert shown == {SELECTED.replace("width * height", "height * width")}
        assert canvases(c)[-1]["final"] is True


async def test_a_repair_ends_with_what_it_does() -> None:
    async with watched(playing(0.01)) as c:
        begin(c, BROKEN)
        act(c, "repair")
        end = await last(c)
        assert applied(BROKEN, end["holes"]) == BROKEN.replace("height:", "height):")


@pytest.mark.parametrize("options", [None, {"infill": {"canvas": False}}])
async def test_who_does_not_ask_to_watch_hears_nothing_but_the_protocol(options: object) -> None:
    async with watched(playing(), options) as c:
        begin(c)
        act(c)
        edit = await c.message(lambda it: it.get("method") == "workspace/applyEdit")
        c.send({"id": edit["id"], "result": {"applied": True}})
        assert len((await c.answer(start(c)))["result"]["edits"]) == 5
        failing = start(c, version=7)
        await c.answer(failing)
        own = [m for m in c.output.messages if not str(m.get("method", "$/")).startswith("$/")]
        assert not [m for m in own if m["method"].startswith("infill/")]


@pytest.mark.parametrize(
    ("said", "watches"),
    [
        ({"initializationOptions": {"infill": {"canvas": True}}}, True),
        ({"initializationOptions": {"canvas": True}}, True),
        ({"capabilities": {"experimental": {"infillCanvas": True}}}, True),
        ({"capabilities": {"experimental": {"infillCanvas": 1}}}, False),
        ({"initializationOptions": {"canvas": "yes"}}, False),
        (
            {
                "initializationOptions": {"canvas": False},
                "capabilities": {"experimental": {"infillCanvas": True}},
            },
            False,
        ),
    ],
)
def test_an_editor_asks_to_watch_as_an_option_or_as_a_capability(
    said: Message, watches: bool
) -> None:
    from lsp.greeting import greeting_from

    assert greeting_from(1, {"capabilities": {}, **said}).watches is watches


# Asking for the fills of any holes.


async def test_started_holes_are_answered_with_edits_of_which_none_is_applied() -> None:
    async with watched(playing(0.01)) as c:
        begin(c)
        result = (await c.answer(start(c, id="mine")))["result"]
        assert (result["id"], result["version"]) == ("mine", 1)
        drafts = [{"range": it["range"], "text": it["newText"]} for it in result["edits"]]
        assert applied(FIVE, drafts) == FILLED
        told = canvases(c)
        check_order(told)
        assert len(told) > 2
        assert {each["id"] for each in told} == {"mine"}
        names = [[hole["id"] for hole in each["holes"]] for each in told]
        assert names == [["h0", "h1", "h2", "h3", "h4"]] * len(told)
        assert {applied(FIVE, each["holes"]) for each in told} == {FILLED}
        assert not [m for m in c.output.messages if m.get("method") == "workspace/applyEdit"]


async def test_holes_may_be_given_in_any_order() -> None:
    async with watched(playing()) as c:
        begin(c)
        names = (await c.answer(start(c, places=PLACES[::-1])))["result"]["edits"]
        assert [it["newText"] for it in names] == TEXTS
        held = {hole["id"]: hole["text"] for hole in canvases(c)[-1]["holes"]}
        assert held == dict(zip(("h4", "h3", "h2", "h1", "h0"), TEXTS, strict=True))


async def test_cancelling_the_request_ends_with_cancelled_and_without_edits() -> None:
    denoiser = slow()
    async with watched(denoiser) as c:
        begin(c)
        asked = start(c)
        await c.message(lambda it: it.get("method") == "infill/canvas")
        c.cancel(asked)
        assert (await c.answer(asked))["error"]["code"] == -32800
        assert (await last(c))["cancelled"] is True
        steps = await settled(denoiser)
        await nothing_more(c)
        assert denoiser.steps == steps
        check_order(canvases(c))


async def test_a_request_that_others_end_is_answered_with_why() -> None:
    async with watched(slow()) as c:
        begin(c)
        first = start(c)
        await c.message(lambda it: it.get("method") == "infill/canvas")
        second = start(c)
        error = (await c.answer(first))["error"]
        assert (error["code"], "something else was begun" in error["message"]) == (-32802, True)
        await until(lambda: len({each["id"] for each in canvases(c)}) == 2)
        c.insert(2, "x", line=0, character=0)
        error = (await c.answer(second))["error"]
        assert (error["code"], "changed meanwhile" in error["message"]) == (-32801, True)
        names = {each["id"] for each in canvases(c)}
        for name in names:
            check_order([each for each in canvases(c) if each["id"] == name])


async def test_a_model_that_fails_is_told_of_in_the_answer() -> None:
    async with watched(playing(error="the GPU is out of memory")) as c:
        begin(c)
        error = (await c.answer(start(c)))["error"]
        assert (error["code"], error["message"]) == (-32803, "the GPU is out of memory")
        assert (await last(c))["cancelled"] is True


async def test_two_files_are_watched_at_once() -> None:
    async with watched(playing(0.01)) as c:
        begin(c)
        begin(c, uri=OTHER)
        asked = [start(c), start(c, uri=OTHER)]
        await until(lambda: bool(canvases(c) and canvases(c, OTHER)))
        assert not [m for m in c.output.messages if is_last(m)]
        for one, uri in zip(asked, (URI, OTHER), strict=True):
            assert len((await c.answer(one))["result"]["edits"]) == 5
            check_order(canvases(c, uri))
            assert applied(FIVE, (await last(c, uri))["holes"]) == FILLED


def whole(at: tuple[int, ...], **more: Any) -> Message:
    return asking(places=[at], **more)


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        (asking(version=7), -32801, "at 1: ask again"),
        (asking(uri=OTHER), -32602, "not open"),
        (asking(places=[(1, 4, 1, 7), (1, 6, 1, 7)]), -32602, "'h0' and 'h1' overlap"),
        (asking(places=[(1, 4, 1, 4), (1, 4, 1, 4)]), -32602, "overlap"),
        (whole((99, 0, 99, 0)), -32602, "not in the text, which ends at 17:0"),
        (whole((1, 0, 1, 99)), -32602, "not in the text"),
        (whole((1, 7, 1, 4)), -32602, "ends before it starts"),
        (whole((-1, 0, 0, 0)), -32602, "from 0"),
        (asking(places=[]), -32602, "from 1 to 256"),
        (asking(places=[(0, 0, 0, 0)] * 257), -32602, "from 1 to 256"),
        (whole((1, 4, 1, 7), options={"fly": 1}), -32602, "fly"),
        (whole((1, 4, 1, 7), options={"max_lines": "x"}), -32602, "max_lines"),
        (whole((1, 4, 1, 7), options=[1]), -32602, "infill/start takes"),
        ({**asking(), "holes": [{"id": 1, "range": range_of(0, 0, 0, 0)}] * 2}, -32602, "same id"),
        ({**asking(), "holes": [{"id": True, "range": range_of(0, 0, 0, 0)}]}, -32602, "a hole is"),
        ({**asking(), "holes": [7]}, -32602, "a hole is"),
        (None, -32602, "infill/start takes"),
        ([], -32602, "infill/start takes"),
    ],
)
async def test_what_cannot_be_started_is_answered_with_what_is_wrong(
    params: object, code: int, words: str
) -> None:
    async with watched(playing()) as c:
        begin(c)
        error = (await c.answer(c.request("infill/start", params)))["error"]
        assert error["code"] == code
        assert words in error["message"] + str(error.get("data"))
        assert canvases(c) == []


async def test_half_a_character_is_no_hole() -> None:
    async with watched(playing()) as c:
        begin(c, "s = '😀'\n")
        error = (await c.answer(start(c, places=[(0, 6, 0, 7)])))["error"]
        assert "splits a character" in error["message"]


async def test_a_secret_file_is_not_started_on() -> None:
    async with watched(playing()) as c:
        secret = "file:///w/.env"
        c.open(secret, "A=1\n")
        error = (await c.answer(start(c, uri=secret, places=[(0, 2, 0, 3)])))["error"]
        assert error["code"] == -32803
        assert "secrets" in error["message"]


async def test_options_are_for_one_request_alone() -> None:
    many = Scripted("if x:\n        return 1\n    return 2")
    async with watched(many) as c:
        begin(c)
        lines: list[int] = []
        for options in ({}, {"multiline": False}, {}):
            answer = await c.answer(start(c, places=PLACES[:1], options=options))
            lines += [it["newText"].count("\n") for it in answer["result"]["edits"]] or [-1]
        assert lines[0] == lines[2] == 2
        assert lines[1] < 2


def test_over_the_wire_drafts_come_and_a_request_is_answered() -> None:
    script = scripted(TEXTS, seconds_a_step=0.02, steps_a_fill=30)
    with RawClient(script) as editor:
        result = editor.initialize({"infill": WATCHING})
        assert result["capabilities"]["experimental"]["infill"] == {"version": 1}
        editor.when_ready()
        editor.open(URI, FIVE)
        answer = editor.ask("infill/start", asking())
        told = [m["params"] for m in editor.messages if m.get("method") == "infill/canvas"]
        check_order(told)
        assert len(told) > 1
        assert len(answer["edits"]) == 5
        complaints = [m for m in editor.messages if m.get("method") == "window/showMessage"]
        assert complaints == []
        assert editor.leave() == 0


# How often, and in which units.


class Jumping(asyncio.SelectorEventLoop):
    """Jumps to whatever is due next, so that a minute passes in no time and to the millisecond."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        ready, due = cast(Any, self)._ready, cast(Any, self)._scheduled
        if not ready:
            times = (timer._when for timer in due if not timer._cancelled)
            self.now = max(self.now, min(times, default=self.now))
        cast(Any, super())._run_once()


def jumping(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=Jumping) as runner:
        runner.run(work)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=40), st.booleans())
@example([40] * 40, False)
def test_at_most_ten_a_second_are_told_and_the_newest_wins(
    waits: list[int], gives_up: bool
) -> None:
    told: list[tuple[float, Message, str]] = []  # when, what, and the newest by then
    newest = ""

    async def watch() -> None:
        nonlocal newest
        loop = asyncio.get_running_loop()
        snapshot = opened(URI, "python", 1, "")
        drafts = Drafts("a", snapshot, "utf-8", lambda it: told.append((loop.time(), it, newest)))
        assert drafts.show
        for newest in map(str, range(len(waits))):
            drafts.show((Stretch(0, 0, 0, newest, ()),))
            await asyncio.sleep(waits[int(newest)] / MS)
        if gives_up:
            drafts.give_up()
        else:
            drafts.settle([Edit(0, 0, "y")])
        drafts.give_up()
        await asyncio.sleep(9)

    jumping(watch())
    assert all(it["holes"][0]["text"] == newest for _, it, newest in told[:-1])
    times = [at for at, *_ in told]
    assert all(later - first >= 1 for first, later in zip(times, times[10:], strict=False))
    check_order([it for _, it, _ in told])


@st.composite
def drafted(draw: st.DrawFn) -> tuple[Document, list[Gap], list[list[Piece]]]:
    document = draw(strategies.documents())
    snapshot = opened(URI, "python", 1, document.text)
    places = [n for n in range(len(document.text) + 1) if is_place(snapshot, n)]
    cuts = sorted(draw(st.lists(st.sampled_from(places), min_size=2, max_size=8, unique=True)
                       if len(places) > 1 else st.just([0, 0])))  # fmt: skip
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    leads = st.sampled_from(["", '"""', "\r\n    ", "é"])
    gaps = [Gap(a, b, Kind.BODY, "", True, draw(leads), draw(leads)) for a, b in spans]
    pieces = st.builds(Piece, strategies.texts(max_size=3).map(plain), st.just(1.0), st.booleans())
    return document, gaps, [draw(st.lists(pieces, max_size=4)) for _ in gaps]


def plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_place(snapshot: Any, at: int) -> bool:
    return snapshot.offset_at(snapshot.place_at(at)) == at


@settings(deadline=None)
@given(drafted(), st.sampled_from(ENCODINGS))
def test_what_is_told_put_into_the_document_gives_the_drafts(
    drafted: tuple[Document, list[Gap], list[list[Piece]]], encoding: str
) -> None:
    document, gaps, pieces = drafted
    told: list[Message] = []

    async def watch() -> None:
        snapshot = opened(URI, "python", 1, document.text)
        drafts = Drafts("a", snapshot, encoding, told.append)
        holes = [Hole(2 * n, 2 * n) for n, _ in enumerate(gaps)]  # wherever they were opened
        assert drafts.show
        canvas = Canvas(("",) * (len(holes) + 1), tuple(holes))
        places = Places(drafts.show, document, gaps, holes)
        places.saw(canvas, Draft(1, tuple(map(tuple, pieces)), final=True))
        await asyncio.sleep(0.01)
        drafts.give_up()

    jumping(watch())
    held = told[0]["holes"]
    texts = ["".join(piece.text for piece in each) for each in pieces]
    wanted = document.text
    for gap, text in reversed(list(zip(gaps, texts, strict=True))):
        wanted = wanted[: gap.start] + plain(gap.lead + text + gap.tail) + wanted[gap.end :]
    assert applied(document.text, held, encoding) == wanted
    for hole, gap, each in zip(held, gaps, pieces, strict=True):
        settled = [plain(gap.lead), *(p.text for p in each if p.settled), plain(gap.tail)]
        assert "".join(parts(hole["text"], hole["frozen"], encoding)) == "".join(settled)


def test_a_canvas_that_mends_a_part_or_is_another_variant_is_not_shown() -> None:
    shown: list[tuple[Stretch, ...]] = []
    document = Document(None, "python", "a = b\n", 1)
    places = Places(shown.append, document)
    pieces = ((Piece("c", 1.0),),)
    for hole, seed in ((Hole(4, 5, former="b"), 0), (Hole(4, 5, former="b"), 1),
                       (Hole(4, 5, former="(("), 0)):  # fmt: skip
        places.saw(Canvas(("a = ", "\n"), (hole,), seed=seed), Draft(1, pieces, final=True))
    assert shown == [(Stretch(0, 4, 5, "c", ((0, 1),)),)]
