"""What `--model auto` is: by device, free memory and what is on disk, with a reason to read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infill.settings import Settings
from infill.verbs.terminal import console, loaded
from lsp.command import run
from lsp.loading import Resident, Wanted
from model import ModelError
from model.auto import PUBLISHED, chosen, resolved
from model.load import card_of, load
from model.machine import Machine
from model.published.catalog import Row, known, row_of

DREAMON, CODER, DIFFU, SMALL = (
    "Dream-org/DreamOn-v0-7B",
    "Dream-org/Dream-Coder-v0-Base-7B",
    "apple/DiffuCoder-7B-Instruct",
    "fredzzp/open-dcoder-0.5B",
)
GEMMA = "google/diffusiongemma-26B-A4B-it"
TINY = "dllm-hub/Qwen2.5-Coder-0.5B-Instruct-diffusion-mdlm-v0.1"
TINY3 = "dllm-hub/Qwen3-0.6B-diffusion-mdlm-v0.1"


def gpu(free_gb: float) -> Machine:
    return Machine("cuda:0", "a GPU", int(free_gb * 1e9))


def rows(*ids: str) -> list[Row]:
    found = [row_of(id) for id in ids]
    assert None not in found
    return [row for row in found if row]


@pytest.mark.parametrize(
    ("free_gb", "on_disk", "name", "because"),
    [
        (80, [DREAMON, SMALL], DREAMON, "of the 2 on disk that fit it is the best by published"),
        (80, [SMALL, DREAMON], DREAMON, "(92.1 %), and it takes 18.2 GB of the 80.0 GB free on"),
        (80, [SMALL], SMALL, "no other network on disk fits, and it takes 3.2 GB of the 80.0 GB"),
        (12, [DREAMON, SMALL], SMALL, "DreamOn-v0-7B would be better and need 18.2 GB"),
        (80, [DIFFU, SMALL], SMALL, "best by published figures (32.5 %)"),  # the other has none
        (80, [CODER, SMALL, DIFFU], CODER, "of the 3 on disk that fit"),
        (80, [TINY3, TINY], TINY, "none with a published figure, it is the smallest"),
        (80, [GEMMA], GEMMA, "no other network on disk fits, and it takes"),
        (24, [GEMMA], GEMMA, "no other network on disk fits, and it takes"),  # in four bits
        (24, [GEMMA, DREAMON], DREAMON, "the best by published figures (92.1 %)"),
        (12, [GEMMA], "bundled", "no other network on disk fits the 12.0 GB free on a GPU"),
        (2, [DREAMON, SMALL], "bundled", "open-dcoder-0.5B needs 3.2 GB"),
        (2, [DREAMON], "bundled", "no other network on disk fits the 2.0 GB free on a GPU"),
        (0, [SMALL], "bundled", "no other network on disk fits the 0 kB free"),
        (80, [], "bundled", f"`infill-lsp models pull {DREAMON}`"),
        (6, [], "bundled", f"have room for open-dcoder-0.5B: `infill-lsp models pull {SMALL}`"),
    ],
)
def test_on_a_gpu_the_best_on_disk_that_fits_is_chosen(
    free_gb: float, on_disk: list[str], name: str, because: str
) -> None:
    choice = chosen(gpu(free_gb), rows(*on_disk), known())
    assert choice.name == name
    assert because in choice.sentence
    assert choice.sentence.startswith(f"auto chose {name.rpartition('/')[2]}: ")


def test_where_nothing_would_fit_nothing_is_recommended() -> None:
    choice = chosen(gpu(1), [], known())
    assert (choice.name, choice.why) == ("bundled", "no other network is on disk")


@pytest.mark.parametrize("on_disk", [[], [SMALL], [DREAMON, SMALL]])
@pytest.mark.parametrize("free", [None, 0, 10**12])
def test_without_a_gpu_only_the_bundled_model_answers_while_one_types(
    free: int | None, on_disk: list[str]
) -> None:
    choice = chosen(Machine("cpu", "CPU with 2 cores", free), rows(*on_disk), known())
    assert choice.name == "bundled"
    assert "no GPU that torch can use" in choice.why
    assert "CPU with 2 cores" in choice.why
    assert ("is on disk" in choice.why) == bool(on_disk)


def test_published_figures_are_of_networks_in_the_catalog() -> None:
    assert PUBLISHED.keys() <= {row.id for row in known()}


def test_a_name_that_is_not_auto_is_left_alone() -> None:
    heard: list[str] = []
    assert resolved("bundled", heard.append) == "bundled"
    assert heard == []


def test_who_loads_hears_what_was_chosen_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.auto.machine", lambda *, aside: gpu(80))
    monkeypatch.setattr("model.auto.on_disk", lambda: [(row, Path()) for row in rows(SMALL)])
    heard: list[str] = []
    assert resolved("auto", heard.append) == SMALL
    assert [what for what in heard if what.startswith("auto chose open-dcoder-0.5B: ")] == heard
    assert len(heard) == 1


def test_loading_auto_tells_the_choice_and_then_loads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("model.auto.on_disk", list)
    heard: list[str] = []
    denoiser = load(
        "auto", on_choice=heard.append, on_progress=lambda what, share: heard.append(what)
    )
    denoiser.close()
    assert heard[0].startswith("auto chose bundled: ")
    assert heard[1] == "loading bundled"
    assert denoiser.card == card_of("auto") == card_of("bundled")


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What "auto" chooses here: it is on disk, would fit, and one of its shards is cut off."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tests.published import KINDS, into_cache, published_network, write_checkpoint

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("model.auto.machine", lambda *, aside: gpu(80))
    kind = KINDS["open-dcoder"]
    (row,) = rows(kind.id)
    folder = write_checkpoint(tmp_path / "whole", kind, published_network(kind))
    shard = sorted(folder.glob("*.safetensors"))[-1]
    shard.write_bytes(shard.read_bytes()[:-20])
    (tmp_path / "hub").mkdir()
    into_cache(tmp_path / "hub", kind.id, folder, row.revision)
    return kind.id


def test_where_what_auto_chose_cannot_be_loaded_fill_says_so_and_the_bundled_model_fills(
    damaged: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "twice.py"
    file.write_text("def twice(number):\n    return \n")
    run(["fill", f"{file}:2:12", "--json", "--model", "auto"])
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["model"] == card_of("bundled").name
    assert told["steps"] > 0
    assert err.count("auto chose open-dcoder-0.5B: ") == 1
    assert "is damaged or cut off" in err
    assert ". Until then the bundled model fills the holes." in err
    # Who names a network wants that one.
    assert run(["fill", f"{file}:2:12", "--json", "--model", damaged]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "is damaged or cut off" in err
    assert "bundled" not in err


async def test_where_what_auto_chose_cannot_be_loaded_an_editor_hears_the_same(
    damaged: str,
) -> None:
    heard: list[str] = []
    resident = Resident(load)
    failure = await resident.replace(Wanted("auto", {}, 0), lambda *_: None, heard.append)
    assert failure is not None
    assert failure == resident.failure
    assert "is damaged or cut off" in failure
    assert failure.endswith(". Until then the bundled model fills the holes.")
    assert heard == [resident.choice]
    assert heard[0].startswith("auto chose open-dcoder-0.5B: ")
    assert resident.denoiser is not None
    assert resident.denoiser.card == card_of("bundled")
    resident.close()


def test_at_a_terminal_the_choice_stays_to_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("model.auto.on_disk", list)
    with loaded(Settings(model="auto"), console()) as denoiser:
        assert denoiser.card == card_of("bundled")
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.partition(": ")[0] for line in err.splitlines()] == ["auto chose bundled"]


def test_a_network_that_fails_while_it_warms_up_leaves_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch")
    from model.masked.engine import Engine

    def fails(engine: Engine, on_share: object = None) -> None:
        made.append(engine)
        raise ModelError("out of memory")

    made: list[Engine] = []
    monkeypatch.setattr(Engine, "warm_up", fails)
    with pytest.raises(ModelError, match="out of memory"):
        load("bundled")
    assert not made[0].thread.is_alive()
