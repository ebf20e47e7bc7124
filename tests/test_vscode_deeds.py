"""What is done at a word in a real VS Code: filled, repaired, rewritten, refused and given up.

| scenario                        | VS Code              | Neovim                   | Helix        |
|---------------------------------|----------------------|--------------------------|--------------|
| ghost text appears              | test_vscode          | test_nvim                | has none     |
| typed along                     | test_vscode          | test_nvim                | test_helix   |
| accepted by word, line, whole   | test_vscode          | test_nvim_commands       | test_helix   |
| five holes, one step of undo    | here                 | test_actions_editors     | likewise     |
| broken syntax repaired          | here                 | test_nvim_commands       |              |
| a rewrite chosen, or cancelled  | here                 | test_nvim_commands       |              |
| a stale edit refused            | here                 | test_actions_editors     | likewise     |
| given up without a trace        | here                 | test_actions_editors     | likewise     |
| the status never stays busy     | here                 | test_nvim_commands       | test_helix   |

Runs where INFILL_VSCODE says so, as tests/test_vscode.py does. A script plays the model, so what is
written is known to the letter; what is compared is the file on disk.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_actions import BROKEN, FILLED, FIVE, SELECTED, TEXTS
from tests.vscode import MISSING, Code, opened

pytestmark = [pytest.mark.editor, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

QUICK = "scripted:" + json.dumps({"text": TEXTS})
SLOW = "scripted:" + json.dumps({"text": TEXTS, "seconds_a_step": 0.05, "steps_a_fill": 400})
FILL_ALL = "Infill: Fill All Holes in This File"
FILES = {
    "five.py": FIVE,
    "menu.py": FIVE,
    "stale.py": FIVE,
    "cancelled.py": FIVE,
    "gone.py": FIVE,
    "broken.py": BROKEN,
    "whole.py": "def add(a, b):\n    return a + b\n",
    "rewritten.py": SELECTED,
    "words.txt": "so it is\n",
}


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Code]:
    with opened(tmp_path_factory.mktemp("vscode"), FILES, model=QUICK) as code:
        yield code


@pytest.fixture
def code(window: Code) -> Code:
    window("command", "Notifications: Clear All Notifications")
    return window


def show(code: Code, name: str, *, model: str = QUICK) -> None:
    code("open", name)
    code("press", "Control+Home")
    code.plays(model)


def test_five_holes_are_filled_and_nothing_else_in_one_step_of_undo(code: Code) -> None:
    show(code, "five.py")
    code("command", FILL_ALL)
    code("waitText", "LIMIT = 100")
    code.keep("vscode-fill-all")
    assert code("saved", "five.py") == FILLED
    code("press", "Control+z")
    code("waitText", "LIMIT = __HOLE__")
    assert code("saved", "five.py") == FIVE
    code("waitStatus", "ready")


def test_the_light_bulb_s_menu_fills_the_hole_at_the_cursor(code: Code) -> None:
    show(code, "menu.py")
    code.press("ArrowDown", "End", "Control+.")
    code("waitMenu", "Fill this hole")
    code.keep("vscode-light-bulb")
    code("menu", "Fill this hole")
    code("waitText", "return width * height")
    assert code("saved", "menu.py") == FIVE.replace("    ...", "    return width * height")


def test_broken_syntax_is_repaired_and_nothing_else_changes(code: Code) -> None:
    show(code, "broken.py")
    code("command", "Infill: Repair Syntax Here")
    code("waitText", "height):")
    assert code("saved", "broken.py") == BROKEN.replace("height:", "height):")


def test_where_nothing_is_broken_that_is_told(code: Code) -> None:
    show(code, "whole.py")
    code("command", "Infill: Repair Syntax Here")
    code("waitNotice", "There is no syntax error here.")
    code("waitStatus", "")


def select_the_product(code: Code) -> None:
    code.press("ArrowDown", "End", *["Control+Shift+ArrowLeft"] * 3)


def test_a_selection_is_rewritten_as_strongly_as_is_chosen(code: Code) -> None:
    show(code, "rewritten.py", model="scripted:height * width")
    select_the_product(code)
    code("command", "Infill: Rewrite Selection")
    code("choose", "gently")
    code("waitText", "height * width")
    assert code("saved", "rewritten.py") == SELECTED.replace("width * height", "height * width")


def test_without_a_selection_no_rewriting_is_offered(code: Code) -> None:
    show(code, "whole.py")
    code("press", "ArrowDown")  # VS Code notices only now that nothing is selected in this file
    assert code("lacks", "Infill: Rewrite Selection")
    select_the_product(code)
    assert not code("lacks", "Infill: Rewrite Selection")


def test_files_that_the_server_does_not_see_are_offered_nothing(code: Code) -> None:
    code("open", "words.txt")
    assert code("lacks", FILL_ALL)
    show(code, "whole.py")
    assert not code("lacks", FILL_ALL)


def test_typing_meanwhile_is_kept_and_nothing_else_changes(code: Code) -> None:
    show(code, "stale.py", model=SLOW)
    code("command", FILL_ALL)
    code("waitBusy", "filling all holes")
    code("type", "#")
    code("waitNotice", "changed while infill-lsp was filling all holes")
    code.keep("vscode-stale")
    assert code("saved", "stale.py") == f"#{FIVE}"


def test_a_click_on_the_status_item_gives_up_what_is_under_way(code: Code) -> None:
    show(code, "cancelled.py", model=SLOW)
    code("command", FILL_ALL)
    code("waitBusy", "filling all holes")
    code("clickStatus")
    assert code("choices")[0] == "Cancel"
    code.keep("vscode-cancel")
    code("choose", "Cancel")
    code("waitStatus", "ready")
    assert code("saved", "cancelled.py") == FIVE
    assert not code("notices")


def test_a_server_that_is_gone_leaves_no_busy_status_item(code: Code) -> None:
    show(code, "gone.py", model=SLOW)
    code("command", FILL_ALL)
    code("waitBusy", "filling all holes")
    code("command", "Infill: Restart Server")
    code("waitStatus", "ready")
    code("type", " ")
    assert code("saved", "gone.py") == f" {FIVE}"


# The server with a model that answers otherwise each time, which makes variants.
TURNING = """#!%s
import sys
from itertools import cycle

import infill_lsp
from model import load
from model.scripted import Scripted

texts = cycle(["height * width", "width * (height)"])
load.scripted_from = lambda name: Scripted(lambda canvas: (next(texts),) * len(canvas.holes))



sys.exit(infill_lsp.main())
"""


def test_of_the_variants_of_a_rewrite_one_is_chosen_or_none(tmp_path: Path) -> None:
    program = tmp_path / "turning"
    program.write_text(TURNING % sys.executable)
    program.chmod(0o755)
    files = {"a.py": SELECTED}
    with opened(tmp_path, files, model="scripted:", serverPath=str(program)) as code:
        code("open", "a.py")
        code("waitStatus", "ready")
        code("press", "Control+Home")
        select_the_product(code)
        code("command", "Infill: Rewrite Selection")
        code("choose", "freely")
        variants = code("waitChoices", "which of these shall stand")
        assert {it[3:] for it in variants} == {"height * width", "width * (height)"}
        code.keep("vscode-variants")
        code("press", "Escape")
        code("waitStatus", "ready")
        assert code("saved", "a.py") == SELECTED
        code("command", "Infill: Rewrite Selection")
        code("choose", "freely")
        (wanted,) = [it for it in code("waitChoices", "which") if it.endswith("(height)")]
        code("choose", wanted)
        code("waitText", "width * (height)")
        assert code("saved", "a.py") == SELECTED.replace("width * height", "width * (height)")
