"""The variants of a rewrite seen in the text of a real VS Code, and what its commands say where
they cannot do anything."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.variants import LOOP, LOOPS, MODEL, server
from tests.vscode import MISSING, Code, opened

pytestmark = [pytest.mark.editor, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

REWRITE = "Infill: Rewrite Selection"
NAMES = ["seen.py", "left.py", "typed.py", "escaped.py"]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Code]:
    folder = tmp_path_factory.mktemp("vscode")
    program = str(server(folder, LOOPS))
    with opened(folder, dict.fromkeys(NAMES, LOOP), model=MODEL, serverPath=program) as code:
        yield code


def choosing(code: Code, name: str) -> list[str]:
    """Has the loop rewritten; the entries to choose from, of which the first is highlighted."""
    code("open", name)
    code("waitStatus", "ready")
    code.press("Control+Home", "ArrowDown", "ArrowDown", "Shift+ArrowDown", "Shift+End")
    code("command", REWRITE)
    code("choose", "freely")
    return code("choices", "which of these shall stand")


def drawn(code: Code, *texts: str) -> None:
    code("waitDrafts", json.dumps(texts))


def behind_the_lines(variant: str) -> list[str]:
    """As it is drawn: line by line."""
    return [line.strip() for line in variant.split("\n")]


def in_order(entries: list[str]) -> list[str]:
    return sorted(LOOPS, key=lambda text: entries[0].endswith(text[-8:]), reverse=True)


def test_the_highlighted_variant_is_seen_in_the_text_and_taken_in_one_step_of_undo(
    code: Code,
) -> None:
    first, second = in_order(choosing(code, "seen.py"))
    drawn(code, *behind_the_lines(first))
    code.press("ArrowDown")
    drawn(code, *behind_the_lines(second))
    code.keep("vscode-choice")
    code.press("Enter")
    code("waitText", second.split("\n")[-1].strip())
    drawn(code)
    becomes = [*LOOP.split("\n")[:2], f"    {second}", "    return found\n"]
    assert code("saved", "seen.py") == "\n".join(becomes)
    code("press", "Control+z")
    code("waitText", "price * (1 + tax)")
    assert code("saved", "seen.py") == LOOP


def test_escape_leaves_no_trace(code: Code) -> None:
    first, _ = in_order(choosing(code, "left.py"))
    drawn(code, *behind_the_lines(first))
    code.press("Escape")
    drawn(code)
    code("waitStatus", "ready")
    assert code("saved", "left.py") == LOOP
    assert not code("notices")


def test_a_choice_outlives_a_look_at_the_text_and_escape_there_leaves_it(code: Code) -> None:
    first, _ = in_order(choosing(code, "escaped.py"))
    code("press", "Control+1")  # into the text
    drawn(code, *behind_the_lines(first))
    code.press("Escape")
    drawn(code)
    code("waitStatus", "ready")
    assert code("saved", "escaped.py") == LOOP


def test_typing_leaves_the_choice_and_is_kept(code: Code) -> None:
    choosing(code, "typed.py")
    code("press", "Control+1")  # into the text
    code("type", "#")  # in place of what is selected
    drawn(code)
    code("waitNotice", "The text changed, so there is nothing to choose from any more.")
    assert code("saved", "typed.py") == "\n".join(
        [*LOOP.split("\n")[:2], "#", "    return found\n"]
    )


# Elsewhere than in a file that may be changed, and where nothing is to be done


DOUBLE = "def double(x):\n    return 2 * x\n\n\nprint(double(1))\n"
AREA = "def area(width, height):\n    ...\n"
FILLED = AREA.replace("...", "return width * height")
CELL: dict[str, object] = {
    "cell_type": "code",
    "metadata": {},
    "outputs": (),
    "source": ["in_a_cell = ..."],
}
PYTHON = {"language_info": {"name": "python"}}
NOTEBOOK = {"cells": [CELL], "metadata": PYTHON, "nbformat": 4, "nbformat_minor": 5}
WRITTEN = {
    "docstring.py": DOUBLE,
    "parameter.py": DOUBLE,
    "told.py": 'def double(x):\n    """Twice as much."""\n    return 2 * x\n',
    "locked.py": AREA,
    "open.py": AREA,
    "compared.py": AREA,
    "notebook.ipynb": json.dumps(NOTEBOOK),
}
FILL = "Infill: Fill Here"


def plays(*texts: str) -> str:
    return "scripted:" + json.dumps({"text": texts})


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Code]:
    folder = tmp_path_factory.mktemp("vscode")
    locked = {"files.readonlyInclude": {"**/locked.py": True}}
    with opened(folder, WRITTEN, more=locked, model=plays("return width * height")) as code:
        yield code


def test_a_docstring_is_written_into_the_function_at_the_cursor(plain: Code) -> None:
    plain("open", "docstring.py:1:1")
    plain.plays(plays("Twice as much."))
    plain("command", "Infill: Write Docstring")
    plain("waitText", "Twice")
    wanted = DOUBLE.replace("(x):\n", '(x):\n    """Twice as much."""\n')
    assert plain("saved", "docstring.py") == wanted


def test_where_no_docstring_is_missing_it_is_told_where_one_would_be(plain: Code) -> None:
    plain("open", "told.py:1:1")
    plain("command", "Infill: Write Docstring")
    plain("waitNotice", "No docstring is missing here: it is written for the function or class")
    plain("command", "Notifications: Clear All Notifications")


def test_a_parameter_is_added_with_its_uses_or_not_at_all(plain: Code) -> None:
    plain("open", "parameter.py:1:1")
    plain.plays(plays("by", ""))  # it would be given nowhere
    plain("command", "Infill: Add a Parameter")
    plain("waitNotice", "Nothing was changed: the model did not write one more parameter")
    assert plain("saved", "parameter.py") == DOUBLE
    plain.plays(plays("by", "7"))
    plain("command", "Infill: Add a Parameter")
    plain("waitText", "double(1, 7)")
    added = DOUBLE.replace("(x)", "(x, by)").replace("(1)", "(1, 7)")
    assert plain("saved", "parameter.py") == added
    plain("command", "Notifications: Clear All Notifications")


def test_nothing_is_offered_in_a_read_only_editor(plain: Code) -> None:
    plain("open", "open.py:2:5")
    plain("waitOffers", FILL)
    plain("open", "locked.py:2:5")
    plain("waitLacks", FILL)
    plain("waitLacks", "Infill: Write Docstring")
    plain("waitText", "...")


def test_an_untitled_text_is_filled(plain: Code) -> None:
    plain.plays(plays("return width * height"))
    plain("command", "Create: New File")
    plain("choose", "Text File")
    plain("command", "Change Language Mode")
    plain("choices")
    plain("type", "Python")
    plain("press", "Enter")
    plain("type", "def area(width, height):\n...")
    plain("command", FILL)
    plain("waitText", "return width * height")
    plain.keep("vscode-untitled")


def test_in_a_comparison_the_file_s_side_is_filled(plain: Code) -> None:
    plain.plays(plays("return width * height"))
    plain("open", "compared.py:1:1")
    plain("type", "#\n")
    plain("command", "File: Compare Active File with Saved")
    plain("waitOffers", "Compare: Toggle Inline View")  # once it is shown
    plain("command", "Infill: Fill All Holes in This File")
    plain("waitText", "return width * height")
    plain.keep("vscode-compared")
    assert plain("saved", "compared.py") == f"#\n{FILLED}"


def test_nothing_is_offered_in_a_notebook(plain: Code) -> None:
    plain("open", "open.py")
    plain("waitOffers", FILL)
    plain("press", "Control+P")
    plain("type", "notebook.ipynb")
    plain("press", "Enter")
    plain("waitText", "in_a_cell")
    plain.keep("vscode-notebook")
    plain("waitLacks", FILL)
