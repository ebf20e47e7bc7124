"""llama.vim as it is published, unmodified, in a real Neovim: it is told our address instead of
llama.cpp's and shows what our `/infill` answers.

Its code is not part of this repository: the environment variable INFILL_LLAMA_VIM names a folder
with its `autoload` and `plugin`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nvim import READ_SCREEN, Neovim, find_neovim
from tests.raw_client import ROOT
from tests.served import TOKEN, Served, served

FOLDER = os.environ.get("INFILL_LLAMA_VIM", "")


def missing() -> str:
    """What keeps these tests from running here, if anything does."""
    if not (Path(FOLDER) / "autoload/llama.vim").is_file() or not FOLDER:
        return "INFILL_LLAMA_VIM names no folder with autoload/llama.vim of ggml-org/llama.vim"
    if shutil.which("curl") is None:
        return "curl is not there, by which llama.vim asks"
    try:
        find_neovim(ROOT)
    except LookupError as why:
        return f"Neovim {why}"
    return ""


WHY_NOT = missing()
pytestmark = [pytest.mark.editor, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

FILE = "def area(width, height):\n    \n\n\nprint(area(3, 4))\n"
ANSWER = "width * height"
ADDRESS = "http://127.0.0.1:8012"  # the README's

# The plugin's ghost text: that behind the cursor, and without what it tells of the timing.
READ_HINT = """
local namespace = vim.api.nvim_get_namespaces()['vt_fim']
if not namespace then return nil end
local lines = {}
for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { details = true })) do
  for _, chunk in ipairs(mark[4].virt_text or {}) do
    if chunk[2] == 'llama_hl_hint' then table.insert(lines, 1, chunk[1]) end
  end
  for _, chunks in ipairs(mark[4].virt_lines or {}) do table.insert(lines, chunks[1][1]) end
end
return #lines > 0 and table.concat(lines, '\\n') or nil
"""

COUNT_SENT = """
local script = vim.fn.getscriptinfo({ name = 'autoload/llama.vim' })[1]
local variables = vim.fn.getscriptinfo({ sid = script.sid })[1].variables
return #variables.ring_chunks > 0
"""


@pytest.fixture(scope="module")
def scripted() -> Iterator[Served]:
    script = {"text": ANSWER, "steps_a_fill": 3, "seconds_a_step": 0.02}
    with served(f"scripted:{json.dumps(script)}") as server:
        yield server


def set_up(server: Served) -> str:
    """What editors/README.md tells its users to write, and that it sends more often."""
    readme = (ROOT / "editors/README.md").read_text(encoding="utf-8")
    _, found = re.findall(r"```lua\n(.*?)```", readme, re.DOTALL)
    assert ADDRESS in found
    return f"""{found.replace(ADDRESS, server.url)}
    vim.g.llama_config = vim.tbl_extend('force', vim.g.llama_config, {{ ring_update_ms = 100 }})
    vim.opt.runtimepath:append({json.dumps(FOLDER)})
    vim.o.columns = 160
    """


def editing(server: Served, home: Path, text: str = FILE) -> Neovim:
    file = home / "area.py"
    file.write_text(text, encoding="utf-8")
    env = {"INFILL_TOKEN": TOKEN}
    return Neovim(find_neovim(ROOT), home, init=set_up(server), file=file, env=env)


def hint(neovim: Neovim) -> str:
    return neovim.until(lambda: neovim.lua(READ_HINT), "llama.vim shows a suggestion")


def test_llama_vim_shows_what_our_infill_answers_and_accepts_it(
    scripted: Served, tmp_path: Path
) -> None:
    with editing(scripted, tmp_path) as neovim:
        neovim.insert_at(row=1, column=4)
        neovim.type_text("return ")
        assert hint(neovim) == ANSWER
        screen = neovim.lua(READ_SCREEN)
        assert screen[1].startswith(f"    return {ANSWER}")
        assert "g: 14 (" in screen[1]  # its timings, which it can only tell if all are there
        neovim.accept()
        assert neovim.lines()[1] == f"    return {ANSWER}"


def test_llama_vim_is_answered_by_the_bundled_model(tmp_path: Path) -> None:
    text = "for value in range(10):\n    \n\nfor value in range(20):\n    print(value)\n"
    with served() as server, editing(server, tmp_path, text) as neovim:
        neovim.insert_at(row=1, column=4)
        neovim.type_text("print(")
        shown = hint(neovim)
        assert shown.startswith("value")
        print("\n".join(line.rstrip() for line in neovim.lua(READ_SCREEN)[:6]))
        neovim.accept()
        assert neovim.lines()[1] == f"    print({shown}"


def test_what_llama_vim_wants_read_ahead_costs_the_model_no_step(
    scripted: Served, tmp_path: Path
) -> None:
    with editing(scripted, tmp_path) as neovim:
        before = scripted.get("/v1/state").json()["steps"]
        neovim.call("nvim_command", "normal! ggyG")  # what is copied is sent to be read ahead
        neovim.until(lambda: neovim.lua(COUNT_SENT), "llama.vim has sent it")
        neovim.until(lambda: not neovim.children(), "it has been answered")
        assert scripted.get("/v1/state").json()["steps"] == before
