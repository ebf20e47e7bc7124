"""One set of verbs for VS Code, Neovim and Helix: what hands do in them, and what eyes see.

A verb waits until what it names has happened, and fails where that does not come. What an editor
has not skips the test, with the reason. Knows no scenario.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest

from tests import test_helix, test_nvim
from tests.helix import Helix
from tests.nvim import Neovim
from tests.vscode import Code, opened

CURSOR = "‸"


@dataclass(frozen=True, slots=True)
class Place:
    """A text and where the cursor is in it: at ‸, or at the start; between two is a selection."""

    text: str
    row: int  # from 0
    head: str  # of the cursor's line
    selected: str


def place_in(marked: str) -> Place:
    before, _, behind = marked.rpartition(CURSOR)
    before, _, selected = before.partition(CURSOR) if CURSOR in before else (before, "", "")
    lines = before.split("\n")
    return Place(before + selected + behind, len(lines) - 1, lines[-1], selected)


class Editor(Protocol):
    """An editor with one file and a script in the model's place."""

    def open(self, marked: str, writes: str | list[str], **script: object) -> None:
        """Shows this text, the cursor at ‸; `writes` is what the model does, hole by hole."""
        ...

    # Text that is suggested. `ask` is to ask for it and not to wait; nothing is an empty text.
    def ask(self) -> None: ...
    def shows(self, text: str) -> None: ...
    def accept(self) -> None: ...
    def accept_word(self) -> None: ...
    def accept_line(self) -> None: ...
    def next(self) -> None: ...

    # What is done at a word: fill, fill-all, repair, or rewrite with a strength. Drafts are drawn
    # beside the text while they are written: these and no others.
    def does(self, deed: str) -> None: ...
    def drafts(self, *texts: str) -> None: ...
    def gives_up(self) -> None: ...
    def is_busy(self, doing: str) -> None: ...
    def is_idle(self) -> None: ...
    def tells(self, words: str) -> None: ...
    def restart(self) -> None: ...

    # The text. `reads` is that one of its lines has these words, `keep` leaves a picture.
    def type(self, text: str) -> None: ...
    def reads(self, words: str) -> None: ...
    def undo(self) -> None: ...
    def saved(self) -> str: ...
    def keep(self, scene: str) -> None: ...
    def close(self) -> None: ...


def script(writes: str | list[str], more: dict[str, Any]) -> str:
    return "scripted:" + json.dumps({"text": writes, **more})


def one_window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Code]]:
    """The window of VS Code that all tests of a file share; another one where it was lost."""
    windows: list[Code] = []

    def a_window() -> Code:
        if not windows or windows[-1].is_lost:
            folder = tmp_path_factory.mktemp("vscode")
            windows.append(opened(folder, {"nothing.txt": ""}, model="scripted:"))
        return windows[-1]

    yield a_window
    for each in windows:
        each.close()


class InVSCode(Editor):
    """A tab of a window that all tests of a file share."""

    numbers = count()
    deeds: ClassVar = {
        "fill": "Infill: Fill Here",
        "fill-all": "Infill: Fill All Holes in This File",
        "repair": "Infill: Repair Syntax Here",
        "rewrite": "Infill: Rewrite Selection",
    }

    def __init__(self, window: Code) -> None:
        self.code = window

    def open(self, marked: str, writes: str | list[str], **script_of: object) -> None:
        place = place_in(marked)
        self.file = f"sample{next(self.numbers)}.py"
        self.code.write(self.file, place.text)
        self.code("command", "Notifications: Clear All Notifications")
        self.code("command", "View: Close All Editors")
        column = len(place.head.encode("utf-16-le")) // 2
        self.code("open", f"{self.file}:{place.row + 1}:{column + 1}")
        self.code.plays(script(writes, script_of))
        self.code.press(*["Shift+ArrowRight"] * len(place.selected))

    def ask(self) -> None:
        self.code("command", "Trigger Inline Suggestion")
        self.code("waitAnyGhost")

    def shows(self, text: str) -> None:
        self.code("waitGhost", text)

    def accept(self) -> None:
        self.code("press", "Tab")
        self.shows("")

    def accept_word(self) -> None:
        self.code("press", "Control+ArrowRight")

    def accept_line(self) -> None:
        self.code("press", "Control+ArrowDown")

    def next(self) -> None:
        self.code("press", "Alt+]")

    def does(self, deed: str) -> None:
        words, _, strength = deed.partition(" ")
        self.code("command", self.deeds[words])
        if strength:
            self.code("choose", strength)

    def drafts(self, *texts: str) -> None:
        self.code("waitDrafts", json.dumps(texts))

    def gives_up(self) -> None:
        self.code("clickStatus")
        assert self.code("choices")[0] == "Cancel"
        self.keep("cancel")
        self.code("choose", "Cancel")
        assert self.code("notices") == []

    def is_busy(self, doing: str) -> None:
        self.code("waitBusy", doing)

    def is_idle(self) -> None:
        self.code("waitStatus", "")  # it may say why nothing is suggested

    def tells(self, words: str) -> None:
        self.code("waitNotice", words)

    def restart(self) -> None:
        self.code("command", "Infill: Restart Server")

    def type(self, text: str) -> None:
        self.code("type", text)

    def reads(self, words: str) -> None:
        self.code("waitText", words)

    def undo(self) -> None:
        self.code.press("Control+1", "Control+z")  # the keys go to the text again

    def saved(self) -> str:
        return self.code("saved", self.file)

    def keep(self, scene: str) -> None:
        self.code.keep(f"vscode-{scene}")

    def close(self) -> None:
        """Only the file, and that at the next one: the window stays."""
        if not self.code.is_lost:
            self.code("press", "Control+s")


DRAFTS = """
local space, found = vim.api.nvim_get_namespaces()['infill.drafts'], {}
if not space then return found end
for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, space, 0, -1, { details = true })) do
  local text = vim.iter(mark[4].virt_text or {}):map(function(chunk) return chunk[1] end):join('')
  if text ~= '' then table.insert(found, text) end
end
return found
"""
STATUSLINE = """
vim.o.laststatus = 2
vim.o.statusline = "%f %m%=%{v:lua.require'infill'.status()}"
"""
KEYS = {"<C-l>": "accept-word", "<C-j>": "accept-line", "<C-n>": "next", "<C-s>": "suggest"}


class InNeovim(Editor):
    """A Neovim of its own, in which the help's mappings have keys."""

    neovim: Neovim

    def __init__(self, home: Path) -> None:
        (home / "infill-lsp").symlink_to(test_nvim.REPOSITORY)
        self.home, self.file = home, home / "sample.py"

    def open(self, marked: str, writes: str | list[str], **script_of: object) -> None:
        self.place = place = place_in(marked)
        self.file.write_bytes(place.text.encode())
        model = script(writes, script_of)
        self.neovim = test_nvim.open_file(self.home, self.file, model=model, server="inside")
        self.neovim.wait_for_client("infill")
        self.until(lambda: self.neovim.lua("return Loaded"), "the model is loaded")
        self.neovim.lua(STATUSLINE)
        for key, does in KEYS.items():
            self.neovim.lua(f"vim.keymap.set('i', '{key}', '<Plug>(infill-{does})')")
        self.neovim.call("nvim_win_set_cursor", 0, [place.row + 1, len(place.head.encode())])
        if place.selected:
            self.neovim.type("v" + "l" * (len(place.selected) - 1))

    def until(self, probe: Callable[[], object], what: str) -> None:
        self.neovim.until(probe, what)

    def ask(self) -> None:
        self.neovim.insert_at(self.place.row, len(self.place.head.encode()))
        before = len(self.neovim.lua("return Asked"))
        self.neovim.type("<C-s>")
        answered = f"return Answered[{before + 1}] ~= nil"
        self.until(lambda: self.neovim.lua(answered), "there is an answer")
        self.neovim.wait_for_ghost()

    def shows(self, text: str) -> None:
        def is_shown() -> bool:
            ghost = self.neovim.ghost()
            shown = re.sub(r" \(\d+/\d+\)$", "", ghost.text) if ghost else ""  # which of how many
            return shown.lstrip("\n") == text

        self.until(is_shown, f"the ghost text is {text!r}")

    def accept(self) -> None:
        self.neovim.accept()

    def accept_word(self) -> None:
        self.neovim.type("<C-l>")

    def accept_line(self) -> None:
        self.neovim.type("<C-j>")

    def next(self) -> None:
        self.neovim.type("<C-n>")

    def does(self, deed: str) -> None:
        self.neovim.type(f":Infill {deed}<CR>")

    def drafts(self, *texts: str) -> None:
        self.until(lambda: self.neovim.lua(DRAFTS) == [*texts], f"the drafts are {texts}")

    def gives_up(self) -> None:
        self.neovim.type(":Infill cancel<CR>")

    def status(self) -> str:
        return self.neovim.lua("return require('infill').status()")

    def is_busy(self, doing: str) -> None:
        self.until(lambda: doing in self.status(), f"the statusline says {doing}")

    def is_idle(self) -> None:
        self.until(lambda: self.status() == "infill: ready", "the statusline is ready")

    def tells(self, words: str) -> None:
        def said() -> str:
            return self.neovim.call("nvim_exec2", "messages", {"output": True})["output"]

        self.until(lambda: words in said(), f"{words!r} is among the messages")

    def restart(self) -> None:
        before = self.neovim.children()
        self.neovim.type(":Infill restart<CR>")
        self.until(lambda: set(self.neovim.children()) - set(before), "a new server runs")

    def type(self, text: str) -> None:
        if self.neovim.mode() != "i":
            self.neovim.insert_at(self.place.row, len(self.place.head.encode()))
        self.neovim.type_text(text)

    def reads(self, words: str) -> None:
        self.until(lambda: any(words in it for it in self.neovim.lines()), f"{words!r} is there")

    def undo(self) -> None:
        self.neovim.type("<Esc>u")

    def saved(self) -> str:
        self.neovim.save()
        return self.file.read_bytes().decode()

    def keep(self, scene: str) -> None:
        self.neovim.keep(f"neovim-{scene}")

    def close(self) -> None:
        self.neovim.close()


class InHelix(Editor):
    """A Helix of its own. It has no ghost text: what is suggested are entries of its menu."""

    helix: Helix
    deeds: ClassVar = {
        "fill": "Fill this hole",
        "fill-all": "Fill all holes in this file",
        "repair": "Repair syntax here",
        "rewrite gently": "Rewrite selection gently",
    }

    def __init__(self, home: Path) -> None:
        self.home, self.restarted_at = home, 0

    def open(self, marked: str, writes: str | list[str], **script_of: object) -> None:
        self.place = place = place_in(marked)
        self.helix = test_helix.open_file(self.home, place.text, model=script(writes, script_of))
        self.helix.command(f"goto {place.row + 1}")
        self.helix.type("gh" + "l" * len(place.head))
        if place.selected:
            self.helix.type("v" + "l" * (len(place.selected) - 1))

    def ask(self) -> None:
        self.helix.insert_at(self.place.row, len(self.place.head))
        self.helix.press("C-x")
        self.helix.wait_for(" text")

    def shows(self, text: str) -> None:
        first, *others = text.split("\n")
        self.helix.wait_for(f"{first} …" if others else f"{first} text")

    def accept(self) -> None:
        self.helix.press("Tab", "Enter")

    def accept_word(self) -> None:
        pytest.skip("Helix takes an entry of its menu whole")

    def accept_line(self) -> None:
        pytest.skip("Helix takes an entry of its menu whole")

    def next(self) -> None:
        pytest.skip("Helix is offered one text in its menu")

    def does(self, deed: str) -> None:
        """Takes the entry of the menu of code actions."""
        self.helix.press("Space", "a")
        screen = self.helix.wait_for(self.deeds[deed])
        words = ("Fill ", "Write ", "Add ", "Repair ", "Rewrite ")
        entries = [line for line in screen if any(word in line for word in words)]
        number = next(n for n, line in enumerate(entries) if self.deeds[deed] in line)
        self.helix.press(*["Down"] * number, "Enter")

    def drafts(self, *texts: str) -> None:
        pytest.skip("Helix draws no drafts")

    def gives_up(self) -> None:
        self.helix.command("lsp-workspace-command infill.cancel")

    def at_work(self) -> list[str]:
        """The bars that have begun and not ended since the server was started."""
        bars: dict[str, str] = {}
        for message in self.helix.messages("infill")[self.restarted_at :]:
            if message.get("method") == "$/progress":
                token, value = message["params"]["token"], message["params"]["value"]
                bars[token] = "" if value["kind"] == "end" else value.get("title", bars.get(token))
        return [title for title in bars.values() if title]

    def is_busy(self, doing: str) -> None:
        self.helix.until(lambda: any(doing in it for it in self.at_work()), "the work is told")
        self.helix.until(self.helix.is_spinning, "the line of state is busy")

    def is_idle(self) -> None:
        # Not by the line of state: Helix 25.07 is deaf to progress while its prompt is open, and
        # then goes on spinning.
        self.helix.until(lambda: not self.at_work(), "the work has ended")

    def tells(self, words: str) -> None:
        # Not on the screen, where the next key takes it away.
        self.helix.until(lambda: words in self.helix.log(), "it is told")

    def restart(self) -> None:
        self.restarted_at = len(self.helix.messages("infill"))
        self.helix.command("lsp-restart infill")

    def type(self, text: str) -> None:
        if self.helix.mode() != "INS":
            self.helix.insert_at(self.place.row, len(self.place.head))
        self.helix.type(text)

    def reads(self, words: str) -> None:
        self.helix.wait_for(words)

    def undo(self) -> None:
        self.helix.to_normal_mode()
        self.helix.press("u")

    def saved(self) -> str:
        return self.helix.saved()

    def keep(self, scene: str) -> None:
        self.helix.keep(f"helix-{scene}")

    def close(self) -> None:
        self.helix.close()
