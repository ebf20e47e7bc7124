"""Drives a real Helix in a terminal of tmux, as hands on a keyboard and eyes on a screen would.
Knows nothing of the server behind it.

with Helix(find_helix(REPOSITORY), home, languages=LANGUAGES, file=path) as helix:
    helix.wait_for_server("infill")  # a key typed before asks for nothing
    helix.insert_at(row=1, column=4)  # from 0, in characters
    helix.type("re")
    helix.wait_for("return a + b")  # anywhere on the screen
    helix.press("Down", "Enter")
    assert helix.saved() == "..."

`languages` is what stands in languages.toml, `config` in config.toml; `home` is an empty folder.
The menu of code actions is `helix.press("Escape", "Space", "a")`, a command of the server
`helix.command("lsp-workspace-command infill.status")`. Each wait fails with the screen and with
Helix's log in its message. `messages("infill")` is what went over the wire so far, `until` waits
for anything else, `keep` leaves a screen for people to look at.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

T = TypeVar("T")

CAPTURES = Path(
    os.environ.get("INFILL_CAPTURES")
    or Path(__file__).resolve().parent.parent / ".editors/captures"
)
PATIENCE = 60.0  # seconds: only so that a test which has failed ends; nothing is timed by it


@dataclass(frozen=True, slots=True)
class Programs:
    helix: str
    tmux: str


def find_helix(repository: Path) -> Programs:
    """Helix and tmux. Raises LookupError, saying what was not found.

    They are looked for where `editors/bring.sh --helix` looks: PATH, `.editors/bin`.
    """
    found = {name: place for name in ("hx", "tmux") if (place := _working(name, repository))}
    if missing := [name for name in ("hx", "tmux") if name not in found]:
        where = "on PATH and in .editors/bin"
        raise LookupError(
            f"{' and '.join(missing)} not found {where}; editors/bring.sh --helix brings both"
        )
    return Programs(found["hx"], found["tmux"])


def _working(name: str, repository: Path) -> str | None:
    ask = "--version" if name == "hx" else "-V"
    for place in (shutil.which(name), str(repository / ".editors/bin" / name)):
        if place and os.access(place, os.X_OK):
            try:
                ended = subprocess.run([place, ask], capture_output=True, timeout=PATIENCE)
            except (OSError, subprocess.TimeoutExpired):
                continue
            if ended.returncode == 0:
                return place
    return None


class Helix:
    """One Helix in a home of its own, in a terminal of its own, gone after `close`."""

    def __init__(
        self,
        programs: Programs,
        home: Path,
        *,
        languages: str,
        config: str = "",
        file: Path,
        env: Mapping[str, str] | None = None,
        columns: int = 100,
        rows: int = 30,
    ) -> None:
        self.home, self.file = home, file
        self._tmux = programs.tmux
        # A socket's path may have 107 bytes, and a test's folder alone may be as long.
        self._sockets = tempfile.mkdtemp(prefix="hx-")
        self._environment = _environment(home, env or {})
        settings = home / ".config/helix"
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "languages.toml").write_text(languages, encoding="utf-8")
        (settings / "config.toml").write_text(config, encoding="utf-8")
        self._log = home / "helix.log"
        terminal = ["new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(home)]
        helix = [programs.helix, "-v", "--log", str(self._log), str(file)]
        atexit.register(self._take_away)  # a test that fails may never come to `close`
        self.tmux("-f", os.devnull, *terminal, *_bounded(), *helix)
        self.until(lambda: self.mode() == "NOR", "Helix has opened the file")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # What a person does.

    def press(self, *keys: str) -> None:
        """Presses keys by tmux's names: `Escape`, `C-x`, `Enter`, `Down`, or a character."""
        self.tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", "--", text)

    def command(self, words: str) -> None:
        """Runs a typable command of Helix from normal mode."""
        self.to_normal_mode()
        self.type(f":{words}")
        self.press("Enter")

    def insert_at(self, row: int, column: int) -> None:
        """Moves the cursor there (from 0, in characters) and enters insert mode."""
        self.to_normal_mode()
        self.command(f"goto {row + 1}")
        self.type("gh" + f"{column}l" * bool(column))
        # `l` goes no further than the line's end and stands on it there: `i` inserts before it.
        self.press("i")
        self.until(lambda: self.mode() == "INS", "Helix is in insert mode")

    def to_normal_mode(self) -> None:
        """Escape until there: the first may only close a popup."""

        def is_there() -> bool:
            if self.mode() == "NOR" and not self.prompt().startswith(":"):
                return True
            self.press("Escape")
            time.sleep(0.1)  # an Escape right behind another would be read as Alt-Escape
            return False

        self.until(is_there, "Helix is in normal mode")

    # What a person sees.

    def screen(self) -> list[str]:
        """The lines on the screen, without blanks at their ends."""
        shown = self.tmux("capture-pane", "-p")
        return [line.rstrip() for line in shown.removesuffix("\n").split("\n")]

    def mode(self) -> str:
        """NOR, INS or SEL, as the line of state says; nothing while there is none."""
        for line in reversed(self.screen()):
            words = line.split()
            if words and words[0] in ("NOR", "INS", "SEL"):
                return words[0]
        return ""

    def is_spinning(self) -> bool:
        """Whether the line of state shows that a server is at work."""
        return any("\u2800" <= letter <= "\u28ff" for letter in "".join(self.screen()))

    def prompt(self) -> str:
        """What stands in the last line: a message, or a command that is being typed."""
        return self.screen()[-1]

    def wait_for(self, text: str) -> list[str]:
        """Waits until this stands in a line on the screen; returns the screen."""

        def shown() -> list[str] | None:
            screen = self.screen()
            return screen if any(text in line for line in screen) else None

        return self.until(shown, f"{text!r} is on the screen")

    def saved(self) -> str:
        """Writes the file, as `:write` does, and returns what then stands in it."""
        before = self.file.stat()
        self.command("write!")

        def is_written() -> bool:  # as another file that takes its place, so there may be none
            try:
                now = self.file.stat()
            except FileNotFoundError:
                return False
            return (now.st_ino, now.st_mtime_ns) != (before.st_ino, before.st_mtime_ns)

        self.until(is_written, "the file is written")
        self.wait_for("written")  # else it may be read half
        return self.file.read_bytes().decode()

    def wait_for_server(self, name: str) -> None:
        """Waits until this language server has been greeted and knows the file."""

        def knows_the_file() -> bool:
            return any(it.get("method") == "textDocument/didOpen" for it in self.messages(name))

        self.until(knows_the_file, f"{name} has been told of the file")

    def messages(self, name: str) -> list[dict[str, Any]]:
        """What was said to and by this language server so far, in order, as Helix has logged it."""
        found = re.findall(rf" \[INFO\] {re.escape(name)} (?:->|<-) (\{{.*\}})$", self.log(), re.M)
        return [json.loads(message) for message in found]

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def keep(self, name: str) -> str:
        """Leaves the screen as a text in INFILL_CAPTURES, .editors/captures unless that is set, for
        people to look at; returns it."""
        screen = "\n".join(self.screen()).rstrip() + "\n"
        CAPTURES.mkdir(parents=True, exist_ok=True)
        (CAPTURES / f"{name}.txt").write_text(screen, encoding="utf-8")
        return screen

    # How it is reached.

    def until(self, probe: Callable[[], T | None], what: str) -> T:
        """Waits until the probe returns something true, and returns that."""
        end = time.monotonic() + PATIENCE
        while not (value := probe()):
            if time.monotonic() > end:
                raise TimeoutError(f"not within {PATIENCE:.0f} s: {what}. {self._what_is_known()}")
            time.sleep(0.05)
        return value

    def _what_is_known(self) -> str:
        screen = "\n".join(self.screen()).rstrip()
        return f"On the screen:\n{screen}\nIn Helix's log:\n{self.log()[-4000:]}"

    def tmux(self, *words: str) -> str:
        argv = [self._tmux, "-u", "-S", f"{self._sockets}/tmux", *words]
        ended = subprocess.run(argv, env=self._environment, capture_output=True, timeout=PATIENCE)
        if ended.returncode:
            raise EOFError(f"{words}: {ended.stderr.decode().strip()}; Helix's log:\n{self.log()}")
        return ended.stdout.decode()

    def close(self) -> None:
        """Quits as `:quit-all!` does, and takes the terminal away whatever came of that."""
        with contextlib.suppress(EOFError, TimeoutError):  # it has ended, or does not listen
            self.command("quit-all!")
            end = time.monotonic() + 5
            while time.monotonic() < end and self._runs():
                time.sleep(0.05)
        self._take_away()

    def _take_away(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            self.tmux("kill-server")
        shutil.rmtree(self._sockets, ignore_errors=True)
        atexit.unregister(self._take_away)

    def _runs(self) -> bool:
        try:
            self.tmux("has-session")
        except EOFError:
            return False
        return True


def _bounded() -> list[str]:
    """A terminal of its own outlives even tests that are killed, but not for long."""
    timeout = shutil.which("timeout")
    return [timeout, "--foreground", "600"] if timeout else []


def _environment(home: Path, env: Mapping[str, str]) -> dict[str, str]:
    """The present environment, but with nothing of this user's own Helix or tmux."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("XDG_") and name not in ("TMUX", "TMUX_PANE")}  # fmt: skip
    settings = str(home / ".config")
    return {**kept, "HOME": str(home), "XDG_CONFIG_HOME": settings, "SHELL": "/bin/sh",
            "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **env}  # fmt: skip
