"""The server in this process, with a scripted denoiser whose steps can be counted."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from anyio._backends._asyncio import UNIXSocketStream
from hypothesis import given, settings
from hypothesis import strategies as st

from infill.settings import Settings
from lsp.convert import document_of
from lsp.greeting import ENCODINGS, greeting_in, welcome
from lsp.handlers import Server
from lsp.session import Question
from model import Denoiser, ModelError
from model.fallback import Load
from model.scripted import Scripted

Message = dict[str, Any]
URI = "file:///w/a.py"
TEXT = "def add(a, b):\n    return \n"

names = st.sampled_from(["positionEncodings", "workDoneProgress", "uri", "name", "x"])


class Output:
    """Keeps what the server writes, message by message."""

    broken = False

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.arrived = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.messages.append(json.loads(data.split(b"\r\n\r\n", 1)[1]))
        self.arrived.set()

    def close(self) -> None:
        pass


class Client:
    """Speaks to a server in the same event loop."""

    def __init__(self, wanted: Settings, load: Load) -> None:
        self.server = Server(wanted, load)
        self.output = Output()
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._next_id = 0

    async def bodies(self) -> AsyncIterator[bytes]:
        while (body := await self._input.get()) is not None:
            yield body
            await asyncio.sleep(0)  # as a read from stdin does: what was asked begins first

    def end_of_input(self) -> None:
        self._input.put_nowait(None)

    def send(self, message: Message) -> None:
        self._input.put_nowait(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def notify(self, method: str, params: object) -> None:
        self.send({"method": method, "params": params})

    def request(self, method: str, params: object) -> int:
        self._next_id += 1
        self.send({"id": self._next_id, "method": method, "params": params})
        return self._next_id

    def open(self, uri: str, text: str = TEXT) -> None:
        item = {"uri": uri, "languageId": "python", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def inline(self, line: int = 1, character: int = 11, uri: str = URI) -> int:
        position = {"line": line, "character": character}
        params = {"textDocument": {"uri": uri}, "position": position, "context": {"triggerKind": 2}}
        return self.request("textDocument/inlineCompletion", params)

    def insert(self, version: int, text: str, line: int = 1, character: int = 11) -> None:
        at = {"line": line, "character": character}
        change = {"range": {"start": at, "end": at}, "text": text}
        document = {"uri": URI, "version": version}
        self.notify(
            "textDocument/didChange", {"textDocument": document, "contentChanges": [change]}
        )

    def cancel(self, msg_id: int) -> None:
        self.notify("$/cancelRequest", {"id": msg_id})

    async def answer(self, msg_id: int) -> Message:
        def is_it(message: Message) -> bool:
            return "method" not in message and message["id"] == msg_id

        return await self.message(is_it)

    async def message(self, wanted: Callable[[Message], bool]) -> Message:
        async with asyncio.timeout(30):
            while True:
                for message in self.output.messages:
                    if wanted(message):
                        return message
                self.output.arrived.clear()
                await self.output.arrived.wait()

    async def texts(self, msg_id: int) -> list[str] | None:
        """What is offered, or None for null."""
        result = (await self.answer(msg_id))["result"]
        return None if result is None else [item["insertText"] for item in result["items"]]

    def answers(self, msg_id: int) -> int:
        return sum("method" not in m and m["id"] == msg_id for m in self.output.messages)

    def shown(self) -> list[str]:
        return [m["params"]["message"] for m in self.output.messages
                if m.get("method") == "window/showMessage"]  # fmt: skip


@asynccontextmanager
async def client(
    denoiser: Denoiser | Load, options: object = None, capabilities: object = None
) -> AsyncIterator[Client]:
    """A client past the handshake, with one document open and the model loaded or failed."""
    load: Load = denoiser if callable(denoiser) else lambda name, **_: denoiser
    # Without a deadline that could end a fill in place of what is tested.
    client = Client(Settings(model="test", deadline_ms=600_000), load)
    serving = asyncio.create_task(client.server.serve(client.bodies(), client.output))
    params = {"capabilities": capabilities or {}, "initializationOptions": options}
    await client.answer(client.request("initialize", params))
    client.notify("initialized", {})
    client.open(URI)
    await until(lambda: len(client.server.session.documents) == 1)
    await until(lambda: not client.server.session.resident.loading)
    yield client
    client.end_of_input()
    await asyncio.wait_for(serving, 30)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.001)


async def settled(denoiser: Scripted) -> int:
    """The steps begun, when long enough has passed for another to have begun."""
    await asyncio.sleep(5 * denoiser.seconds_a_step)
    return denoiser.steps


def slow() -> Scripted:
    """Not done before the test is."""
    return Scripted("a + b", seconds_a_step=0.02, steps_a_fill=100_000)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just("utf-8"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(json_values, json_values)
def test_an_editor_is_greeted_whatever_it_says_of_itself(general: object, folders: object) -> None:
    params = {"capabilities": {"general": general, "window": general}, "workspaceFolders": folders}
    request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    greeting = greeting_in(request)
    assert greeting is not None
    assert greeting.encoding in ENCODINGS
    assert welcome(greeting)["id"] == 1


async def test_a_fill_is_offered() -> None:
    async with client(Scripted("a + b")) as c:
        assert await c.texts(c.inline()) == ["a + b"]


async def test_the_newest_request_wins_and_the_others_get_null() -> None:
    denoiser = Scripted("a + b", seconds_a_step=0.01)
    async with client(denoiser) as c:
        ids = [c.inline() for _ in range(5)]
        assert [await c.texts(i) for i in ids] == [None, None, None, None, ["a + b"]]
        assert [c.answers(i) for i in ids] == [1] * 5


async def test_a_superseded_request_is_answered_before_the_newer_one_is_done() -> None:
    denoiser = slow()
    async with client(denoiser) as c:
        first = c.inline()
        await until(lambda: denoiser.steps > 1)
        second = c.inline()
        assert await c.texts(first) is None
        assert c.answers(second) == 0


async def test_requests_for_different_documents_do_not_disturb_each_other() -> None:
    async with client(Scripted("a + b", seconds_a_step=0.01)) as c:
        c.open(URI + "x")
        first = c.inline()
        second = c.inline(uri=URI + "x")
        assert await c.texts(first) == ["a + b"]
        assert await c.texts(second) == ["a + b"]


async def test_after_a_cancel_the_answer_is_request_cancelled_and_no_step_starts() -> None:
    denoiser = slow()
    async with client(denoiser) as c:
        asked = c.inline()
        await until(lambda: denoiser.steps > 1)
        c.cancel(asked)
        assert (await c.answer(asked))["error"]["code"] == -32800
        steps = denoiser.steps
        assert await settled(denoiser) == steps
        c.cancel(asked)  # once more, too late
        c.cancel(4711)
        await c.answer(c.request("workspace/executeCommand", {"command": "infill.status"}))
        assert c.answers(asked) == 1


async def test_a_request_cancelled_before_it_began_is_answered_too() -> None:
    denoiser = slow()
    async with client(denoiser) as c:
        asked = c.inline()
        c.cancel(asked)
        assert (await c.answer(asked))["error"]["code"] == -32800
        steps = denoiser.steps
        assert steps <= 1
        assert await settled(denoiser) == steps


async def test_a_change_ends_what_is_being_worked_on_for_the_former_text() -> None:
    denoiser = slow()
    async with client(denoiser) as c:
        asked = c.inline()
        await until(lambda: denoiser.steps > 1)
        c.insert(2, "x")
        assert await c.texts(asked) is None
        steps = denoiser.steps
        assert await settled(denoiser) == steps
        document = c.server.session.documents.get(URI)
        assert document is not None
        assert document.text == TEXT.replace("return ", "return x")


async def test_a_document_closed_while_the_model_runs_gets_null_and_is_forgotten() -> None:
    denoiser = slow()
    async with client(denoiser) as c:
        asked = c.inline()
        await until(lambda: denoiser.steps > 1)
        c.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        assert await c.texts(asked) is None
        steps = denoiser.steps
        assert await settled(denoiser) == steps
        assert len(c.server.session.documents) == 0
        assert await c.texts(c.inline()) is None


async def test_a_change_in_the_moment_between_the_fill_and_its_answer_makes_it_void() -> None:
    async with client(Scripted("a + b")) as c:
        session, loop = c.server.session, asyncio.get_running_loop()
        snapshot = session.documents.get(URI)
        assert snapshot is not None
        question = Question(snapshot, document_of(snapshot), TEXT.index("return ") + 7, False)
        asked = asyncio.create_task(session.fill(question))

        def change_when_filled() -> None:  # called once in each turn of the loop
            if any(answer.done() for answer in session._newest._answers.values()):
                session.moved_on(replace(snapshot, version=2))
            elif not asked.done():
                loop.call_soon(change_when_filled)

        loop.call_soon(change_when_filled)
        assert await asked is None
        current = session.documents.get(URI)
        assert current is not None
        assert current.version == 2


async def test_the_request_is_answered_for_the_text_it_was_made_for() -> None:
    """The request and a change that follows at once: the canvas has the text before the change."""
    denoiser = Scripted("a + b", seconds_a_step=0.01)
    async with client(denoiser) as c:
        asked = c.inline()
        c.insert(2, "later")
        assert await c.texts(asked) is None
        assert all("later" not in text for canvas in denoiser.seen for text in canvas.texts)


async def test_what_was_answered_leaves_nothing_behind() -> None:
    async with client(Scripted("a + b")) as c:

        async def rounds(versions: range) -> int:
            for version in versions:
                c.insert(version, " ")
                cancelled = c.inline()
                c.cancel(cancelled)
                await c.answer(cancelled)
                await c.answer(c.inline())
            return len(c.server.protocol._request_futures)

        assert await rounds(range(2, 10)) == await rounds(range(10, 50))


async def test_shutdown_answers_what_is_in_flight_as_cancelled() -> None:
    denoiser = slow()
    async with client(denoiser) as c:
        asked = c.inline()
        await until(lambda: denoiser.steps > 1)
        down = c.request("shutdown", None)
        assert (await c.answer(down))["result"] is None
        assert (await c.answer(asked))["error"]["code"] == -32800
        steps = denoiser.steps
        assert await settled(denoiser) == steps


class Closing(Scripted):
    closed = 0

    def close(self) -> None:
        self.closed += 1


async def test_the_model_is_closed_at_the_end() -> None:
    denoiser = Closing("x")
    async with client(denoiser) as c:
        await c.answer(c.request("shutdown", None))
        assert denoiser.closed == 1


async def test_another_model_replaces_the_one_that_was_loaded() -> None:
    models = {"test": Closing("a + b"), "other": Closing("b + a")}
    async with client(lambda name, **_: models[name]) as c:
        assert await c.texts(c.inline()) == ["a + b"]
        c.notify("workspace/didChangeConfiguration", {"settings": {"infill": {"model": "other"}}})
        await until(lambda: c.server.session.resident.denoiser is models["other"])
        assert models["test"].closed == 1
        assert await c.texts(c.inline()) == ["b + a"]
        c.notify("workspace/didChangeConfiguration", {"settings": {"infill": {"model": "other"}}})
        assert await c.texts(c.inline()) == ["b + a"]
        assert models["other"].closed == 0


@pytest.mark.parametrize(
    "error", [ModelError("no weights there"), ImportError("no torch"), SystemExit(3), MemoryError()]
)
async def test_a_model_that_cannot_be_loaded_is_one_message_and_the_server_lives(
    error: BaseException,
) -> None:
    def load(name: str, **_: object) -> Denoiser:
        raise error

    async with client(load) as c:
        for _ in range(3):
            assert await c.texts(c.inline()) is None
        (shown,) = c.shown()
        assert str(error) in shown
        status = await c.answer(c.request("workspace/executeCommand", {"command": "infill.status"}))
        assert status["result"]["failure"] in shown


async def test_a_model_that_breaks_while_it_works_is_one_message_and_null() -> None:
    async with client(Scripted("", error="out of memory: close something")) as c:
        for _ in range(3):
            assert await c.texts(c.inline()) is None
        (shown,) = c.shown()
        assert "out of memory: close something" in shown
        assert c.server.session.status()["failure"] == "out of memory: close something"


async def test_a_bug_is_an_error_without_traceback_and_the_server_lives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(canvas: object) -> tuple[str, ...]:
        raise LookupError("users" + "code")  # what a library says may quote what it was given

    async with client(Scripted(broken)) as c:
        answer = await c.answer(c.inline())
        assert answer["error"]["code"] == -32603
        assert "data" not in answer["error"]
        assert c.shown() == []
        assert "a handler failed" in caplog.text
        assert "userscode" not in caplog.text


async def test_a_read_given_up_just_as_there_is_something_leaves_no_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    async with client(Scripted("a + b")):
        here, there = socket.socketpair(socket.AF_UNIX)
        here.setblocking(False)
        with there:
            async with UNIXSocketStream(here) as stream:
                reading = asyncio.create_task(stream.receive())
                await asyncio.sleep(0.01)
                there.send(b"x")
                loop.call_soon(reading.cancel)
                await asyncio.wait({reading})
        assert "Exception in callback" not in caplog.text
        loop.call_exception_handler({"message": "another", "exception": LookupError()})
        assert "another" in caplog.text


async def test_while_the_model_loads_requests_get_null() -> None:
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def load(name: str, **_: object) -> Denoiser:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        return Scripted("a + b")

    c = Client(Settings(model="test"), load)
    serving = asyncio.create_task(c.server.serve(c.bodies(), c.output))
    await c.answer(c.request("initialize", {"capabilities": {}}))
    c.notify("initialized", {})
    c.open(URI)
    assert await c.texts(c.inline()) is None
    status = await c.answer(c.request("workspace/executeCommand", {"command": "infill.status"}))
    assert status["result"]["loading"] is True
    gate.set()
    await until(lambda: c.server.session.resident.denoiser is not None)
    assert await c.texts(c.inline()) == ["a + b"]
    c.end_of_input()
    await serving


async def test_load_progress_is_shown_to_a_client_that_can_show_it() -> None:
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def load(name: str, *, on_progress: Callable[[str, float], None], **_: object) -> Denoiser:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        on_progress("reading weights", 0.5)
        return Scripted("a + b")

    c = Client(Settings(model="test"), load)
    serving = asyncio.create_task(c.server.serve(c.bodies(), c.output))
    capabilities = {"window": {"workDoneProgress": True}}
    await c.answer(c.request("initialize", {"capabilities": capabilities}))
    c.notify("initialized", {})
    create = await c.message(lambda m: m.get("method") == "window/workDoneProgress/create")
    c.send({"id": create["id"], "result": None})
    await c.message(lambda m: m.get("method") == "$/progress")
    gate.set()
    await c.message(
        lambda m: m.get("method") == "$/progress" and m["params"]["value"]["kind"] == "end"
    )
    values = [m["params"]["value"] for m in c.output.messages if m.get("method") == "$/progress"]
    assert [value["kind"] for value in values] == ["begin", "report", "end"]
    assert values[1] | {"kind": ""} == {"kind": "", "message": "reading weights", "percentage": 50}
    c.end_of_input()
    await serving


async def test_what_auto_chose_and_why_stays_in_the_editor_s_log_and_in_the_status() -> None:
    def load(name: str, *, on_choice: Callable[[str], None], **_: object) -> Denoiser:
        if name == "auto":
            on_choice("auto chose small: no other network on disk fits")
        return Scripted("a + b")

    async with client(load) as c:
        c.notify("workspace/didChangeConfiguration", {"settings": {"infill": {"model": "auto"}}})
        said = await c.message(lambda m: m.get("method") == "window/logMessage")
        assert said["params"]["type"] == 3
        assert said["params"]["message"] == (
            "infill-lsp: auto chose small: no other network on disk fits"
        )
        await until(lambda: c.server.session.resident.denoiser is not None)
        command = {"command": "infill.status"}
        status = (await c.answer(c.request("workspace/executeCommand", command)))["result"]
        assert status["choice"] == "auto chose small: no other network on disk fits"
        assert c.shown() == []
        logged = [m for m in c.output.messages if m.get("method") == "window/logMessage"]
        assert len(logged) == 1
        # Of a model that was named there is no choice to tell.
        c.notify("workspace/didChangeConfiguration", {"settings": {"infill": {"model": "x"}}})
        await until(lambda: c.server.session.resident.denoiser is not None)
        status = (await c.answer(c.request("workspace/executeCommand", command)))["result"]
        assert (status["model"], status["choice"]) == ("x", None)


@pytest.mark.parametrize("answer", [{"error": {"code": -1, "message": "no"}}, None])
async def test_a_client_that_refuses_or_forgets_the_progress_token_gets_fills(
    answer: Message | None,
) -> None:
    capabilities = {"window": {"workDoneProgress": True}}
    async with client(Scripted("a + b"), capabilities=capabilities) as c:
        create = await c.message(lambda m: m.get("method") == "window/workDoneProgress/create")
        if answer is not None:
            c.send({"id": create["id"], **answer})
        assert await c.texts(c.inline()) == ["a + b"]
        assert c.shown() == []
        assert not any(m.get("method") == "$/progress" for m in c.output.messages)


async def test_a_bad_setting_is_named_once() -> None:
    async with client(Scripted("a + b"), {"infill": {"deadline": 5, "seed": "x"}}) as c:
        await until(lambda: len(c.shown()) == 2)
        for settings in ({"infill": {"deadline": 5}}, {"infill": {"deadline": 5, "max_lines": []}}):
            c.notify("workspace/didChangeConfiguration", {"settings": settings})
        assert await c.texts(c.inline()) == ["a + b"]
        deadline, seed, max_lines = c.shown()
        assert "'deadline'" in deadline
        assert "'seed'" in seed
        assert "'max_lines'" in max_lines


async def test_settings_can_change_at_any_time() -> None:
    async with client(Scripted("a + b"), {"max_lines": 3}) as c:
        c.notify("workspace/didChangeConfiguration", {"settings": {"infill": {"enabled": False}}})
        assert await c.texts(c.inline()) == []
        assert c.server.session.settings.max_lines == 3
        c.notify("workspace/didChangeConfiguration", {"settings": None})
        assert await c.texts(c.inline()) == []
        c.notify("workspace/didChangeConfiguration", {"settings": {}})
        assert await c.texts(c.inline()) == ["a + b"]


async def test_why_tells_how_the_last_request_ended() -> None:
    async def why(c: Client, uri: str) -> Message:
        params = {"command": "infill.why", "arguments": [uri]}
        result: Message = (await c.answer(c.request("workspace/executeCommand", params)))["result"]
        return result

    async with client(Scripted("a + b")) as c:
        assert "Nothing was asked" in (await why(c, "file:///never.py"))["explanation"]
        await c.texts(c.inline())
        told = await why(c, URI)
        assert told["reason"] is None
        assert told["steps"] == 4
        assert {"context_ms", "queue_ms", "steps_ms", "tidy_ms"} < set(told["timing"])
        c.notify("workspace/didChangeConfiguration", {"settings": {"enabled": False}})
        await c.texts(c.inline())
        assert (await why(c, URI))["reason"] == "disabled"


async def test_the_ignore_files_of_the_folder_that_holds_the_document_count(tmp_path: Path) -> None:
    outer, inner = tmp_path, tmp_path / "inner"
    inner.mkdir()
    (inner / ".infillignore").write_text("a.py\n")

    async with client(Scripted("a + b")) as c:
        for folder, name, offered in [
            (outer, "a.py", ["a + b"]),
            (inner, "b.py", ["a + b"]),
            (inner, "a.py", []),
        ]:
            c.server.folders = []
            event = {"added": [{"uri": f.as_uri(), "name": ""} for f in (outer, inner)],
                     "removed": []}  # fmt: skip
            c.notify("workspace/didChangeWorkspaceFolders", {"event": event})
            uri = (folder / name).as_uri()
            c.open(uri)
            assert await c.texts(c.inline(uri=uri)) == offered, uri
        assert c.server.session.why(uri)["reason"] == "ignored"
        event = {"added": [], "removed": [{"uri": outer.as_uri(), "name": ""}]}
        c.notify("workspace/didChangeWorkspaceFolders", {"event": event})
        await until(lambda: c.server.folders == [inner.as_uri()])


async def test_open_files_of_the_same_language_are_context_unless_switched_off() -> None:
    for other_files in (True, False):
        denoiser = Scripted("a + b")
        async with client(denoiser, {"other_files": other_files}) as c:
            text = "def helper_from_elsewhere(x):\n    return x\n"
            c.open("file:///w/b.py", text)
            await c.texts(c.inline())
            (canvas,) = denoiser.seen
            assert any("helper_from_elsewhere" in t for t in canvas.texts) == other_files
