"""The benchmark that waits for a GPU: all of it runs, in a tiny shape on a CPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")


def test_the_benchmark_for_a_gpu_runs_through_in_small():
    bench = Path(__file__).resolve().parent.parent / "bench" / "gpu_masked.py"
    command = [sys.executable, str(bench), "--dry"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for row in ("transformers, eager", "ours, without graphs", "every 4 steps", "int8", "float8"):
        assert row in done.stdout
    if not torch.cuda.is_available():
        refused = subprocess.run(command[:2], capture_output=True, text=True, timeout=300)
        assert refused.returncode == 1
        assert "no CUDA device" in refused.stderr
