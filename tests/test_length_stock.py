"""Lengths of published networks: chosen by the rule that is asked for, by what lies beside them."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from lsp.command import run  # noqa: E402
from model import Canvas, Draft, Hole, ModelError  # noqa: E402
from model.lengths import calibrate, probe  # noqa: E402
from model.lengths.grid import Chooser, Curve, Glance, Grid, Rule  # noqa: E402
from model.lengths.probe import Probing  # noqa: E402
from model.lengths.trial import Trust  # noqa: E402
from model.load import card_of, load  # noqa: E402
from model.masked.engine import Engine  # noqa: E402
from model.training.corpus import Source  # noqa: E402
from tests.published import KINDS, published_network, write_checkpoint  # noqa: E402

KIND = KINDS["a2d-qwen2"]
CANVAS = Canvas(("def area(width, height):\n    return ", "\n"), (Hole(0, 0, limit=12),))
GLANCE = Glance(4, 0.5, -1.0)
METHODS = ["calibrated", "regressed", "power", "probe"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as it is published, with a probe and a curve that the commands made."""
    folder = tmp_path_factory.mktemp("published") / KIND.id.rpartition("/")[2]
    write_checkpoint(folder, KIND, published_network(KIND, scale=2.0))
    corpus = folder.parent / "corpus.jsonl"
    sources = [
        Source(f"p{i}", "a.py", False, "MIT", f"def area_{i}(width, height):\n    return {i}\n")
        for i in range(12)
    ]
    corpus.write_text("".join(json.dumps(asdict(it)) + "\n" for it in sources))
    assert probe.main([str(folder), str(corpus), "--samples", "40"]) == 0
    assert calibrate.main([str(folder), str(corpus), "--demos", "3"]) == 0
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / written.name))


Opened = Callable[..., Engine]


@pytest.fixture
def opened() -> Iterator[Opened]:
    engines: list[Engine] = []

    def open_it(folder: Path, **keys: object) -> Engine:
        engine = load(str(folder), keys=keys or None)
        assert isinstance(engine, Engine)
        engines.append(engine)
        return engine

    yield open_it
    for engine in engines:
        engine.close()


async def filled(engine: Engine) -> Draft:
    return [draft async for draft in engine.denoise(CANVAS)][-1]


def test_the_user_s_key_names_the_rule(folder: Path, opened: Opened) -> None:
    """And whatever the rule, a hole is filled, with several texts to choose from."""
    for method in METHODS:
        engine = opened(folder, length=method)
        assert isinstance(chooser_of(engine), Probing if method == "probe" else Grid)
        draft = asyncio.run(filled(engine))
        assert draft.final
        assert len(draft.rivals[0]) > 1
        assert draft.texts[0] in [it.text for it in draft.rivals[0]]
    assert opened(folder, length="fixed").choosing is None


@pytest.mark.parametrize("decoding", ["ours", "published"])
def test_the_user_s_key_lets_the_length_be_looked_at_while_it_is_written(
    decoding: str, folder: Path, opened: Opened
) -> None:
    """LR-DLLM in both its stages: a token a step from the left, sampled as the authors do."""
    sampling = {"temperature": 0.2, "top_p": 0.9, "rule": "p2", "steps": 8}
    engine = opened(folder, length="adjusted", decoding=decoding, sampling=sampling)
    policy, sampled = engine.policy, decoding == "published"
    assert engine.choosing is not None
    assert engine.choosing.chooser is None
    assert (policy.threshold, policy.block, policy.p2) == (1.0, 1, None)
    assert (policy.temperature, policy.top_p) == ((0.2, 0.9) if sampled else (0.0, 1.0))
    draft = asyncio.run(filled(engine))
    written = engine.vocabulary.encode(draft.texts[0])
    assert draft.final
    assert 0 < len(written) <= draft.step <= 12


def test_the_user_s_key_freezes_what_surrounds_a_hole(folder: Path, opened: Opened) -> None:
    """At every step anew is the same as never frozen; it is the loop's own mode that is asked."""
    engines = [opened(folder, length="fixed", masks=8, limit=12, frozen=it) for it in (1, 4)]
    assert [it.policy.frozen for it in engines] == [1, 4]
    plain = asyncio.run(filled(opened(folder, length="fixed", masks=8, limit=12)))
    exact, frozen = (asyncio.run(filled(it)) for it in engines)
    assert exact.texts == plain.texts
    assert frozen.final


def test_the_probe_beside_the_weights_is_the_choice_of_a_row_and_without_it_cal(
    folder: Path, opened: Opened
) -> None:
    assert isinstance(chooser_of(opened(folder)), Probing)
    (folder / "probe.safetensors").unlink()
    assert isinstance(chooser_of(opened(folder)), Grid)


def rule_of(engine: Engine) -> Rule:
    chooser = chooser_of(engine)
    assert isinstance(chooser, Grid)
    return chooser.rule


def chooser_of(engine: Engine) -> Chooser:
    assert engine.choosing is not None
    return engine.choosing.chooser


def test_what_was_fitted_is_used(folder: Path, opened: Opened) -> None:
    told = json.loads((folder / "lengths.json").read_text())
    engine = opened(folder, length="calibrated")
    fitted, published = Curve(**told["curve"]), Curve()
    assert engine.choosing is not None
    assert engine.choosing.trust == Trust(**told["trust"]) != Trust()
    assert fitted != published
    assert rule_of(engine)([GLANCE])(GLANCE) == pytest.approx(0.5 / fitted(4))
    (folder / "lengths.json").unlink()
    score = rule_of(opened(folder, length="calibrated"))([GLANCE])(GLANCE)
    assert score == pytest.approx(0.5 / published(4))


def test_the_card_changes_with_what_lies_beside_the_weights(folder: Path) -> None:
    before = card_of(str(folder))
    (folder / "lengths.json").write_text('{"rule": "power"}')
    changed = card_of(str(folder))
    assert changed.version != before.version
    assert replace(changed, version="") == replace(before, version="")


@pytest.mark.parametrize("method", [*METHODS, "adjusted"])
def test_a_hole_of_a_file_is_filled_by_each(
    method: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "lengths.json").write_text(json.dumps({"rule": method}))
    file = tmp_path / "a.py"
    file.write_text("def area(width, height):\n    return \n")
    run(["fill", f"{file}:2:12", "--json", "--model", str(folder)])
    told = json.loads(capsys.readouterr().out)
    assert told["model"].startswith(folder.name)
    assert told["steps"] > 0


def test_a_network_that_grows_may_be_given_a_length_instead(tmp_path: Path, opened: Opened) -> None:
    kind = KINDS["dreamon"]
    folder = tmp_path / kind.id.rpartition("/")[2]
    write_checkpoint(folder, kind, published_network(kind))
    grows, chosen = opened(folder), opened(folder, length="calibrated")
    ids = grows.vocabulary.specials.expand, grows.vocabulary.specials.delete
    assert grows.choosing is None
    assert None not in ids
    assert isinstance(chooser_of(chosen), Grid)
    specials = chosen.vocabulary.specials
    assert (specials.expand, specials.delete) == (None, None)
    assert set(ids) <= set(specials.banned)


def test_a_probe_of_another_network_is_named(folder: Path, opened: Opened) -> None:
    wider = published_network(KIND, hidden_size=16)
    write_checkpoint(folder, KIND, wider)
    with pytest.raises(ModelError, match=r"probe.safetensors is no probe for a network 16 wide"):
        opened(folder)
