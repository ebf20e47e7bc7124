"""How a real VS Code comes to its server: whose program it runs, how one is installed.

Each test has a window of its own.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from tests.vscode import MISSING, SERVER, opened

pytestmark = [pytest.mark.editor, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

ADD = "def add(a, b):\n    \n"
MINE = "scripted:return a + b"
WITHOUT_TRUST = {
    "security.workspace.trust.enabled": True,
    "security.workspace.trust.startupPrompt": "never",
}


@pytest.mark.parametrize("trusted", [True, False], ids=["with trust", "without trust"])
def test_only_a_trusted_workspace_names_the_program_and_the_model(
    tmp_path: Path, trusted: bool
) -> None:
    ran, program = tmp_path / "ran", tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch '{ran}'\nexec '{SERVER}' \"$@\"\n")
    program.chmod(0o755)
    theirs = {"infill.serverPath": str(program), "infill.model": "scripted:theirs"}
    files = {"a.py": ADD, ".vscode/settings.json": json.dumps(theirs)}
    more = {} if trusted else WITHOUT_TRUST
    with opened(tmp_path, files, more=more, model=MINE) as code:
        code("open", "a.py")
        code("waitStatus", "ready")
        code("waitLabel", "scripted:theirs" if trusted else MINE)
        assert ("not trusted" in code("label")) != trusted
        code.press("Control+Home", "ArrowDown", "End")
        code("command", "Trigger Inline Suggestion")
        code("waitGhost", "theirs" if trusted else "return a + b")
    assert ran.exists() == trusted


WITHOUT_SERVER = os.pathsep.join(
    folder
    for folder in os.environ.get("PATH", "").split(os.pathsep)
    if not Path(folder, "infill-lsp").exists()
)


def wheel(folder: Path) -> Path:
    """One of the server's name that needs no other: its program starts the real one."""
    path, info = folder / "infill_lsp-0-py3-none-any.whl", "infill_lsp-0.dist-info"
    argv = f"[{str(SERVER)!r}, *sys.argv[1:]]"
    about = ["Metadata-Version: 2.1", "Name: infill-lsp", "Version: 0", "Provides-Extra: local", ""]
    made = ["Wheel-Version: 1.0", "Generator: a test", "Root-Is-Purelib: true", "Tag: py3-none-any"]
    files = {
        "tried.py": f"import os, sys\ndef main():\n    os.execv({str(SERVER)!r}, {argv})\n",
        f"{info}/METADATA": "\n".join(about),
        f"{info}/WHEEL": "\n".join([*made, ""]),
        f"{info}/entry_points.txt": "[console_scripts]\ninfill-lsp = tried:main\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return path


def test_a_server_that_is_missing_is_installed_in_an_environment_of_its_own(tmp_path: Path) -> None:
    source = str(wheel(tmp_path))
    env = {"PATH": WITHOUT_SERVER}
    with opened(
        tmp_path, {"a.py": ADD}, env=env, serverPath="", installFrom=source, model=MINE
    ) as code:
        code("waitNotice", "was not found")
        code.keep("vscode-install")
        assert "not installed" in code("label")
        code("command", "Notifications: Clear All Notifications")
        code("command", "Infill: Install Server")
        code("waitStatus", "ready")
        code("open", "a.py:2:5")
        code("command", "Trigger Inline Suggestion")
        code("waitGhost", "return a + b")
    assert list((tmp_path / "home").glob("**/infill-lsp.infill/server/bin/infill-lsp"))


def test_why_installing_failed_is_told_in_the_words_of_pip(tmp_path: Path) -> None:
    source = tmp_path / "broken-0-py3-none-any.whl"
    source.write_text("this is no wheel")
    env = {"PATH": WITHOUT_SERVER}
    with opened(tmp_path, {"a.py": ADD}, env=env, serverPath="", installFrom=str(source)) as code:
        code("waitNotice", "was not found")
        code("command", "Infill: Install Server")
        said = code("waitNotice", "pip failed: ")
        assert "broken" in said
        code.keep("vscode-install-failed")
        assert "stopped" in code("status")
