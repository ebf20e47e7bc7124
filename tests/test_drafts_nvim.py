"""Drafts in a real Neovim: seen while they are written, gone afterwards, given up with a key."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nvim import Neovim, find_neovim
from tests.test_actions import FILLED, FIVE, SELECTED, TEXTS
from tests.test_nvim import script
from tests.test_nvim_commands import text_of

REPOSITORY = Path(__file__).resolve().parent.parent
ALL = "Fill all holes in this file (5)"
SLOW = {"seconds_a_step": 0.05, "steps_a_fill": 4000}
QUICK = {"seconds_a_step": 0.02, "steps_a_fill": 40}

INIT = f"""
vim.opt.runtimepath:append({str(REPOSITORY / "editors/nvim")!r})
vim.lsp.enable('infill')
Said, Bars = {{}}, {{}}
vim.lsp.handlers['window/showMessage'] = function(_, result) table.insert(Said, result.message) end
vim.lsp.config('infill', {{ init_options = vim.json.decode(%s) }})
vim.api.nvim_create_autocmd('LspProgress', {{ callback = function(event)
  table.insert(Bars, event.data.params.value.kind)
end }})
"""

OLD = os.environ.get("INFILL_NVIM_011", "")

pytestmark = pytest.mark.editor

READ_MARKS = """
local found = {}
local space = vim.api.nvim_get_namespaces()['infill.drafts']
if not space then return found end
for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, space, 0, -1, { details = true })) do
  local lines = { mark[4].virt_text or {}, unpack(mark[4].virt_lines or {}) }
  for number, chunks in ipairs(lines) do
    lines[number] = vim.iter(chunks):map(function(chunk) return chunk[1] end):join('')
  end
  local text = table.concat(lines, '\\n')
  if text ~= '' then table.insert(found, { mark[1], mark[2], mark[3], text }) end
end
return found
"""

READ_GROUPS = """
local found = {}
local space = vim.api.nvim_get_namespaces()['infill.drafts']
for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, space, 0, -1, { details = true })) do
  for _, chunk in ipairs(mark[4].virt_text or {}) do found[chunk[2]] = true end
  if mark[4].hl_group then found[mark[4].hl_group] = true end
end
return vim.tbl_keys(found)
"""


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


class Drawing(Neovim):
    """Also sees the drafts."""

    def marks(self) -> list[tuple[int, int, int, str]]:
        """Of each its id, its place (from 0, in bytes) and its text."""
        return [tuple(mark) for mark in self.lua(READ_MARKS)]  # pyright: ignore[reportReturnType]

    def drafts(self) -> list[str]:
        return [text for *_, text in self.marks()]

    def wait_for_drafts(self, count: int) -> None:
        self.until(lambda: len(self.marks()) == count, f"there are {count} drafts")

    def bars(self) -> list[str]:
        return self.lua("return Bars")

    def wait_for_the_end(self) -> None:
        self.until(lambda: "end" in self.bars(), "the work has ended")

    def said(self) -> list[str]:
        return self.lua("return Said")


Open = Callable[..., Drawing]


@pytest.fixture(params=["0.12", "0.11"])
def neovim_with(tmp_path: Path, request: pytest.FixtureRequest) -> Open:
    """Opens Neovim with a text, a script in the model's place, in a home of its own."""
    if request.param == "0.11" and not OLD:
        pytest.skip("INFILL_NVIM_011 names no Neovim 0.11")
    try:
        program = OLD if request.param == "0.11" else find_neovim(REPOSITORY)
    except LookupError as why:
        pytest.skip(f"Neovim {why}")

    def open_file(
        text: str = FIVE, written: object = TEXTS, *, more: str = "", **played: float
    ) -> Drawing:
        file = tmp_path / "sample.py"
        file.write_bytes(text.encode())
        played = played or SLOW
        options = {"model": script(written, **played), "server": "inside"}  # pyright: ignore[reportArgumentType]
        init = INIT % json.dumps(json.dumps(options)) + more
        neovim = Drawing(program, tmp_path, init=init, file=file, env=with_the_server_on_path())
        neovim.wait_for_client("infill")
        neovim.until(lambda: "end" in neovim.bars(), "the model is loaded")
        neovim.lua("Bars = {}")
        return neovim

    return open_file


def test_five_drafts_are_seen_at_once_and_are_gone_once_they_are_written(neovim_with: Open) -> None:
    with neovim_with(**QUICK) as neovim:
        choose(neovim, ALL)
        neovim.wait_for_drafts(5)
        marks = neovim.marks()
        assert [text for *_, text in marks] == TEXTS
        places = [(row, column) for _, row, column, _ in marks]
        assert places == [(1, 7), (5, 19), (9, 8), (13, 29), (16, 16)]
        assert "    ...return width * height" in neovim.screen()
        assert text_of(neovim) == FIVE
        neovim.wait_for_the_end()
        neovim.until(lambda: text_of(neovim) == FILLED, "the holes are filled")
        assert neovim.marks() == []
        assert [line for line in neovim.screen() if "width * height" in line] == [
            "    return width * height"
        ]


def test_a_draft_changes_in_place_and_what_has_settled_looks_otherwise(neovim_with: Open) -> None:
    with neovim_with(seconds_a_step=0.05, steps_a_fill=400) as neovim:
        choose(neovim, ALL)
        neovim.wait_for_drafts(5)
        ids = [mark[0] for mark in neovim.marks()]
        wanted = {"InfillReplaced", "InfillSettled", "InfillUnsettled"}
        neovim.until(lambda: set(neovim.lua(READ_GROUPS)) == wanted, "some of it has settled")
        assert [mark[0] for mark in neovim.marks()] == ids
        neovim.keep("neovim-drafts")


@pytest.mark.parametrize("mode", ["n", "i"])
def test_escape_gives_the_drafts_up_without_a_trace_and_does_what_it_does(
    neovim_with: Open, mode: str
) -> None:
    with neovim_with() as neovim:
        tick = neovim.changedtick()
        if mode == "i":
            neovim.insert_at(0, 0)
        choose(neovim, ALL)
        neovim.wait_for_drafts(5)
        neovim.type("<Esc>")
        neovim.until(lambda: not neovim.marks(), "the drafts are gone")
        neovim.until(lambda: neovim.mode() == "n", "Neovim is in normal mode")
        neovim.wait_for_the_end()
        assert text_of(neovim) == FIVE
        assert (neovim.changedtick(), neovim.said(), neovim.marks()) == (tick, [], [])


def test_a_user_s_own_escape_is_done_too(neovim_with: Open) -> None:
    own = "vim.keymap.set('n', '<Esc>', function() Own = (Own or 0) + 1 end)"
    with neovim_with(more=own) as neovim:
        choose(neovim, ALL)
        neovim.wait_for_drafts(5)
        neovim.type("<Esc>")
        neovim.until(lambda: not neovim.marks(), "the drafts are gone")
        neovim.wait_for_the_end()
        assert neovim.lua("return Own") == 1


def test_typing_takes_the_drafts_away_and_keeps_what_is_typed(neovim_with: Open) -> None:
    with neovim_with() as neovim:
        choose(neovim, ALL)
        neovim.wait_for_drafts(5)
        neovim.insert_at(16, len("LIMIT"))
        neovim.type_text("S")
        neovim.until(lambda: not neovim.marks(), "the drafts are gone")
        neovim.wait_for_the_end()
        assert text_of(neovim) == FIVE.replace("LIMIT", "LIMITS")
        assert "changed meanwhile (filling all holes)" in neovim.said()[-1]
        assert neovim.marks() == []


def test_drafts_of_a_text_that_changed_are_gone_before_the_server_hears_of_it(
    neovim_with: Open,
) -> None:
    late = "vim.lsp.config('infill', { flags = { debounce_text_changes = 600000 } })"
    with neovim_with(more=late) as neovim:
        choose(neovim, ALL)
        neovim.wait_for_drafts(5)
        neovim.insert_at(16, len("LIMIT"))
        neovim.type_text("S")
        neovim.until(lambda: not neovim.marks(), "the drafts are gone")
        time.sleep(0.4)  # in which others come, for the text as it was
        assert (neovim.marks(), neovim.said()) == ([], [])
        assert "end" not in neovim.bars()


def test_drafts_of_a_second_buffer_stay_when_those_of_the_first_are_given_up(
    neovim_with: Open, tmp_path: Path
) -> None:
    with neovim_with() as neovim:
        choose(neovim, ALL)
        neovim.wait_for_drafts(5)
        other = tmp_path / "other.py"
        other.write_text(FIVE)
        neovim.call("nvim_command", f"edit {other}")
        neovim.wait_for_client("infill")
        choose(neovim, ALL)
        neovim.wait_for_drafts(5)
        neovim.type("<Esc>")
        neovim.until(lambda: not neovim.marks(), "the drafts are gone")
        neovim.call("nvim_command", "buffer sample.py")
        assert len(neovim.marks()) == 5


def test_drafts_are_gone_although_neovim_does_not_take_what_they_have_become(
    neovim_with: Open,
) -> None:
    with neovim_with(**QUICK) as neovim:
        neovim.lua("vim.bo.modifiable = false")
        choose(neovim, ALL)
        neovim.wait_for_drafts(5)
        neovim.until(neovim.said, "the user is told")
        assert "did not change sample.py" in neovim.said()[-1]
        assert (text_of(neovim), neovim.marks()) == (FIVE, [])


def test_drafts_are_gone_once_the_server_is(neovim_with: Open) -> None:
    with neovim_with() as neovim:
        choose(neovim, ALL)
        neovim.wait_for_drafts(5)
        for server in neovim.children():
            os.kill(server, signal.SIGKILL)
        neovim.until(lambda: not neovim.marks(), "the drafts are gone")


def test_several_lines_are_drawn_below_and_what_they_replace_is_struck_through(
    neovim_with: Open,
) -> None:
    with neovim_with(SELECTED, "if height:\n        return width\n    return 0") as neovim:
        neovim.lua(
            """
            vim.lsp.get_clients({ name = 'infill' })[1]:request('infill/start', {
              textDocument = {
                uri = vim.uri_from_bufnr(0), version = vim.lsp.util.buf_versions[1] },
              holes = { { id = 'a', range = {
                start = { line = 1, character = 4 }, ['end'] = { line = 1, character = 25 } } } },
            }, function(...) Answer = { ... } end)"""
        )
        neovim.wait_for_drafts(1)
        screen = neovim.screen()
        assert screen[1:4] == [
            "    return width * heightif height:",
            "        return width",
            "    return 0",
        ]
        assert "InfillReplaced" in neovim.lua(READ_GROUPS)


def test_drafts_can_be_switched_off(neovim_with: Open) -> None:
    off = "vim.lsp.config('infill', { init_options = { canvas = false } })"
    with neovim_with(more=off, **QUICK) as neovim:
        neovim.lua(
            """
            local handlers = vim.lsp.get_clients({ name = 'infill' })[1].handlers
            handlers['infill/canvas'] = function() Heard = true end"""
        )
        choose(neovim, ALL)
        neovim.until(lambda: text_of(neovim) == FILLED, "the holes are filled")
        neovim.wait_for_the_end()
        assert not neovim.lua("return Heard")
