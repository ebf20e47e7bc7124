"""Strangers called lsp, infill or model are never imported, wherever they lie and however we start.

A stranger writes its name into the file named by MARKER when it is imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
INSTALLED = Path(sysconfig.get_path("scripts"), "infill-lsp")
OURS = ("lsp", "infill", "model")
MARK = "import os\nopen(os.environ['MARKER'], 'a').write(__name__ + ' ')\n"
HOLE = ["fill", "hole.py", "--model", "scripted:x"]  # a verb that imports all three
PATIENCE = 60  # seconds until a hanging start is a failure

STARTS = {
    "the file": [sys.executable, str(ROOT / "infill_lsp.py")],
    "-m": [sys.executable, "-m", "infill_lsp"],
    "the console script": [str(INSTALLED)],
    "-I -m": [sys.executable, "-I", "-m", "infill_lsp"],
}
NEED_INSTALLATION = ("the console script", "-I -m")


def as_package(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(MARK)


def as_module(folder: Path, name: str) -> None:
    (folder / f"{name}.py").write_text(MARK)


def as_namespace(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    for part in ("command", "settings", "canvas"):  # what we import first of each
        (folder / name / f"{part}.py").write_text(MARK)


@pytest.fixture(params=[as_package, as_module, as_namespace])
def strangers(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "strangers"
    folder.mkdir()
    for name in OURS:
        request.param(folder, name)
    (folder / "hole.py").write_text("x = __HOLE__\n")
    return folder


@pytest.fixture(params=STARTS)
def start(request: pytest.FixtureRequest) -> list[str]:
    if request.param in NEED_INSTALLATION and not INSTALLED.exists():
        pytest.skip(f"infill-lsp is not installed here, so it cannot be started by {request.param}")
    return STARTS[request.param]


def run(
    command: list[str], cwd: Path, *, path: Path | None = None, stdin: bytes = b""
) -> tuple[subprocess.CompletedProcess[bytes], str]:
    """The ended process, and the names of the strangers that were imported."""
    marker = cwd.parent / "marker"
    # Our own folder comes last, as site-packages would: only the launcher can put it first.
    search = os.pathsep.join([*([str(path)] if path else []), str(ROOT)])
    env = os.environ | {"MARKER": str(marker), "PYTHONPATH": search}
    done = subprocess.run(
        command, cwd=cwd, env=env, input=stdin, capture_output=True, timeout=PATIENCE
    )
    return done, marker.read_text() if marker.exists() else ""


def frames(*messages: dict[str, object]) -> bytes:
    bodies = [json.dumps({"jsonrpc": "2.0", **message}).encode() for message in messages]
    return b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in bodies)


def test_strangers_in_the_working_directory_stay_out(strangers: Path, start: list[str]) -> None:
    done, imported = run([*start, *HOLE], strangers)
    assert imported == ""
    assert b"+x = x" in done.stdout, done.stderr


def test_strangers_on_the_python_path_stay_out(strangers: Path, start: list[str]) -> None:
    elsewhere = strangers.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "hole.py").write_text("x = __HOLE__\n")
    done, imported = run([*start, *HOLE], elsewhere, path=strangers)
    assert imported == ""
    assert b"+x = x" in done.stdout, done.stderr


def test_an_editor_in_such_a_folder_gets_our_server(strangers: Path, start: list[str]) -> None:
    talk = frames(
        {"id": 1, "method": "initialize", "params": {"capabilities": {}, "processId": None,
         "rootUri": strangers.as_uri(), "initializationOptions": {"model": "scripted:x"}}},
        {"method": "initialized", "params": {}},
        {"id": 2, "method": "shutdown"},
        {"method": "exit"},
    )  # fmt: skip
    done, imported = run(start, strangers, path=strangers, stdin=talk)
    assert imported == ""
    assert b'"inlineCompletionProvider"' in done.stdout, done.stderr
    assert done.returncode == 0


def test_without_the_launcher_these_strangers_would_be_imported(strangers: Path) -> None:
    """Else the tests above could not fail."""
    namespaces = (strangers / "lsp" / "command.py").exists()
    names = "lsp.command, infill.settings, model.canvas" if namespaces else "lsp, infill, model"
    # Namespaces lose to our own packages, wherever those lie; so these are out of sight here.
    program = f"import sys; sys.path.remove({str(ROOT)!r}); import {names}"
    _, imported = run([sys.executable, "-S", "-c", program], strangers)
    assert len(imported.split()) == len(OURS)


def test_a_package_of_ours_that_is_gone_is_not_replaced_by_a_stranger(
    strangers: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "infill_lsp.py").write_text((ROOT / "infill_lsp.py").read_text())
    done, imported = run([sys.executable, str(alone / "infill_lsp.py")], strangers, path=strangers)
    assert imported == ""
    assert b"install it again" in done.stderr
    assert done.returncode == 1
