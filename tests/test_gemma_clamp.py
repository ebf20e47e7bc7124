"""A clamp carries information: what stands behind a hole decides what is written into it.

With weights that bench/gemma_clamp.py trained in a minute or two, and kept.
"""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from tests.benches import BENCH, bench_named

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers.models.diffusion_gemma", reason="transformers is too old")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return bench_named("gemma_clamp")


def test_a_hole_whose_text_is_clamped_behind_it_is_recovered(bench: ModuleType) -> None:
    assert bench.recovered(bench.trained(), "clamped", 16, 100) >= 0.99


@pytest.mark.parametrize(("way", "most"), [("noise alone", 0.08), ("only to start with", 0.2)])
def test_without_the_clamp_it_is_not(bench: ModuleType, way: str, most: float) -> None:
    """By noise alone it is chance, one in twenty; what a canvas only starts with is soon lost."""
    assert bench.recovered(bench.trained(), way, 16, 100) < most


def test_it_is_trained_and_measured_anew_by_one_command() -> None:
    command = [sys.executable, str(BENCH / "gemma_clamp.py"), "--dry"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert "| clamped |" in done.stdout
    assert "trained in" in done.stderr
