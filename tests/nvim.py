"""Drives a real Neovim as hands on a keyboard would. Knows nothing of the server behind it.

with Neovim(program, home, init="vim.lsp.enable('infill')", file=path) as neovim:
    neovim.wait_for_client("infill")
    neovim.insert_at(row=1, column=4)
    neovim.type("re")
    neovim.wait_for_ghost("turn a + b")
    neovim.accept()
    assert neovim.lines() == [...]
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self, TypeVar

msgpack: Any = import_module("msgpack")  # it brings no types

T = TypeVar("T")

CAPTURES = Path(
    os.environ.get("INFILL_CAPTURES")
    or Path(__file__).resolve().parent.parent / ".editors/captures"
)
PATIENCE = 60.0  # seconds: only so that a test which has failed ends; nothing is timed by it

NEW_ENOUGH = (
    "lua vim.cmd(vim.fn.has('nvim-0.12') == 1 and vim.lsp.inline_completion and 'qall!' or 'cquit')"
)

# What is drawn as ghost text: [row, column, text], rows and columns from 0, columns in bytes.
READ_GHOST = """
local namespace = vim.api.nvim_get_namespaces()['nvim.lsp.inline_completion']
if not namespace then return nil end
for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { details = true })) do
  local lines = { mark[4].virt_text or {}, unpack(mark[4].virt_lines or {}) }
  for number, chunks in ipairs(lines) do
    local texts = vim.iter(chunks):map(function(chunk) return chunk[1] end)
    lines[number] = texts:join('')
  end
  return { mark[2], mark[3], table.concat(lines, '\\n') }
end
"""

READ_SCREEN = """
vim.cmd.redraw()
return vim.iter(vim.fn.range(1, vim.o.lines)):map(function(row)
  return vim.iter(vim.fn.range(1, vim.o.columns)):map(function(column)
    return vim.fn.screenstring(row, column)
  end):join('')
end):totable()
"""


def find_neovim(repository: Path) -> str:
    """The program of a Neovim with inline completion. Raises LookupError, saying what was found.

    It is looked for where `editors/bring.sh` looks: INFILL_NVIM, PATH, `.editors/bin`.
    """
    named = os.environ.get("INFILL_NVIM")
    places = [named] if named else [shutil.which("nvim"), str(repository / ".editors/bin/nvim")]
    found = [place for place in places if place and os.access(place, os.X_OK)]
    for program in found:
        if _is_new_enough(program):
            return program
    if found:
        raise LookupError(f"{' and '.join(found)} cannot start or is older than 0.12")
    looked = f"INFILL_NVIM={named}" if named else "INFILL_NVIM, PATH and .editors/bin"
    raise LookupError(f"not found: {looked}; editors/bring.sh brings one")


def _is_new_enough(program: str) -> bool:
    argv = [program, "--clean", "--headless", "-i", "NONE", "-n", f"+{NEW_ENOUGH}"]
    with_no_log = {**os.environ, "NVIM_LOG_FILE": os.devnull}
    try:
        ended = subprocess.run(argv, env=with_no_log, capture_output=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


@dataclass(frozen=True, slots=True)
class Ghost:
    """Ghost text and where it is drawn; from 0, the column in bytes as Neovim counts."""

    row: int
    column: int
    text: str


class Neovim:
    """One Neovim in a home of its own, on the pipes of `nvim --embed`, gone after `close`."""

    def __init__(
        self,
        program: str,
        home: Path,
        *,
        init: str,
        file: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        script = home / "init.lua"
        script.write_text(init, encoding="utf-8")
        # Otherwise a Python buffer makes Neovim look for a Python with pynvim, for seconds.
        quick = "let g:loaded_python3_provider = 0"
        argv = [program, "--embed", "--headless", "-i", "NONE", "-n", "--cmd", quick]
        argv += ["-u", str(script), *([str(file)] if file else [])]
        self._process = subprocess.Popen(
            argv,
            env=_environment(home, env or {}),
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
        self._last_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # What a person does.

    def insert_at(self, row: int, column: int) -> None:
        """Moves the cursor there (from 0, in bytes) and enters insert mode."""
        self.call("nvim_win_set_cursor", 0, [row + 1, column])
        at_the_end = column >= len(self.lines()[row].encode())
        self.type("A" if at_the_end else "i")
        self.until(lambda: self.mode() == "i", "Neovim is in insert mode")

    def type(self, keys: str) -> None:
        """Presses keys, special ones as `<Tab>` or `<C-w>`."""
        self.call("nvim_input", keys)

    def type_text(self, text: str) -> None:
        """Types text key by key and waits until the buffer has changed after the last."""
        tick = self.changedtick()
        self.type(text.replace("<", "<LT>"))
        wanted = tick + len(text)
        self.until(lambda: self.changedtick() >= wanted, f"{text!r} has been typed")

    def accept(self) -> None:
        """Presses Tab and waits until the buffer has changed."""
        tick = self.changedtick()
        self.type("<Tab>")
        self.until(lambda: self.changedtick() > tick, "<Tab> has changed the buffer")

    # What a person sees.

    def ghost(self) -> Ghost | None:
        found = self.lua(READ_GHOST)
        return Ghost(*found) if found else None

    def wait_for_ghost(self, text: str | None = None) -> Ghost:
        """Waits for ghost text, for this one if it is named, and returns it."""

        def shown() -> Ghost | None:
            ghost = self.ghost()
            return ghost if ghost and ghost.text and text in (None, ghost.text) else None

        return self.until(shown, f"the ghost text is {text!r}" if text else "there is ghost text")

    def lines(self) -> list[str]:
        return self.call("nvim_buf_get_lines", 0, 0, -1, True)

    def cursor(self) -> tuple[int, int]:
        """Row and column, from 0, the column in bytes."""
        row, column = self.call("nvim_win_get_cursor", 0)
        return row - 1, column

    def mode(self) -> str:
        return self.call("nvim_get_mode")["mode"]

    def save(self) -> None:
        """Writes the file, as `:write` does."""
        self.type("<Esc>")
        self.call("nvim_command", "write")

    def changedtick(self) -> int:
        return self.lua("return vim.b.changedtick")

    def children(self) -> list[int]:
        """The processes that Neovim has started: its language servers."""
        return self.lua("return vim.api.nvim_get_proc_children(vim.fn.getpid())")

    def screen(self) -> list[str]:
        """The lines on the screen, without blanks at their ends."""
        return [line.rstrip() for line in self.lua(READ_SCREEN)]

    def keep(self, name: str) -> None:
        """Leaves the screen as a text in INFILL_CAPTURES, .editors/captures unless that is set, for
        people to look at."""
        screen = "\n".join(self.screen()).rstrip() + "\n"
        CAPTURES.mkdir(parents=True, exist_ok=True)
        (CAPTURES / f"{name}.txt").write_text(screen, encoding="utf-8")

    def wait_for_client(self, name: str) -> None:
        """Waits until this language server has answered `initialize` for the current buffer."""
        clients = f"vim.lsp.get_clients({{ name = {name!r}, bufnr = 0 }})"
        ready = f"return ({clients}[1] or {{}}).initialized"
        self.until(self.children, f"Neovim starts {name}")

        def is_ready() -> bool:
            if not self.children():
                raise EOFError(f"{name} has ended. {self._what_is_known()}")
            return self.lua(ready)

        self.until(is_ready, f"{name} is ready")

    def checkhealth(self, name: str) -> str:
        """What `:checkhealth` writes about this part."""
        self.type("<Esc>")
        self.until(lambda: self.mode() == "n", "Neovim is in normal mode")
        self.call("nvim_command", f"checkhealth {name}")
        return "\n".join(self.lines())

    # How it is reached.

    def lua(self, code: str, *arguments: object) -> Any:
        return self.call("nvim_exec_lua", code, list(arguments))

    def until(self, probe: Callable[[], T | None], what: str) -> T:
        """Waits until the probe returns something true, and returns that."""
        end = time.monotonic() + PATIENCE
        while not (value := probe()):
            if time.monotonic() > end:
                raise TimeoutError(f"not within {PATIENCE:.0f} s: {what}. {self._what_is_known()}")
            time.sleep(0.02)
        return value

    def _what_is_known(self) -> str:
        screen = "\n".join(line for line in self.screen() if line not in ("", "~"))
        log = Path(self.lua("return vim.lsp.log.get_filename()"))
        logged = log.read_text(encoding="utf-8")[-4000:] if log.exists() else "nothing"
        return f"On the screen:\n{screen}\nIn Neovim's log of language servers:\n{logged}"

    def call(self, method: str, *arguments: object) -> Any:
        """Calls a function of Neovim's API over msgpack-rpc; notifications are passed over."""
        self._last_id += 1
        _write(self._process, msgpack.packb([0, self._last_id, method, arguments]))
        while True:
            for message in self._unpacker:
                if message[0] == 1 and message[1] == self._last_id:
                    return _result(method, *message[2:])
            self._unpacker.feed(_read(self._process))

    def close(self) -> None:
        """Quits as `:qall!` does, and says so if Neovim had to be killed."""
        with self._process as process:  # closes the pipes, too
            try:
                if process.poll() is None:
                    self.call("nvim_command", "qall!")
            except EOFError:
                pass  # it is gone before it could answer: that is what was asked of it
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _environment(home: Path, env: Mapping[str, str]) -> dict[str, str]:
    """The present environment, but with nothing of this user's own Neovim."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return {**kept, "HOME": str(home), "NVIM_LOG_FILE": str(home / "nvim.log"), **env}


def _result(method: str, error: Any, result: Any) -> Any:
    if error:
        raise RuntimeError(f"{method}: {error[1]}")
    return result


def _write(process: subprocess.Popen[bytes], message: bytes) -> None:
    assert process.stdin
    process.stdin.write(message)
    process.stdin.flush()


def _read(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout
    if not select.select([process.stdout], [], [], PATIENCE)[0]:
        raise TimeoutError(f"Neovim has not answered within {PATIENCE:.0f} s")
    data = os.read(process.stdout.fileno(), 1 << 16)
    if not data:
        raise EOFError("Neovim has ended")
    return data
