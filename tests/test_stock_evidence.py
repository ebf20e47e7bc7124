"""Counts beside networks of others: how far each is to believe them is fitted, never guessed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from lsp.command import run  # noqa: E402
from model import Canvas, Hole, ModelError  # noqa: E402
from model.load import card_of, load  # noqa: E402
from model.masked.engine import Engine  # noqa: E402
from model.training.command import main  # noqa: E402
from tests.published import KINDS, published_network, write_checkpoint  # noqa: E402
from tests.test_train import corpus_with_held_out  # noqa: E402

BEFORE, AFTER = "import numpy as ", "\n\n\nzeros = np.zeros(3)\n"


@pytest.mark.parametrize("name", ["dreamon", "open-dcoder"])
async def test_a_network_of_others_fills_with_the_counts_that_ship(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = KINDS[name]
    folder = tmp_path / kind.id.rpartition("/")[2]
    write_checkpoint(folder, kind, published_network(kind, scale=0.01))  # it is sure of nothing
    before = card_of(str(folder)).version
    corpus = corpus_with_held_out(tmp_path / "corpus.jsonl")
    monkeypatch.setattr("model.training.blending.BLEND_HOLES", 40)
    told = ["--counts-for", str(folder), "--corpus", str(corpus), "--work", str(tmp_path / "work")]
    assert await asyncio.to_thread(main, told) == 0
    assert json.loads((folder / "evidence.json").read_text())["blend"]["share"] > 0.3
    assert card_of(str(folder)).version != before
    denoiser = await asyncio.to_thread(load, str(folder))
    canvas = Canvas((BEFORE, AFTER), (Hole(len(BEFORE), len(BEFORE), limit=24),))
    drafts = [draft async for draft in denoiser.denoise(canvas)]
    denoiser.close()
    assert "np" in [rival.text for rival in drafts[-1].rivals[0]]
    if name == "dreamon":  # which length the other likes best is chance with weights like these
        assert drafts[-1].texts == ("np",)


def test_a_network_that_the_catalog_does_not_know_is_fitted_by_its_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    write_checkpoint(folder, KINDS["open-dcoder"], published_network(KINDS["open-dcoder"]))
    corpus = corpus_with_held_out(tmp_path / "corpus.jsonl")
    monkeypatch.setattr("model.training.blending.BLEND_HOLES", 4)
    told = ["train", "--counts-for", str(folder), "--corpus", str(corpus)]
    told += ["--work", str(tmp_path / "work")]
    assert run(told) == 1
    assert "`mask`, `shift` and `context`" in capsys.readouterr().err
    assert run([*told, "--model-keys", '{"mask": "<M>", "shift": true, "context": 512}']) == 0
    assert "blend" in json.loads((folder / "evidence.json").read_text())
    with pytest.raises(SystemExit):
        run([*told, "--model-keys", "mask"])
    assert "'mask' is no JSON" in capsys.readouterr().err


async def test_the_published_decoding_and_a_network_without_a_fit_hear_no_counts(
    tmp_path: Path,
) -> None:
    kind = KINDS["dreamon"]
    folder = tmp_path / "DreamOn-v0-7B"
    write_checkpoint(folder, kind, published_network(kind))
    bare = await asyncio.to_thread(load, str(folder))
    (folder / "evidence.json").write_text('{"blend": {}}')
    published = await asyncio.to_thread(lambda: load(str(folder), keys={"decoding": "published"}))
    for engine in (bare, published):
        assert isinstance(engine, Engine)
        assert engine.evidence is None
        engine.close()


@pytest.mark.parametrize("text", ["{", "[]", '{"blend": {"shares": 1}}'])
def test_a_damaged_fit_is_named_with_what_to_do(text: str, tmp_path: Path) -> None:
    kind = KINDS["dreamon"]
    folder = tmp_path / "DreamOn-v0-7B"
    write_checkpoint(folder, kind, published_network(kind))
    (folder / "evidence.json").write_text(text)
    with pytest.raises(ModelError, match=r"evidence\.json cannot be read.*--counts-for"):
        load(str(folder))


def test_without_code_to_fit_on_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = KINDS["dreamon"]
    folder = tmp_path / "DreamOn-v0-7B"
    write_checkpoint(folder, kind, published_network(kind))
    assert main(["--counts-for", str(folder), "--work", str(tmp_path / "work")]) == 1
    assert "has none of the packages" in " ".join(capsys.readouterr().err.split())
    assert not (folder / "evidence.json").exists()
