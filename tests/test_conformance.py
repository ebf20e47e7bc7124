"""What is on the wire: raw frames to a server process over its standard input and output.

One test for each mistake that servers of this kind were seen to make, and frames that no client
should send.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from lsprotocol import types
from lsprotocol.converters import get_converter

from lsp.greeting import COMMANDS
from lsp.stdio import framed
from tests.raw_client import PATIENCE, ROOT, Message, RawClient, server_command

URI = "file:///w/a.py"
TEXT = "def add(a, b):\n    return \n"
INITIALIZE = {"processId": None, "rootUri": None, "capabilities": {}}


def scripted(text: str = "a + b", **script: object) -> list[str]:
    return server_command(model="scripted:" + json.dumps({"text": text, **script}))


@pytest.fixture(scope="module")
def shared() -> Iterator[RawClient]:
    """A server past the handshake that the tests share; each opens a document of its own."""
    with RawClient(scripted()) as client:
        client.initialize()
        client.when_ready()
        yield client
        assert client.process.poll() is None, client.log[-2000:]


@pytest.fixture
def client(shared: RawClient) -> Iterator[RawClient]:
    shared.messages.clear()
    shared.open(URI, TEXT)
    yield shared
    shared.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
    assert shared.ask("workspace/executeCommand", {"command": "infill.status"})["documents"] == 0


@pytest.fixture(scope="module")
def battered() -> Iterator[RawClient]:
    """A server for frames after which nobody can tell what is open and what is set."""
    with RawClient(scripted()) as client:
        client.initialize()
        yield client
        assert client.process.poll() is None, client.log[-2000:]


@pytest.fixture
def fresh() -> Iterator[RawClient]:
    """A server that has heard nothing yet."""
    with RawClient(scripted()) as client:
        yield client


def offered(client: RawClient, msg_id: int) -> list[str] | None:
    result = client.answer(msg_id)["result"]
    return None if result is None else [item["insertText"] for item in result["items"]]


def is_alive(client: RawClient) -> bool:
    return bool(client.ask("workspace/executeCommand", {"command": "infill.status"}))


# The handshake


def test_inline_completion_and_commands_are_advertised(fresh: RawClient) -> None:
    capabilities = fresh.initialize()["capabilities"]
    assert capabilities["inlineCompletionProvider"] == {}
    assert capabilities["textDocumentSync"] == {"openClose": True, "change": 2}
    assert capabilities["executeCommandProvider"]["commands"] == list(COMMANDS)
    assert capabilities["positionEncoding"] == "utf-16"
    readable = get_converter().structure(capabilities, types.ServerCapabilities)
    assert readable.inline_completion_provider == types.InlineCompletionOptions()


@pytest.mark.parametrize(
    ("offer", "chosen"),
    [
        (["utf-8", "utf-16", "utf-32"], "utf-8"),
        (["utf-32", "utf-8"], "utf-32"),
        (["utf-7", "utf-16"], "utf-16"),
        (["utf-7"], "utf-16"),
        ([], "utf-16"),
    ],
)
def test_the_clients_first_encoding_that_we_know_is_taken(offer: list[str], chosen: str) -> None:
    with RawClient(scripted("x")) as client:
        result = client.initialize(capabilities={"general": {"positionEncodings": offer}})
        assert result["capabilities"]["positionEncoding"] == chosen
        client.when_ready()
        client.open(URI, "é😀 = \n")
        column = {"utf-8": 9, "utf-16": 6, "utf-32": 5}[chosen]
        (item,) = client.answer(client.inline(URI, 0, column))["result"]["items"]
        at = {"line": 0, "character": column}
        assert (item["insertText"], item["range"]) == ("x", {"start": at, "end": at})


def test_initialize_is_answered_before_any_model_is_loaded() -> None:
    with RawClient(server_command(model="scripted:{broken")) as client:
        assert "capabilities" in client.ask("initialize", INITIALIZE)
        assert client.messages == []
        client.notify("initialized", {})
        message = client.notification("window/showMessage")["params"]
        assert message["type"] == 1
        assert "broken" in message["message"]
        client.open(URI, TEXT)
        for _ in range(3):  # the bundled model fills in its place
            assert offered(client, client.inline(URI, 1, 11))
        assert client.messages == []
        assert client.leave() == 0


def test_what_greets_the_editor_loads_no_protocol_types() -> None:
    """They take half a second to import, and `initialize` must not wait for them."""
    slow = {"lsprotocol", "pygls", "tree_sitter", "asyncio"}
    program = f"import sys, lsp.server; print(*(set(sys.modules) & {slow!r}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_request_before_initialize_is_refused(fresh: RawClient) -> None:
    for method in ("textDocument/inlineCompletion", "shutdown", "no/such"):
        assert fresh.answer(fresh.request(method, {}))["error"]["code"] == -32002
    fresh.open(URI, TEXT)
    fresh.initialize()
    assert fresh.ask("workspace/executeCommand", {"command": "infill.status"})["documents"] == 0


def test_initialize_with_unreadable_params_can_be_tried_again(fresh: RawClient) -> None:
    bad = fresh.request("initialize", {"capabilities": 5})
    assert fresh.answer(bad)["error"]["code"] == -32602
    assert "capabilities" in fresh.initialize()


def test_a_second_initialize_is_refused(client: RawClient) -> None:
    assert client.answer(client.request("initialize", INITIALIZE))["error"]["code"] == -32600
    assert offered(client, client.inline(URI, 1, 11)) == ["a + b"]


def test_after_shutdown_requests_are_refused_until_exit(fresh: RawClient) -> None:
    fresh.initialize()
    fresh.ask("shutdown")
    for method, params in (("shutdown", None), ("workspace/executeCommand", {"command": "x"})):
        assert fresh.answer(fresh.request(method, params))["error"]["code"] == -32600
    fresh.notify("exit")
    assert fresh.wait() == 0


# How it ends


def test_exit_without_shutdown_is_status_1(fresh: RawClient) -> None:
    fresh.initialize()
    fresh.notify("exit")
    assert fresh.wait() == 1


def test_exit_before_initialize_is_status_1(fresh: RawClient) -> None:
    fresh.notify("exit")
    assert fresh.wait() == 1


@pytest.mark.parametrize("shut_down", [True, False])
def test_the_end_of_input_ends_the_server(fresh: RawClient, shut_down: bool) -> None:
    fresh.initialize()
    if shut_down:
        fresh.ask("shutdown")
    fresh.stdin.close()
    assert fresh.wait() == (0 if shut_down else 1)


def test_an_input_that_ends_within_a_frame_ends_the_server(fresh: RawClient) -> None:
    fresh.initialize()
    fresh.send_bytes(b'Content-Length: 100\r\n\r\n{"jsonrpc"')
    fresh.stdin.close()
    assert fresh.wait() == 1


def test_a_client_that_no_longer_reads_ends_the_server() -> None:
    def sent(msg_id: int, method: str) -> None:
        message = {"jsonrpc": "2.0", "id": msg_id, "method": method, "params": INITIALIZE}
        process.stdin.write(framed(json.dumps(message).encode()))
        process.stdin.flush()

    pipe = subprocess.PIPE
    with subprocess.Popen(scripted(), stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin
        assert process.stdout
        sent(1, "initialize")
        process.stdout.readline()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            for msg_id in range(2, 5):
                sent(msg_id, "no/such")
        assert process.wait(PATIENCE) == 1
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_ctrl_c_ends_the_server_without_a_traceback(fresh: RawClient) -> None:
    fresh.initialize()
    assert is_alive(fresh)
    fresh.process.send_signal(signal.SIGINT)
    assert fresh.wait() == 130
    for reader in fresh._readers:
        reader.join()
    assert "Traceback" not in fresh.log


SLOW_LOAD = (
    "import sys, time; from infill.settings import Settings; import lsp.server, lsp.handlers; "
    "lsp.handlers.Server.__init__.__defaults__ = (lambda *_, **__: time.sleep(600),); "
    "sys.exit(lsp.server.serve_stdio(Settings()))"
)


@pytest.mark.parametrize("how", ["exit", "end of input"])
def test_a_model_that_is_still_loading_does_not_keep_the_server(how: str) -> None:
    with RawClient([sys.executable, "-c", SLOW_LOAD]) as client:
        client.initialize()
        assert client.ask("workspace/executeCommand", {"command": "infill.status"})["loading"]
        if how == "exit":
            assert client.leave() == 0
        else:
            client.stdin.close()
            assert client.wait() == 1


@pytest.mark.parametrize("how", ["exit", "end of input"])
def test_a_fill_that_is_still_running_does_not_keep_the_server(how: str) -> None:
    with RawClient(scripted(seconds_a_step=0.05, steps_a_fill=10_000)) as client:
        client.initialize({"deadline_ms": 500_000})
        client.when_ready()
        client.open(URI, TEXT)
        client.inline(URI, 1, 11)
        assert is_alive(client)
        if how == "exit":
            assert client.leave() == 0
        else:
            client.stdin.close()
            assert client.wait() == 1


# Mistakes seen in servers of this kind


def test_a_superseded_request_is_answered_with_null_and_the_newest_wins() -> None:
    with RawClient(scripted(seconds_a_step=0.05)) as client:
        client.initialize()
        client.when_ready()
        client.open(URI, TEXT)
        ids = [client.inline(URI, 1, 11) for _ in range(5)]
        assert [offered(client, i) for i in ids] == [None, None, None, None, ["a + b"]]


def test_a_cancelled_request_is_answered_and_its_steps_end() -> None:
    with RawClient(scripted(seconds_a_step=0.02, steps_a_fill=10_000)) as client:
        client.initialize({"deadline_ms": 500_000})
        client.when_ready()
        client.open(URI, TEXT)
        asked = client.inline(URI, 1, 11)
        while steps(client) < 3:
            pass
        client.cancel(asked)
        assert client.answer(asked)["error"]["code"] == -32800
        done = steps(client)
        for _ in range(10):
            assert steps(client) == done
        assert client.leave() == 0


def steps(client: RawClient) -> int:
    status = client.ask("workspace/executeCommand", {"command": "infill.status"})
    return int(status["steps"])


def test_text_sync_goes_on_while_the_model_works() -> None:
    with RawClient(scripted(seconds_a_step=0.02, steps_a_fill=10_000)) as client:
        client.initialize({"deadline_ms": 500_000})
        client.when_ready()
        client.open(URI, TEXT)
        stale = client.inline(URI, 1, 11)
        at = {"line": 1, "character": 11}
        client.change(URI, 2, {"range": {"start": at, "end": at}, "text": "a"})
        assert offered(client, stale) is None
        assert client.leave() == 0


def test_didopen_uses_the_text_given_not_the_disk(client: RawClient) -> None:
    client.open("file:///no/such/folder/a.py", TEXT)
    asked = client.inline("file:///no/such/folder/a.py", 1, 11)
    assert offered(client, asked) == ["a + b"]
    uri = {"uri": "file:///no/such/folder/a.py"}
    client.notify("textDocument/didClose", {"textDocument": uri})
    assert offered(client, client.inline(uri["uri"], 1, 11)) is None


def test_bad_notifications_do_not_end_the_server(client: RawClient) -> None:
    for method, params in [
        ("textDocument/didOpen", {}),
        ("textDocument/didOpen", None),
        ("textDocument/didClose", {"textDocument": {"uri": 5}}),
        ("textDocument/didClose", {"textDocument": {"uri": "file:///never/open"}}),
        ("textDocument/didChange", {"textDocument": {"uri": "file:///never/open", "version": 2},
                                    "contentChanges": [{"text": ""}]}),
        ("workspace/didChangeConfiguration", {}),
        ("workspace/didChangeConfiguration", {"settings": 5}),
        ("workspace/didChangeConfiguration", {"settings": None}),
        ("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": [
            {"uri": "file:///never", "name": ""}]}}),
        ("$/cancelRequest", {}),
        ("$/cancelRequest", {"id": None}),
        ("$/setTrace", {"value": "verbose"}),
        ("window/workDoneProgress/cancel", {"token": "unknown"}),
        ("notebookDocument/didOpen", {}),
        ("initialized", {}),
        ("no/such", {"a-b": 1}),
        ("$/optional", None),
        ("textDocument/inlineCompletion", {}),
    ]:  # fmt: skip
        client.notify(method, params)
    assert offered(client, client.inline(URI, 1, 11)) == ["a + b"]
    assert [m for m in client.messages if "method" in m] == []


def test_after_a_change_nobody_could_read_nothing_is_offered(client: RawClient) -> None:
    client.change(URI, 2, {"text": 5})
    assert offered(client, client.inline(URI, 1, 11)) is None
    client.open(URI, TEXT, version=3)
    assert offered(client, client.inline(URI, 1, 11)) == ["a + b"]


@pytest.mark.parametrize(
    "params",
    [
        None,
        [],
        5,
        {},
        {"textDocument": {"uri": URI}, "position": {"line": 1, "character": 11}},
        {"textDocument": {"uri": URI}, "position": {"line": -1, "character": 0},
         "context": {"triggerKind": 1}},
        {"textDocument": {"uri": URI}, "position": {"line": 2**40, "character": 0},
         "context": {"triggerKind": 1}},
        {"textDocument": {"uri": URI}, "position": {"line": "1", "character": 0},
         "context": {"triggerKind": 1}},
        {"textDocument": {"uri": 5}, "position": {"line": 1, "character": 0},
         "context": {"triggerKind": 1}},
        {"textDocument": {"uri": URI}, "position": {"line": 1, "character": 0},
         "context": {"triggerKind": 9}},
    ],
)  # fmt: skip
def test_params_that_cannot_be_read_are_an_error_and_no_popup(
    client: RawClient, params: Any
) -> None:
    error = client.answer(client.request("textDocument/inlineCompletion", params))["error"]
    assert error["code"] == -32602
    assert "textDocument/inlineCompletion" in error["message"]
    assert is_alive(client)
    assert client.messages == []


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_the_trigger_kinds_of_older_clients_are_accepted(client: RawClient, kind: int) -> None:
    assert offered(client, client.inline(URI, 1, 11, triggerKind=kind)) == ["a + b"]


def test_an_unknown_method_is_answered(client: RawClient) -> None:
    for method in ("no/such", "$/no/such", "textDocument/hover", "textDocument/didOpen", "exit"):
        answer = client.answer(client.request(method, {}))
        assert answer["error"]["code"] == -32601
    assert client.messages == []


def test_an_unknown_command_is_answered(client: RawClient) -> None:
    for params in ({"command": "no.such"}, {"command": "infill.why"},
                   {"command": "infill.why", "arguments": [5]}):  # fmt: skip
        answer = client.answer(client.request("workspace/executeCommand", params))
        assert answer["error"]["code"] == -32602
        assert "data" not in answer["error"]
    assert client.messages == []


def test_answers_to_nobodys_question_do_no_harm(client: RawClient) -> None:
    for message in ({"id": "unknown", "result": None}, {"id": 5, "error": {"code": 1}},
                    {"id": [], "result": 1}, {"id": None, "error": None}, {}):  # fmt: skip
        client.send({"jsonrpc": "2.0", **message})
    assert is_alive(client)
    assert client.messages == []


def test_positions_outside_the_document_are_moved_into_it(client: RawClient) -> None:
    at = {"line": 900, "character": 900}
    client.change(URI, 2, {"range": {"start": at, "end": at}, "text": "x = "})
    (item,) = client.answer(client.inline(URI, 2, 400))["result"]["items"]
    assert item["range"]["start"] == {"line": 2, "character": 4}


def test_several_changes_in_one_notification_apply_in_order(client: RawClient) -> None:
    def insert(line: int, text: str) -> Message:
        at = {"line": line, "character": 0}
        return {"range": {"start": at, "end": at}, "text": text}

    client.change(URI, 7, {"text": ""}, insert(0, "\n"), insert(1, "x = "), {"range": None, "text": "y = "})  # fmt: skip  # noqa: E501
    (item,) = client.answer(client.inline(URI, 0, 4))["result"]["items"]
    assert item["range"]["start"] == {"line": 0, "character": 4}


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_line_ends_of_every_kind(client: RawClient, end: str) -> None:
    client.open(URI, TEXT.replace("\n", end), version=2)
    (item,) = client.answer(client.inline(URI, 1, 11))["result"]["items"]
    at = {"line": 1, "character": 11}
    assert (item["insertText"], item["range"]) == ("a + b", {"start": at, "end": at})


def test_a_form_feed_and_a_byte_order_mark_shift_no_line(client: RawClient) -> None:
    client.open(URI, "\ufeffimport a\n\x0c\n# \u2028\n" + TEXT, version=2)
    (item,) = client.answer(client.inline(URI, 4, 11))["result"]["items"]
    assert item["range"]["start"] == {"line": 4, "character": 11}


def test_half_a_character_does_no_harm(client: RawClient) -> None:
    client.open(URI, "x = '\ud800'\n" + TEXT, version=2)
    assert "result" in client.answer(client.inline(URI, 2, 11))


def test_a_selected_popup_entry_is_gone_on_from(client: RawClient) -> None:
    client.open(URI, "value = pri\n", version=2)
    where = {"start": {"line": 0, "character": 8}, "end": {"line": 0, "character": 11}}
    asked = client.inline(URI, 0, 11, selectedCompletionInfo={"range": where, "text": "print("})
    for item in (client.answer(asked)["result"] or {"items": []})["items"]:
        assert item["range"] == where
        assert item["insertText"].startswith("print(")


def test_a_bad_setting_is_named_in_a_message() -> None:
    with RawClient(scripted()) as client:
        client.initialize({"infill": {"deadline": 1}})
        shown = client.notification("window/showMessage")["params"]
        assert shown["type"] == 2
        assert "'deadline'" in shown["message"]
        client.notify("workspace/didChangeConfiguration", {"settings": {"infill": {"seed": "x"}}})
        assert "'seed'" in client.notification("window/showMessage")["params"]["message"]


NOISY = (
    "import os, sys, lsp.server, lsp.handlers; from infill.settings import Settings\n"
    "from model.scripted import Scripted\n"
    "def load(*_, **__): print('from python'); os.write(1, b'from C'); return Scripted(noisy)\n"
    "def noisy(canvas): print('again', flush=True); return ('a + b',)\n"
    "lsp.handlers.Server.__init__.__defaults__ = (load,)\n"
    "sys.exit(lsp.server.serve_stdio(Settings()))"
)


def test_what_a_library_prints_does_not_reach_the_protocol() -> None:
    with RawClient([sys.executable, "-c", NOISY]) as client:
        client.initialize()
        client.when_ready()
        client.open(URI, TEXT)
        assert offered(client, client.inline(URI, 1, 11)) == ["a + b"]
        assert client.leave() == 0
        for reader in client._readers:
            reader.join()
        assert all(said in client.log for said in ("from python", "from C", "again"))


def test_no_code_of_the_user_reaches_the_log() -> None:
    with RawClient(scripted("secret_fill")) as client:
        client.initialize()
        client.when_ready()
        client.open(URI, TEXT + "# secret_text")
        client.inline(URI, 1, 11)
        client.change(URI, 2, {"text": {"secret_change": 1}})
        client.request("textDocument/inlineCompletion", {"secret_params": 1})
        client.request("secret/method", {"secret_params": 1})
        client.send_body(b'{"secret_body')
        client.send({"jsonrpc": "2.0", "id": "x", "result": {"secret_result": 1}})
        assert client.leave() == 0
        for reader in client._readers:
            reader.join()
        assert "refused request" in client.log  # at level debug there is a log
        assert "secret" not in client.log


# Frames no client should send


def test_a_body_that_is_no_message_is_answered_with_a_null_id(client: RawClient) -> None:
    not_json = [b"{", b"", b"\xff\xfe", b"[" * 99_999]
    not_objects = [b"[]", b"5", b"null"]
    for body, code in [*((b, -32700) for b in not_json), *((b, -32600) for b in not_objects)]:
        client.send_body(body)
        answer = client.expect(lambda m: "error" in m and m["id"] is None)
        assert answer["error"]["code"] == code
    assert is_alive(client)


def test_requests_with_odd_ids_are_answered(client: RawClient) -> None:
    for odd in (2**70, -1, 0, "", "é😀", "x" * 10_000):
        client.send({"jsonrpc": "2.0", "id": odd, "method": "no/such"})
        assert client.answer(odd)["error"]["code"] == -32601
    for no_id in (None, True, [], {}, 1.5):
        client.send({"jsonrpc": "2.0", "id": no_id, "method": "no/such"})
        answer = client.expect(lambda m: "error" in m and m["id"] is None)
        assert answer["error"]["code"] == -32600
    client.send({"id": "no version", "method": "shutdown"})
    assert client.answer("no version")["error"]["code"] == -32600
    client.send({"jsonrpc": "2.0", "id": "no name", "method": 5})
    assert client.answer("no name")["error"]["code"] == -32600


@pytest.mark.parametrize(
    "damage",
    [
        b"\r\n\r\n",
        b"garbage\r\n\r\n",
        b"Content-Length: many\r\n\r\n",
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"Content-Length: 999999999999\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
        b"Content-Type: text\r\n\r\n{}",
        b"Content-Length: 2\r\n\r\n{}}",
        b"Content-Length: 5\r\n\r\n{}",  # takes the first bytes of what follows
        b"\x00" * 100_000,
    ],
)
def test_after_a_damaged_frame_reading_goes_on(client: RawClient, damage: bytes) -> None:
    client.send_bytes(damage)
    client.request("lost/perhaps")
    assert is_alive(client)


def test_headers_in_any_case_and_order_are_read(client: RawClient) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": "odd header", "method": "no/such"}).encode()
    header = (
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\ncontent-length:  %d \r\n\r\n"
    )
    client.send_bytes(header % len(body) + body)
    assert client.answer("odd header")["error"]["code"] == -32601


def test_deeply_nested_params_are_answered(client: RawClient) -> None:
    deep = "[" * 700 + "]" * 700
    client.send_body(
        b'{"jsonrpc":"2.0","id":"deep","method":"workspace/executeCommand",'
        b'"params":{"command":"infill.why","arguments":%s}}' % deep.encode()
    )
    assert "error" in client.answer("deep")


SEEDS = [
    {"method": "textDocument/inlineCompletion", "params": {
        "textDocument": {"uri": URI}, "position": {"line": 1, "character": 11},
        "context": {"triggerKind": 1, "selectedCompletionInfo": {
            "range": {"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 11}},
            "text": "return "}}}},
    {"method": "workspace/executeCommand", "params": {"command": "infill.why", "arguments": [URI]}},
    {"method": "workspace/executeCommand", "params": {"command": "infill.status"}},
    {"method": "initialize", "params": {**INITIALIZE, "workspaceFolders": [
        {"uri": "file:///w", "name": "w"}]}},
    {"method": "textDocument/didChange", "params": {"textDocument": {"uri": URI, "version": 2},
        "contentChanges": [{"text": "x", "range": {"start": {"line": 0, "character": 1},
                                                   "end": {"line": 0, "character": 1}}}]}},
    {"method": "textDocument/didOpen", "params": {"textDocument": {
        "uri": URI, "languageId": "python", "version": 1, "text": TEXT}}},
    {"method": "workspace/didChangeConfiguration", "params": {"settings": {"infill": {"seed": 1}}}},
    {"method": "$/cancelRequest", "params": {"id": 3}},
]  # fmt: skip
ODD = [None, True, -1, 0, 2**31, 2**64, 1.5, 1e308, "", "x", "\ud800", "é😀\u2028", [], {}, [[]],
       {"jsonrpc": "2.0"}, "file:///%zz", "file://[", "x" * 5000]  # fmt: skip


def mutated(message: Any, chance: random.Random) -> Any:
    """The message with one place in it replaced, removed, doubled or renamed."""
    message = copy.deepcopy(message)
    node, spots = message, []
    stack = [node]
    while stack:
        node = stack.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            spots.append((node, key))
            if isinstance(node[key], dict | list):
                stack.append(node[key])
    node, key = chance.choice(spots)
    match chance.randrange(4):
        case 0 if isinstance(node, dict):
            node[chance.choice(["x", "id", "jsonrpc", "result", "error"])] = node.pop(key)
        case 1:
            del node[key]
        case 2:
            node[key] = [node[key], node[key]]
        case _:
            node[key] = chance.choice(ODD)
    return message


@pytest.mark.parametrize("seed", range(10))
def test_whatever_is_in_a_frame_every_id_is_answered_once(battered: RawClient, seed: int) -> None:
    """Broken at random, 200 messages a seed; requests keep an id that tells them apart."""
    client, chance = battered, random.Random(seed)
    asked: list[str] = []
    for number in range(200):
        message = chance.choice(SEEDS)
        for _ in range(chance.randint(1, 3)):
            message = mutated({"jsonrpc": "2.0", **message}, chance)
        if chance.random() < 0.7:
            message["id"] = f"{seed}-{number}"
            message.setdefault("method", "no/such")
            asked.append(message["id"])
        client.send(message)
    answers = [client.answer(msg_id) for msg_id in asked]
    assert all(("result" in answer) != ("error" in answer) for answer in answers)
    assert is_alive(client)
    left = [m["id"] for m in client.messages if "method" not in m]
    assert not set(left) & set(asked), "answered twice"
    assert not [m for m in client.messages if m.get("method") == "window/showMessage"
                and "unknown setting" not in m["params"]["message"]
                and "must be of type" not in m["params"]["message"]], "a popup"  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_bytes_broken_at_random_do_not_end_the_server(battered: RawClient, seed: int) -> None:
    client, chance = battered, random.Random(seed)
    for _ in range(100):
        body = bytearray(json.dumps({"jsonrpc": "2.0", "id": 1, **chance.choice(SEEDS)}).encode())
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(body))
            body[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        client.send_body(bytes(body))
    assert is_alive(client)
