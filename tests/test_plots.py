"""The plots are drawn from rows alone, and say what they cannot read."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infill.measure.figures import write_rows
from tests.benches import BENCH
from tests.test_figures import ROW

pytest.importorskip("matplotlib")


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_rows_become_three_plots(tmp_path: Path) -> None:
    write_rows(tmp_path / "some.jsonl", [ROW, replace(ROW, score=1.0, exact=False)])
    write_rows(
        tmp_path / "none-shown.jsonl", [replace(ROW, text=None, reason="empty", exact=False)]
    )
    paths = [str(tmp_path / f"{name}.jsonl") for name in ("some", "none-shown")]
    done = run("plots.py", *paths, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    for name in ("length", "reliability", "coverage"):
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_growth_is_drawn_from_rows_that_are_there(tmp_path: Path) -> None:
    models = [str(tmp_path / name) for name in ("small", "large")]
    for model in models:
        write_rows(Path(f"{model}.jsonl"), [ROW])
    arguments = ["--suites", "none", "--out", str(tmp_path)]
    done = run("growth.py", "--models", f"{models[0]}=2e6", f"{models[1]}=4e6", *arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tokens.png").exists()
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "config.json").write_text("{}")
    done = run("growth.py", "--models", models[0], *arguments)
    assert done.returncode == 1
    assert "small=TOKENS" in done.stderr
