"""Code actions on the wire: what is offered, and what one of them does to a document.

A script plays the model, so what is written is known to the letter; the client applies the edits
that it is sent, as an editor would.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from infill.deeds.joint import MOST
from infill.deeds.offers import LOOKED_AT
from model import Canvas, Denoiser, ModelError
from model.scripted import Scripted
from tests.raw_client import Message, RawClient, server_command
from tests.test_server import Client, settled, until
from tests.test_server import client as served

URI = "file:///w/a.py"
FIVE = """def area(width, height):
    ...


def half(x):
    return __HOLE__


def double(x):
    pass


def told(name):
    raise NotImplementedError


LIMIT = __HOLE__
"""
TEXTS = ["return width * height", "x / 2", "return x * 2", 'return f"{name}"', "100"]
FILLED = """def area(width, height):
    return width * height


def half(x):
    return x / 2


def double(x):
    return x * 2


def told(name):
    return f"{name}"


LIMIT = 100
"""
CAPABILITIES: Message = {
    "window": {"workDoneProgress": True},
    "workspace": {"applyEdit": True, "workspaceEdit": {"documentChanges": True}},
    "textDocument": {"codeAction": {"codeActionLiteralSupport": {"codeActionKind": {}}}},
}


def scripted(text: str | list[str], **script: object) -> list[str]:
    return server_command(model="scripted:" + json.dumps({"text": text, **script}))


class Editor(RawClient):
    """A client that shows progress and applies edits: what an editor does with an action."""

    def __init__(self, command: list[str]) -> None:
        super().__init__(command)
        self.unanswered: dict[object, Message] = {}  # edits

    def __enter__(self) -> Self:
        return self

    def begin(self, options: object = None, **params: Any) -> Message:
        capabilities = params.pop("capabilities", CAPABILITIES)
        result = self.initialize(options, capabilities, **params)
        self.when_ready()
        self.messages.clear()
        return result

    def plays(self, text: str | list[str], **script: object) -> None:
        """Has another script in the model's place from now on."""
        settings = {"model": "scripted:" + json.dumps({"text": text, **script})}
        self.notify("workspace/didChangeConfiguration", {"settings": settings})
        self.when_ready()
        self.messages.clear()  # the bar of the load among them, which is never agreed to

    def actions(self, line: int, character: int = 0, *, uri: str = URI, **more: Any) -> Any:
        """What is offered at a cursor, or from there to `end` (a line and a character)."""
        at = {"line": line, "character": character}
        end = dict(zip(("line", "character"), more.pop("end", (line, character)), strict=True))
        return self.ask(
            "textDocument/codeAction",
            {
                "textDocument": {"uri": uri},
                "range": {"start": at, "end": end},
                "context": {"diagnostics": [], **more},
            },
        )

    def titles(self, line: int, character: int = 0, **more: Any) -> list[str]:
        offered: list[Message] = self.actions(line, character, **more) or []
        return [each["title"] for each in offered]

    def take(self, title: str, line: int, character: int = 0, **more: Any) -> None:
        """Chooses the action from the menu."""
        actions = self.actions(line, character, **more)
        action = next(each for each in actions if each["title"].startswith(title))
        self.carry_out(action["command"])

    def carry_out(self, command: Message) -> None:
        self.ask(
            "workspace/executeCommand", {key: command[key] for key in ("command", "arguments")}
        )

    def progress(self) -> str:
        """Agrees to the bar that comes next; its token."""
        asked = self.expect(lambda it: it.get("method") == "window/workDoneProgress/create")
        self.reply(asked, None)
        return str(asked["params"]["token"])

    def bar(self) -> str:
        """Waits until a bar is shown; its token. Work that is done sooner shows none."""
        token = self.progress()
        self.expect(lambda it: it.get("method") == "$/progress" and it["params"]["token"] == token)
        return token

    def edit(self) -> Message:
        asked = self.expect(lambda it: it.get("method") == "workspace/applyEdit")
        self.unanswered[asked["id"]] = asked
        return asked

    def reply(self, asked: Message, result: object) -> None:
        self.unanswered.pop(asked["id"], None)
        self.send({"jsonrpc": "2.0", "id": asked["id"], "result": result})

    def said(self) -> str:
        return str(self.notification("window/showMessage")["params"]["message"])

    def kinds(self, token: str) -> list[str]:
        """Waits for a bar's end; what came under its token, in order."""
        seen: list[str] = []
        while "end" not in seen:
            value = self.expect(
                lambda it: it.get("method") == "$/progress" and it["params"]["token"] == token
            )["params"]["value"]
            seen.append(value["kind"])
        return seen

    def nothing_came(self, *methods: str) -> bool:
        self.ask("workspace/executeCommand", {"command": "infill.status"})
        return not [it for it in self.messages if it.get("method") in methods]


@pytest.fixture(scope="module")
def shared() -> Iterator[Editor]:
    with Editor(scripted(TEXTS)) as editor:
        editor.begin()
        yield editor
        assert editor.process.poll() is None, editor.log[-2000:]


@pytest.fixture
def editor(shared: Editor) -> Iterator[Editor]:
    shared.plays(TEXTS)
    yield shared
    for asked in list(shared.unanswered.values()):
        shared.reply(asked, {"applied": True})
    shared.notify("textDocument/didClose", {"textDocument": {"uri": URI}})


def after(text: str, asked: Message, uri: str = URI, version: int = 1) -> str:
    """The text with the edits of a request to apply them, which must be of this version alone."""
    (change,) = asked["params"]["edit"]["documentChanges"]
    assert change["textDocument"] == {"uri": uri, "version": version}
    lines = text.split("\n")
    for edit in reversed(change["edits"]):
        start, end = (offset(lines, edit["range"][name]) for name in ("start", "end"))
        text = text[:start] + edit["newText"] + text[end:]
    return text


def offset(lines: list[str], at: Message) -> int:
    number, units = int(at["line"]), int(at["character"])
    column = len(lines[number].encode("utf-16-le")[: 2 * units].decode("utf-16-le"))
    return sum(len(each) + 1 for each in lines[:number]) + column


def check(editor: Editor, text: str, title: str, line: int, becomes: str, **more: Any) -> None:
    editor.open(URI, text, **more)
    editor.take(title, line)
    asked = editor.edit()
    assert after(text, asked) == becomes
    editor.reply(asked, {"applied": True})


def test_filling_a_file_changes_its_five_holes_and_nothing_else(editor: Editor) -> None:
    check(editor, FIVE, "Fill all holes in this file (5)", 0, FILLED)


def test_filling_a_function_leaves_the_others_alone(editor: Editor) -> None:
    text = FIVE.replace("    return __HOLE__\n", "    y = __HOLE__\n    return __HOLE__\n")
    editor.plays(["1", "2"])
    editor.open(URI, text)
    assert "Fill all holes in this function (2)" in editor.titles(4)
    editor.take("Fill all holes in this function", 4)
    edits = editor.edit()["params"]["edit"]["documentChanges"][0]["edits"]
    assert [edit["range"]["start"]["line"] for edit in edits] == [5, 6]


def test_filling_one_hole_leaves_the_others_alone(editor: Editor) -> None:
    becomes = FIVE.replace("    ...\n", "    return width * height\n")
    check(editor, FIVE, "Fill this hole", 1, becomes)


def test_places_are_right_behind_characters_of_two_units_and_line_ends_are_the_file_s(
    editor: Editor,
) -> None:
    text = "s = '😀'; f(__HOLE__)\ng(__HOLE__)\n"
    editor.plays("1")
    editor.open(URI, text.replace("\n", "\r\n"))
    editor.take("Fill all holes", 0)
    (change,) = editor.edit()["params"]["edit"]["documentChanges"]
    starts = [edit["range"]["start"] for edit in change["edits"]]
    assert starts == [{"line": 0, "character": 12}, {"line": 1, "character": 2}]


def test_a_body_of_several_lines_comes_in_the_file_s_line_ends(editor: Editor) -> None:
    editor.plays("if x:\n        return 1\n    return 2")
    editor.open(URI, "def f(x):\r\n    pass\r\n")
    editor.take("Fill this hole", 1)
    (change,) = editor.edit()["params"]["edit"]["documentChanges"]
    (edit,) = change["edits"]
    assert edit["newText"] == "if x:\r\n        return 1\r\n    return 2"


def test_text_that_is_due_at_the_cursor_is_a_hole_too(editor: Editor) -> None:
    text = "def area(width, height):\n    \n"
    check(editor, text, "Fill this hole", 1, text[:-1] + "return width * height\n")


def test_a_docstring_is_written_on_a_line_of_its_own(editor: Editor) -> None:
    editor.plays("Say it.")
    text = "def area(width, height):\n    return width\n"
    becomes = 'def area(width, height):\n    """Say it."""\n    return width\n'
    check(editor, text, "Write docstring", 0, becomes)


@pytest.mark.parametrize("text", ['Say """ it.', "Say it\\", "Say"])
def test_a_docstring_that_would_end_itself_or_is_one_word_is_refused(
    editor: Editor, text: str
) -> None:
    editor.plays(text)
    editor.open(URI, "def area(width, height):\n    return width\n")
    editor.take("Write docstring", 0)
    assert "nothing was filled" in editor.said()
    assert editor.nothing_came("workspace/applyEdit")


USED = "def area(width):\n    return width\n\n\nx = area(1)\ny = area(2)\n"


def test_a_parameter_is_added_and_given_at_each_use(editor: Editor) -> None:
    editor.plays(["height", "3", "4"])
    becomes = "def area(width, height):\n    return width\n\n\nx = area(1, 3)\ny = area(2, 4)\n"
    check(editor, USED, "Add a parameter", 0, becomes)


def test_a_parameter_that_a_use_would_lack_is_not_added(editor: Editor) -> None:
    editor.plays(["height", "3, 4", "5"])
    editor.open(URI, USED)
    editor.take("Add a parameter", 0)
    assert "Nothing was changed" in editor.said()
    assert editor.nothing_came("workspace/applyEdit")


def test_each_action_is_offered_only_where_it_applies(editor: Editor) -> None:
    editor.open(URI, USED + "\n\ndef half(x):\n    pass\n")
    fill, docstring, add = (
        "Fill this hole",
        "Write docstring",
        "Add a parameter and update its uses",
    )
    titles = {line: editor.titles(line) for line in (0, 1, 4, 8, 9)}
    assert [docstring in titles[line] for line in titles] == [True, False, False, True, False]
    assert [fill in titles[line] for line in titles] == [False, False, False, False, True]
    added = [any(it.startswith(add) for it in titles[line]) for line in titles]
    assert added == [True, False, False, False, False]


def test_actions_are_commands_without_data_and_resolving_one_changes_nothing(
    editor: Editor,
) -> None:
    editor.open(URI, FIVE)
    action = editor.actions(1)[0]
    assert set(action) == {"title", "kind", "command"}
    assert editor.ask("codeAction/resolve", action) == action


def test_only_the_kinds_that_are_asked_for_are_offered(editor: Editor) -> None:
    editor.open(URI, FIVE)
    assert editor.titles(1, only=["refactor"])
    assert not editor.titles(1, only=["source.organizeImports"])


def test_a_client_that_knows_no_action_objects_gets_commands() -> None:
    known = {key: CAPABILITIES[key] for key in ("workspace", "window")}
    with Editor(scripted(TEXTS)) as editor:
        editor.begin(capabilities=known)
        editor.open(URI, FIVE)
        (command, *_) = editor.actions(1)
        editor.carry_out(command)
        assert "return width * height" in after(FIVE, editor.edit())


def test_nothing_is_offered_to_a_client_that_applies_no_edits() -> None:
    with Editor(scripted(TEXTS)) as editor:
        result = editor.begin(capabilities={})
        assert "codeActionProvider" not in result["capabilities"]
        editor.open(URI, FIVE)
        assert editor.actions(1) is None


def test_resolving_is_never_offered(shared: Editor) -> None:
    with Editor(scripted(TEXTS)) as editor:
        offered = editor.begin()["capabilities"]["codeActionProvider"]
    assert set(offered) == {"codeActionKinds"}


def test_nothing_is_offered_in_a_huge_file_nor_in_one_that_is_secret(
    editor: Editor, tmp_path: Path
) -> None:
    editor.open(URI, f"{FIVE}# {'a' * LOOKED_AT}\n")
    assert editor.actions(1) is None
    secret = (tmp_path / ".env").as_uri()
    editor.open(secret, "A=__HOLE__\n", "plaintext")
    assert editor.actions(0, uri=secret) is None


def place(uri: str = URI, version: int = 1, line: int = 0) -> Message:
    at = {"line": line, "character": 0}
    return {"deed": "fill-file", "uri": uri, "version": version, "range": {"start": at, "end": at}}


def test_a_secret_file_is_refused_in_words_when_the_command_comes_all_the_same(
    editor: Editor, tmp_path: Path
) -> None:
    secret = (tmp_path / ".env").as_uri()
    editor.open(secret, "A=__HOLE__\n", "plaintext")
    editor.carry_out({"command": "infill.act", "arguments": [place(secret)]})
    assert "secrets" in editor.said()
    assert editor.nothing_came("workspace/applyEdit")


@pytest.mark.parametrize(
    "arguments",
    [[], ["fill-file"], [{"deed": "fly"}], [{**place(), "deed": "fly"}], [{**place(), "range": 1}]],
    ids=str,
)
def test_a_command_that_cannot_be_read_is_answered_with_what_it_takes(
    editor: Editor, arguments: list[object]
) -> None:
    params = {"command": "infill.act", "arguments": arguments}
    error = editor.answer(editor.request("workspace/executeCommand", params))["error"]
    assert "fill-file" in error["message"] or "fill-file" in str(error.get("data"))


def test_an_action_that_was_offered_for_an_older_text_is_refused(editor: Editor) -> None:
    editor.open(URI, FIVE)
    (action, *_) = editor.actions(1)
    editor.change(URI, 2, {"text": "\n" + FIVE})
    editor.carry_out(action["command"])
    assert "changed since" in editor.said()
    assert editor.nothing_came("workspace/applyEdit")


def test_a_document_that_is_not_open_is_not_touched(editor: Editor, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(FIVE)
    editor.carry_out({"command": "infill.act", "arguments": [place(file.as_uri())]})
    assert "a.py is not open" in editor.said()
    assert file.read_text() == FIVE


@pytest.fixture
def slow(editor: Editor) -> Editor:
    """A model that takes its time: five seconds a fill, if nobody stops it."""
    editor.plays(TEXTS, seconds_a_step=0.05, steps_a_fill=100)
    editor.open(URI, FIVE)
    return editor


def test_the_command_is_answered_before_the_work_is_done(slow: Editor) -> None:
    began = time.monotonic()
    slow.take("Fill all holes in this file", 0)
    assert time.monotonic() - began < 4  # it would take five
    slow.progress()
    assert slow.nothing_came("workspace/applyEdit")


def test_an_edit_is_not_sent_for_a_text_that_changed_meanwhile(slow: Editor) -> None:
    slow.take("Fill all holes in this file", 0)
    token = slow.bar()
    slow.change(URI, 2, {"text": FIVE + "\n"})
    assert "Nothing was written: a.py changed meanwhile (filling all holes)." in slow.said()
    assert slow.kinds(token)[-1] == "end"
    assert slow.nothing_came("workspace/applyEdit")


def test_cancelling_leaves_no_trace_and_stops_the_model(slow: Editor) -> None:
    slow.take("Fill all holes in this file", 0)
    token = slow.progress()
    began = slow.expect(lambda it: it.get("method") == "$/progress")["params"]["value"]
    assert began["kind"] == "begin"
    assert began["cancellable"] is True
    slow.notify("window/workDoneProgress/cancel", {"token": token})
    assert slow.kinds(token)[-1] == "end"
    assert slow.nothing_came("workspace/applyEdit", "window/showMessage")
    status = {"command": "infill.status"}
    steps = slow.ask("workspace/executeCommand", status)["steps"]
    assert slow.ask("workspace/executeCommand", status)["steps"] == steps


def test_a_command_cancels_for_editors_without_a_button(slow: Editor) -> None:
    slow.take("Fill all holes in this file", 0)
    token = slow.bar()
    slow.ask("workspace/executeCommand", {"command": "infill.cancel"})
    assert slow.kinds(token)[-1] == "end"
    assert slow.nothing_came("workspace/applyEdit", "window/showMessage")


def test_a_newer_action_on_the_same_document_takes_the_place_of_the_older(slow: Editor) -> None:
    slow.take("Fill all holes in this file", 0)
    first = slow.bar()
    slow.take("Fill all holes in this file", 0)
    assert slow.kinds(first)[-1] == "end"
    slow.progress()
    slow.reply(slow.edit(), {"applied": True})
    assert slow.nothing_came("workspace/applyEdit")


def test_closing_the_document_ends_the_work(slow: Editor) -> None:
    slow.take("Fill all holes in this file", 0)
    token = slow.bar()
    slow.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
    assert slow.kinds(token)[-1] == "end"
    assert slow.nothing_came("workspace/applyEdit")


def test_progress_begins_and_ends(editor: Editor) -> None:
    editor.open(URI, FIVE)
    editor.take("Fill all holes in this file", 0)
    token = editor.progress()
    asked = editor.edit()
    editor.reply(asked, {"applied": True})
    kinds = editor.kinds(token)
    assert kinds[0] == "begin"
    assert kinds.count("begin") == kinds.count("end") == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"result": {"applied": False, "failureReason": "read-only"}}, "read-only"),
        ({"result": {"applied": False}}, "no reason"),
        ({"error": {"code": -32603, "message": "E21: not modifiable"}}, "not modifiable"),
    ],
    ids=["refused", "silent", "failed"],
)
def test_an_editor_that_refuses_the_edit_is_told_of(
    editor: Editor, answer: Message, why: str
) -> None:
    editor.open(URI, FIVE)
    editor.take("Fill all holes in this file", 0)
    token = editor.progress()
    editor.send({"jsonrpc": "2.0", "id": editor.edit()["id"], **answer})
    said = editor.said()
    assert why in said
    assert "Nothing was written" in said
    assert editor.kinds(token)[-1] == "end"


def test_a_model_that_fails_is_told_of_each_time_and_no_bar_stays(editor: Editor) -> None:
    editor.plays("a", error="the GPU is out of memory")
    editor.open(URI, FIVE)
    for _ in range(2):
        editor.take("Fill all holes in this file", 0)
        editor.progress()
        assert "the GPU is out of memory" in editor.said()
    assert editor.nothing_came("workspace/applyEdit")
    kinds = [
        it["params"]["value"]["kind"] for it in editor.messages if it["method"] == "$/progress"
    ]
    assert kinds.count("begin") == kinds.count("end")


BROKEN = "def area(width, height:\n    return width * height\n"


def test_a_file_that_does_not_parse_is_repaired(editor: Editor) -> None:
    check(editor, BROKEN, "Repair syntax here", 0, BROKEN.replace("height:", "height):"))


def test_repair_is_offered_as_a_quick_fix_and_only_where_something_is_broken(
    editor: Editor,
) -> None:
    editor.open(URI, BROKEN)
    repair = "Repair syntax here"
    kinds = {it["title"]: it["kind"] for it in editor.actions(0)}
    assert kinds[repair] == "quickfix"
    assert editor.titles(0, only=["quickfix"]) == [repair]
    assert repair not in editor.titles(0, only=["refactor"])
    editor.change(URI, 2, {"text": BROKEN.replace("height:", "height):")})
    assert repair not in editor.titles(0)


SELECTED = "def area(width, height):\n    return width * height\n"
SELECTION: dict[str, Any] = {"line": 1, "character": 11, "end": (1, 25)}


def test_a_selection_is_rewritten_and_what_is_round_it_stays(editor: Editor) -> None:
    editor.plays("height * width")
    editor.open(URI, SELECTED)
    strengths = [it for it in editor.titles(**SELECTION) if it.startswith("Rewrite")]
    assert strengths == [f"Rewrite selection {how}" for how in ("gently", "moderately", "freely")]
    assert not [it for it in editor.titles(1, 11) if it.startswith("Rewrite")]
    editor.take("Rewrite selection gently", **SELECTION)
    asked = editor.edit()
    assert after(SELECTED, asked) == SELECTED.replace("width * height", "height * width")
    editor.reply(asked, {"applied": True})


@pytest.mark.parametrize("chosen", [0, 1, None], ids=["first", "second", "none"])
async def test_of_several_variants_the_user_chooses_or_none(chosen: int | None) -> None:
    texts = iter(["height * width", "width * (height)"] * 9)
    denoiser = Scripted(lambda canvas: (next(texts),))
    window = {"workDoneProgress": True, "showMessage": dict[str, str]()}
    capabilities: Message = {**CAPABILITIES, "window": window}
    async with served(denoiser, capabilities=capabilities) as client:
        client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        client.open(URI, SELECTED)
        at = {"start": {"line": 1, "character": 11}, "end": {"line": 1, "character": 25}}
        wish = {"deed": "rewrite-freely", "uri": URI, "range": at}
        client.request("workspace/executeCommand", {"command": "infill.act", "arguments": [wish]})
        asked = await client.message(lambda it: it.get("method") == "window/showMessageRequest")
        actions = asked["params"]["actions"]
        assert {it["title"][3:] for it in actions} == {"height * width", "width * (height)"}
        client.send({"id": asked["id"], "result": None if chosen is None else actions[chosen]})
        if chosen is None:
            await client.answer(client.request("workspace/executeCommand", STATUS))
            assert "workspace/applyEdit" not in [it.get("method") for it in client.output.messages]
            return
        edit = await client.message(lambda it: it.get("method") == "workspace/applyEdit")
        (change,) = edit["params"]["edit"]["documentChanges"]
        assert change["edits"][0]["newText"] == actions[chosen]["title"][3:]


STATUS = {"command": "infill.status"}


async def asked(client: Client) -> str:
    """Asks for all holes to be filled; what the user is told."""
    client.request("workspace/executeCommand", {"command": "infill.act", "arguments": [place()]})
    await until(lambda: bool(client.shown()))
    return client.shown()[-1]


async def test_without_a_model_the_user_hears_so() -> None:
    def load(name: str, **_: object) -> Denoiser:
        raise ModelError("no weights there")

    async with served(load, capabilities=CAPABILITIES) as client:
        client.output.messages.clear()
        assert "No model is loaded: no weights there" in await asked(client)


async def test_a_bug_is_told_without_the_user_s_code_and_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def stumble(canvas: Canvas) -> tuple[str, ...]:
        raise RuntimeError(f"stumbled over {canvas.texts[0]}")

    text = "unmistakable = __HOLE__\n"
    async with served(Scripted(stumble), capabilities=CAPABILITIES) as client:
        client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        client.open(URI, text)
        said = await asked(client)
        assert "Nothing was changed" in said
        assert "RuntimeError" in said
        assert "unmistakable" not in said + caplog.text
        assert "stumble" in caplog.text


@pytest.mark.parametrize("how", ["a cancel", "a change"])
async def test_no_step_starts_after(how: str) -> None:
    denoiser = Scripted("1", seconds_a_step=0.01, steps_a_fill=100_000)
    async with served(denoiser, capabilities=CAPABILITIES) as client:
        client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        client.open(URI, FIVE)
        client.request(
            "workspace/executeCommand", {"command": "infill.act", "arguments": [place()]}
        )
        await until(lambda: denoiser.steps > 1)
        if how == "a change":
            client.insert(2, "#", 0, 0)
        else:
            client.request("workspace/executeCommand", {"command": "infill.cancel"})
        await client.answer(client.request("workspace/executeCommand", STATUS))
        steps = await settled(denoiser)
        assert await settled(denoiser) == steps
        assert "workspace/applyEdit" not in [it.get("method") for it in client.output.messages]


def test_two_hundred_holes_are_filled_in_one_edit(editor: Editor) -> None:
    text = "".join(f"x{n} = __HOLE__\n" for n in range(200))
    editor.plays([str(n) for n in range(10, 18)])
    editor.open(URI, text)
    editor.take("Fill all holes in this file (200)", 0)
    token = editor.progress()
    asked = editor.edit()
    assert "__HOLE__" not in after(text, asked)
    assert len(asked["params"]["edit"]["documentChanges"][0]["edits"]) == 200
    editor.reply(asked, {"applied": True})
    assert editor.kinds(token)[-1] == "end"


@pytest.fixture
def two_hundred(editor: Editor) -> Editor:
    """A file of so many holes, on some 25 canvases of a tenth of a second each."""
    editor.plays([str(n) for n in range(10, 18)], seconds_a_step=0.02, steps_a_fill=5)
    editor.open(URI, "".join(f"x{n} = __HOLE__\n" for n in range(200)))
    editor.take("Fill all holes in this file (200)", 0)
    return editor


def test_the_bar_of_two_hundred_holes_moves_and_tells_how_many_are_done(
    two_hundred: Editor,
) -> None:
    token = two_hundred.progress()
    two_hundred.reply(two_hundred.edit(), {"applied": True})
    told: list[Message] = []
    while not told or told[-1]["kind"] != "end":
        told.append(
            two_hundred.expect(
                lambda it: it.get("method") == "$/progress" and it["params"]["token"] == token
            )["params"]["value"]
        )
    shares = [each["percentage"] for each in told if each["kind"] == "report"]
    assert shares == sorted(shares)
    assert len(set(shares)) > 20
    said = [str(each.get("message", "")) for each in told[1:-1]]
    done = [int(each.partition(" of 200 holes")[0]) for each in said]
    assert len(set(done)) > 10
    assert done == sorted(done)


def test_two_hundred_holes_are_given_up_within_a_step_and_without_a_trace(
    two_hundred: Editor,
) -> None:
    token = two_hundred.bar()
    two_hundred.notify("window/workDoneProgress/cancel", {"token": token})
    assert two_hundred.kinds(token)[-1] == "end"
    assert two_hundred.nothing_came("workspace/applyEdit", "window/showMessage")
    status = {"command": "infill.status"}
    steps = two_hundred.ask("workspace/executeCommand", status)["steps"]
    time.sleep(0.2)  # ten steps, were they made
    assert two_hundred.ask("workspace/executeCommand", status)["steps"] == steps


def test_of_more_holes_than_are_filled_in_one_go_the_user_hears(editor: Editor) -> None:
    text = "".join(f"x{n} = __HOLE__\n" for n in range(MOST + 3))
    editor.plays([str(n) for n in range(10, 18)])
    editor.open(URI, text)
    editor.take("Fill all holes in this file", 0)
    asked = editor.edit()
    assert after(text, asked).count("__HOLE__") == 3
    editor.reply(asked, {"applied": True})
    assert str(MOST + 3) in editor.said()


def test_what_could_not_be_filled_is_told_and_the_rest_is_filled(editor: Editor) -> None:
    editor.plays(["1", ")"])
    editor.open(URI, "x = __HOLE__\ny = __HOLE__\n")
    editor.take("Fill all holes in this file", 0)
    asked = editor.edit()
    assert after("x = __HOLE__\ny = __HOLE__\n", asked) == "x = 1\ny = __HOLE__\n"
    editor.reply(asked, {"applied": True})
    assert "1 of 2 holes" in editor.said()


def test_a_hole_in_a_string_of_a_broken_file_is_filled_or_told_and_nothing_is_lost(
    editor: Editor,
) -> None:
    text = "def f(:\n    x = 'a __HOLE__ b\n    return (x\n"
    editor.plays("word")
    check(editor, text, "Fill this hole", 1, text.replace("__HOLE__", "word"))
    editor.plays("'wo")
    editor.take("Fill this hole", 1)
    assert "nothing was filled" in editor.said()
    assert editor.nothing_came("workspace/applyEdit")


def test_no_word_of_the_code_reaches_the_log(editor: Editor) -> None:
    editor.open(URI, FIVE.replace("area", "unmistakable"))
    editor.take("Fill all holes in this file", 0)
    editor.reply(editor.edit(), {"applied": False, "failureReason": "unmistakable"})
    editor.said()
    assert "unmistakable" not in editor.log
