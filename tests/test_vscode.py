"""What only VS Code has: its light bulb, palette, status item, notifications and lists.

What it has in common with other editors is in tests/test_scenarios.py. One window serves all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.editors import InVSCode, one_window
from tests.test_actions import FIVE, TEXTS
from tests.vscode import MISSING, Code

pytestmark = [pytest.mark.editor, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

ADD = "def add(a, b):\n    ‸\n"
WHOLE = "def add(a, b):\n    return ‸a + b\n"
FILL_ALL = "Infill: Fill All Holes in This File"
REWRITE = "Infill: Rewrite Selection"
SLOW = {"seconds_a_step": 0.05, "steps_a_fill": 400}  # 20 s, in which something else happens

window = pytest.fixture(scope="module")(one_window)


@pytest.fixture
def editor(window: Callable[[], Code]) -> Iterator[InVSCode]:
    editor = InVSCode(window())
    yield editor
    editor.is_idle()
    editor.close()


@pytest.fixture
def code(editor: InVSCode) -> Code:
    return editor.code


def test_the_light_bulb_s_menu_fills_the_hole_at_the_cursor(editor: InVSCode, code: Code) -> None:
    editor.open(FIVE.replace("    ...", "    ...‸"), TEXTS)
    code("openMenu", "Fill this hole")
    code.keep("vscode-light-bulb")
    code("menu", "Fill this hole")
    editor.reads("return width * height")
    assert editor.saved() == FIVE.replace("    ...", "    return width * height")


def test_where_nothing_is_broken_that_is_told(editor: InVSCode) -> None:
    editor.open(WHOLE, "x")
    editor.does("repair")
    editor.tells("There is no syntax error here.")


def test_without_a_selection_no_rewriting_is_offered(editor: InVSCode, code: Code) -> None:
    editor.open(WHOLE, "x")
    code("waitLacks", REWRITE)
    code.press("Shift+ArrowRight")
    code("waitOffers", REWRITE)


def test_files_that_the_server_does_not_see_are_offered_nothing(
    editor: InVSCode, code: Code
) -> None:
    editor.open(WHOLE, "x")
    code("waitOffers", FILL_ALL)
    code("open", "nothing.txt")
    code("waitLacks", FILL_ALL)


def test_the_reason_for_no_suggestion_is_told(editor: InVSCode, code: Code) -> None:
    editor.open(ADD, "return a + b")
    editor.type("# a b")
    code("waitStatus", "silent")  # VS Code asks a while after the last key
    code("command", "Infill: Why No Suggestion?")
    editor.tells("The cursor stands inside a comment.")
    editor.shows("")


def test_escape_gives_the_drafts_up_without_a_trace(editor: InVSCode, code: Code) -> None:
    editor.open(FIVE, TEXTS, **SLOW)
    editor.does("fill-all")
    editor.drafts(*TEXTS)
    code("waitSettled")  # some of it, not all
    code.press("Escape")
    editor.drafts()
    editor.is_idle()
    assert editor.saved() == FIVE
    assert code("notices") == []


def test_another_model_is_chosen_from_those_that_there_are(editor: InVSCode, code: Code) -> None:
    editor.open(ADD, "return a + b")
    code("command", "Infill: Choose Model")
    offered = code("choices", "Which model shall fill?")
    code.keep("vscode-models")
    assert offered[:2] == ["auto", "bundled"]
    code("choose", "bundled")
    code("waitLabel", "The model is bundled.")


def test_the_doctor_looks_at_the_model_with_the_keys_of_the_settings(
    editor: InVSCode, code: Code
) -> None:
    """Without keys an unknown id is refused before one looks whether it is on disk."""
    keys = {"mask": "<M>", "shift": True, "context": 512}
    code.configure(model="nobody/knows-it", modelKeys=keys)
    code("waitLabel", "nobody/knows-it")
    code("command", "Infill: Doctor")
    editor.tells("Infill: model: nobody/knows-it is not on this disk")
    code.keep("vscode-doctor")
    code.configure(modelKeys=None)


POINT = """class Point:
    def __init__(self, x, y):
        self.x = x
        self.‸

    def __repr__(self):
        return f"Point({self.x}, {self.y})"
"""


def test_the_bundled_model_fills(editor: InVSCode, code: Code) -> None:
    editor.open(POINT, "")
    code.configure(deadlineMs=10000)
    code.plays("bundled")
    editor.ask()
    shown = code("ghost")
    code.keep("vscode-bundled")
    editor.accept()
    assert editor.saved() == POINT.replace("‸", shown)
