"""The command line as a user meets it: help that teaches, complaints that help, exit statuses."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lsp.command import parser, run

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = [sys.executable, str(ROOT / "infill_lsp.py")]
VERBS = ("fill", "doctor", "models", "eval", "bench", "train")
INNER = ("models list", "models info", "models pull", "models rm")
PATIENCE = 60


@pytest.mark.parametrize("verb", ["", *(verb for verb in VERBS if verb != "train"), *INNER])
def test_help_says_what_the_verb_does_and_shows_examples(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run([*verb.split(), "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert f"infill-lsp {verb}".strip() in said.partition("examples:")[2]
    assert max(map(len, said.splitlines())) <= 100


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["--help"])
    said = capsys.readouterr().out
    assert [verb for verb in VERBS if f"\n    {verb} " not in said] == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["fil", "x.py"], "invalid choice: 'fil'"),
        (["fill"], "required: FILE[:LINE:COL]"),
        (["fill", "x.py", "--seed", "x"], "invalid int value: 'x'"),
        (["fill", "x.py", "--wri"], "unrecognized arguments: --wri"),
        (["eval", "x.jsonl", "--limit", "0"], "'0' is not a whole number of at least 1"),
        (["--log-level", "loud"], "invalid choice: 'loud'"),
    ],
)
def test_arguments_that_make_no_sense_end_with_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run(arguments)
    assert end.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "model", "seed"),
    [
        (["fill", "x"], "bundled", 0),
        (["--model", "a", "fill", "x"], "a", 0),
        (["--model", "a", "fill", "x", "--model", "b", "--seed", "3"], "b", 3),
        (["--seed", "7"], "bundled", 7),
    ],
)
def test_a_model_may_be_named_before_or_behind_the_verb(
    arguments: list[str], model: str, seed: int
) -> None:
    options = parser().parse_args(arguments)
    assert (options.model, options.seed) == (model, seed)


def test_an_unknown_model_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.py"
    path.write_text("x = __HOLE__\n")
    assert run(["fill", str(path), "--model", str(tmp_path / "nothing")]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("infill-lsp: there is no model in ")
    assert (out, err.count("\n")) == ("", 1)


def test_clients_may_add_what_vs_code_adds() -> None:
    options = parser().parse_args(["--stdio", "--clientProcessId=17"])
    assert options.verb.__name__ == "no_verb"


def test_a_log_that_cannot_be_written_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--log-file", str(tmp_path)]) == 2
    assert f"cannot write the log to {tmp_path}" in capsys.readouterr().err


def test_training_without_torch_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lsp.verbs.ending.importable", lambda name: name != "torch")
    assert run(["train", "--minutes", "1"]) == 1
    assert "pip install 'infill-lsp[train]'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        run(["train", "--help"])
    assert end.value.code == 0
    assert "infill-lsp train" in capsys.readouterr().out


def test_on_a_terminal_the_server_says_what_it_waits_for() -> None:
    theirs, ours = pty.openpty()
    process = subprocess.Popen(
        PROGRAM, stdin=ours, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout
    assert process.stderr
    try:
        said = process.stderr.readline().decode()
        assert "waiting for an editor" in said
        assert "--help" in said
    finally:
        process.kill()
        process.communicate()
        os.close(ours)
        os.close(theirs)


def test_an_editor_is_told_nothing_on_standard_error() -> None:
    done = subprocess.run(PROGRAM, input=b"", capture_output=True, cwd=ROOT, timeout=PATIENCE)
    assert done.stderr == b""
    assert done.stdout == b""


def test_ctrl_c_ends_a_fill_quietly_with_130(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("x = __HOLE__\n")
    script = "scripted:" + json.dumps({"text": "1", "seconds_a_step": 0.2, "steps_a_fill": 1000})
    process = subprocess.Popen(
        [*PROGRAM, "fill", str(path), "--watch", "--model", script],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True,
    )  # fmt: skip
    assert process.stderr
    assert "step 1" in process.stderr.readline()  # now it is at work
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert out == ""
    assert path.read_text() == "x = __HOLE__\n"


def test_a_reader_that_leaves_early_is_no_accident(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("x = __HOLE__\n")
    process = subprocess.Popen(
        [*PROGRAM, "fill", str(path), "--model", "scripted:1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(PATIENCE) == 1
    assert b"Traceback" not in err


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("infill-lsp ")


@pytest.mark.parametrize(
    ("text", "message"),
    [("{mask: 1}", "is no JSON"), ("[1]", "is no JSON object"), ("1", "is no JSON object")],
)
def test_keys_that_are_no_object_are_refused(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["fill", "a.py", "--model-keys", text])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
