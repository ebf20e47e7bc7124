"""The next fill is there before it is asked for: in the window, and over the wire."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infill.ahead import Ahead, Guess, made
from infill.document import Document
from infill.edit import Edit
from infill.fill import Fill, Timing, fill_at
from infill.memory import Memory
from infill.reason import Reason
from infill.settings import Settings
from lsp.session import Question, Session
from lsp.sync import opened
from model import Canvas, Claim, Draft
from model.scripted import Scripted
from tests.raw_client import RawClient, server_command

URI = "file:///w/a.py"
TEXT = "def add(a, b):\n    return \n"
ENDPOINT = {"url": "http://127.0.0.1:9", "model": "m"}

texts = st.text("ab\n", max_size=6)


@given(texts, texts, st.text("ab\n", min_size=1, max_size=6), st.integers(0, 6))
def test_a_guess_holds_while_its_beginning_is_typed(
    before: str, after: str, fill: str, typed: int
) -> None:
    document = Document(None, "python", before + after)
    guess = Guess(document, Edit(len(before), len(before), fill))
    typed = min(typed, len(fill))
    assert guess.may_still_be(before + fill[:typed] + after)
    assert not guess.may_still_be(before + fill[:typed] + "x" + after)
    assert not guess.may_still_be("x" + before + fill[:typed] + after)
    places = [(it.text[:cursor], it.text[cursor:]) for it, cursor in guess.nexts()]
    assert places[0] == (before + fill, after)
    if after[:1] in ("", "\n"):
        assert places[1:] == [(f"{before}{fill}\n", after)]
        assert guess.may_still_be(f"{before}{fill}\n{after}")
    else:
        assert not places[1:]


@pytest.mark.parametrize(
    ("before", "after", "enter"),
    [
        ("if x:\n    y = ", "\nz = 1\n", "\n    "), ("\ty = ", "", "\n\t"),
        ("if x:\r\n  y = ", "\r\n", "\r\n  "), ("y = f(", ")\n", ""),
    ],
)  # fmt: skip
def test_a_new_line_begins_like_the_one_above_it(before: str, after: str, enter: str) -> None:
    document = Document(None, "python", before + after)
    assert Guess(document, Edit(len(before), len(before), "1")).enter == enter


async def test_a_window_works_on_one_guess_at_a_time_and_gives_up_what_no_longer_fits() -> None:
    begun: list[str] = []
    ended: list[str] = []

    async def make(document: Document, cursor: int) -> Fill:
        begun.append(document.text)
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(document.text)
        return Fill(None, 0.0, Reason.NOTHING_DUE, 0, Timing())

    async def until_begun(count: int) -> None:
        while len(begun) < count:
            await asyncio.sleep(0.001)

    ahead, document = Ahead(), Document(None, "python", "x = ")
    one, other = (Guess(document, Edit(4, 4, text)) for text in ("1 + 1", "2"))
    along = Guess(Document(None, "python", "x = 1 "), Edit(6, 6, "+ 1"))
    ahead.begin("a", one, make)
    await until_begun(1)
    ahead.begin("a", along, make)  # it has been typed on: the same is going to stand there
    ahead.heed("a", lambda: "x = 1 + ")
    await asyncio.sleep(0.1)
    assert (begun, ended) == (["x = 1 + 1"], [])
    ahead.begin("a", other, make)
    await until_begun(2)
    assert ended == ["x = 1 + 1"]
    ahead.heed("a", lambda: "x = 3")
    await asyncio.sleep(0)
    assert ended == ["x = 1 + 1", "x = 2"]
    ahead.begin("a", one, make)
    await until_begun(3)
    ahead.heed("b", lambda: document.text)  # something else is asked
    await asyncio.sleep(0)
    assert len(ended) == 3


async def test_where_nothing_is_due_behind_the_edit_a_new_line_is_guessed() -> None:
    asked: list[tuple[str, int]] = []
    nothing = Fill(None, 0.0, Reason.NOTHING_DUE, 0, Timing())
    something = Fill(Edit(0, 0, "1"), 1.0, None, 4, Timing())
    guess = Guess(Document(None, "python", " x = \n"), Edit(5, 5, "f()"))
    for answer, places in [
        (nothing, [(" x = f()\n", 8), (" x = f()\n \n", 10)]),
        (something, [(" x = f()\n", 8)]),
    ]:

        async def make(document: Document, cursor: int, answer: Fill = answer) -> Fill:
            asked.append((document.text, cursor))
            return answer

        asked.clear()
        await made(guess, make)
        assert asked == places


class Halting(Scripted):
    """Stops before its end, as an engine does that has something better to do."""

    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        async for draft in super().denoise(canvas, claim):
            if draft.final:
                return
            yield draft


async def test_of_a_guess_only_a_whole_answer_is_kept_and_of_a_question_the_best_so_far() -> None:
    document, memory, denoiser = Document(None, "python", "x = \n"), Memory(), Halting("1000")
    claims = Claim("me", "a", speculative=True), Claim("me", "a")
    guessed, asked = [
        await fill_at(
            document, 4, denoiser=denoiser, settings=Settings(), memory=memory, claim=claim
        )
        for claim in claims
    ]
    assert guessed.reason is Reason.DEADLINE
    assert asked.edit == Edit(4, 4, "100")
    told = [(it.asker, it.document, it.speculative) for it in denoiser.claims]
    assert told == [("me", "a", True), ("me", "a", False)]
    first, second = (it.deadline_ms for it in denoiser.claims)
    assert 5 * 1500 > first > 1500 > second > 1000


@pytest.mark.parametrize(
    ("options", "speculates"),
    [
        ({}, True),
        ({"speculate": False}, False),
        ({"model": "endpoint", "model_keys": ENDPOINT}, False),
        ({"model": "endpoint", "model_keys": {**ENDPOINT, "speculate": True}}, True),
        ({"model": "endpoint", "model_keys": {"speculate": True}, "speculate": False}, False),
    ],
)
def test_an_endpoint_is_asked_ahead_only_where_the_user_said_so(
    options: dict[str, Any], speculates: bool
) -> None:
    assert Session(Settings(**options)).speculates == speculates


class Dwelling(Scripted):
    """Answers a question at once, until it `dwells`, and a guess in an hour."""

    dwells = False
    guesses = 0

    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        self.seconds_a_step = 3600 if claim.speculative or self.dwells else 0
        self.guesses += claim.speculative
        try:
            async for draft in super().denoise(canvas, claim):
                yield draft
        finally:
            self.guesses -= claim.speculative


@pytest.mark.parametrize(
    ("text", "stays"),
    [(TEXT.replace("return ", "return a +"), True), (TEXT.replace("return ", "return 1"), False)],
)
async def test_what_is_typed_ends_the_guess_unless_it_is_what_was_shown(
    text: str, stays: bool
) -> None:
    session, denoiser = Session(Settings(deadline_ms=600_000)), Dwelling("a + b")
    session.resident.denoiser = denoiser
    session.moved_on(other := opened(f"{URI}b", "python", 1, "x = \n"))
    session.moved_on(snapshot := opened(URI, "python", 1, TEXT))
    question = Question(snapshot, Document(None, "python", TEXT), len(TEXT) - 1, invoked=False)
    assert await session.fill(question)
    async with asyncio.timeout(30):
        while not denoiser.guesses:
            await asyncio.sleep(0.001)
    session.moved_on(opened(URI, "python", 2, text))
    await asyncio.sleep(0.02)
    assert denoiser.guesses == stays
    # Another document is asked about: that goes first.
    denoiser.dwells = True
    asked = asyncio.create_task(
        session.fill(Question(other, Document(None, "python", "x = \n"), 4, False))
    )
    await asyncio.sleep(0.02)
    assert denoiser.guesses == 0
    session.close()
    assert await asked is None


def status(client: RawClient) -> dict[str, Any]:
    return client.ask("workspace/executeCommand", {"command": "infill.status"})


def until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not true():
        assert time.monotonic() < limit
        threading.Event().wait(0.01)


@pytest.mark.parametrize("speculate", [True, False])
@pytest.mark.parametrize(("fill", "enter"), [("a + b", ""), ("f(a)", "\n    ")])
def test_once_a_fill_is_accepted_the_next_one_is_there_without_a_step(
    fill: str, enter: str, speculate: bool
) -> None:
    """Behind `a + b` it may go on, behind `f(a)` only in another line."""
    with RawClient(server_command(f"scripted:{fill}")) as client:
        client.initialize({"deadline_ms": 30_000, "speculate": speculate})
        client.when_ready()
        client.open(URI, TEXT)
        assert offered(client, 1, 11) == [fill]
        if speculate:
            until(lambda: status(client)["steps"] == 8)
        steps = status(client)["steps"]
        place = {"line": 1, "character": 11}
        client.change(URI, 2, {"range": {"start": place, "end": place}, "text": fill + enter})
        assert offered(client, *((2, 4) if enter else (1, 11 + len(fill)))) == [fill]
        arguments = {"command": "infill.why", "arguments": [URI]}
        assert client.ask("workspace/executeCommand", arguments)["remembered"] == speculate
        assert (status(client)["steps"] == steps) == speculate
        assert client.leave() == 0


def offered(client: RawClient, line: int, character: int) -> list[str]:
    items = client.answer(client.inline(URI, line, character))["result"]["items"]
    return [item["insertText"] for item in items]
