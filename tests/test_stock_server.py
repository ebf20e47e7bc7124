"""The language server with published networks: each family fills, and what fails costs no fill."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from lsp.command import run  # noqa: E402
from model.published.catalog import row_of  # noqa: E402
from tests.published import KINDS, into_cache, published_network, write_checkpoint  # noqa: E402
from tests.raw_client import RawClient  # noqa: E402
from tests.spoilt import only_pickles, spoilt, truncated, with_config  # noqa: E402
from tests.trying import steps_of_a_fill, trying, use  # noqa: E402

URI = "file:///tmp/area.py"
WHERE = 5, len("    return ")
TEXT = "def area(width, height):\n    return width * height\n\n\ndef twice(number):\n    return \n"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def client(cache: Path) -> Iterator[RawClient]:
    with trying(cache, URI, TEXT) as running:
        yield running


@pytest.mark.parametrize("name", KINDS)
def test_each_family_fills_from_a_folder_and_from_the_hub_s_cache(
    name: str, client: RawClient, cache: Path, tmp_path: Path
) -> None:
    kind = KINDS[name]
    row = row_of(kind.id)
    assert row is not None
    folder = tmp_path / kind.id.rpartition("/")[2]
    write_checkpoint(folder, kind, published_network(kind, scale=2.0))
    into_cache(cache, kind.id, folder, row.revision or "a" * 40)
    for model in (str(folder), kind.id):
        status = use(client, model)
        assert (status["ready"], status["failure"]) == (True, None)
        assert steps_of_a_fill(client, URI, *WHERE) > 0


def test_a_network_that_the_catalog_does_not_know_needs_a_few_keys_in_the_settings(
    client: RawClient, tmp_path: Path
) -> None:
    folder = write_checkpoint(
        tmp_path / "mine", KINDS["open-dcoder"], published_network(KINDS["open-dcoder"])
    )
    assert "`mask`, `shift` and `context`" in use(client, str(folder))["failure"]
    status = use(client, str(folder), {"mask": "<M>", "shift": True, "context": 512})
    assert (status["ready"], status["failure"]) == (True, None)
    assert steps_of_a_fill(client, URI, *WHERE) > 0
    client.messages.clear()


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("dream-coder", {"length": "adjusted"}),
        ("llada", {"length": "adjusted", "decoding": "published"}),
        ("open-dcoder", {"length": "power", "decoding": "published"}),
        ("dreamon", {"frozen": 4}),
    ],
)
def test_the_settings_choose_how_lengths_are_found_and_by_whose_rule_is_written(
    name: str, keys: dict[str, Any], client: RawClient, tmp_path: Path
) -> None:
    kind = KINDS[name]
    folder = tmp_path / kind.id.rpartition("/")[2]
    write_checkpoint(folder, kind, published_network(kind, scale=2.0))
    status = use(client, str(folder), keys)
    assert (status["ready"], status["failure"]) == (True, None)
    assert steps_of_a_fill(client, URI, *WHERE) > 0


def test_the_authors_schedule_is_taken_once_the_settings_ask_for_it(
    client: RawClient, tmp_path: Path
) -> None:
    """Four masks are written in one step where the authors' schedule has one, else in four; then
    what does not parse may be written again."""
    kind = KINDS["llada"]
    folder = tmp_path / kind.id.rpartition("/")[2]
    write_checkpoint(folder, kind, published_network(kind))
    keys = {"length": "fixed", "masks": 4, "sampling": {"rule": "even", "steps": 1}}
    steps: dict[str, int] = {}
    for decoding in ("ours", "published"):
        status = use(client, str(folder), {**keys, "decoding": decoding})
        assert (status["ready"], status["failure"]) == (True, None)
        steps[decoding] = steps_of_a_fill(client, URI, *WHERE)
    assert steps["published"] < 4 <= steps["ours"]


def absent(folder: Path) -> str:
    return "GSAI-ML/LLaDA-8B-Instruct"


def misspelt(folder: Path) -> str:
    return "Dream-org/DreamOff"


def spoilt_by(how: Callable[[Path], object]) -> Callable[[Path], str]:
    return lambda folder: str(spoilt(folder, how))


# The config alone says what a network would need: it is refused before weights are looked at.
huge = with_config(hidden_size=65_536, intermediate_size=262_144, num_hidden_layers=4000)

FAILING = {
    "a wrong id": (misspelt, "no network of this name is known"),
    "not fetched, and no network": (absent, "models pull GSAI-ML/LLaDA-8B-Instruct"),
    "a truncated shard": (spoilt_by(truncated), "is damaged or cut off"),
    "pickle only": (spoilt_by(only_pickles), "reading that format can run any code"),
    "an unknown architecture": (spoilt_by(with_config(model_type="bert")), "'bert', which is not"),
    "too little memory": (spoilt_by(huge), "or choose one of: "),
}


@pytest.mark.parametrize("how", FAILING)
def test_where_a_network_cannot_be_loaded_one_sentence_says_so_and_the_bundled_model_fills(
    how: str, client: RawClient, tmp_path: Path
) -> None:
    model, sentence = FAILING[how]
    status = use(client, model(tmp_path))
    assert status["ready"]
    assert sentence in status["failure"]
    assert status["failure"].endswith(". Until then the bundled model fills the holes.")
    shown = client.notification("window/showMessage")["params"]["message"]
    assert shown == f"infill-lsp: {status['failure']}"
    answer = client.answer(client.inline(URI, *WHERE))["result"]
    assert answer is not None
    assert answer["items"][0]["insertText"]


def test_fill_and_eval_take_an_id_or_a_folder_with_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    kind = KINDS["open-dcoder"]
    row = row_of(kind.id)
    assert row is not None
    folder = write_checkpoint(tmp_path / "mine", kind, published_network(kind))
    (tmp_path / "hub").mkdir()
    into_cache(tmp_path / "hub", kind.id, folder, row.revision)
    file, suite = tmp_path / "twice.py", tmp_path / "suite.jsonl"
    file.write_text("def twice(number):\n    return \n")
    task = {
        "task_id": "SingleLineInfilling/0", "entry_point": "twice",
        "prompt": "def twice(number):\n", "suffix": "", "canonical_solution": "    return 2\n",
        "test": "def check(candidate):\n    assert candidate(1) == 2\n",
    }  # fmt: skip
    suite.write_text(json.dumps(task) + "\n")
    keys = json.dumps({"mask": "<M>", "shift": True, "context": 512})
    for model in (["--model", kind.id], ["--model", str(folder), "--model-keys", keys]):
        run(["fill", f"{file}:2:12", "--json", *model])
        assert json.loads(capsys.readouterr().out)["steps"] > 0
        assert run(["eval", str(suite), "--json", *model]) == 0
        assert ("mine" if "mine" in model[1] else "open-dcoder-0.5B") in capsys.readouterr().out
