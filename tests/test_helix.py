"""The completion menu in a real Helix, from the real server, set up as editors/helix tells users.

Most tests play a script in the model's place, so that what is shown is known to the letter. The
screens that people would want to see are kept, see `tests.helix.Helix.keep`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from model import ModelError
from model.load import card_of
from tests.helix import Helix, Programs, find_helix

REPOSITORY = Path(__file__).resolve().parent.parent
SEVERAL_LINES = "if a > b:\n        return a\n    return b"

# A server of the kind that others are: it knows all its names at once.
OTHER = """
import sys
from lsprotocol import types
from pygls.lsp.server import LanguageServer

server = LanguageServer("other", "1")

@server.feature(types.TEXT_DOCUMENT_COMPLETION)
def completion(ls: LanguageServer, params: types.CompletionParams):
    return [types.CompletionItem(label=name) for name in ("reduce", "return", "reversed")]

server.start_io()
"""


def found() -> tuple[Programs | None, str]:
    """Helix and its terminal, or why there is none."""
    try:
        return find_helix(REPOSITORY), ""
    except LookupError as why:
        return None, f"Helix: {why}"


PROGRAMS, MISSING = found()

pytestmark = [pytest.mark.editor, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


def configuration(**options: object) -> str:
    """The lines that editors/helix tells users to put into their languages.toml, with options."""
    told = (REPOSITORY / "editors/helix/languages.toml").read_text(encoding="utf-8")
    written = ", ".join(f"{name} = {json.dumps(value)}" for name, value in options.items())
    line = f"config = {{ infill = {{ {written} }} }}"
    configured, number = re.subn(r"^config = .*$", lambda _: line, told, flags=re.MULTILINE)
    assert number == 1, "editors/helix/languages.toml has no line for settings"
    return configured


def open_file(home: Path, text: str, *, languages: str = "", **options: object) -> Helix:
    assert PROGRAMS
    file = home / "sample.py"
    file.write_bytes(text.encode())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    languages = languages or configuration(server="inside", **options)
    helix = Helix(PROGRAMS, home, languages=languages, file=file, env={"PATH": path})
    helix.wait_for_server("infill")
    helix.until(lambda: "the model is ready" in helix.log(), "the model is loaded")
    return helix


def script(text: str, **more: object) -> str:
    """The name of a model that always answers with this text."""
    return "scripted:" + json.dumps({"text": text, **more})


def asked(helix: Helix) -> list[dict[str, Any]]:
    return [it for it in helix.messages("infill") if it.get("method") == "textDocument/completion"]


def answers(helix: Helix) -> list[object]:
    return [it["result"] for it in helix.messages("infill") if "result" in it]


def place_of(mark: str, text: str) -> tuple[int, int]:
    """Row and column of the mark, from 0, in characters."""
    lines = text[: text.index(mark)].replace("\r\n", "\n").split("\n")
    return len(lines) - 1, len(lines[-1])


@pytest.mark.parametrize(
    ("before", "answer", "shown"),
    [
        pytest.param("def add(a, b):\n    return (‸) % 7\n", "a + b", "a + b", id="text behind"),
        pytest.param("def most(a, b):\r\n    ‸\r\n", SEVERAL_LINES, "if a > b: …", id="CRLF"),
        pytest.param("face = '🙂é' + str(‸)\n", "len(face)", "len(face)", id="emoji in front"),
    ],
)
def test_an_accepted_entry_stands_at_the_cursor_and_nothing_else_changes(
    tmp_path: Path, before: str, answer: str, shown: str
) -> None:
    """It is the file on disk that is compared, so line ends and all other text count, too."""
    with open_file(tmp_path, before.replace("‸", ""), model=script(answer)) as helix:
        helix.insert_at(*place_of("‸", before))
        helix.press("C-x")
        helix.wait_for(f" {shown} ")
        helix.press("Tab", "Enter")
        saved = helix.saved()
    line_end = "\r\n" if "\r\n" in before else "\n"
    assert saved == before.replace("‸", answer.replace("\n", line_end))


def test_an_entry_stays_while_it_is_typed_goes_in_whole_and_comes_out_by_one_undo(
    tmp_path: Path,
) -> None:
    with open_file(tmp_path, "def add(a, b):\n    \n", model=script("turn a + b")) as helix:
        helix.insert_at(1, 4)
        helix.type("re")
        helix.wait_for(" return a + b ")
        helix.type("tur")
        helix.until(lambda: asked(helix)[-1]["params"]["position"]["character"] == 9, "it is asked")
        helix.wait_for(" return a + b ")
        helix.press("Tab", "Enter")
        assert helix.saved() == "def add(a, b):\n    return a + b\n"
        helix.press("u")
        # What was typed when Helix asked, for the first time or, where the menu had closed, again.
        assert helix.saved() in ("def add(a, b):\n    re\n", "def add(a, b):\n    retur\n")


def test_an_entry_of_several_lines_is_shown_whole_beside_the_menu(tmp_path: Path) -> None:
    with open_file(tmp_path, "def most(a, b):\n    \n", model=script(SEVERAL_LINES)) as helix:
        helix.insert_at(1, 4)
        helix.press("C-x")
        helix.wait_for(" if a > b: … ")
        helix.press("Tab")
        screen = helix.wait_for("infill, 3 lines")
        helix.keep("helix-several-lines")
        # Once in the file, as a preview, and once beside the menu, without the indentation.
        assert [line for line in screen if "return a" in line and "infill" not in line]
        assert sum(line.count("return b") for line in screen) == 2
        helix.press("Escape")


def test_an_entry_that_is_looked_at_and_refused_leaves_no_trace(tmp_path: Path) -> None:
    text = "def add(a, b):\n    return \n"
    with open_file(tmp_path, text, model=script("a + b")) as helix:
        helix.insert_at(1, 11)
        helix.press("C-x")
        helix.wait_for("a + b text")
        helix.press("Tab")
        helix.wait_for("    return a + b")
        helix.press("C-c")
        assert helix.saved() == text


def two_servers(home: Path, **options: object) -> str:
    """The users' configuration with another server behind ours."""
    (home / "other.py").write_text(OTHER, encoding="utf-8")
    ours = configuration(server="inside", **options)
    ours = ours.replace('language-servers = ["infill"]', 'language-servers = ["infill", "other"]')
    command, script = json.dumps(sys.executable), json.dumps(str(home / "other.py"))
    return f"{ours}\n[language-server.other]\ncommand = {command}\nargs = [{script}]\n"


def test_entries_of_another_server_are_shown_while_the_model_still_works(tmp_path: Path) -> None:
    languages = two_servers(tmp_path, model=script("turn a", seconds_a_step=600), deadline_ms=10**6)
    with open_file(tmp_path, "def add(a, b):\n    \n", languages=languages) as helix:
        helix.wait_for_server("other")
        helix.insert_at(1, 4)
        helix.type("re")
        screen = helix.wait_for(" reversed")
        assert not any("return a" in line for line in screen)
        nothing_yet: dict[str, object] = {"isIncomplete": True, "items": []}
        helix.until(lambda: nothing_yet in answers(helix), "ours has answered, with nothing yet")


def test_ours_stands_behind_the_entries_of_another_server(tmp_path: Path) -> None:
    languages = two_servers(tmp_path, model=script("turn a + b"))
    with open_file(tmp_path, "def add(a, b):\n    \n", languages=languages) as helix:
        helix.wait_for_server("other")
        helix.insert_at(1, 4)
        helix.type("re")
        helix.wait_for(" return a + b ")
        screen = helix.wait_for(" reversed")
        helix.keep("helix-two-servers")
        names = [line.strip(" ~") for line in screen if "re" in line and "sample" not in line][1:]
        assert names == ["reduce", "return", "reversed", "return a + b text"]


def test_what_was_made_while_nothing_was_shown_is_there_on_request(tmp_path: Path) -> None:
    """A model that needs longer than any menu waits: nothing, and with Ctrl-x what it has made."""
    slow = script("turn a + b", seconds_a_step=0.1)
    with open_file(tmp_path, "def add(a, b):\n    \n", model=slow) as helix:
        helix.insert_at(1, 4)
        helix.type("re")
        helix.until(lambda: asked(helix), "Helix asks by itself")
        helix.press("C-x")
        helix.wait_for(" return a + b ")


def test_a_dot_opens_the_menu(tmp_path: Path) -> None:
    with open_file(tmp_path, "import os\nos\n", model=script("path")) as helix:
        helix.insert_at(1, 2)
        helix.type(".")
        helix.wait_for(" path text")
        assert asked(helix)[-1]["params"]["context"]["triggerCharacter"] == "."


def no_bundled_model() -> str:
    try:
        card_of("bundled")
    except ModelError as error:
        return f"there is no bundled model: {error}"
    return ""


@pytest.mark.skipif(bool(no_bundled_model()), reason=no_bundled_model())
def test_the_bundled_model_fills_by_the_menu(tmp_path: Path) -> None:
    text = "def total(numbers):\n    result = 0\n    for number in numbers:\n        \n"
    with open_file(tmp_path, text, min_confidence=0.0) as helix:
        helix.insert_at(3, 8)
        helix.press("C-x")
        screen = helix.wait_for(" text")
        helix.keep("helix-bundled")
        entry = next(line for line in screen if line.endswith(" text"))
        name = entry.removesuffix("text").replace("~", "").strip()
        helix.press("Tab", "Enter")
        saved = helix.saved()
    assert saved.startswith(text.rstrip("\n"))
    assert saved.removeprefix(text.rstrip("\n")).startswith(name.removesuffix(" …"))
