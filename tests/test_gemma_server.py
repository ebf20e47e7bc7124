"""The language server with DiffusionGemma: fills on the wire and in Neovim, bad input in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers.models.diffusion_gemma", reason="transformers is too old")

from model.published.catalog import known
from tests.gemma_folder import write_gemma
from tests.gemma_trained import AFTER, ANSWER, BEFORE, trained_folder
from tests.nvim import Neovim
from tests.published import into_cache
from tests.raw_client import RawClient
from tests.test_nvim import MISSING, open_file
from tests.trying import steps_of_a_fill, trying, use

GEMMA = next(row for row in known() if row.family == "uniform")
LEARNT = {"limit": 16}  # tokens: of longer holes it has learnt nothing
URI = "file:///tmp/area.py"
LINE, CHARACTER = 1, len("    return ")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_folder(tmp_path_factory.mktemp("gemma") / "trained")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Path:
    hub = tmp_path_factory.mktemp("hub")
    into_cache(hub, GEMMA.id, trained)
    return hub


@pytest.fixture(scope="module")
def client(cache: Path) -> Iterator[RawClient]:
    with trying(cache, URI, BEFORE + AFTER) as running:
        yield running


def filled(client: RawClient, uri: str = URI, line: int = LINE, character: int = CHARACTER) -> str:
    answer = client.answer(client.inline(uri, line, character))["result"]
    return answer["items"][0]["insertText"] if answer else ""


def change(client: RawClient, text: str, version: list[int] = [1]) -> None:  # noqa: B006
    version[0] += 1
    client.change(URI, version[0], {"text": text})


@pytest.mark.parametrize("mode", ["auto", "clamped", "prompted"])
def test_it_fills_by_its_id_and_from_a_folder_in_each_mode(
    client: RawClient, trained: Path, mode: str
) -> None:
    for model in (GEMMA.id, "diffusiongemma-26b-a4b-it", str(trained)):
        status = use(client, model, LEARNT | {"mode": mode})
        assert (status["ready"], status["failure"]) == (True, None)
        assert filled(client).rstrip() == ANSWER


def test_typing_and_deleting_is_followed(client: RawClient, trained: Path) -> None:
    use(client, str(trained), LEARNT | {"mode": "clamped"})
    for typed in ("w", "wid", "w", ""):
        change(client, BEFORE + typed + AFTER)
        assert steps_of_a_fill(client, URI, LINE, CHARACTER + len(typed)) >= 0
    assert filled(client).rstrip() == ANSWER


def test_of_a_file_beyond_the_context_what_is_near_is_seen(
    client: RawClient, trained: Path
) -> None:
    use(client, str(trained), LEARNT | {"context": 700})
    text = "x = 1\n" * 3000 + BEFORE + AFTER + "y = 2\n" * 3000
    uri = "file:///tmp/long.py"
    client.open(uri, text)
    assert steps_of_a_fill(client, uri, 3001, CHARACTER) > 0


def other_gemma(kind: str) -> Callable[[Path], str]:
    def made(folder: Path) -> str:
        config = json.loads((folder / "config.json").read_text())
        config["model_type"] = kind
        (folder / "config.json").write_text(json.dumps(config))
        return str(folder)

    return made


def huge(folder: Path) -> str:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {"num_experts": 4096, "hidden_size": 32_768}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def cut_off(folder: Path) -> str:
    shard = folder / "model-00002-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    return str(folder)


def itself(folder: Path) -> str:
    return str(folder)


# What is wrong, with which keys, and what is said of it.
BAD: dict[str, tuple[Callable[[Path], str], dict[str, Any], str]] = {
    "no room for the prompt": (itself, {"context": 300}, "has no room for the file: its instr"),
    "a hole beyond the canvas": (itself, {"limit": 300}, "which is beyond its canvas of 256"),
    "a canvas beyond the trained": (itself, {"canvas": 999}, "was trained with 256: give the key"),
    "a key of masks": (itself, {"mask": 4}, "'mask' says nothing of a network of the uniform"),
    "gemma2": (other_gemma("gemma2"), {}, "is 'gemma2', another Gemma: it writes from left to"),
    "gemma3": (other_gemma("gemma3_text"), {}, "is 'gemma3_text', another Gemma"),
    "gemma4": (other_gemma("gemma4"), {}, "Take google/diffusiongemma-26B-A4B-it, the one that"),
    "a shard cut off": (cut_off, {}, "is damaged or cut off"),
}


@pytest.mark.parametrize("how", BAD)
def test_bad_input_is_one_sentence_and_the_bundled_model_fills(
    how: str, client: RawClient, trained: Path, tmp_path: Path
) -> None:
    spoil, keys, sentence = BAD[how]
    shutil.copytree(trained, tmp_path / "copy")
    status = use(client, spoil(tmp_path / "copy"), keys)
    assert status["ready"]
    assert sentence in status["failure"]
    assert status["failure"].endswith(". Until then the bundled model fills the holes.")
    shown = client.notification("window/showMessage")["params"]["message"]
    assert shown == f"infill-lsp: {status['failure']}"
    assert filled(client)


def test_too_little_memory_is_told_before_anything_is_loaded(
    client: RawClient, tmp_path: Path
) -> None:
    """The config alone says what it would need; weights of this size there are none."""
    folder = write_gemma(tmp_path / "huge")
    status = use(client, huge(folder))
    assert "huge needs " in status["failure"]
    assert " are free: close what else uses memory, or choose one of: " in status["failure"]
    client.notification("window/showMessage")
    assert filled(client)


@pytest.mark.editor
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_its_fill_is_ghost_text_in_neovim(tmp_path: Path, trained: Path) -> None:
    (tmp_path / "infill-lsp").symlink_to(Path(__file__).resolve().parent.parent)
    file = tmp_path / "area.py"
    file.write_text(BEFORE + AFTER)
    neovim: Neovim
    with open_file(
        tmp_path, file, model=str(trained), model_keys=LEARNT, deadline_ms=30_000
    ) as neovim:
        neovim.wait_for_client("infill")
        neovim.until(lambda: neovim.lua("return Loaded"), "the model is loaded")
        neovim.insert_at(LINE, CHARACTER)
        ghost = neovim.wait_for_ghost(ANSWER)
        assert (ghost.row, ghost.column) == (LINE, CHARACTER)
        print(*neovim.screen(), sep="\n")
        neovim.accept()
        neovim.save()
    assert file.read_text() == BEFORE + ANSWER + AFTER
