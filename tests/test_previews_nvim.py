"""The variants of a rewrite seen in the text of a real Neovim, and what its commands say where they
cannot do anything. Only where it is said does the bundled model write; a script plays it elsewhere.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nvim import Neovim
from tests.test_actions import FIVE, SELECTED
from tests.test_nvim import MISSING, PROGRAM, REPOSITORY, init_with
from tests.test_nvim_commands import becomes, infill, said, text_of
from tests.variants import LOOP, LOOPS, MODEL, server

pytestmark = [pytest.mark.editor, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

VARIANTS = ["return height * width", "return width * (height)"]
FIRST, SECOND = (SELECTED.replace("return width * height", text) for text in VARIANTS)

READ_MARKS = """
local space = vim.api.nvim_get_namespaces()['infill.choice']
return space and vim.api.nvim_buf_get_extmarks(0, space, 0, -1, {}) or {}
"""
READ_KEYS = """
local keys = {}
for _, map in ipairs(vim.api.nvim_buf_get_keymap(0, 'n')) do
  if map.rhs and map.rhs:find('infill') then table.insert(keys, map.lhs) end
end
table.sort(keys)
return keys
"""
KEYS = ["<C-N>", "<C-P>", "<CR>", "<Esc>"]
NOTED = """
Said, Bars = {}, {}
vim.notify = function(said) table.insert(Said, said) end
vim.lsp.handlers['window/showMessage'] = function(_, told) table.insert(Said, told.message) end
vim.api.nvim_create_autocmd('LspProgress', { callback = function(event)
  table.insert(Bars, event.data.params.value.kind)
end })
"""

Open = Callable[..., Neovim]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Opens Neovim, set up as the README says, with a text and a script in the model's place, or
    one that writes each of the `variants` for whatever is selected."""
    (tmp_path / "infill-lsp").symlink_to(REPOSITORY)

    def open_text(
        text: str = SELECTED, *, variants: list[str] = VARIANTS, model: str = MODEL, init: str = ""
    ) -> Neovim:
        file = tmp_path / "sample.py"
        file.write_text(text, encoding="utf-8")
        init = init_with(model=model, server="inside") + NOTED + init
        if model == MODEL:
            program = server(tmp_path, variants)
            init += f"vim.lsp.config('infill', {{ cmd = {{ {str(program)!r} }} }})\n"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        neovim = Neovim(PROGRAM, tmp_path, init=init, file=file, env={"PATH": path})
        neovim.wait_for_client("infill")
        neovim.until(lambda: neovim.lua("return Loaded"), "the model is loaded")
        neovim.lua("Bars = {}")
        return neovim

    return open_text


def choosing(neovim: Neovim, *, at: str = "2,2") -> None:
    infill(neovim, "rewrite freely", at=at)
    neovim.until(lambda: shown(neovim), "a variant is shown")


def shown(neovim: Neovim) -> list[str]:
    """The line that tells the keys, and those above it from the one that is replaced on."""
    screen = neovim.screen()
    keys = [n for n, line in enumerate(screen) if "<CR> take" in line or " take  " in line]
    return screen[1 : keys[0] + 1] if keys else []


def is_over(neovim: Neovim) -> bool:
    return not (shown(neovim) or neovim.lua(READ_MARKS) or neovim.lua(READ_KEYS))


# Choosing


def test_each_variant_is_seen_where_it_would_stand_before_the_text_is_touched(opened: Open) -> None:
    with opened() as neovim:
        tick = neovim.changedtick()
        choosing(neovim)
        keys = "<C-n> next  <C-p> previous  <CR> take  <Esc> leave"
        assert shown(neovim) == ["    return width * height return height * width", f"1/2  {keys}"]
        neovim.keep("nvim-choice")
        neovim.type("<C-n>")
        second = ["    return width * height return width * (height)", f"2/2  {keys}"]
        neovim.until(lambda: shown(neovim) == second, "the second is shown")
        neovim.type("<C-n>")
        neovim.until(lambda: shown(neovim)[-1].startswith("1/2"), "the first is shown again")
        neovim.type("<C-p>")
        neovim.until(lambda: shown(neovim) == second, "the one before the first is the last")
        assert (text_of(neovim), neovim.changedtick()) == (SELECTED, tick)


def test_the_variant_that_is_seen_is_taken_in_one_step_of_undo(opened: Open) -> None:
    with opened(variants=["height * width", "width * (height)"]) as neovim:
        neovim.call("nvim_win_set_cursor", 0, [2, 11])
        neovim.type("v$h:Infill rewrite freely<CR>")
        neovim.until(lambda: shown(neovim), "a variant is shown")
        neovim.type("<C-n><CR>")
        becomes(neovim, SECOND)
        neovim.until(lambda: is_over(neovim), "nothing is left of the choice")
        neovim.type("u")
        becomes(neovim, SELECTED)


def test_escape_leaves_the_text_and_the_keys_as_they_were(opened: Open) -> None:
    own = "vim.keymap.set('n', '<CR>', function() Own = true end, { buffer = true })"
    with opened() as neovim:
        neovim.lua(own)
        tick = neovim.changedtick()
        choosing(neovim)
        assert neovim.lua(READ_KEYS) == KEYS
        neovim.type("<Esc>")
        neovim.until(lambda: is_over(neovim), "nothing is left of the choice")
        neovim.type("<CR>")
        neovim.until(lambda: neovim.lua("return Own"), "the user's own key does what it did")
        neovim.type("<C-n>")  # one line down, as ever
        neovim.until(lambda: neovim.lua("return Bars[#Bars]") == "end", "the work has ended")
        assert (text_of(neovim), neovim.changedtick()) == (SELECTED, tick)
        assert neovim.lua("return Said") == []
        assert not neovim.lua("return vim.bo.modified")


@pytest.mark.parametrize("how", ["typing", "cancel", "reload", "restart"])
def test_a_choice_ends_with_what_it_was_made_for(opened: Open, how: str) -> None:
    with opened() as neovim:
        choosing(neovim)
        if how == "typing":
            neovim.insert_at(0, 0)
            neovim.type("x")
            said(neovim, "the text changed, so there is nothing to choose from any more")
        elif how == "cancel":
            infill(neovim, "cancel")
        elif how == "reload":
            neovim.call("nvim_command", "edit!")
        else:
            infill(neovim, "restart")
        neovim.until(lambda: is_over(neovim), "nothing is left of the choice")
        assert text_of(neovim) == ("x" if how == "typing" else "") + SELECTED


def test_another_rewrite_takes_the_place_of_the_choice(opened: Open) -> None:
    with opened() as neovim:
        choosing(neovim)
        neovim.type("<C-n>")
        neovim.until(lambda: shown(neovim)[-1].startswith("2/2"), "the second is shown")
        infill(neovim, "rewrite gently", at="2,2")
        neovim.until(lambda: shown(neovim) and shown(neovim)[-1].startswith("1/"), "a new choice")
        assert len([line for line in neovim.screen() if "take" in line]) == 1
        neovim.type("<Esc>")
        neovim.until(lambda: is_over(neovim), "nothing is left of either")
        assert text_of(neovim) == SELECTED


def test_several_lines_are_seen_below_those_that_they_would_replace(opened: Open) -> None:
    with opened(LOOP, variants=LOOPS) as neovim:
        choosing(neovim, at="3,4")
        assert shown(neovim)[1:-1] == [
            "    for price in prices:",  # which is struck through
            "        found += price * (1 + tax)",
            "    for it in prices:",
            "        found += it * (1 + tax)",
        ]
        neovim.keep("nvim-choice-lines")
        neovim.type("<CR>")
        becomes(neovim, LOOP.replace("price in", "it in").replace("+= price", "+= it"))


def test_a_choice_below_the_window_is_scrolled_to_and_back(opened: Open) -> None:
    with opened("\n" * 40 + SELECTED + "\n" * 40) as neovim:
        neovim.lua("vim.api.nvim_win_set_cursor(0, { 42, 0 }); vim.cmd('normal! zb')")
        top = neovim.lua("return vim.fn.line('w0')")
        choosing(neovim, at="42,42")
        assert neovim.lua("return vim.fn.line('w0')") > top
        neovim.type("<Esc>")
        neovim.until(lambda: is_over(neovim), "nothing is left of the choice")
        assert neovim.lua("return vim.fn.line('w0')") == top


def test_a_user_s_own_keys_choose_and_are_told(opened: Open) -> None:
    own = """
    vim.keymap.set('n', ']v', '<Plug>(infill-next)')
    vim.keymap.set('n', 'gy', '<Plug>(infill-take)')
    """
    with opened(init=own) as neovim:
        choosing(neovim)
        assert shown(neovim)[-1] == "1/2  ]v next  <C-p> previous  gy take  <Esc> leave"
        assert neovim.lua(READ_KEYS) == ["<C-P>", "<Esc>"]
        neovim.type("]vgy")
        becomes(neovim, SECOND)


def test_whoever_would_rather_choose_from_a_list_may(opened: Open) -> None:
    listed = """
    vim.lsp.config('infill', { handlers = {
      ['window/showMessageRequest'] = vim.lsp.handlers['window/showMessageRequest'] } })
    vim.ui.select = function(all, told, done)
      Offered = vim.tbl_map(told.format_item, all)
      done(all[2])
    end
    """
    with opened(init=listed) as neovim:
        infill(neovim, "rewrite freely", at="2,2")
        neovim.until(lambda: text_of(neovim) != SELECTED, "one is taken")
        assert len(neovim.lua("return Offered")) == 2
        assert is_over(neovim)


def test_a_choice_in_another_buffer_is_told_of_and_waits_there(opened: Open) -> None:
    with opened(init="vim.o.hidden = true\n") as neovim:
        neovim.lua("vim.cmd('2Infill rewrite freely'); vim.cmd.enew()")
        said(neovim, "2 texts to choose from in sample.py")
        assert neovim.lua(READ_KEYS) == []
        neovim.call("nvim_command", "buffer sample.py")
        neovim.until(lambda: shown(neovim), "a variant is shown")
        neovim.type("<CR>")
        neovim.until(lambda: text_of(neovim) in (FIRST, SECOND), "one is taken")


# Docstrings and parameters


DOUBLE = "def double(x):\n    return 2 * x\n\n\nprint(double(1))\n"


def plays(*texts: str, **more: float) -> str:
    return "scripted:" + json.dumps({"text": texts, **more})


def test_a_docstring_is_written_into_the_function_at_the_cursor(opened: Open) -> None:
    with opened(DOUBLE, model=plays("Twice as much.")) as neovim:
        infill(neovim, "docstring")
        becomes(neovim, DOUBLE.replace("(x):\n", '(x):\n    """Twice as much."""\n'))
        neovim.type("u")
        becomes(neovim, DOUBLE)


def test_a_docstring_is_watched_in_a_line_of_its_own(opened: Open) -> None:
    slow = plays("Twice as much.", seconds_a_step=0.05, steps_a_fill=200)
    with opened(DOUBLE, model=slow) as neovim:
        infill(neovim, "docstring")
        seen = ["def double(x):", '    """Twice as much."""', "    return 2 * x", ""]
        neovim.until(lambda: neovim.screen()[:4] == seen, "the draft stands above the body")
        neovim.type("<Esc>")
        neovim.until(lambda: neovim.screen()[:2] == DOUBLE.splitlines()[:2], "it is gone")
        assert text_of(neovim) == DOUBLE


def test_a_parameter_is_added_with_its_uses(opened: Open) -> None:
    with opened(DOUBLE, model=plays("by", "7")) as neovim:
        infill(neovim, "parameter")
        becomes(neovim, DOUBLE.replace("(x)", "(x, by)").replace("(1)", "(1, 7)"))
        neovim.type("u")
        becomes(neovim, DOUBLE)


def test_a_parameter_that_some_use_would_lack_is_not_added(opened: Open) -> None:
    with opened(DOUBLE, model=plays("by", "")) as neovim:
        infill(neovim, "parameter")
        said(neovim, "Nothing was changed: the model did not write one more parameter")
        assert text_of(neovim) == DOUBLE


def test_the_bundled_model_adds_a_parameter_and_writes_a_docstring_or_says_why_not(
    opened: Open,
) -> None:
    with opened(DOUBLE, model="bundled") as neovim:
        infill(neovim, "parameter")
        neovim.until(lambda: text_of(neovim) != DOUBLE or told(neovim), "it has answered")
        header, _, _, _, call = text_of(neovim).splitlines()
        assert header.count(",") == call.count(",")
        neovim.lua("Said = {}")
        before = text_of(neovim)
        infill(neovim, "docstring")
        neovim.until(lambda: text_of(neovim) != before or told(neovim), "it has answered")
        written = [line for line in text_of(neovim).splitlines() if '"""' in line]
        assert len(written) == (0 if text_of(neovim) == before else 1)


def told(neovim: Neovim) -> list[str]:
    return neovim.lua("return Said")


# Where nothing can be done


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("fill", "There is no hole at the cursor"),
        ("fill-all", "There is no hole in this file"),
        ("fill-all function", "There is no hole in a function at the cursor"),
        ("repair", "There is no syntax error here"),
        ("rewrite gently", "Nothing is selected"),
        ("docstring", "No docstring is missing here"),
        ("parameter", "There is no function here to add a parameter to"),
        ("cancel", "nothing is under way"),
        ("suggest", "ghost text is shown in insert mode"),
        ("rewrite gently freely", "takes one of gently, moderately, freely, not gently freely"),
    ],
)
def test_where_there_is_nothing_to_do_that_is_told(opened: Open, words: str, sentence: str) -> None:
    with opened("x = 1\n", model=plays("y")) as neovim:
        infill(neovim, words)
        said(neovim, sentence)
        assert text_of(neovim) == "x = 1\n"


CHANGING = ["fill", "fill-all", "repair", "rewrite", "rewrite freely", "docstring", "parameter"]


def test_a_buffer_that_must_not_be_changed_is_not_worked_on(opened: Open) -> None:
    with opened(FIVE, model=plays("y")) as neovim:
        neovim.lua("vim.bo.modifiable = false")
        for words in CHANGING:
            neovim.lua("Said = {}")
            infill(neovim, words)
            assert "'nomodifiable'" in told(neovim)[0], words
        assert text_of(neovim) == FIVE


def test_without_a_server_every_command_says_so(opened: Open) -> None:
    with opened(FIVE, model=plays("y")) as neovim:
        neovim.call("nvim_command", "enew")
        for words in [*CHANGING, "cancel", "status", "why"]:
            neovim.lua("Said = {}")
            infill(neovim, words)
            assert "does not run for this buffer" in told(neovim)[0], words


def test_a_text_without_a_name_is_not_written_into_and_that_is_told(opened: Open) -> None:
    with opened(FIVE, model=plays("y")) as neovim:
        neovim.lua("vim.cmd.enew(); vim.bo.filetype = 'python'")
        neovim.call("nvim_buf_set_lines", 0, 0, -1, True, FIVE.splitlines())
        neovim.wait_for_client("infill")
        infill(neovim, "fill-all")
        said(neovim, "This text has no name")
        assert text_of(neovim) == FIVE
        neovim.call("nvim_command", "buffer sample.py")
        assert text_of(neovim) == FIVE


def test_what_is_not_saved_yet_is_kept_and_is_what_is_worked_on(
    opened: Open, tmp_path: Path
) -> None:
    with opened(model=plays("return width * height")) as neovim:
        unsaved = "def area(width, height):\n    ...\n"
        neovim.call("nvim_buf_set_lines", 0, 0, -1, True, unsaved.splitlines())
        infill(neovim, "fill-all")
        becomes(neovim, SELECTED)
        neovim.type("u")
        becomes(neovim, unsaved)
    assert (tmp_path / "sample.py").read_text() == SELECTED


def test_only_the_characters_that_are_selected_are_rewritten_or_all_of_the_lines(
    opened: Open,
) -> None:
    with opened(model=plays("height * width")) as neovim:
        neovim.call("nvim_win_set_cursor", 0, [2, 11])
        neovim.type("v$h:Infill rewrite gently<CR>")
        becomes(neovim, SELECTED.replace("width * height", "height * width"))
        neovim.type("u")
        becomes(neovim, SELECTED)
    with opened(LOOP, model=plays("pass")) as neovim:
        neovim.call("nvim_win_set_cursor", 0, [3, 0])
        neovim.type("2:Infill rewrite freely<CR>")  # two lines, as Vim counts
        becomes(neovim, "def total(prices, tax):\n    found = 0.0\n    pass\n    return found\n")
