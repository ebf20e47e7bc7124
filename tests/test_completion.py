"""Fills in the completion menu, from a server in this process with a scripted denoiser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from infill.fill import Fill
from lsp import completion
from lsp.completion import BEHIND_OTHERS, LONGEST_LABEL, MOST_UNASKED, shortened
from lsp.greeting import ENCODINGS
from lsp.session import Question
from model.canvas import Canvas, Claim, Draft
from model.scripted import Scripted
from tests.raw_client import RawClient, server_command
from tests.test_server import TEXT, URI, Client, client, settled, slow, until

Message = dict[str, Any]

INVOKED, CHARACTER, INCOMPLETE = 1, 2, 3
GHOST_TEXT: Message = {"textDocument": {"inlineCompletion": {}}}
SEVERAL_LINES = "if a > b:\n        return '```'\n    return b"
RETURN = "def add(a, b):\n    re\n"  # a word is being typed: so a request may be an automatic one


class Held(Scripted):
    """Has nothing before it is released; `begun` counts what it was asked."""

    def __init__(self, text: str, **more: Any) -> None:
        super().__init__(text, **more)
        self.released = asyncio.Event()
        self.begun = 0

    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        self.begun += 1
        await self.released.wait()
        async for draft in super().denoise(canvas, claim):
            yield draft


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known is answered, however slow this machine is."""
    monkeypatch.setattr(completion, "PATIENCE", 30.0)


def ask(
    c: Client, line: int = 1, character: int = 6, kind: int | None = INVOKED, uri: str = URI
) -> int:
    position = {"line": line, "character": character}
    params: Message = {"textDocument": {"uri": uri}, "position": position}
    if kind is not None:
        params["context"] = {"triggerKind": kind}
    return c.request("textDocument/completion", params)


async def entries(c: Client, msg_id: int) -> list[Message]:
    """What the menu gets; the list must be one that is asked for again."""
    result = (await c.answer(msg_id))["result"]
    assert result["isIncomplete"] is True
    return result["items"]


async def labels(c: Client, msg_id: int) -> list[str]:
    return [entry["label"] for entry in await entries(c, msg_id)]


async def typing(c: Client, text: str = RETURN) -> None:
    """The document has this text and a version of its own."""
    c.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
    c.open(URI, text)
    await until(lambda: text_of(c) == text)


def text_of(c: Client) -> str:
    snapshot = c.server.session.documents.get(URI)
    return snapshot.text if snapshot else ""


async def offered(options: object, capabilities: object) -> tuple[bool, bool]:
    """Whether ghost text and whether a menu is offered to such a client."""
    async with client(Scripted("a"), options, capabilities) as c:
        (welcome,) = [m for m in c.output.messages if "capabilities" in (m.get("result") or {})]
        told: Message = welcome["result"]["capabilities"]
        return "inlineCompletionProvider" in told, "completionProvider" in told


@pytest.mark.parametrize(
    ("options", "capabilities", "expected"),
    [
        pytest.param({}, GHOST_TEXT, (True, False), id="knows ghost text"),
        pytest.param({}, {}, (True, True), id="says nothing of ghost text"),
        pytest.param({"menu": "always"}, GHOST_TEXT, (False, True), id="always"),
        pytest.param({"infill": {"menu": "always"}}, GHOST_TEXT, (False, True), id="nested"),
        pytest.param({"menu": "never"}, {}, (True, False), id="never"),
        pytest.param({"menu": "sometimes"}, {}, (True, True), id="no such choice"),
    ],
)
async def test_the_menu_is_for_editors_without_ghost_text_unless_set_otherwise(
    options: object, capabilities: object, expected: tuple[bool, bool]
) -> None:
    assert await offered(options, capabilities) == expected


async def test_a_choice_that_there_is_not_is_told_with_those_there_are() -> None:
    async with client(Scripted("a"), {"menu": "sometimes"}) as c:
        await until(lambda: len(c.shown()) == 1)
        assert all(word in c.shown()[0] for word in ("'sometimes'", "'auto'", "'always'"))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("before", "fill", "word"),
    [
        pytest.param("def add(a, b):\n    re‸\n", "turn a + b", "re", id="a word begun"),
        pytest.param("def add(a, b):\n    return ‸\n", "a + b", "", id="no word"),
        pytest.param("x = f('🙂é', nu‸)\n", "mber", "nu", id="emoji in front"),
        pytest.param("def most(a, b):\r\n    ‸\r\n", SEVERAL_LINES, "", id="CRLF"),
        pytest.param("éa = 1\nb = é‸\n", "a", "é", id="a letter beyond ASCII"),
    ],
)
@pytest.mark.usefixtures("patient")
async def test_an_entry_replaces_the_word_that_is_begun_and_nothing_else(
    encoding: str, before: str, fill: str, word: str
) -> None:
    head, tail = before.split("‸")
    line, column = head.count("\n"), units(head[head.rfind("\n") + 1 :], encoding)
    capabilities = {"general": {"positionEncodings": [encoding]}}
    async with client(Scripted(fill), capabilities=capabilities) as c:
        await typing(c, head + tail)
        (entry,) = await entries(c, ask(c, line, column, INCOMPLETE))
        where, text = entry["textEdit"]["range"], entry["textEdit"]["newText"]
        line_end = "\r\n" if "\r\n" in before else "\n"
        assert text == word + fill.replace("\n", line_end)
        assert "\r" not in entry["label"] + entry["filterText"] + entry["documentation"]["value"]
        start = column - units(word, encoding)
        assert where == {"start": {"line": line, "character": start},
                         "end": {"line": line, "character": column}}  # fmt: skip
        # What it is called, sought by and sorted by; and it goes in as it is.
        assert entry["filterText"] == text.split(line_end)[0]
        assert entry["label"].startswith(word)
        assert entry["sortText"] == BEHIND_OTHERS
        assert (entry["insertTextFormat"], entry["insertTextMode"]) == (1, 1)
        assert "preselect" not in entry
        assert entry["commitCharacters"] == []


def units(text: str, encoding: str) -> int:
    return len(text.encode(f"{encoding}-le" if encoding != "utf-8" else encoding)) // {
        "utf-8": 1, "utf-16": 2, "utf-32": 4
    }[encoding]  # fmt: skip


@pytest.mark.usefixtures("patient")
async def test_a_fill_of_several_lines_is_shown_whole_and_in_place_beside_the_menu() -> None:
    async with client(Scripted(SEVERAL_LINES)) as c:
        await typing(c, "def most(a, b):\n    \n")
        (entry,) = await entries(c, ask(c, 1, 4))
        assert entry["label"] == "if a > b: …"
        assert entry["detail"] == "infill, 3 lines"
        assert entry["documentation"] == {
            "kind": "markdown",
            "value": "````python\nif a > b:\n    return '```'\nreturn b\n````",
        }


def test_a_name_is_cut_where_a_menu_would_be_too_wide() -> None:
    assert len(shortened("x" * 200, goes_on=True)) == LONGEST_LABEL
    assert shortened("x" * LONGEST_LABEL, goes_on=False) == "x" * LONGEST_LABEL


async def test_a_model_that_is_not_done_keeps_no_menu_waiting_and_goes_on_behind_it() -> None:
    denoiser = slow()
    async with client(denoiser) as c:
        await typing(c)
        assert await labels(c, ask(c)) == []
        steps = denoiser.steps
        await until(lambda: denoiser.steps > steps + 2)


async def test_what_was_made_behind_the_menu_is_there_at_the_next_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    denoiser = Held("turn a + b")
    async with client(denoiser) as c:
        await typing(c)
        assert await labels(c, ask(c)) == []
        denoiser.released.set()
        await until(lambda: "A fill was offered" in c.server.session.why(URI)["explanation"])
        monkeypatch.setattr(completion, "PATIENCE", 30.0)
        c.insert(2, "t", 1, 6)
        assert await labels(c, ask(c, 1, 7, INCOMPLETE)) == ["return a + b"]
        assert denoiser.begun == 1


async def test_the_same_question_joins_the_fill_that_is_being_made() -> None:
    denoiser = Held("turn a + b")
    async with client(denoiser) as c:
        await typing(c)
        assert await labels(c, ask(c, kind=INCOMPLETE)) == []
        assert await labels(c, ask(c, kind=INCOMPLETE)) == []
        assert denoiser.begun == 1


@pytest.mark.parametrize("kind", [INVOKED, None])
async def test_who_asks_again_where_nothing_was_typed_gets_what_there_will_be(
    kind: int | None,
) -> None:
    denoiser = Held("turn a + b")
    async with client(denoiser) as c:
        await typing(c)
        assert await labels(c, ask(c, kind=kind)) == []
        again, later = ask(c, kind=kind), ask(c, kind=INCOMPLETE)
        assert await labels(c, later) == []  # so more time than that has passed
        denoiser.released.set()
        assert await labels(c, again) == ["return a + b"]
        assert denoiser.begun == 1


async def test_who_asks_where_no_word_is_begun_gets_what_there_will_be() -> None:
    denoiser = Held("a + b")
    async with client(denoiser) as c:
        asked, later = ask(c, 1, 11), ask(c, 1, 11, INCOMPLETE)
        assert await labels(c, later) == []
        denoiser.released.set()
        assert await labels(c, asked) == ["a + b"]


async def test_a_dot_just_typed_waits_for_nothing() -> None:
    async with client(slow()) as c:
        await typing(c, "import os\nos.\n")
        assert await labels(c, ask(c, 1, 3, CHARACTER)) == []


async def test_who_asked_is_shown_also_what_the_model_is_unsure_of() -> None:
    async with client(Scripted("turn a + b", confidence=0.01)) as c:
        await typing(c)
        assert await labels(c, ask(c)) == []
        assert await labels(c, ask(c)) == ["return a + b"]


async def test_asking_while_a_shy_fill_is_made_asks_anew_if_that_ends_with_nothing() -> None:
    denoiser = Held("turn a + b", confidence=0.01)
    async with client(denoiser) as c:
        await typing(c)
        assert await labels(c, ask(c)) == []
        again = ask(c)
        denoiser.released.set()
        assert await labels(c, again) == ["return a + b"]
        assert denoiser.begun == 2


async def test_after_a_cancel_the_answer_is_request_cancelled_and_no_step_starts() -> None:
    denoiser = slow()
    async with client(denoiser) as c:
        asked = ask(c, 1, 11)
        await until(lambda: denoiser.steps > 1)
        c.cancel(asked)
        assert (await c.answer(asked))["error"]["code"] == -32800
        steps = denoiser.steps
        assert await settled(denoiser) == steps


async def test_a_fill_that_another_request_waits_for_outlives_a_cancel() -> None:
    denoiser = Held("a + b")
    async with client(denoiser) as c:
        first, second = ask(c, 1, 11), ask(c, 1, 11)
        await until(lambda: denoiser.begun == 1)
        c.cancel(first)
        assert "error" in await c.answer(first)
        denoiser.released.set()
        assert await labels(c, second) == ["a + b"]
        assert denoiser.begun == 1


async def test_an_answer_for_a_text_that_is_gone_is_empty() -> None:
    denoiser = slow()
    async with client(denoiser) as c:
        asked = ask(c, 1, 11)
        await until(lambda: denoiser.steps > 1)
        c.insert(2, "later")
        assert await labels(c, asked) == []
        steps = denoiser.steps
        assert await settled(denoiser) == steps


async def test_a_change_in_the_moment_between_the_fill_and_its_answer_makes_it_void() -> None:
    async with client(Scripted("a + b")) as c:
        session, loop = c.server.session, asyncio.get_running_loop()

        async def filled_and_changed(question: Question) -> Fill | None:
            fill = await session.fill(question)
            assert fill is not None
            loop.call_soon(session.moved_on, replace(question.snapshot, version=2))
            return fill

        c.server.menu = completion.Menu(filled_and_changed)
        assert await labels(c, ask(c, 1, 11)) == []


async def test_a_document_that_was_closed_keeps_no_model_at_work() -> None:
    denoiser = slow()
    async with client(denoiser) as c:
        asked = ask(c, 1, 11)
        await until(lambda: denoiser.steps > 1)
        c.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        assert await labels(c, asked) == []
        steps = denoiser.steps
        assert await settled(denoiser) == steps
        assert (await c.answer(ask(c)))["result"] is None
        assert begun(c) == 0


async def test_a_file_with_secrets_reaches_no_model_by_the_menu() -> None:
    denoiser = Scripted("a + b")
    async with client(denoiser) as c:
        c.open("file:///w/.env", TEXT)
        asked = ask(c, 1, 11, uri="file:///w/.env")
        assert await labels(c, asked) == []
        assert denoiser.seen == []


async def test_an_editor_that_asks_for_ghost_text_gets_nothing_in_its_menu() -> None:
    async with client(Scripted("a + b")) as c:
        assert await labels(c, ask(c, 1, 11)) == ["a + b"]
        assert await c.texts(c.inline()) == ["a + b"]
        assert (await c.answer(ask(c, 1, 11)))["result"] is None


async def test_an_editor_that_is_to_show_the_menu_gets_no_ghost_text() -> None:
    async with client(Scripted("a + b"), {"menu": "always"}, GHOST_TEXT) as c:
        assert await c.texts(c.inline()) is None
        assert await labels(c, ask(c, 1, 11)) == ["a + b"]


async def test_the_menu_can_be_switched_off_at_any_time() -> None:
    async with client(Scripted("a + b")) as c:
        c.notify("workspace/didChangeConfiguration", {"settings": {"infill": {"menu": "never"}}})
        assert (await c.answer(ask(c, 1, 11)))["result"] is None


async def test_a_key_begins_a_fill_before_the_editor_asks() -> None:
    denoiser = Scripted("a + b")
    async with client(denoiser) as c:
        assert await labels(c, ask(c, 1, 11)) == ["a + b"]
        c.insert(2, "(")
        await until(lambda: len(denoiser.seen) == 2)
        assert "return (" in "".join(denoiser.seen[1].texts)


async def test_a_request_takes_over_what_was_begun_for_it() -> None:
    denoiser = Scripted(lambda _: ("a + b)",), seconds_a_step=0.03)
    async with client(denoiser) as c:
        await labels(c, ask(c, 1, 11))
        c.insert(2, "(")
        await until(lambda: len(denoiser.seen) == 2)
        assert await labels(c, ask(c, 1, 12)) == ["a + b)"]
        assert len(denoiser.seen) == 2


@pytest.mark.parametrize(
    ("start", "text"),
    [
        pytest.param(10, "", id="a deletion"),
        pytest.param(11, "()", id="brackets with the cursor between"),
        pytest.param(11, "(a\n+", id="a paste"),
    ],
)
async def test_nothing_is_begun_where_the_cursor_is_not_known(start: int, text: str) -> None:
    denoiser = Scripted("a + b")
    async with client(denoiser) as c:
        await labels(c, ask(c, 1, 11))
        where = {"start": {"line": 1, "character": start}, "end": {"line": 1, "character": 11}}
        document, change = {"uri": URI, "version": 2}, {"range": where, "text": text}
        c.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})
        await until(lambda: text_of(c) != TEXT)
        assert begun(c) == 0


async def test_nothing_is_begun_for_an_editor_that_does_not_ask() -> None:
    denoiser = Scripted("a + b")
    async with client(denoiser) as c:
        c.insert(2, "(")  # nobody has asked yet
        await until(lambda: "return (" in text_of(c))
        assert begun(c) == 0
        await labels(c, ask(c, 1, 12))
        for number in range(MOST_UNASKED):
            c.insert(3 + number, "(")
            await until(lambda n=number: text_of(c).count("(") == 3 + n and all_ended(c))
        c.insert(99, "(")
        await until(lambda: text_of(c).count("(") == MOST_UNASKED + 3)
        assert begun(c) == 0


def begun(c: Client) -> int:
    return len(c.server.menu._begun)  # pyright: ignore[reportPrivateUsage]


def all_ended(c: Client) -> bool:
    begun = c.server.menu._begun  # pyright: ignore[reportPrivateUsage]
    return all(one.work.done() for one in begun.values())


async def test_a_model_that_breaks_is_one_message_and_an_empty_menu() -> None:
    async with client(Scripted("", error="out of memory: close something")) as c:
        await typing(c)
        for _ in range(3):
            assert await labels(c, ask(c)) == []
        (shown,) = c.shown()
        assert "out of memory: close something" in shown


async def test_a_bug_behind_the_menu_is_logged_without_the_words_of_the_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(canvas: object) -> tuple[str, ...]:
        raise LookupError("users" + "code")

    async with client(Scripted(broken)) as c:
        await typing(c)
        ask(c)
        await until(lambda: "a fill for the menu failed: LookupError" in caplog.text)
        assert "userscode" not in caplog.text


def test_the_menu_reaches_a_client_over_the_wire_and_ends_with_it() -> None:
    with RawClient(server_command('scripted:{"text": "turn a + b"}')) as c:
        assert "completionProvider" in c.initialize({"server": "inside"})["capabilities"]
        c.when_ready()
        c.open(URI, RETURN)
        params = {"textDocument": {"uri": URI}, "position": {"line": 1, "character": 6}}
        c.ask("textDocument/completion", params)
        (entry,) = c.ask("textDocument/completion", params)["items"]  # who asks again may wait
        assert entry["textEdit"]["newText"] == "return a + b"
        c.request("textDocument/completion", params)
        assert c.leave() == 0
