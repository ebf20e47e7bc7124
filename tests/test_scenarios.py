"""What somebody does with fills, the same in a real VS Code, Neovim and Helix.

A script plays the model, so what is written is known to the letter; what is compared is the file on
disk, so that all text round it counts, too. After each scenario the status must not be busy.

| an editor's own                               | VS Code        | Neovim           | Helix      |
|-----------------------------------------------|----------------|------------------|------------|
| ghost text: when it comes, where it stands    | test_vscode    | test_nvim        | test_helix |
| parts of it, and the rest                     | test_scenarios | test_nvim_commands | has none |
| menus, messages, commands                     | test_vscode    | test_nvim_commands | test_helix |
| drafts while they are written                 | test_scenarios | test_drafts_nvim | has none   |
| whose program and which model, how installed  | test_vscode_server | test_nvim (checkhealth) |  |
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import test_helix, test_nvim, vscode
from tests.editors import Editor, InHelix, InNeovim, InVSCode, one_window
from tests.test_actions import BROKEN, FILLED, FIVE, TEXTS

pytestmark = pytest.mark.editor

ADD = "def add(a, b):\n    ‸\n"
ADDED = "def add(a, b):\n    return a + b\n"
LINES = ["if a > b:", "        return a", "    return b"]
AREA = "def area(width, height):\n    return ‸width * height‸\n"
SLOW = {"seconds_a_step": 0.05, "steps_a_fill": 400}  # 20 s, in which something else happens


window = pytest.fixture(scope="module")(one_window)


@pytest.fixture(params=["vscode", "neovim", "helix"])
def editor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Editor]:
    modules = {"vscode": vscode, "neovim": test_nvim, "helix": test_helix}
    if missing := modules[request.param].MISSING:
        pytest.skip(missing)
    match request.param:
        case "vscode":
            editor = InVSCode(request.getfixturevalue("window")())
        case "neovim":
            editor = InNeovim(tmp_path)
        case _:
            editor = InHelix(tmp_path)
    yield editor
    try:
        editor.is_idle()
    finally:
        editor.close()


def test_a_text_is_suggested_and_taken_whole(editor: Editor) -> None:
    editor.open(ADD, "return a + b")
    editor.ask()
    editor.shows("return a + b")
    editor.keep("suggested")
    editor.accept()
    assert editor.saved() == ADDED


def test_a_text_is_typed_along_and_the_rest_taken(editor: Editor) -> None:
    editor.open(ADD, "return a + b")
    editor.ask()
    editor.type("re")
    editor.shows("turn a + b")
    editor.accept()
    assert editor.saved() == ADDED


def test_a_word_is_taken_and_then_the_rest(editor: Editor) -> None:
    editor.open(ADD, "return a + b")
    editor.ask()
    editor.accept_word()
    editor.shows(" a + b")
    editor.keep("word")
    editor.accept()
    assert editor.saved() == ADDED


def test_of_a_text_only_the_words_that_are_taken_stay(editor: Editor) -> None:
    editor.open(ADD, "return a + b")
    editor.ask()
    editor.accept_word()
    editor.shows(" a + b")
    assert editor.saved() == ADD.replace("‸", "return")


def test_lines_are_taken_one_by_one(editor: Editor) -> None:
    editor.open(ADD, "\n".join(LINES))
    editor.ask()
    for number in range(len(LINES)):
        editor.shows("\n".join(LINES[number:]))
        editor.accept_line()
    editor.shows("")
    assert editor.saved() == ADD.replace("‸", "\n".join(LINES))


def test_of_several_texts_another_is_taken(editor: Editor) -> None:
    editor.open(ADD, "return a + b", rivals={"return a + b": 0.5, "return a * b": 0.3})
    editor.ask()
    editor.shows("return a + b")
    editor.next()
    editor.shows("return a * b")
    editor.keep("another")
    editor.accept()
    assert editor.saved() == ADDED.replace("+", "*")


def test_the_hole_at_the_cursor_is_filled_and_no_other(editor: Editor) -> None:
    editor.open(FIVE.replace("    ...", "    ‸..."), "return width * height")
    editor.does("fill")
    editor.reads("return width * height")
    assert editor.saved() == FIVE.replace("    ...", "    return width * height")


def test_five_holes_are_filled_and_nothing_else_in_one_step_of_undo(editor: Editor) -> None:
    editor.open(FIVE, TEXTS)
    editor.does("fill-all")
    editor.reads("LIMIT = 100")
    editor.keep("fill-all")
    assert editor.saved() == FILLED
    editor.undo()
    editor.reads("LIMIT = __HOLE__")
    assert editor.saved() == FIVE


def test_a_file_keeps_its_line_ends(editor: Editor) -> None:
    editor.open("def most(a, b):\r\n    ‸...\r\n", "\n".join(LINES))
    editor.does("fill")
    editor.reads("return b")
    assert editor.saved() == "\r\n".join(["def most(a, b):", f"    {LINES[0]}", *LINES[1:], ""])


def test_broken_syntax_is_repaired_and_nothing_else_changes(editor: Editor) -> None:
    editor.open(BROKEN, "x")
    editor.does("repair")
    editor.reads("height):")
    editor.keep("repair")
    repaired = editor.saved()
    assert repaired == BROKEN.replace("height:", "height):")
    ast.parse(repaired)
    editor.undo()
    editor.reads("height:")
    assert editor.saved() == BROKEN


def test_a_selection_is_rewritten_and_what_is_round_it_stays(editor: Editor) -> None:
    editor.open(AREA, "height * width")
    editor.does("rewrite gently")
    editor.reads("height * width")
    assert editor.saved() == AREA.replace("‸width * height‸", "height * width")
    editor.undo()
    editor.reads("width * height")
    assert editor.saved() == AREA.replace("‸", "")


def test_a_rewrite_is_seen_before_it_stands_and_is_given_up_without_a_trace(
    editor: Editor,
) -> None:
    editor.open(AREA, "height * width", **SLOW)
    editor.does("rewrite gently")
    editor.drafts("height * width")
    editor.keep("rewrite")
    editor.gives_up()
    editor.drafts()
    editor.is_idle()
    editor.undo()  # of what was not done
    assert editor.saved() == AREA.replace("‸", "")


def test_five_drafts_are_seen_at_once_and_are_gone_once_they_are_written(editor: Editor) -> None:
    editor.open(FIVE, TEXTS, seconds_a_step=0.1, steps_a_fill=60)
    editor.does("fill-all")
    editor.drafts(*TEXTS)
    editor.keep("drafts")
    editor.reads("LIMIT = 100")
    editor.drafts()
    assert editor.saved() == FILLED


def test_what_is_under_way_is_given_up_without_a_trace(editor: Editor) -> None:
    editor.open(FIVE, TEXTS, **SLOW)
    editor.does("fill-all")
    editor.is_busy("filling all holes")
    editor.keep("busy")
    editor.gives_up()
    editor.is_idle()
    editor.undo()  # of what was not done
    assert editor.saved() == FIVE


def test_what_is_typed_meanwhile_stays_and_the_old_edit_is_refused(editor: Editor) -> None:
    editor.open(FIVE, TEXTS, **SLOW)
    editor.does("fill-all")
    editor.is_busy("filling all holes")
    editor.type("#")
    editor.tells("changed meanwhile (filling all holes)")
    editor.keep("stale")
    editor.is_idle()
    assert editor.saved() == f"#{FIVE}"


def test_a_server_that_is_gone_leaves_nothing_busy(editor: Editor) -> None:
    editor.open(FIVE, TEXTS, **SLOW)
    editor.does("fill-all")
    editor.is_busy("filling all holes")
    editor.restart()
    editor.is_idle()
    assert editor.saved() == FIVE
