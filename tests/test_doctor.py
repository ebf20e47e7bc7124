"""`infill-lsp doctor` tries things rather than assume them, and ends with 1 if one is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infill.reason import Reason
from infill.settings import Settings
from infill.verbs import doctor
from lsp.command import run
from model.published.catalog import known

SCRIPTED = Settings(model="scripted:height")


def checks(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] == all(check["ok"] is not False for check in answer["checks"])
    return {check["name"]: check for check in answer["checks"]}


def test_a_sound_installation_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json", "--model", "scripted:height"]) == 0
    found = checks(capsys)
    assert [name for name, check in found.items() if check["ok"] is False] == []
    assert "filled with `height`" in str(found["a fill"]["found"])
    assert "python" in str(found["grammars"]["found"])


def test_networks_on_disk_and_what_auto_would_be_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = known()[0]
    (tmp_path / "weights").write_bytes(bytes(2_000_000))
    monkeypatch.setattr("model.auto.on_disk", lambda: [(row, tmp_path)])
    on_disk, choice = doctor.networks()
    assert (on_disk.name, on_disk.ok, on_disk.found) == ("on disk", None, f"{row.id} (2 MB)")
    assert (choice.name, choice.ok) == ("auto", None)
    assert choice.found.startswith("auto chose ")
    monkeypatch.setattr("model.auto.on_disk", list)
    on_disk, _ = doctor.networks()
    assert "`infill-lsp models list`" in on_disk.found


def test_a_model_that_is_not_there_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "--json", "--model", str(tmp_path)]) == 1
    found = checks(capsys)
    assert found["model"]["ok"] is False
    assert "config.json" in str(found["model"]["found"])
    assert found["a fill"] == {
        "name": "a fill", "ok": False, "found": "needs the model", "advice": ""
    }  # fmt: skip


def test_a_model_that_fails_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--model", 'scripted:{"error": "out of memory"}']) == 1
    assert "out of memory" in capsys.readouterr().out


def test_an_answer_that_is_not_shown_is_told_with_its_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["doctor", "--json", "--model", "scripted:"]) == 0
    assert Reason.EMPTY.explanation in str(checks(capsys)["a fill"]["found"])


def test_a_missing_torch_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version_of", lambda name: None)
    (torch,) = doctor.torch_and_device(Settings())
    assert (torch.ok, torch.found) == (False, "not installed: pip install 'infill-lsp[local]'")
    (torch,) = doctor.torch_and_device(SCRIPTED)  # which needs none
    assert torch.ok is True


def test_a_torch_that_cannot_be_imported_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DEVICE", "raise ImportError('libcuda is gone')")
    check = doctor.device(needed=True)
    assert check.ok is False
    assert "libcuda is gone" in check.found


def test_a_grammar_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(text: str, language: str) -> object:
        if language == "rust":
            raise ImportError("no such wheel")
        return object()

    monkeypatch.setattr(doctor, "parse", load)
    assert doctor.grammars() == doctor.Check(
        "grammars", False, "rust: no such wheel", "install infill-lsp again"
    )


@pytest.mark.parametrize(
    ("answer", "found"),
    [(None, "would be shown to the model"), (Reason.TOO_LARGE, "refuses an ordinary file")],
)
def test_privacy_that_does_not_hold_is_told(
    monkeypatch: pytest.MonkeyPatch, answer: Reason | None, found: str
) -> None:
    monkeypatch.setattr(doctor, "refusal", lambda *_, **__: answer)
    check = doctor.private_files(SCRIPTED)
    assert check.ok is False
    assert found in check.found
