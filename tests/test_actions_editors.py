"""Code actions in a real Neovim and a real Helix, as their users choose them from a menu.

A script plays the model, so it is known to the letter what each hole becomes. What is compared is
the file on disk, so that all text between the holes counts, too.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helix import Helix, find_helix
from tests.nvim import Neovim, find_neovim
from tests.test_actions import FILLED, FIVE, TEXTS

REPOSITORY = Path(__file__).resolve().parent.parent


pytestmark = pytest.mark.editor

INIT = f"""
vim.opt.runtimepath:append({str(REPOSITORY / "editors/nvim")!r})
vim.lsp.enable('infill')
Said, Chosen = {{}}, nil
vim.lsp.handlers['window/showMessage'] = function(_, result) table.insert(Said, result.message) end
vim.lsp.config('infill', {{ init_options = vim.json.decode(%s) }})
Bars = {{}}
vim.api.nvim_create_autocmd('LspProgress', {{ callback = function(event)
  table.insert(Bars, event.data.params.value.kind)
end }})
"""
LANGUAGES = """
[language-server.infill]
command = "infill-lsp"
config = { infill = { server = "inside", model = %s } }

[[language]]
name = "python"
language-servers = ["infill"]
"""
SLOW = {"seconds_a_step": 0.05, "steps_a_fill": 200}


Text = list[str] | str  # what the script writes, hole by hole


@pytest.fixture
def neovim_with(tmp_path: Path) -> Callable[..., Neovim]:
    """Opens Neovim with a text, a script in the model's place, in a home of its own."""
    try:
        program = find_neovim(REPOSITORY)
    except LookupError as why:
        pytest.skip(f"Neovim {why}")

    def open_file(text: str = FIVE, **more: float) -> Neovim:
        file = tmp_path / "sample.py"
        file.write_bytes(text.encode())
        options = {"model": script(TEXTS, **more), "server": "inside"}
        init = INIT % json.dumps(json.dumps(options))
        neovim = Neovim(program, tmp_path, init=init, file=file, env=with_the_server_on_path())
        neovim.wait_for_client("infill")
        neovim.until(lambda: "end" in neovim.lua("return Bars"), "the model is loaded")
        neovim.lua("Bars = {}")
        return neovim

    return open_file


@pytest.fixture
def helix_with(tmp_path: Path) -> Callable[..., Helix]:
    """Opens Helix likewise."""
    try:
        programs = find_helix(REPOSITORY)
    except LookupError as why:
        pytest.skip(f"Helix: {why}")

    def open_file(text: str = FIVE, written: Text = TEXTS, **more: float) -> Helix:
        file = tmp_path / "sample.py"
        file.write_bytes(text.encode())
        languages = LANGUAGES % json.dumps(script(written, **more))
        path = with_the_server_on_path()
        helix = Helix(programs, tmp_path, languages=languages, file=file, env=path)
        helix.wait_for_server("infill")
        helix.until(lambda: "the model is ready" in helix.log(), "the model is loaded")
        return helix

    return open_file


def script(text: Text, **more: float) -> str:
    return "scripted:" + json.dumps({"text": text, **more})


def with_the_server_on_path() -> dict[str, str]:
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def choose(neovim: Neovim, title: str) -> None:
    """Takes this entry of the menu of code actions at the cursor."""
    neovim.lua(
        """
        local title = ...
        vim.lsp.buf.code_action({
          filter = function(action) return vim.startswith(action.title, title) end,
          apply = true,
        })""",
        title,
    )


def text_of(neovim: Neovim) -> str:
    return "\n".join([*neovim.lines(), ""])


def test_neovim_fills_five_holes_and_nothing_else_in_one_undo_step(
    neovim_with: Callable[..., Neovim], tmp_path: Path
) -> None:
    with neovim_with() as neovim:
        choose(neovim, "Fill all holes in this file (5)")
        neovim.until(lambda: text_of(neovim) != FIVE, "the holes are filled")
        assert text_of(neovim) == FILLED
        neovim.type("u")
        neovim.until(lambda: text_of(neovim) != FILLED, "what was filled is undone")
        assert text_of(neovim) == FIVE
        neovim.type("<C-r>")
        neovim.until(lambda: text_of(neovim) == FILLED, "what was undone is done again")
        neovim.save()
        neovim.until(lambda: "end" in neovim.lua("return Bars"), "the bar has ended")
    assert (tmp_path / "sample.py").read_text() == FILLED


def test_neovim_s_file_keeps_its_line_ends(
    neovim_with: Callable[..., Neovim], tmp_path: Path
) -> None:
    with neovim_with(FIVE.replace("\n", "\r\n")) as neovim:
        choose(neovim, "Fill all holes in this file (5)")
        neovim.until(lambda: text_of(neovim) == FILLED, "the holes are filled")
        neovim.save()
    assert (tmp_path / "sample.py").read_bytes() == FILLED.replace("\n", "\r\n").encode()


def test_typing_meanwhile_in_neovim_is_kept_and_nothing_else_changes(
    neovim_with: Callable[..., Neovim], tmp_path: Path
) -> None:
    with neovim_with(**SLOW) as neovim:
        choose(neovim, "Fill all holes in this file (5)")
        neovim.until(lambda: "begin" in neovim.lua("return Bars"), "the bar is shown")
        neovim.insert_at(FIVE.splitlines().index("LIMIT = __HOLE__"), len("LIMIT"))
        neovim.type_text("S")
        neovim.until(lambda: neovim.lua("return Said"), "the user is told")
        assert "changed while infill-lsp was filling all holes" in neovim.lua("return Said")[-1]
        neovim.until(lambda: "end" in neovim.lua("return Bars"), "the bar has ended")
        assert text_of(neovim) == FIVE.replace("LIMIT", "LIMITS")


def test_cancelling_in_neovim_leaves_no_trace(
    neovim_with: Callable[..., Neovim], tmp_path: Path
) -> None:
    with neovim_with(**SLOW) as neovim:
        tick = neovim.changedtick()
        choose(neovim, "Fill all holes in this file (5)")
        neovim.until(lambda: "begin" in neovim.lua("return Bars"), "the bar is shown")
        neovim.lua(
            """
            vim.lsp.get_clients({ name = 'infill' })[1]:request(
              'workspace/executeCommand', { command = 'infill.cancel' })"""
        )
        neovim.until(lambda: "end" in neovim.lua("return Bars"), "the bar has ended")
        assert text_of(neovim) == FIVE
        assert neovim.changedtick() == tick
        assert neovim.lua("return Said") == []


def test_a_buffer_that_neovim_must_not_modify_stays_and_the_user_is_told(
    neovim_with: Callable[..., Neovim], tmp_path: Path
) -> None:
    with neovim_with() as neovim:
        neovim.lua("vim.bo.modifiable = false")
        choose(neovim, "Fill all holes in this file (5)")
        neovim.until(lambda: neovim.lua("return Said"), "the user is told")
        assert "did not change sample.py" in neovim.lua("return Said")[-1]
        assert text_of(neovim) == FIVE


def menu(helix: Helix, title: str) -> None:
    """Takes the entry of the menu of code actions that begins so."""
    helix.press("Space", "a")
    screen = helix.wait_for(title)
    entries = [line for line in screen if re.search("Fill |Write |Add ", line)]
    number = next(n for n, line in enumerate(entries) if title in line)
    helix.press(*["Down"] * number, "Enter")


def test_helix_fills_five_holes_and_nothing_else_in_one_undo_step(
    helix_with: Callable[..., Helix],
) -> None:
    with helix_with() as helix:
        menu(helix, "Fill all holes in this file (5)")
        helix.wait_for("LIMIT = 100")
        helix.keep("helix-fill-all")
        assert helix.saved() == FILLED
        helix.press("u")
        helix.wait_for("LIMIT = __HOLE__")
        assert helix.saved() == FIVE


def test_helix_s_file_keeps_its_line_ends(helix_with: Callable[..., Helix]) -> None:
    written = "if x:\n        return 1\n    return 2"
    with helix_with("def f(x):\r\n    ...\r\n", written) as helix:
        helix.command("goto 2")
        menu(helix, "Fill this hole")
        helix.wait_for("return 2")
        becomes = "def f(x):\r\n    if x:\r\n        return 1\r\n    return 2\r\n"
        assert helix.saved() == becomes


def test_helix_can_be_used_while_a_file_is_filled_and_typing_is_kept(
    helix_with: Callable[..., Helix],
) -> None:
    with helix_with(**SLOW) as helix:
        menu(helix, "Fill all holes in this file (5)")
        helix.until(lambda: "infill-lsp: filling all holes" in helix.log(), "the bar is shown")
        helix.insert_at(0, 0)
        helix.type("mine = 1")
        helix.press("Enter")
        # Not on the screen, where the next key takes it away.
        helix.until(lambda: "changed while" in helix.log(), "it is told")
        helix.keep("helix-stale")
        assert helix.saved() == "mine = 1\n" + FIVE


def test_a_command_of_helix_gives_up_what_is_under_way(helix_with: Callable[..., Helix]) -> None:
    with helix_with(**SLOW) as helix:
        menu(helix, "Fill all holes in this file (5)")
        helix.until(lambda: "infill-lsp: filling all holes" in helix.log(), "the bar is shown")
        helix.command("lsp-workspace-command infill.cancel")
        helix.until(lambda: "cancelled, nothing was changed" in helix.log(), "the bar has ended")
        assert not [
            it for it in helix.messages("infill") if it.get("method") == "workspace/applyEdit"
        ]
        assert helix.saved() == FIVE
