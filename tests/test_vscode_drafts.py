"""Drafts in a real VS Code: seen while they are written, gone afterwards, given up with a key."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.test_actions import FILLED, FIVE, TEXTS
from tests.vscode import MISSING, Code, opened

pytestmark = [pytest.mark.editor, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

ALL = "Infill: Fill All Holes in This File"
MODEL = "scripted:" + json.dumps({"text": TEXTS, "seconds_a_step": 0.1, "steps_a_fill": 80})


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Code]:
    names = ("seen.py", "escape.py", "typing.py")
    folder = tmp_path_factory.mktemp("vscode")
    with opened(folder, dict.fromkeys(names, FIVE), model=MODEL) as code:
        yield code


def begin(code: Code, name: str) -> None:
    code("open", name)
    code("waitStatus", "ready")
    code("command", ALL)
    code("waitDrafts", "5")


def test_five_drafts_are_seen_at_once_and_are_gone_once_they_are_written(code: Code) -> None:
    begin(code, "seen.py")
    assert code("drafts") == TEXTS
    code("waitSettled")  # some of it, not all
    assert code("drafts") == TEXTS
    code.keep("vscode-drafts")
    code("waitText", "return width * height")
    code("waitDrafts", "0")
    code("waitStatus", "ready")
    assert code("saved", "seen.py") == FILLED


def test_escape_gives_the_drafts_up_without_a_trace(code: Code) -> None:
    begin(code, "escape.py")
    code.press("Escape")
    code("waitDrafts", "0")
    code("waitStatus", "ready")
    assert code("saved", "escape.py") == FIVE


def test_typing_takes_the_drafts_away_and_keeps_what_is_typed(code: Code) -> None:
    begin(code, "typing.py")
    code.press("Control+End")
    code("type", "x")
    code("waitDrafts", "0")
    code("waitNotice", "typing.py changed while infill-lsp was filling all holes")
    code("waitStatus", "ready")
    assert code("saved", "typing.py") == FIVE + "x"
