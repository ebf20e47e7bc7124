"""Published checkpoints: what is loaded computes as their authors' code does, from id or folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from lsp.command import run  # noqa: E402
from model import ModelError  # noqa: E402
from model.load import card_of, load, place_of  # noqa: E402
from model.masked.engine import Engine  # noqa: E402
from model.published.catalog import row_of  # noqa: E402
from model.published.stock import load_stock, row_for  # noqa: E402
from model.published.weights import peak_host_bytes  # noqa: E402
from tests import published  # noqa: E402
from tests.published import KINDS, Kind, into_cache, published_network, write_checkpoint  # noqa: E402

Opened = Callable[..., Engine]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Loads a folder in float32; what was loaded is closed at the end."""
    engines: list[Engine] = []

    def load_it(folder: Path, **options: Any) -> Engine:
        engines.append(
            load_stock(folder, row_for(folder), **{"dtype": "float32", "device": "cpu"} | options)
        )
        return engines[-1]

    yield load_it
    for engine in engines:
        engine.close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub; nothing may be asked of the hub itself."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return folder


def folder_for(kind: Kind, at: Path) -> Path:
    return at / kind.id.rpartition("/")[2]  # the name by which the catalog knows it


@pytest.mark.parametrize("name", KINDS)
def test_logits_equal_the_published_rule(name: str, tmp_path: Path, opened: Opened) -> None:
    kind = KINDS[name]
    network = published_network(kind)
    engine = opened(write_checkpoint(folder_for(kind, tmp_path), kind, network))
    tokens = torch.randint(0, kind.vocab, (1, 19))
    with torch.inference_mode():
        expected = published.published_logits(kind, network, tokens)
        torch.testing.assert_close(engine.network(tokens), expected, atol=1e-5, rtol=0)


def test_a_tied_head_may_be_stored_or_not(tmp_path: Path, opened: Opened) -> None:
    for name in ("open-dcoder", "a2d-qwen2"):
        kind = KINDS[name]
        engine = opened(write_checkpoint(folder_for(kind, tmp_path), kind, published_network(kind)))
        assert engine.network.lm_head.weight is engine.network.model.embed_tokens.weight


def test_a_head_that_was_trained_apart_stays_so(tmp_path: Path, opened: Opened) -> None:
    """transformers reads such a checkpoint like that, too, though its config says tied."""
    kind = KINDS["a2d-qwen2"]
    network = published_network(kind, tie_word_embeddings=False)
    network.config.tie_word_embeddings = True
    engine = opened(write_checkpoint(folder_for(kind, tmp_path), kind, network))
    tokens = torch.randint(0, kind.vocab, (1, 9))
    with torch.inference_mode():
        expected = published.published_logits(kind, network, tokens)
        torch.testing.assert_close(engine.network(tokens), expected, atol=1e-5, rtol=0)


def test_weights_are_taken_to_the_number_format_that_is_wanted(
    tmp_path: Path, opened: Opened
) -> None:
    kind = KINDS["dreamon"]
    network = published_network(kind)
    folder = write_checkpoint(folder_for(kind, tmp_path), kind, network, dtype=torch.bfloat16)
    for dtype in ("bfloat16", "float32"):
        engine = opened(folder, dtype=dtype)
        assert {p.dtype for p in engine.network.parameters()} == {getattr(torch, dtype)}
        stored = network.model.norm.weight.to(torch.bfloat16)
        torch.testing.assert_close(engine.network.model.norm.weight.to(torch.bfloat16), stored)


def test_what_is_read_is_told_in_bytes(tmp_path: Path, opened: Opened) -> None:
    kind = KINDS["llada"]
    folder = write_checkpoint(folder_for(kind, tmp_path), kind, published_network(kind))
    told: list[tuple[str, float]] = []
    opened(folder, on_share=lambda what, share: told.append((what, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert all("GB" in what for what, _ in told)


def test_the_peak_of_host_memory_is_logged(
    tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    kind = KINDS["a2d-qwen3"]
    folder = write_checkpoint(folder_for(kind, tmp_path), kind, published_network(kind))
    with caplog.at_level("INFO"):
        opened(folder)
    assert "float32 on cpu" in caplog.text
    assert "host memory" in caplog.text
    peak = peak_host_bytes()
    assert peak is None or peak > 10_000_000


@pytest.mark.parametrize("name", ["dreamon", "open-dcoder", "a2d-qwen2", "a2d-qwen3", "llada"])
def test_a_file_is_filled_by_each_family_from_the_hub_s_cache(
    name: str, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = KINDS[name]
    row = row_of(kind.id)
    assert row is not None
    folder = write_checkpoint(tmp_path / "any", kind, published_network(kind, scale=2.0))
    snapshot = into_cache(cache, kind.id, folder, row.revision or "a" * 40)
    assert place_of(kind.id).folder == snapshot
    file = tmp_path / "a.py"
    file.write_text("def area(width, height):\n    return \n")
    run(["fill", f"{file}:2:12", "--json", "--model", kind.id])
    told = json.loads(capsys.readouterr().out)
    assert told["model"].startswith(kind.id.rpartition("/")[2])
    assert told["steps"] > 0


def test_a_folder_works_like_an_id(tmp_path: Path, cache: Path) -> None:
    kind = KINDS["open-dcoder"]
    folder = write_checkpoint(folder_for(kind, tmp_path), kind, published_network(kind))
    into_cache(cache, kind.id, folder, row_of(kind.id).revision)  # type: ignore[union-attr]
    named, by_id = card_of(str(folder)), card_of(kind.id)
    assert replace(named, version="") == replace(by_id, version="")
    assert by_id.hole_limit == 128


def test_the_card_changes_with_the_weights(tmp_path: Path) -> None:
    kind = KINDS["open-dcoder"]
    folder = write_checkpoint(folder_for(kind, tmp_path), kind, published_network(kind))
    before = card_of(str(folder))
    assert card_of(str(folder)) == before
    write_checkpoint(folder, kind, published_network(kind, seed=1))
    assert card_of(str(folder)).version != before.version


def test_a_network_without_a_row_needs_a_few_keys(tmp_path: Path) -> None:
    kind = KINDS["open-dcoder"]
    folder = write_checkpoint(tmp_path / "mine", kind, published_network(kind))
    with pytest.raises(ModelError, match="`mask`, `shift` and `context`"):
        card_of(str(folder))
    with pytest.raises(ModelError, match="'context' is missing"):
        card_of(str(folder), {"mask": "<M>", "shift": True})
    card = card_of(str(folder), {"mask": "<M>", "shift": True, "context": 512})
    assert card.name == "mine"
    loaded = load(str(folder), keys={"mask": "<M>", "shift": True, "context": 512})
    assert isinstance(loaded, Engine)
    assert loaded.vocabulary.specials.mask == 151665
    loaded.close()


def test_weights_that_are_not_here_are_named_with_the_command_that_fetches_them(
    cache: Path,
) -> None:
    with pytest.raises(ModelError, match="infill-lsp models pull Dream-org/DreamOn-v0-7B"):
        load("Dream-org/DreamOn-v0-7B")
    for name in ("Dream-org/DreamOff", "dreamon-7b", "zzz"):
        with pytest.raises(ModelError, match="no network of this name is known") as told:
            load(name)
        meant = "`infill-lsp models list` shows" if name == "zzz" else "Dream-org/DreamOn-v0-7B?"
        assert meant in str(told.value)
