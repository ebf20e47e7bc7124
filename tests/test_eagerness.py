"""How readily fills are shown that nobody asked for: three levels, and a number in their place."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infill.document import Document
from infill.fill import Fill, fill_at
from infill.measure.figures import write_rows
from infill.memory import Memory
from infill.reason import Reason
from infill.settings import GATES, Settings, settings_from
from model.canvas import Canvas
from model.scripted import Scripted
from tests.benches import BENCH
from tests.test_figures import ROW
from tests.test_nvim import MISSING, home, open_file, script, wait_for_answers

__all__ = ["home"]

LEVELS = list(GATES)  # from the most silent one


async def filled(confidence: float, chosen: Settings, *, invoked: bool = False) -> Fill:
    return await fill_at(
        Document(None, "python", "x = \n"), 4, denoiser=Scripted("1", confidence=confidence),
        settings=replace(chosen, deadline_ms=60_000), memory=Memory(), invoked=invoked,
    )  # fmt: skip


@pytest.mark.parametrize("i", range(3))
async def test_each_level_shows_what_the_more_silent_one_does_and_more(i: int) -> None:
    sure = GATES[LEVELS[i]] + 0.01
    shown = [(await filled(sure, Settings(eagerness=it))).edit is not None for it in LEVELS]
    assert shown == [level >= i for level in range(3)]


async def test_a_number_of_one_s_own_counts_more_than_the_level() -> None:
    eager = Settings(eagerness="eager", min_confidence=0.9)
    assert (await filled(0.8, eager)).reason is Reason.LOW_CONFIDENCE
    quiet = Settings(eagerness="quiet", min_confidence=0.0)
    assert (await filled(0.01, quiet)).edit


async def test_what_is_asked_for_is_shown_at_every_level() -> None:
    for level in LEVELS:
        assert (await filled(0.01, Settings(eagerness=level), invoked=True)).edit


@pytest.mark.parametrize(("level", "lines"), [("quiet", 1), ("usual", 2), ("eager", 2)])
async def test_only_who_wants_quiet_gets_a_line_at_a_time_unless_asked_for(
    level: str, lines: int
) -> None:
    text, at = "def f(a):\n    \n", 14

    def script(canvas: Canvas) -> tuple[str]:
        (hole,) = canvas.holes
        return ("a = 1\n    return a" if hole.multiline else "return a",)

    chosen = Settings(eagerness=level, deadline_ms=60_000)
    for invoked, expected in [(False, lines), (True, 2)]:
        fill = await fill_at(
            Document(None, "python", text), at, denoiser=Scripted(script), settings=chosen,
            memory=Memory(), invoked=invoked,
        )  # fmt: skip
        assert fill.edit is not None
        assert fill.edit.text.count("\n") + 1 == expected


def test_a_level_that_there_is_not_is_refused() -> None:
    settings, (complaint,) = settings_from({"eagerness": "loud"})
    assert settings == Settings()
    assert "'quiet', 'usual', 'eager'" in complaint


def test_the_levels_are_told_and_drawn_with_what_they_show(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [
        replace(ROW, score=0.6, exact=True),
        replace(ROW, score=0.3, exact=False, similarity=0.9),
        replace(ROW, score=0.15, exact=False, similarity=0.5),
        replace(ROW, score=0.0, exact=False, similarity=0.0, text=None, reason="empty"),
    ]
    write_rows(tmp_path / "rows.jsonl", rows)
    (tmp_path / "none.jsonl").touch()

    def run(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(BENCH / "gate.py"), name, "--out", str(tmp_path)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    done = run("rows.jsonl")
    assert done.returncode == 0, done.stderr
    assert f"| {GATES['quiet']:g}, quiet | 25.0% | 100.0% | 100.0% | 25.0% |" in done.stdout
    assert "| 0.2, usual | 50.0% | 100.0% | 50.0% | 50.0% |" in done.stdout
    assert "| 0 | 75.0% | 66.7% | 33.3% | 50.0% |" in done.stdout
    assert (tmp_path / "gate.png").read_bytes().startswith(b"\x89PNG")
    assert run("none.jsonl").returncode == 1


@pytest.mark.editor
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize(("level", "is_shown"), [("quiet", False), ("usual", True)])
def test_neovim_shows_what_the_level_in_its_settings_lets_through(
    home: Path,  # the fixture
    level: str,
    is_shown: bool,
) -> None:
    file = home / "a.py"
    file.write_text("x = \n")
    between = (GATES["quiet"] + GATES["usual"]) / 2
    with open_file(home, file, model=script("1", confidence=between), eagerness=level) as neovim:
        neovim.wait_for_client("infill")
        neovim.insert_at(0, 4)
        if is_shown:
            neovim.wait_for_ghost("1")
        else:
            assert wait_for_answers(neovim, 1) == [0]
            assert "eagerness" in neovim.lua("return require('infill').why()")
