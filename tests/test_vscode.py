"""Ghost text in a real VS Code, from the real server, through the packaged extension.

Takes about a minute, so it runs only where INFILL_VSCODE says so; `make vscode` does all of it.
One window serves the tests that play a script in the model's place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vscode import MISSING, Code, opened

pytestmark = [pytest.mark.editor, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

ADD = "def add(a, b):\n    \n"
MODEL = "scripted:" + json.dumps({"text": "return a + b"})
LINES = ["if a > b:", "        return a", "    return b"]
WEIGHED = {"return a + b": 0.5, "return a * b": 0.3}


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Code]:
    names = ("whole.py", "words.py", "lines.py", "others.py", "along.py", "why.py", "again.py")
    code = opened(tmp_path_factory.mktemp("vscode"), dict.fromkeys(names, ADD), model=MODEL)
    try:
        yield code
    finally:
        code.close()


def at_the_hole(code: Code, name: str) -> None:
    code("open", name)
    code("waitStatus", "ready")
    for key in ("Control+Home", "ArrowDown", "End"):
        code("press", key)


def ask(code: Code) -> None:
    code("command", "Trigger Inline Suggestion")
    code("waitGhost", "return a + b")


def test_tab_accepts_the_whole_of_the_ghost_text(code: Code) -> None:
    at_the_hole(code, "whole.py")
    ask(code)
    code("press", "Tab")
    code("waitGhost", "")
    assert code("saved", "whole.py") == "def add(a, b):\n    return a + b\n"


def test_a_word_is_accepted_and_the_rest_stays_to_be_accepted(code: Code) -> None:
    at_the_hole(code, "words.py")
    ask(code)
    code("press", "Control+ArrowRight")
    code("waitGhost", " a + b")
    assert code("saved", "words.py") == "def add(a, b):\n    return\n"
    code("press", "Tab")
    code("waitGhost", "")
    assert code("saved", "words.py") == "def add(a, b):\n    return a + b\n"


@pytest.fixture
def plays(code: Code) -> Iterator[Callable[..., None]]:
    """Has another script in the model's place until the test has ended."""

    def play(**script: object) -> None:
        code.plays("scripted:" + json.dumps(script))

    yield play
    code.plays(MODEL)


def test_lines_are_accepted_one_by_one(code: Code, plays: Callable[..., None]) -> None:
    plays(text="\n".join(LINES))
    at_the_hole(code, "lines.py")
    code("command", "Trigger Inline Suggestion")
    code("waitGhost", "\n".join(LINES))
    for number in (1, 2, 3):
        code("press", "Control+ArrowDown")
        code("waitGhost", "\n".join(LINES[number:]))
    assert code("saved", "lines.py") == "def add(a, b):\n    " + "\n".join([*LINES, ""])


def test_of_several_texts_that_were_asked_for_another_is_chosen(
    code: Code, plays: Callable[..., None]
) -> None:
    plays(text="return a + b", rivals=WEIGHED)
    at_the_hole(code, "others.py")
    ask(code)
    code("press", "Alt+]")
    code("waitGhost", "return a * b")
    code.keep("vscode-another")
    code("press", "Alt+]")
    code("waitGhost", "return a + b")
    code.press("Alt+]", "Tab")
    code("waitGhost", "")
    assert code("saved", "others.py") == "def add(a, b):\n    return a * b\n"


def test_ghost_text_is_typed_along(code: Code) -> None:
    at_the_hole(code, "along.py")
    ask(code)
    code("type", "re")
    code("waitGhost", "turn a + b")
    code("press", "Tab")
    code("waitGhost", "")
    assert code("saved", "along.py") == "def add(a, b):\n    return a + b\n"


def why(code: Code) -> str:
    code("command", "Infill: Why No Suggestion?")
    sentence = str(code("notice"))
    code("command", "Notifications: Clear All Notifications")
    return sentence


def test_the_reason_for_no_ghost_text_is_told_and_the_status_item_is_not_busy(code: Code) -> None:
    at_the_hole(code, "why.py")
    code("type", "# a b")
    sentences = (why(code) for _ in range(5))  # VS Code asks a while after the last key
    assert any("The cursor stands inside a comment." in sentence for sentence in sentences)
    assert code("ghost") == ""
    code("waitStatus", "silent")


def test_the_server_restarts_and_fills_again(code: Code) -> None:
    code("command", "Infill: Restart Server")
    at_the_hole(code, "again.py")
    ask(code)
    code("press", "Escape")
    code("waitGhost", "")
    code("waitStatus", "ready")


POINT = """class Point:
    def __init__(self, x, y):
        self.x = x
        self.

    def __repr__(self):
        return f"Point({self.x}, {self.y})"
"""


def test_the_bundled_model_fills(tmp_path: Path) -> None:
    with opened(tmp_path, {"point.py": POINT}, deadlineMs=10000) as code:
        code("open", "point.py")
        code("waitStatus", "ready")
        code.press("Control+Home", *["ArrowDown"] * 3, "End")
        code("command", "Trigger Inline Suggestion")
        shown = str(code("waitAnyGhost"))
        code.keep("vscode-bundled")
        code("press", "Tab")
        code("waitGhost", "")
        code("waitStatus", "")  # whatever it says, it is not busy
        assert code("saved", "point.py") == POINT.replace("self.\n", f"self.{shown}\n")
