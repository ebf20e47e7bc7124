"""The trainer, from corpus to a model that fills: small, but all of it real."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from model import Canvas, Hole, ModelError  # noqa: E402
from model.corpus import Source, clean, corpus, line_stretches, suite_shingles, word_shingles  # noqa: E402
from model.examples import IGNORED, Examples, Mix, hole  # noqa: E402
from model.load import card_of, load  # noqa: E402
from model.muon import Muon, orthogonal  # noqa: E402
from model.tokens import DELETE, EXPAND, MASK, train_tokens  # noqa: E402
from model.train import Batches, Plan, loader, main  # noqa: E402

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
    values = torch.linalg.svdvals(orthogonal(torch.randn(3, 24, 40)))
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


def test_files_that_are_no_code_are_left_out(tmp_path: Path):
    cases = {
        "short.py": "x = 1\n",
        "table.py": "numbers = [" + "1234567, " * 400 + "]\n",
        "broken.py": "def f(:\n    return some_name_or_other\n" * 10,
    }
    for name, text in cases.items():
        (tmp_path / name).write_text(text)
        assert clean(tmp_path / name) is None, name
    (tmp_path / "good.py").write_bytes(b"def words(text):\r\n\treturn text.split()\r\n" * 10)
    text = clean(tmp_path / "good.py")
    assert text is not None
    assert "\r" not in text
    assert "\t" not in text


def test_a_copy_shares_its_stretches_and_a_suite_its_shingles(tmp_path: Path):
    assert line_stretches(SOURCE) == line_stretches(SOURCE + "\n\n")
    suite = tmp_path / "suite.jsonl"
    row = {"prompt": SOURCE[:500], "canonical_solution": SOURCE[500:900], "suffix": SOURCE[900:]}
    suite.write_text(json.dumps(row) + "\n")
    assert suite_shingles([suite]) & word_shingles("# changed\n" + SOURCE)
    assert not suite_shingles([suite]) & word_shingles("nothing of the kind " * 20)


def test_held_out_packages_are_told_apart():
    assert Source("click", Path("x"), "").held_out
    assert not Source("torch", Path("x"), "").held_out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder and a model folder after a run of a few seconds."""
    folder = tmp_path_factory.mktemp("trained")
    assert main(arguments(folder, minutes=0.05)) == 0
    return folder


def arguments(folder: Path, minutes: float) -> list[str]:
    return [
        "--size", "tiny", "--minutes", str(minutes), "--batch", "4", "--device", "cpu",
        "--limit-files", "40", "--work", str(folder / "work"), "--out", str(folder / "model"),
    ]  # fmt: skip


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


def test_a_longer_run_goes_on_from_the_checkpoint(trained: Path):
    before = json.loads((trained / "work" / "log.json").read_text())[-1]["step"]
    assert main(arguments(trained, minutes=0.1)) == 0
    assert json.loads((trained / "work" / "log.json").read_text())[-1]["step"] > before


def test_a_damaged_checkpoint_is_told_and_nothing_is_lost(
    trained: Path, capsys: pytest.CaptureFixture[str]
):
    checkpoint = trained / "work" / "checkpoint.pt"
    good = checkpoint.read_bytes()
    checkpoint.write_bytes(good[:1000])
    weights = {p.name: p.read_bytes() for p in (trained / "model").iterdir()}
    assert main(arguments(trained, minutes=0.2)) == 1
    assert "delete it to begin anew" in " ".join(capsys.readouterr().err.split())
    assert {p.name: p.read_bytes() for p in (trained / "model").iterdir()} == weights
    checkpoint.write_bytes(good)


def test_another_vocabulary_is_not_mixed_in(trained: Path, capsys: pytest.CaptureFixture[str]):
    asked = [a if a != "tiny" else "2m" for a in arguments(trained, 1)]
    assert main(asked) == 1
    assert "name another --work" in " ".join(capsys.readouterr().err.split())


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


def test_the_corpus_is_found_and_holds_no_file_twice():
    seen = []
    for source in corpus():
        seen.append(source)
        if len(seen) == 50:
            break
    assert len({source.path for source in seen}) == 50
    assert {source.package for source in seen} == {"python"}


def test_batches_drawn_beside_a_gpu_are_those_drawn_in_line(tmp_path: Path):
    np.save(tmp_path / "train.npy", ROW)
    batches = Batches(tmp_path / "train.npy", Examples(TOKENS, 96), Plan(batch=2))
    drawn = iter(loader(batches, first=7, device="cuda"))
    for step in (7, 8, 9):
        ids, labels = next(drawn)
        assert torch.equal(ids, batches[step][0])
        assert torch.equal(labels, batches[step][1])
