"""What is done at a word in a real Helix: broken syntax repaired, a selection rewritten.

Filling holes, stale edits and giving up are in tests/test_actions_editors.py. A script plays the
model, so what is written is known to the letter; what is compared is the file on disk.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helix import Helix
from tests.test_actions import BROKEN, SELECTED
from tests.test_helix import MISSING, open_file, script

pytestmark = [pytest.mark.editor, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


def take(helix: Helix, title: str) -> None:
    """Takes the entry of the menu of code actions that begins so."""
    helix.press("Space", "a")
    screen = helix.wait_for(title)
    words = ("Fill ", "Write ", "Add ", "Repair ", "Rewrite ")
    entries = [line for line in screen if any(word in line for word in words)]
    number = next(n for n, line in enumerate(entries) if title in line)
    helix.press(*["Down"] * number, "Enter")


def test_broken_syntax_is_repaired_and_nothing_else_changes(tmp_path: Path) -> None:
    with open_file(tmp_path, BROKEN, model=script("x")) as helix:
        take(helix, "Repair syntax here")
        helix.wait_for("height):")
        helix.keep("helix-repair")
        assert helix.saved() == BROKEN.replace("height:", "height):")
        helix.press("u")
        helix.wait_for("height:")
        assert helix.saved() == BROKEN


def test_a_selection_is_rewritten_and_what_is_round_it_stays(tmp_path: Path) -> None:
    with open_file(tmp_path, SELECTED, model=script("height * width")) as helix:
        helix.command("goto 2")
        helix.type("gsw")  # past `return`
        helix.type("wvgl")
        take(helix, "Rewrite selection gently")
        helix.wait_for("height * width")
        assert helix.saved() == SELECTED.replace("width * height", "height * width")
        helix.press("u")
        helix.wait_for("width * height")
        assert helix.saved() == SELECTED
