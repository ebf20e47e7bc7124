"""eglot's completion and lsp-mode's ghost text in a real Emacs without a screen, from the real
server, set up as editors/emacs tells users to. `editors/bring.sh --emacs` brings it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
EMACS = REPOSITORY / ".editors/bin/emacs"
PATIENCE = 100.0

pytestmark = [
    pytest.mark.editor,
    pytest.mark.skipif(
        not os.access(EMACS, os.X_OK), reason="Emacs: editors/bring.sh --emacs brings it"
    ),
]

BEGIN = """
(setq native-comp-enable-subr-trampolines nil native-comp-jit-compilation nil)
(setq make-backup-files nil create-lockfiles nil)
(defun until (what probe)
  (with-timeout (80 (error "not in time: %s" what))
    (let (found)
      (while (not (setq found (funcall probe))) (accept-process-output nil 0.1))
      found)))
"""

# Asks for completions at the cursor until there are some, and accepts the first.
COMPLETE = """
(let* ((asked (until "a completion"
         (lambda ()
           (let* ((it (eglot-completion-at-point))
                  (found (all-completions (buffer-substring (nth 0 it) (nth 1 it)) (nth 2 it))))
             (and found (cons it found))))))
       (it (car asked)) (entry (cadr asked)))
  (message "entry: %s" (substring-no-properties entry))
  (delete-region (nth 0 it) (nth 1 it))
  (insert entry)
  (funcall (plist-get (nthcdr 3 it) :exit-function) entry 'finished))
(save-buffer)
"""

GHOST = """
(until "ghost text"
  (lambda ()
    (lsp-inline-completion-display)
    (lsp-inline-completion--active-p)))
(lsp-inline-completion-accept)
(save-buffer)
"""


def configuration(of: str, model: str) -> str:
    """The lines that editors/emacs tells users of this client to put into their init.el."""
    readme = (REPOSITORY / "editors/emacs/README.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {of}$.*?```elisp\n(.*?)```", readme, re.DOTALL | re.MULTILINE)
    assert found, f"editors/emacs/README.md shows no configuration for {of}"
    options = f'(:model {json.dumps(model)} :server "inside")'
    configured, number = re.subn(r'\(:model "bundled"\)', lambda _: options, found[1])
    assert number == 1
    return configured


def run(home: Path, before: str, *steps: str) -> tuple[str, str]:
    """What stands in the file after the steps, begun at ‸, and what Emacs has said."""
    file, init = home / "sample.py", home / "init.el"
    file.write_bytes(before.replace("‸", "").encode())
    opened = f'(find-file "{file}") (python-mode) (goto-char {before.index("‸") + 1})'
    init.write_text("\n".join([BEGIN, steps[0], opened, *steps[1:]]), encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    ended = subprocess.run(
        [str(EMACS), "-Q", "--batch", "-l", str(init)], cwd=home, capture_output=True,
        env={**os.environ, "HOME": str(home), "PATH": path}, timeout=PATIENCE, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    return file.read_bytes().decode(), ended.stderr


@pytest.mark.parametrize(
    ("before", "answer", "entry"),
    [
        pytest.param("def add(a, b):\n    re‸\n", "turn a + b", "return a + b", id="a word begun"),
        pytest.param(
            "def most(a, b):\n    ‸\n", "if a > b:\n        return a\n    return b",
            "if a > b: …", id="several lines",
        ),
    ],
)  # fmt: skip
def test_an_entry_accepted_in_eglot_stands_at_the_cursor_and_nothing_else_changes(
    tmp_path: Path, before: str, answer: str, entry: str
) -> None:
    settings = configuration("eglot", "scripted:" + json.dumps({"text": answer}))
    begin = "(setq eglot-sync-connect 60) (call-interactively 'eglot)"
    after, said = run(tmp_path, before, f"(require 'eglot) {settings}", begin, COMPLETE)
    assert after == before.replace("‸", answer)
    assert f"entry: {entry}" in said


def test_ghost_text_accepted_in_lsp_mode_stands_at_the_cursor_and_nothing_else_changes(
    tmp_path: Path,
) -> None:
    before, answer = "def add(a, b):\n    return ‸\n", "a + b"
    settings = configuration("lsp-mode", "scripted:" + json.dumps({"text": answer}))
    begin = f"""(setq lsp-enabled-clients '(infill) lsp-auto-guess-root t)
      (lsp-workspace-folders-add "{tmp_path}") (lsp)
      (until "the server" (lambda () (lsp-workspaces)))"""
    require = "(require 'lsp-mode) (require 'lsp-inline-completion)"
    after, _ = run(tmp_path, before, f"{require} {settings}", begin, GHOST)
    assert after == before.replace("‸", answer)
