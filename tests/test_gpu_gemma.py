"""The benchmark that waits for a GPU: all of it runs, in a tiny shape on a CPU."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from tests.benches import BENCH, bench_named

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers.models.diffusion_gemma", reason="transformers is too old")

from tests.gemma import VOCABULARY, WINDOW, tiny_model  # noqa: E402


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return bench_named("gpu_gemma")


def test_the_benchmark_for_a_gpu_runs_through_in_small() -> None:
    command = [sys.executable, str(BENCH / "gpu_gemma.py"), "--dry"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    for row in (
        "bfloat16, eager of transformers", "batched_mm of", "grouped_mm of", "int4, widened",
        "float8, scaled", "from left to right", "canvas, 16 steps", "of 24 GB that it was given",
    ):  # fmt: skip
        assert row in done.stdout
    if not torch.cuda.is_available():
        refused = subprocess.run(command[:2], capture_output=True, text=True, timeout=250)
        assert refused.returncode == 1
        assert "no CUDA device" in refused.stderr


def test_what_reads_from_left_to_right_writes_what_transformers_does(bench: ModuleType) -> None:
    """Token by token with all kept in place, past the window: as if each read all anew."""
    model = tiny_model()
    network = bench.Network(model)
    history = network.history()
    ids = torch.randint(VOCABULARY, (WINDOW + 1,)).tolist()
    prompt = len(ids)
    with torch.inference_mode():
        network.encode(history, ids)
        reader = bench.Reader(network, history, 10)
        for _ in range(2):  # as a capture does, which is then forgotten
            reader.step()
        reader.begin()
        for _ in range(10):
            reader.step()
        model.set_attn_implementation("eager")
        for _ in range(10):
            states = model.model.encoder(input_ids=torch.tensor([ids])).last_hidden_state
            ids.append(int(network.head(states[0, -1:]).argmax()))
    assert reader.written[:10].tolist() == ids[prompt:]
    assert len(set(ids[prompt:])) > 2


def test_a_random_network_is_whole_and_its_experts_are_shared(bench: ModuleType) -> None:
    trial = bench.tiny()
    for kind in ("", "int4"):
        model = bench.random_model(trial, kind)
        text = model.model.encoder.language_model
        held = [*model.model.decoder.state_dict().values(), *text.state_dict().values()]
        assert not any(it.is_meta for it in held)
        assert text.layers[0].experts is model.model.decoder.layers[0].experts
