"""What becomes of fills is told from the text, followed for a minute, and counted without loss."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infill import statistics
from infill.document import Document
from infill.edit import Edit
from infill.fill import fill_holes
from infill.settings import Settings
from infill.shown import MINUTE, Shown, Stretch, edit_between, moved
from infill.statistics import COUNTED, Statistics, rows
from lsp.sync import lines_of
from model import Hole
from model.scripted import Scripted
from tests.nvim import Neovim, find_neovim
from tests.raw_client import ROOT, Message, RawClient, server_command
from tests.servers import until
from tests.serving import Served, serving
from tests.strategies import texts

URI = "file:///tmp/adding.py"
TEXT = "def add(a, b):\n    return \n"
TODAY = date.today().isoformat()


# Places, followed through edits


@given(texts(), texts())
def test_the_edit_between_two_texts_leads_from_one_to_the_other(one: str, other: str):
    before, after = lines_of(one), lines_of(other)
    one, other = "".join(before), "".join(after)
    edit = edit_between(before, after)
    assert one[: edit.start] + edit.text + one[edit.end :] == other
    assert (edit.start == edit.end and not edit.text) == (one == other)


@st.composite
def followed(draw: st.DrawFn) -> tuple[str, Stretch, list[tuple[bool, str, Stretch]]]:
    """A stretch of a text, and edits one after the other: whether it was outside of the stretch,
    the text after it, and where the stretch is then said to be."""
    document = draw(texts(max_size=12))
    start = draw(st.integers(0, len(document)))
    end = draw(st.integers(start, len(document)))
    first = stretch = Stretch(document[start:end], start, end)
    told = list[tuple[bool, str, Stretch]]()
    text = document
    for _ in range(draw(st.integers(1, 4))):
        a = draw(st.integers(0, len(text)))
        b = draw(st.integers(a, len(text)))
        edit = Edit(a, b, draw(st.sampled_from(("", "x", "y = 1\n", "return"))))
        outside = b <= stretch.start or a >= stretch.end
        text = text[:a] + edit.text + text[b:]
        stretch = moved(stretch, edit)
        told.append((outside, text, stretch))
    return document, first, told


@given(followed())
def test_edits_beside_a_stretch_move_it_and_those_within_stay_in_it(
    drawn: tuple[str, Stretch, list[tuple[bool, str, Stretch]]],
):
    before, stretch, edits = drawn
    for outside, document, now in edits:
        assert 0 <= now.start <= now.end <= len(document)
        if outside:
            assert document[now.start : now.end] == before[stretch.start : stretch.end]
        kept = len(document) - (now.end - now.start)
        assert kept <= len(before) - (stretch.end - stretch.start) or outside
        before, stretch = document, now


# What became of a fill

OFFER = "a + b * total"


class Window:
    """A document with fills shown in it, and a clock."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.seen = Shown(lambda what, language: self.counts.update([what]))
        self.document = ""
        self.now = 0.0

    def shows(self, marked: str, text: str = OFFER) -> str:
        """A fill where the cursor stands, in the text that the document has now."""
        cursor = marked.index("‸")
        self.document = marked.replace("‸", "")
        return self.seen.shown("key", self.document, Edit(cursor, cursor, text), "python")

    def becomes(self, document: str) -> None:
        before, self.document = self.document, document
        self.seen.changed("key", lines_of(before), lines_of(document), lambda: document, self.now)

    def types(self, at: str, text: str) -> None:
        """Key by key, behind the first place where `at` stands."""
        for c in text:
            place = self.document.index(at) + len(at)
            self.becomes(self.document[:place] + c + self.document[place:])
            at += c

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.seen.passed(self.now, lambda key: self.document)

    @property
    def told(self) -> str:
        return " ".join(f"{self.counts[name]} {name}" for name in COUNTED if self.counts[name])


@pytest.mark.parametrize(
    ("documents", "told"),
    [
        (["x = a + b * total\n"], "1 shown 1 accepted 1 kept"),
        (["x = a \n", "x = a + b \n", "y\n"], "1 shown 1 partly"),
        (["x = a \n", "x = a + b \n", "x = a + b * total\n"], "1 shown 1 accepted 1 kept"),
        (["x = a + b * tot\n"], "1 shown"),  # who pastes the beginning of it
        (["x = a + b * total + 1\n"], "1 shown"),
        (["x = other\n"], "1 shown"),
        (["x = o\n", "x = \n", "x = a + b * total\n"], "1 shown 1 accepted 1 kept"),
        (["x = a + b * total\n", "x = \n"], "1 shown 1 accepted"),
        (["x = a + b * total\n", "x = \n", "x = a + b * total\n"], "1 shown 1 accepted 1 kept"),
        (["x = a + b * total\n", "x = a - b * total\n"], "1 shown 1 accepted"),
        (["x = a + b * total\n", "import os\nx = a + b * total\n"], "1 shown 1 accepted 1 kept"),
        (["x = a + b * total\n", "x = a + b * total\ny = 1\n"], "1 shown 1 accepted 1 kept"),
        ([], "1 shown"),
    ],
)
def test_what_became_of_a_fill_is_told_from_the_text(documents: list[str], told: str):
    window = Window()
    window.shows("x = ‸\n")
    for document in documents:
        window.becomes(document)
    window.seen.closed("key", window.document)
    assert window.told == told


def test_what_is_typed_key_by_key_was_not_accepted():
    window = Window()
    window.shows("x = ‸\n")
    window.types("x = ", OFFER)
    assert window.told == "1 shown"


def test_a_key_that_also_indents_is_a_key():
    window = Window()
    window.shows("if x:‸\n", "\n    return y\n    pass")
    window.becomes("if x:\n    \n")
    window.seen.closed("key", window.document)
    assert window.told == "1 shown"


def test_a_fill_that_is_typed_along_is_shown_once_and_its_rest_can_be_accepted():
    window = Window()
    first = window.shows("x = ‸\n")
    window.types("x = ", "a +")
    assert window.shows("x = a +‸\n", OFFER[3:]) == first
    window.becomes("x = a + b * total\n")
    window.later(MINUTE)
    assert window.told == "1 shown 1 accepted 1 kept"


def test_another_fill_is_another():
    window = Window()
    first = window.shows("x = ‸\n")
    assert window.shows("x = ‸\n", "other") != first
    window.becomes("x = other\n")
    assert window.told == "2 shown 1 accepted"


@pytest.mark.parametrize("tells_first", [True, False])
def test_an_editor_that_tells_is_believed_and_counted_once(tells_first: bool):
    window = Window()
    name = window.shows("f(‸\n", ")")  # one character, as a key would write
    if tells_first:
        window.seen.accepted(name, 0.0)
    window.becomes("f()\n")
    if not tells_first:
        window.seen.accepted(name, 0.0)
    window.seen.accepted(name, 0.0)
    window.later(MINUTE)
    assert window.told == "1 shown 1 accepted 1 kept"


def test_an_editor_may_be_late_to_tell():
    window = Window()
    name = window.shows("f(‸\n", ")")
    window.becomes("f()\n")
    window.shows("f()‸\n", " + 1")
    window.seen.accepted(name, 0.0)
    window.seen.accepted("unknown", 0.0)
    assert window.told == "2 shown 1 accepted"


def test_each_of_several_texts_can_be_the_one_that_is_accepted():
    window = Window()
    window.document = "x = \n"
    edits = [Edit(4, 4, text) for text in ("a + b", "a * b * c", "first(a)")]
    window.seen.shown("key", window.document, edits[0], "python", edits[1:])
    for tried in ("f", "", "a", "a *", "a * b * c"):
        window.becomes(f"x = {tried}\n")
    window.later(MINUTE)
    assert window.told == "1 shown 1 accepted 1 kept"


def test_kept_is_what_stands_a_minute_later():
    window = Window()
    window.shows("x = ‸\n")
    window.becomes("x = a + b * total\n")
    window.later(MINUTE - 1)
    assert window.counts["kept"] == 0
    window.becomes("y = 2\nx = a + b * total  # sum\n")
    window.becomes("y = 2\nx = a + b * grand_total  # sum\n")
    window.becomes("y = 2\nx = a + b * total  # sum\n")
    window.later(1)
    assert window.counts["kept"] == 1
    assert not window.seen.follows


def test_what_is_deleted_within_the_minute_is_not_kept():
    window = Window()
    window.shows("x = ‸\n")
    window.becomes("x = a + b * total\n")
    window.later(MINUTE / 2)
    window.becomes("x = \n")
    window.becomes("a + b * total\nx = \n")  # elsewhere
    window.later(MINUTE)
    assert window.told == "1 shown 1 accepted"


# The file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "statistics.json"


def total(file: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in rows(file, 1):
        found.update(row.counts)
    return found


COUNTING = """
import sys; from pathlib import Path
from infill.statistics import Statistics
some = Statistics(Path(sys.argv[1]))
for i in range(60):
    some.count("shown", "python")
    assert some.write(60.0)
"""


def test_windows_that_write_at_once_lose_no_count(file: Path):
    command = [sys.executable, "-c", COUNTING, str(file)]
    for process in [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]:
        assert process.wait(60) == 0
    assert total(file)["shown"] == 240
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == ["statistics.json", "statistics.lock"]  # fmt: skip  # noqa: E501


def test_days_and_languages_are_told_apart_and_old_days_dropped(file: Path):
    long_ago = (date.today() - timedelta(days=500)).isoformat()
    yesterday = (date.today() - timedelta(days=1)).isoformat()
    file.parent.mkdir()
    days = {long_ago: {"go": {"shown": 7}}, yesterday: {"go": {"shown": 2, "empty": 1}}}
    file.write_text(json.dumps({"version": 1, "days": days}))
    some = Statistics(file)
    for language in ("python", "go", "my-secret-language"):
        some.count("shown", language)
    some.count("low-confidence", "python")
    assert some.write()
    assert long_ago not in file.read_text()
    assert "secret" not in file.read_text()
    assert [(row.day, row.language) for row in rows(file, 2)] == [
        (TODAY, "go"), (TODAY, "other"), (TODAY, "python"), (yesterday, "go"),
    ]  # fmt: skip
    assert [row.silences for row in rows(file, 2)][2:] == [{"low-confidence": 1}, {"empty": 1}]
    assert len(list(rows(file, 1))) == 3


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"version": 1, "days": {"x": 1}}'])
def test_a_damaged_file_is_begun_anew(file: Path, damage: str):
    file.parent.mkdir()
    file.write_text(damage)
    assert list(rows(file, 1)) == []
    some = Statistics(file)
    some.count("shown", "python")
    assert some.write()
    assert total(file)["shown"] == 1


def test_a_file_of_a_later_version_stays_as_it_is(file: Path):
    file.parent.mkdir()
    file.write_text('{"version": 2, "years": []}')
    some = Statistics(file)
    some.count("shown", "python")
    assert not some.write()
    assert file.read_text() == '{"version": 2, "years": []}'
    with pytest.raises(OSError, match=r"later infill-lsp"):
        list(rows(file, 1))


def test_what_cannot_be_written_is_kept_for_the_next_time(file: Path):
    file.parent.write_text("a file where the folder should be")
    some = Statistics(file)
    some.count("shown", "python")
    assert not some.write()
    file.parent.unlink()
    some.count("kept", "python")
    assert some.write()
    assert total(file) == {"shown": 1, "kept": 1}


# A window with its server


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this test's windows."""
    monkeypatch.setenv(statistics.FOLDER, str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving("scripted:a + b") as found:
        yield found


def window(served: Served, **options: Any) -> RawClient:
    client = RawClient(server_command())
    client.initialize({"server": f"unix:{served.socket}", **options})
    client.when_ready()
    client.open(URI, TEXT)
    return client


def item_in(client: RawClient, line: int = 1, character: int = 11) -> Message:
    (item,) = client.answer(client.inline(URI, line, character))["result"]["items"]
    return item


def insert(client: RawClient, version: int, text: str, character: int = 11) -> None:
    at = {"line": 1, "character": character}
    client.change(URI, version, {"range": {"start": at, "end": at}, "text": text})


def counted(state: Path) -> dict[str, int]:
    return dict(total(state / "statistics.json"))


def test_an_editor_that_runs_the_items_command_tells_that_it_was_accepted(
    state: Path, served: Served
):
    with window(served) as client:
        item = item_in(client)
        assert item["command"]["command"] == "infill.accepted"
        insert(client, 2, item["insertText"] + " ")  # from the text alone it is not seen
        assert client.ask("workspace/executeCommand", item["command"]) is None
        for wrong in ([], [1], ["x", "y"]):
            asked = {"command": "infill.accepted", "arguments": wrong}
            answer = client.answer(client.request("workspace/executeCommand", asked))
            assert "takes one argument" in answer["error"]["message"]
        client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        assert client.leave() == 0
    assert counted(state) == {"shown": 1, "accepted": 1}


def test_what_became_of_each_fill_is_in_the_file_and_no_code_is(state: Path, served: Served):
    with window(served) as client:
        item_in(client)
        insert(client, 2, "a +")  # in part
        client.change(URI, 3, {"text": TEXT.replace("return", "return 7 -")})  # something else
        item_in(client, character=15)
        insert(client, 4, "a + b", 15)  # wholly, kept until the end
        client.change(URI, 5, {"text": "# a\n"})  # and deleted after all
        assert client.answer(client.inline(URI, 0, 3))["result"] == {"items": []}
        assert client.leave() == 0
    assert counted(state) == {"shown": 2, "partly": 1, "accepted": 1}
    said = (state / "statistics.json").read_text()
    told = json.loads(said)["days"][TODAY]["python"]
    assert told["cursor-in-comment"] == 1
    for code in ("add", "return", "a + b", "tmp"):
        assert code not in said


def test_the_server_of_this_machine_is_told_so_that_top_can_show_it(state: Path, served: Served):
    with window(served) as client:
        before = Counter(served.state["told"])
        insert(client, 2, item_in(client)["insertText"])
        until(lambda: served.state["told"].get("accepted", 0) > before["accepted"], "it is told")
        client.answer(client.inline(URI, 0, 1))
        until(lambda: served.state["silences"].get("word-follows"), "the reason is told, too")
        assert served.state["told"]["shown"] == before["shown"] + 1


def test_with_the_setting_off_nothing_is_counted(state: Path, served: Served):
    with window(served, statistics=False) as client:
        item = item_in(client)
        assert "command" not in item
        insert(client, 2, item["insertText"])
        client.answer(client.inline(URI, 0, 1))
        assert client.leave() == 0
    assert not state.exists()


def test_two_windows_at_once_lose_no_count(state: Path, served: Served):
    with window(served) as one, window(served) as other:
        for version in range(2, 8):
            for client in (one, other):
                item_in(client)
                client.change(URI, version, {"text": TEXT.replace("a,", f"a{version},")})
        for client in (one, other):
            client.request("shutdown")
        for client in (one, other):
            client.notify("exit")
            assert client.wait() == 0
    assert counted(state) == {"shown": 12}


def test_a_folder_that_takes_no_file_is_no_trouble(state: Path, served: Served):
    state.write_text("a file where the folder should be")
    with window(served) as client:
        insert(client, 2, item_in(client)["insertText"])
        assert client.leave() == 0
        assert "window/showMessage" not in [it.get("method") for it in client.messages]
        assert "Error" not in client.log


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_the_tests_do_not_write_where_this_users_own_fills_are_counted():
    assert str(statistics.path()).startswith(os.environ["INFILL_RUNTIME_DIR"])


def test_one_request_can_be_followed_through_both_logs(state: Path, served: Served):
    with window(served) as client:
        item_in(client)
        told = client.ask("workspace/executeCommand", {"command": "infill.why", "arguments": [URI]})
        client.leave()
        trace = told["trace"]
        assert len(bytes.fromhex(trace)) == 8
        assert {"context_ms", "queue_ms", "steps_ms", "tidy_ms", "wire_ms"} <= {*told["timing"]}
        assert told["timing"]["wire_ms"] > 0
        assert f"answer {trace}: final after" in client.log
        assert f"request {trace}: shown after" in client.log
        until(lambda: f"fill {trace}: final after" in served.log, "the server's log has it")
        for said in (client.log, served.log):
            assert "a + b" not in said


async def test_what_a_code_action_asks_has_a_trace_too():
    document, denoiser = Document(None, "python", TEXT), Scripted("a + b")
    for _ in range(2):
        await fill_holes(document, [Hole(26, 26)], denoiser=denoiser, settings=Settings())
    first, second = [claim.trace for claim in denoiser.claims]
    assert len(first) == 16
    assert first != second


# A real Neovim


def program() -> str:
    try:
        return find_neovim(ROOT)
    except LookupError:
        return ""


@pytest.mark.editor
@pytest.mark.skipif(not program(), reason="there is no Neovim with inline completion")
def test_neovim_tells_that_ghost_text_of_one_character_was_accepted(state: Path, tmp_path: Path):
    """Which no text could tell from a key."""
    file = tmp_path / "adding.py"
    file.write_text("def add(a, b):\n    return a + \n")
    command = json.dumps([*server_command("scripted:b"), "--log-file", str(tmp_path / "log")])
    init = f"""
    vim.lsp.config('infill', {{
      cmd = vim.json.decode({json.dumps(command)}), filetypes = {{ 'python' }},
    }})
    vim.lsp.enable('infill')
    vim.lsp.inline_completion.enable()
    vim.keymap.set('i', '<Tab>', vim.lsp.inline_completion.get)
    """
    with Neovim(program(), tmp_path, init=init, file=file) as neovim:
        neovim.wait_for_client("infill")
        neovim.insert_at(1, len("    return a + "))
        neovim.wait_for_ghost("b")
        neovim.accept()
        neovim.until(lambda: neovim.lines()[1] == "    return a + b", "it is accepted")
    until(lambda: counted(state).get("kept"), "the window has ended and written")
    assert counted(state) == {"shown": 1, "accepted": 1, "kept": 1}
