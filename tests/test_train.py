"""The trainer, from corpus to a model that fills: small, but all of it real."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from model import Canvas, Hole, ModelError  # noqa: E402
from model.load import card_of, load  # noqa: E402
from model.tokens import DELETE, EXPAND, MASK, train_tokens  # noqa: E402
from model.training.batches import Batches, loader  # noqa: E402
from model.training.command import main  # noqa: E402
from model.training.examples import IGNORED, Examples, Mix, hole  # noqa: E402
from model.training.muon import Muon, orthogonal  # noqa: E402
from tests.counted import LEARNT  # noqa: E402

SOURCE = Path(__file__).read_text("utf-8")
TOKENS = train_tokens([SOURCE], 400)
ROW = np.array(TOKENS.encode(SOURCE * 3), np.uint16)


@given(st.integers(0, 10_000), st.floats(0, 1))
@settings(deadline=None)
def test_the_labels_of_an_example_give_the_text_back(seed: int, scattered: float):
    rng = np.random.default_rng(seed)
    examples = Examples(TOKENS, 96, Mix(scattered=scattered))
    ids, labels = examples.draw(ROW, 1, rng)
    resolved = [
        int(label if label != IGNORED else token)
        for token, label in zip(ids[0], labels[0], strict=True)
    ]
    if EXPAND in resolved:
        return  # an expand stands for tokens that the example no longer holds
    text = TOKENS.decode([token for token in resolved if token != DELETE])
    assert text in SOURCE * 3
    assert all(token == MASK for token, label in zip(ids[0], labels[0], strict=True) if label >= 0)


@given(st.lists(st.integers(6, 300), max_size=30), st.integers(0, 60), st.integers(0, 10_000))
def test_a_hole_ends_in_its_delete_slots(content: list[int], slots: int, seed: int):
    ids, labels = hole(content, slots, np.random.default_rng(seed))
    assert len(ids) == len(labels)
    spare = labels.count(DELETE)
    assert labels[len(labels) - spare :] == [DELETE] * spare
    assert not spare or ids[-spare:] == [MASK] * spare


def test_the_same_seed_draws_the_same_examples():
    examples = Examples(TOKENS, 96)
    first = examples.draw(ROW, 4, np.random.default_rng(5))
    again = examples.draw(ROW, 4, np.random.default_rng(5))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))


def test_muon_turns_a_gradient_into_a_nearly_orthogonal_step():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(3, 24, 40)).float())
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.3
    matrix = torch.nn.Parameter(torch.randn(8, 6))
    target = torch.randn(8, 6)
    optimiser = Muon([matrix], lr=0.05)
    before = float((matrix.detach() - target).square().sum())
    for _ in range(400):
        optimiser.zero_grad()
        (matrix - target).square().sum().backward()
        optimiser.step()
    assert float((matrix.detach() - target).square().sum()) < before / 10


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder and a model folder after a run of a few seconds."""
    folder = tmp_path_factory.mktemp("trained")
    assert main(arguments(folder, minutes=0.05)) == 0
    return folder


def arguments(folder: Path, minutes: float, *more: str) -> list[str]:
    return [
        "--size", "tiny", "--minutes", str(minutes), "--device", "cpu", "--eager",
        "--limit-files", "40", "--work", str(folder / "work"), "--out", str(folder / "model"),
        *more,
    ]  # fmt: skip


def words(capsys: pytest.CaptureFixture[str]) -> str:
    """What was told, whatever its line ends."""
    return " ".join(capsys.readouterr().err.split())


def steps(folder: Path) -> int:
    return json.loads((folder / "work" / "log.json").read_text())[-1]["step"]


def copied(trained: Path, to: Path) -> Path:
    subprocess.run(["cp", "-r", f"{trained}/.", to], check=True)
    return to


async def test_what_the_trainer_writes_fills_holes(trained: Path):
    denoiser = await asyncio.to_thread(load, str(trained / "model"))
    canvas = Canvas(("def f(", "):\n    return 1\n"), (Hole(6, 6, limit=6),))
    drafts = [draft async for draft in denoiser.denoise(canvas)]
    denoiser.close()
    assert drafts[-1].final
    assert "\n" not in drafts[-1].texts[0]
    assert card_of(str(trained / "model")).name == "infill-python-tiny"
    assert (trained / "model" / "curves.png").stat().st_size > 1000
    assert "tiny" in (trained / "model" / "README.md").read_text()


def corpus_with_held_out(path: Path) -> Path:
    """Three packages to count in and one, held out, to fit gate and blend on."""
    rows = [
        {"package": package, "path": f"{i}.py", "held_out": package == "click", "text": text,
         "licence": "MIT"}
        for package in ("a", "b", "c", "click")
        for i, text in enumerate(LEARNT)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


async def test_counts_are_added_to_a_model_and_fill_what_the_network_cannot(
    trained: Path, tmp_path: Path
):
    folder = copied(trained, tmp_path)
    corpus = corpus_with_held_out(tmp_path / "corpus.jsonl")
    (made,) = (folder / "work").glob("counts-*.npz")  # those of the whole run know none of these
    made.unlink()
    told = ["--counts-for", str(folder / "model"), "--corpus", str(corpus)]
    assert await asyncio.to_thread(main, [*told, "--work", str(folder / "work")]) == 0
    before = "\ndef longest(rows):\n    best = []\n    "
    after = "\n        if len(row) > len(best):\n"
    denoiser = await asyncio.to_thread(load, str(folder / "model"))
    canvas = Canvas((before, after), (Hole(len(before), len(before), limit=24),))
    drafts = [draft async for draft in denoiser.denoise(canvas)]
    denoiser.close()
    assert drafts[-1].rivals[0][0].text == "for row in rows:"
    assert "Counts beside" in (folder / "model" / "README.md").read_text()


def test_a_damaged_table_of_counts_is_named(trained: Path, tmp_path: Path):
    folder = copied(trained, tmp_path)
    path = folder / "model" / "counts-1.npz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelError, match=r"counts-1\.npz is damaged"):
        load(str(folder / "model"))


def test_without_its_corpus_a_model_is_written_and_the_missing_counts_told(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = copied(trained, tmp_path)
    (folder / "work" / "corpus.jsonl").unlink()
    assert main(arguments(folder, 1, "--export-only")) == 1
    assert "has no counts beside its weights" in words(capsys)
    load(str(folder / "model")).close()


def test_a_longer_run_goes_on_from_the_checkpoint(trained: Path, tmp_path: Path):
    folder = copied(trained, tmp_path)
    before = steps(folder)
    assert main(arguments(folder, 0.1)) == 0
    assert steps(folder) > before


def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = copied(trained, tmp_path)
    assert main(arguments(folder, 0.1)) == 0
    checkpoint = folder / "work" / "checkpoint.pt"
    data = bytearray(checkpoint.read_bytes())
    data[len(data) // 2] ^= 1  # torch itself would not see it
    checkpoint.write_bytes(data)
    assert main(arguments(folder, 0.12)) == 0
    assert "going on from the one before it" in words(capsys)


def test_without_a_whole_checkpoint_nothing_is_written(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = copied(trained, tmp_path)
    for path in (folder / "work").glob("checkpoint*"):
        path.write_bytes(path.read_bytes()[:1000])
    weights = {p.name: p.read_bytes() for p in (folder / "model").iterdir()}
    assert main(arguments(folder, 0.2)) == 1
    assert "to begin anew" in words(capsys)
    assert {p.name: p.read_bytes() for p in (folder / "model").iterdir()} == weights


def test_a_run_that_is_killed_is_finished_by_a_short_second_one(tmp_path: Path):
    command = [sys.executable, "-m", "infill_lsp", "train"]
    running = subprocess.Popen([*command, *arguments(tmp_path, 1)], stderr=subprocess.DEVNULL)
    previous = tmp_path / "work" / "checkpoint.previous.pt"
    deadline = time.monotonic() + 120
    while not previous.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    before = torch.load(tmp_path / "work" / "checkpoint.pt")["state"]
    assert 0 < before["seconds"] < 60
    assert main(arguments(tmp_path, 1, "--finish", "0.05")) == 0
    after = torch.load(tmp_path / "work" / "checkpoint.pt")["state"]
    assert after["step"] > before["step"]
    assert before["seconds"] + 3 <= after["seconds"] < before["seconds"] + 20
    assert main(arguments(tmp_path, 2, "--finish", "0.05")) == 0  # there is no more to finish
    assert torch.load(tmp_path / "work" / "checkpoint.pt")["state"] == after
    assert "not at its end" not in (tmp_path / "model" / "README.md").read_text()


def test_a_run_that_reached_its_end_has_nothing_to_finish(trained: Path, tmp_path: Path):
    folder = copied(trained, tmp_path)
    assert main(arguments(folder, 2, "--finish", "1")) == 0
    assert steps(folder) == steps(trained)


def test_a_slice_ends_early_with_a_model_and_says_how_to_go_on(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = copied(trained, tmp_path)
    assert main(arguments(folder, 5, "--slice", "0.03")) == 0
    assert "of the run are done after" in words(capsys)
    assert "not at its end" in (folder / "model" / "README.md").read_text()


def test_a_run_by_tokens_ends_as_if_it_had_not_been_stopped(trained: Path, tmp_path: Path):
    rows = copied(trained, tmp_path / "rows") / "work"
    ends: list[dict[str, torch.Tensor]] = []
    reached: list[int] = []
    for name, slices in (("whole", (None,)), ("parts", ("0.03", "0.03", None))):
        folder = tmp_path / name
        (folder / "work").mkdir(parents=True)
        for path in ("corpus.json", "corpus.jsonl", "tokenizer.json", "train.npy", "heldout.npy"):
            (folder / "work" / path).symlink_to(rows / path)
        for part in slices:
            told = ["--tokens", "90e3", "--no-export", *(["--slice", part] if part else [])]
            assert main(arguments(folder, 1, *told)) == 0
            reached.append(steps(folder))
        saved = torch.load(folder / "work" / "checkpoint.pt")
        assert 90_000 <= saved["state"]["tokens"] < 90_000 + 4 * 288
        assert saved["state"]["seconds"] > 0
        ends.append(saved["network"])
    assert reached[1] < reached[0] == reached[-1]
    for one, other in zip(*(end.values() for end in ends), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_other_optimisers_lengths_and_mixes_are_written_on_the_card(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = copied(trained, tmp_path)
    for path in (folder / "work").glob("checkpoint*"):
        path.unlink()
    other = ("--optimiser", "adamw", "--length", "160", "--mix", "holes=4", "lines=0.7")
    assert main(arguments(folder, 0.02, *other, "--no-counts")) == 0
    card = (folder / "model" / "README.md").read_text()
    assert "--length 160 --optimiser adamw" in card
    assert "--mix holes=4 lines=0.7" in card
    config = json.loads((folder / "model" / "config.json").read_text())
    assert config["start"]["context"] == 128
    for wrong, said in (("hole=4", "'hole' is none of"), ("holes=many", "wants a number")):
        with pytest.raises(SystemExit):
            main(arguments(folder, 1, "--mix", wrong))
        assert said in words(capsys)


def test_a_run_goes_on_elsewhere_from_the_model_it_wrote(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    start = ("--from", str(trained / "model"))
    assert main(arguments(tmp_path, 0.1, *start)) == 0
    assert steps(tmp_path) > steps(trained)
    tokenizers = [folder / "model" / "tokenizer.json" for folder in (trained, tmp_path)]
    assert tokenizers[0].read_bytes() == tokenizers[1].read_bytes()
    spoil(tmp_path / "model", "*.safetensors", lambda data: data[:-1] + b"x")
    capsys.readouterr()
    again = ("--from", str(tmp_path / "model"), "--work", str(tmp_path / "again"))
    assert main(arguments(tmp_path, 0.1, *again)) == 1
    assert "is damaged; copy it anew" in words(capsys)


@pytest.mark.skipif(sys.platform != "linux", reason="limits on files are set by bash's ulimit")
def test_no_space_is_told_and_the_last_checkpoint_stays(trained: Path, tmp_path: Path):
    folder = copied(trained, tmp_path)
    kept = (folder / "work" / "checkpoint.pt").read_bytes()
    weights = {p.name: p.read_bytes() for p in (folder / "model").iterdir()}
    command = [sys.executable, "-m", "infill_lsp", "train", *arguments(folder, 0.1)]
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 700 && exec "$@"', "bash", *command],
        capture_output=True, text=True, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    told = " ".join(done.stderr.split())
    assert done.returncode == 1
    assert "The last one is kept and the run goes on; make space" in told
    assert "training stopped: " in told
    assert (folder / "work" / "checkpoint.pt").read_bytes() == kept
    assert {p.name: p.read_bytes() for p in (folder / "model").iterdir()} == weights
    assert main(arguments(folder, 0.1)) == 0


def test_without_a_compiler_the_step_is_slower_and_says_so(trained: Path, tmp_path: Path):
    folder = copied(trained, tmp_path)
    asked = [a for a in arguments(folder, 0.1) if a != "--eager"]
    nowhere = {"CXX": "/nowhere", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "infill_lsp", "train", *asked],
        capture_output=True, text=True, env=os.environ | nowhere,
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert done.returncode == 0
    assert "the step cannot be compiled here, which is slower: InvalidCxx" in " ".join(
        done.stderr.split()
    )


def test_a_model_is_written_from_any_checkpoint(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = copied(trained, tmp_path)
    subprocess.run(["rm", "-r", folder / "model"], check=True)
    assert main(arguments(folder, 1, "--export-only")) == 0
    assert load(str(folder / "model"))
    for path in (folder / "work").glob("checkpoint*"):
        path.unlink()
    assert main(arguments(folder, 1, "--export-only")) == 1
    assert "holds no checkpoint yet" in words(capsys)


def test_token_ids_of_something_else_are_not_gone_on_with(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = copied(trained, tmp_path)
    other = tmp_path / "other.jsonl"
    other.write_text("{}")
    for change in (["--size", "2m"], ["--corpus", str(other)], ["--exclude", "suite.jsonl"]):
        assert main([*arguments(folder, 1), *change]) == 1
        assert "name another --work or delete that folder" in words(capsys), change


def test_a_network_of_another_shape_is_not_gone_on_with(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = copied(trained, tmp_path)
    assert main([*arguments(folder, 1), "--size", "2m", "--vocab", "1024"]) == 1
    assert "is of another network than size 2m" in words(capsys)
    assert main([*arguments(folder, 1), "--twin"]) == 1  # the same weights would fit
    assert "is of another network than size tiny" in words(capsys)


def spoil(folder: Path, name: str, change: object) -> None:
    path = next(folder.glob(name))
    if change is None:
        path.unlink()
    else:
        assert callable(change)
        path.write_bytes(change(path.read_bytes()))


def edited(**changes: object):
    def change(data: bytes) -> bytes:
        return json.dumps(json.loads(data) | changes).encode()

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("*.safetensors", lambda data: data[:-9] + b"x" * 9, "is damaged"),
        ("*.safetensors", lambda data: data[:100], "is damaged"),
        ("*.safetensors", None, "cannot be read"),
        ("config.json", lambda _: b"{", "cannot be read"),
        ("config.json", None, "has no config.json"),
        ("config.json", lambda _: b"{}", "lacks"),
        ("config.json", edited(family="other"), "family 'other'"),
        ("config.json", edited(shape={"vocab": 9}), "do not fit"),
        ("tokenizer.json", lambda _: b"[]", "do not fit"),
    ],
)
def test_a_spoilt_model_folder_is_explained(
    trained: Path, tmp_path: Path, name: str, change: object, message: str
):
    for path in (trained / "model").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    spoil(tmp_path, name, change)
    with pytest.raises(ModelError, match=message):
        load(str(tmp_path))


def test_batches_drawn_beside_a_gpu_are_those_drawn_in_line(tmp_path: Path):
    np.save(tmp_path / "train.npy", ROW)
    batches = Batches(tmp_path / "train.npy", Examples(TOKENS, 96), batch=2, seed=0)
    drawn = iter(loader(batches, first=7, device="cuda"))
    for step in (7, 8, 9):
        for beside, inline in zip(next(drawn), batches[step], strict=True):
            assert torch.equal(beside, inline)


def test_every_batch_has_one_shape_and_asks_what_its_labels_say(tmp_path: Path):
    np.save(tmp_path / "train.npy", ROW)
    batches = Batches(tmp_path / "train.npy", Examples(TOKENS, 96), batch=4, seed=0)
    shapes = set()
    for step in range(40):
        ids, rows, wanted = batches[step]
        shapes.add((ids.shape, rows.shape, wanted.shape))
        labels = torch.from_numpy(batches.drawn(step)[1]).flatten()
        asked = wanted != IGNORED
        assert torch.equal(labels[rows[asked]], wanted[asked])
        assert len(set(rows[asked].tolist())) == int(asked.sum()) > 0
    assert len(shapes) == 1
