"""The command :Infill, the <Plug> mappings and the statusline, in a real Neovim.

A script plays the model, so what is written is known to the letter.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nvim import Neovim
from tests.test_actions import FILLED, FIVE, SELECTED, TEXTS
from tests.test_nvim import MISSING, REPOSITORY, open_file

pytestmark = [pytest.mark.editor, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

SLOW = {"seconds_a_step": 0.05, "steps_a_fill": 400}
SEVERAL_LINES = "if a > b:\n        return a\n    return b"
MOST = "def most(a, b):\n    \n"

Open = Callable[..., Neovim]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Opens Neovim, set up as the README says, with a text and a script in the model's place."""
    (tmp_path / "infill-lsp").symlink_to(REPOSITORY)

    def open_text(text: str, written: str | list[str] = TEXTS, **more: object) -> Neovim:
        file = tmp_path / "sample.py"
        file.write_text(text, encoding="utf-8")
        model = "scripted:" + json.dumps({"text": written, **more})
        neovim = open_file(tmp_path, file, model=model, server="inside")
        neovim.wait_for_client("infill")
        neovim.until(lambda: neovim.lua("return Loaded"), "the model is loaded")
        neovim.lua("Said = {}; vim.notify = function(said) table.insert(Said, said) end")
        return neovim

    return open_text


def infill(neovim: Neovim, words: str, *, at: str = "") -> None:
    neovim.call("nvim_command", f"{at}Infill {words}")


def said(neovim: Neovim, words: str) -> None:
    neovim.until(lambda: words in "\n".join(neovim.lua("return Said")), f"{words!r} is said")


def text_of(neovim: Neovim) -> str:
    return "\n".join([*neovim.lines(), ""])


def becomes(neovim: Neovim, text: str) -> None:
    neovim.until(lambda: text_of(neovim) == text, f"the text is {text!r}")


def keep(neovim: Neovim, name: str) -> None:
    neovim.keep(name)


def status(neovim: Neovim) -> str:
    return neovim.lua("return require('infill').status()")


def test_fill_all_function_leaves_the_other_functions_alone(opened: Open) -> None:
    with opened(FIVE) as neovim:
        neovim.call("nvim_win_set_cursor", 0, [2, 0])
        infill(neovim, "fill-all function")
        becomes(neovim, FIVE.replace("    ...", "    return width * height"))


def test_the_hole_at_the_cursor_is_filled(opened: Open) -> None:
    with opened(FIVE) as neovim:
        neovim.call("nvim_win_set_cursor", 0, [2, 4])
        neovim.lua("vim.keymap.set('n', 'gh', '<Plug>(infill-fill)')")
        neovim.type("gh")
        becomes(neovim, FIVE.replace("    ...", "    return width * height"))


def test_without_a_strength_one_is_chosen_or_the_text_stays_as_it_is(opened: Open) -> None:
    with opened(SELECTED, "    return height * width") as neovim:
        neovim.lua("vim.ui.select = function(all, _, done) Offered = all; done(Pick) end")
        tick = neovim.changedtick()
        infill(neovim, "rewrite", at="2,2")
        assert neovim.lua("return Offered") == ["gently", "moderately", "freely"]
        assert neovim.changedtick() == tick
        neovim.lua("Pick = 'freely'")
        infill(neovim, "rewrite", at="2,2")
        becomes(neovim, SELECTED.replace("width * height", "height * width"))


def test_the_statusline_tells_how_far_the_work_is(opened: Open) -> None:
    with opened(FIVE, **SLOW) as neovim:
        neovim.lua("vim.o.laststatus = 2; vim.o.statusline = \"%{v:lua.require'infill'.status()}\"")
        infill(neovim, "fill-all")
        bar = re.compile(r"infill: filling all holes [1-9]\d?%")
        neovim.until(lambda: bar.search("\n".join(neovim.screen())), "the share is shown")
        keep(neovim, "nvim-statusline")
        infill(neovim, "cancel")


def test_the_statusline_is_empty_where_the_server_does_not_run(opened: Open) -> None:
    with opened(FIVE) as neovim:
        assert status(neovim) == "infill: ready"
        neovim.call("nvim_command", "enew")
        assert status(neovim) == ""


def test_the_statusline_is_ready_where_another_model_fills_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "infill-lsp").symlink_to(REPOSITORY)
    file = tmp_path / "sample.py"
    file.write_text("x = \n")
    with open_file(tmp_path, file, model="no/such", server="inside") as neovim:
        neovim.wait_for_client("infill")
        neovim.until(lambda: neovim.lua("return Loaded"), "loading has ended")
        neovim.until(lambda: status(neovim) == "infill: ready", "the statusline is ready")


def test_status_names_the_model_and_restart_brings_a_new_server(opened: Open) -> None:
    with opened(FIVE) as neovim:
        infill(neovim, "status")
        said(neovim, "scripted:")
        before = neovim.children()
        neovim.lua("Loaded = false")
        infill(neovim, "restart")
        neovim.until(
            lambda: (now := neovim.children()) and not set(now) & set(before), "a new one runs"
        )
        neovim.wait_for_client("infill")
        neovim.until(lambda: neovim.lua("return Loaded"), "the model is loaded again")
        infill(neovim, "fill-all")
        becomes(neovim, FILLED)


def test_log_opens_the_log_of_language_clients(opened: Open) -> None:
    with opened(FIVE) as neovim:
        infill(neovim, "log")
        assert neovim.call("nvim_buf_get_name", 0).endswith("lsp.log")


@pytest.mark.parametrize(
    ("words", "told"),
    [("dance", "there is no `:Infill dance`"), ("rewrite wildly", "one of gently, moderately")],
)
def test_a_word_that_is_not_known_is_answered_with_those_that_are(
    opened: Open, words: str, told: str
) -> None:
    with opened(FIVE) as neovim:
        infill(neovim, words)
        said(neovim, told)
        assert text_of(neovim) == FIVE


def test_words_are_completed(opened: Open) -> None:
    with opened(FIVE) as neovim:
        assert neovim.call("nvim_call_function", "getcompletion", ["Infill fi", "cmdline"]) == [
            "fill",
            "fill-all",
        ]
        rewriting = neovim.call(
            "nvim_call_function", "getcompletion", ["Infill rewrite ", "cmdline"]
        )
        assert rewriting == ["gently", "moderately", "freely"]


# Ghost text


MAPS = """
vim.keymap.set('i', '<C-l>', '<Plug>(infill-accept-word)')
vim.keymap.set('i', '<C-j>', '<Plug>(infill-accept-line)')
vim.keymap.set('i', '<C-a>', '<Plug>(infill-accept)')
"""
REST = "return vim.api.nvim_get_namespaces()['infill.rest']"


def rest_of(neovim: Neovim) -> list[object]:
    """The marks by which the rest of a text that was taken in part is shown."""
    return neovim.call("nvim_buf_get_extmarks", 0, neovim.lua(REST), 0, -1, {})


def waiting_at_most(opened: Open) -> Neovim:
    neovim = opened(MOST, SEVERAL_LINES)
    neovim.lua(MAPS)
    neovim.insert_at(1, 4)
    neovim.wait_for_ghost(SEVERAL_LINES)
    return neovim


def test_words_are_taken_as_quickly_as_keys_are_pressed(opened: Open) -> None:
    with waiting_at_most(opened) as neovim:
        neovim.type("<C-l><C-l><C-l><C-l>")
        becomes(neovim, "def most(a, b):\n    if a > b\n")
        neovim.until(lambda: not rest_of(neovim), "Neovim's own client shows the rest, and once")


def test_typing_something_else_takes_the_rest_away(opened: Open) -> None:
    with waiting_at_most(opened) as neovim:
        neovim.type("<C-l>")
        becomes(neovim, "def most(a, b):\n    if\n")
        neovim.type("x<C-l>")
        neovim.until(lambda: not rest_of(neovim), "the rest is gone")
        assert neovim.lines()[1] == "    ifx"


def test_of_several_texts_that_were_asked_for_another_is_taken(opened: Open) -> None:
    weighed = {"return a + b": 0.5, "return a * b": 0.3}
    with opened(MOST, "return a + b", rivals=weighed) as neovim:
        neovim.lua(MAPS)
        neovim.lua("vim.keymap.set('i', '<C-n>', '<Plug>(infill-next)')")
        neovim.lua("vim.keymap.set('i', '<C-p>', '<Plug>(infill-previous)')")
        neovim.lua("vim.keymap.set('i', '<C-s>', '<Plug>(infill-suggest)')")
        neovim.insert_at(1, 4)
        neovim.wait_for_ghost("return a + b")  # came by itself, and is the only one
        neovim.type("<C-n>")
        neovim.wait_for_ghost("return a + b (1/1)")
        neovim.type("<C-s>")
        neovim.wait_for_ghost("return a + b")
        neovim.until(lambda: neovim.lua("return Answered")[-1] == 2, "there are two texts")
        neovim.type("<C-n>")
        neovim.wait_for_ghost("return a * b (2/2)")
        neovim.type("<C-p>")
        neovim.wait_for_ghost("return a + b (1/2)")
        neovim.type("<C-n><C-a>")
        becomes(neovim, MOST.replace("    \n", "    return a * b\n"))


MAPPED = """
local keys = {}
for _, mode in ipairs({ 'n', 'i', 'x', 'v', 'c' }) do
  for _, map in ipairs(vim.api.nvim_get_keymap(mode)) do
    table.insert(keys, { map.lhs, (map.rhs or '') .. (map.desc or '') })
  end
end
return keys"""


def test_no_key_is_mapped_unless_the_user_maps_it(opened: Open) -> None:
    with opened(FIVE) as neovim:
        mapped = neovim.lua(MAPPED)
        assert "<Plug>(infill-accept)" in [key for key, _ in mapped]
        ours = [key for key, does in mapped if does and "infill" in does.lower()]
        assert [key for key in ours if not key.startswith("<Plug>(infill-")] == []


def test_checkhealth_tells_versions_and_where_the_model_is(opened: Open) -> None:
    with opened(FIVE) as neovim:
        report = neovim.checkhealth("infill")
        assert re.search(r"the running server is version \d", report)
        assert "the model is in this window" in report


def test_every_command_and_mapping_is_told_in_the_help(opened: Open) -> None:
    help = (REPOSITORY / "editors/nvim/doc/infill.txt").read_text(encoding="utf-8")
    with opened(FIVE) as neovim:
        names = neovim.lua("return require('infill.deeds').names()")
        assert [name for name in names if f"Infill {name}" not in help] == []
        plugs = {key for key, _ in neovim.lua(MAPPED) if key.startswith("<Plug>(infill-")}
        assert len(plugs) > 8
        assert [it for it in plugs if f"*{it}*" not in help] == []


OLD = os.environ.get("INFILL_NVIM_011", "")


@pytest.mark.skipif(not OLD, reason="INFILL_NVIM_011 names no Neovim 0.11")
def test_neovim_0_11_has_no_ghost_text_but_commands_and_says_nothing_about_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "sample.py"
    file.write_text(FIVE)
    init = f"""
    vim.opt.runtimepath:append({str(REPOSITORY / "editors/nvim")!r})
    Loaded = false
    vim.api.nvim_create_autocmd('LspProgress', {{
      pattern = 'end', callback = function() Loaded = true end }})
    vim.lsp.config('infill', {{ init_options = {{
      server = 'inside', model = {("scripted:" + json.dumps({"text": TEXTS}))!r} }} }})
    vim.lsp.enable('infill')
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with Neovim(OLD, tmp_path, init=init, file=file, env={"PATH": path}) as neovim:
        assert neovim.lua("return vim.lsp.inline_completion == nil")
        neovim.wait_for_client("infill")
        neovim.until(lambda: neovim.lua("return Loaded"), "the model is loaded")
        assert neovim.lua("return require('infill').accept()") is False
        assert neovim.call("nvim_exec2", "messages", {"output": True})["output"] == ""
        infill(neovim, "fill-all")
        becomes(neovim, FILLED)
        assert "no inline completion: no ghost text" in neovim.checkhealth("infill")
