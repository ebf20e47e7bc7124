"""`infill-lsp top` shows what real servers say, at any width, and says so where there is none."""

from __future__ import annotations

import json
import os
import pty
import select
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from infill import statistics
from infill.reason import Reason
from infill.statistics import Statistics
from lsp.command import run
from lsp.top import Seen, drawn, sparkline
from model.serving.look import Look, look_at, tell
from model.serving.reach import Reach
from model.serving.runtime import FOLDER
from tests.raw_client import ROOT
from tests.served import TOKEN
from tests.served import served as served_on_tcp
from tests.servers import short_folder, until
from tests.serving import Served, serving

Top = Callable[..., tuple[int, str, str]]
TOP = [sys.executable, "-I", str(ROOT / "infill_lsp.py"), "top"]
WIDE = """\
model    scripted:a + b  ready  up 3 min  pid 4711
at       unix:/run/s.sock
memory   60 MB of 0.2 GB  █████░░░░░░░░░░░░░░░ 25%
batch    1 in work, 2 waiting  8 steps, 1.5 boards a step
step     71.3 ms         ▄▆█
speed    10.2 tokens/s   ▅█
fills    2 final
offers   4 shown  1 accepted  1 in part  0 kept  50% taken
clients  a window         pid 17           2 fills    2 in hand
silent        3  The fill is longer than a hole may be.
              1  newer-reason
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server that has filled twice, has a client, and was told what became of it."""
    with serving("scripted:a + b") as found, found.client() as client:
        asked = {"asker": "w", "pid": 17, "name": "a window"}
        with client.stream("GET", "/v1/watch", params=asked) as watched:
            lines = watched.iter_lines()  # which ends the watch when it is forgotten
            assert next(lines)
            for _ in range(2):
                found.fill()
            counts = {"shown": 4, "accepted": 1, "partly": 1}
            assert tell(Reach(found.socket), counts, {"too-long": 3, "newer-reason": 1})
            yield found


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder without servers, and a state folder without counts."""
    folder = short_folder()
    monkeypatch.setenv(FOLDER, str(folder))
    monkeypatch.setenv(statistics.FOLDER, str(folder / "state"))
    yield folder
    subprocess.run(["rm", "-r", str(folder)], check=True)


@pytest.fixture
def top(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Top:
    """The verb: its status, and what it says on standard output and on standard error."""

    def ran(*options: str, width: int = 80) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", str(width))
        return run(["top", *options]), *capsys.readouterr()

    return ran


def shown(look: Look, width: int, height: int | None = None, **seen: Any) -> str:
    console = Console(width=width, height=height or 25, force_terminal=False, color_system=None)
    with console.capture() as captured:
        found = Seen([look], **seen)
        found.speeds[look.address].extend((5.1, 10.2))
        console.print(drawn(found, height, whole=False))
    return captured.get()


def steadied(served: Served) -> Look:
    """What the server says, with the numbers that differ from run to run replaced."""
    look = look_at(Reach(served.socket))
    assert look.state is not None
    (client,) = look.state["clients"]
    state = {
        **look.state, "uptime": 170.0, "pid": 4711, "rss": 60_000_000, "ceiling": 240_000_000,
        "running": 1, "queue": 2, "steps": 8, "boards_stepped": 12, "step_ms": 71.3,
        "steps_ms": [30, 60, 80], "tokens_a_second": 10.24,
        "clients": [client | {"queue": 2, "fills": 2}],
    }  # fmt: skip
    return Look("unix:/run/s.sock", state)


def test_all_that_a_server_says_is_shown(served: Served):
    text = "".join(f"{line.rstrip()}\n" for line in shown(steadied(served), 80).splitlines())
    assert text.rstrip("\n") + "\n" == WIDE


def crowded(look: Look) -> Look:
    """The same with more clients and reasons than a screen has lines."""
    clients = [{"name": "窓" * 30, "pid": i, "fills": 1, "queue": 0} for i in range(50)]
    silences = {reason.value: i for i, reason in enumerate(Reason, 1)}
    return Look("unix:" + "/long" * 30, {**(look.state or {}), "clients": clients, "silences": silences})  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("width", [30, 80, 200])
def test_a_crowd_fits_on_a_screen_of_24_lines(served: Served, width: int):
    text = shown(crowded(steadied(served)), width, 24)
    assert len(text.splitlines()) <= 24  # nothing is wrapped, however narrow
    assert "and 45 more" in text
    assert "for other reasons" in text or width < 40


@pytest.mark.parametrize("width", [1, 7, 20])
@pytest.mark.parametrize("height", [None, 3])
def test_the_smallest_terminals_do_no_harm(served: Served, width: int, height: int | None):
    look = steadied(served)
    busy = {"loading": {"what": "reading", "share": 0.4}, "failure": "broken " * 30, "over": True}
    for each in (look, crowded(look), Look("here", {**(look.state or {}), **busy})):
        assert max(map(cell_len, shown(each, width, height).splitlines())) <= width


@pytest.mark.parametrize("state", [{}, {"clients": None, "loading": 3, "told": {"shown": "x"}}])
def test_a_server_of_another_version_may_say_less(state: dict[str, Any]):
    assert "no ceiling" in shown(Look("here", {"rss": 5e6, **state}), 80)


def test_nothing_that_a_server_says_moves_the_cursor(served: Served):
    look = steadied(served)
    clients = [{"name": "\x1b[2J\x07", "pid": 1, "fills": 1, "queue": 0}]
    said = {
        **(look.state or {}),
        "clients": clients,
        "failure": "\x1b]0;x\x07",
        "model": "[red]\x1b",
    }
    text = shown(Look("here", said), 80)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]?" in text


def test_a_sparkline_stands_between_nothing_and_the_highest():
    assert sparkline([0, 5, 10]) == "▁▅█"
    assert sparkline([3]) == "█"
    assert sparkline([]) == sparkline([0.0]) == ""


# The verb


def test_without_a_server_it_says_so(empty: Path, top: Top):
    status, out, err = top()
    assert (status, out) == (1, "")
    assert "no server of yours runs" in err
    assert "`infill-lsp serve`" in err
    assert not (empty / "state").exists()


def test_a_dead_socket_is_no_server(empty: Path, top: Top):
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(empty / "0123456789abcdef.sock"))
    status, out, _ = top("--json")
    assert (status, json.loads(out)) == (1, {"servers": [], "days": []})
    status, _, err = top("--server", f"unix:{empty}/0123456789abcdef.sock", "--once")
    assert (status, "0123456789abcdef.sock: no server is there" in err) == (1, True)


def test_what_was_counted_is_shown_without_a_server_too(empty: Path, top: Top):
    some = Statistics(statistics.path())
    for what in ("shown", "shown", "accepted", "empty"):
        some.count(what, "python")
    assert some.write()
    status, out, _ = top("--days", "7")
    assert status == 1
    (row,) = [line.split() for line in out.splitlines() if "python" in line]
    assert row[1:] == ["python", "2", "1", "0", "0", "50%", "1"]
    assert "The model proposes to write nothing here." in out
    assert "2 shown  1 accepted" in top()[1]


def test_each_server_of_this_user_is_found(empty: Path, served: Served, top: Top):
    """One that lives, one that is dead, and one that listens and says nothing."""
    (empty / "1111111111111111.sock").symlink_to(served.socket)
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(empty / "2222222222222222.sock"))
    with closing(socket.socket(socket.AF_UNIX)) as hung:
        hung.bind(str(empty / "3333333333333333.sock"))
        hung.listen()
        status, out, err = top("--once", width=60)
        told = top("--json")
    assert status == told[0] == 0, err
    for text in ("scripted:a + b", "4 shown  1 accepted", "says nothing"):
        assert text in out
    assert max(map(cell_len, out.splitlines())) <= 60
    alive, silent = json.loads(told[1])["servers"]
    assert alive["state"]["told"] == {"shown": 4, "accepted": 1, "partly": 1, "kept": 0}
    assert (silent["state"], silent["trouble"]) == (None, "it says nothing for 2 s")


def test_an_address_is_checked_and_a_token_asked_for(
    empty: Path, top: Top, monkeypatch: pytest.MonkeyPatch
):
    assert "in the clear" in top("--server", "http://example.org:80", "--once")[2]
    with served_on_tcp("scripted:a + b") as found:
        status, _, err = top("--server", found.url, "--once")
        assert (status, "INFILL_TOKEN" in err) == (1, True)
        monkeypatch.setenv("INFILL_TOKEN", TOKEN)
        assert "scripted:a + b" in top("--server", found.url, "--once")[1]


def test_it_goes_on_until_q_and_leaves_the_terminal_as_it_was(empty: Path, served: Served):
    (empty / "1111111111111111.sock").symlink_to(served.socket)
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(TOP, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    try:
        said = Terminal(ours)
        said.wait_for("scripted:a + b")
        said.wait_for("q ends")
        tell(Reach(served.socket), {"shown": 3}, {"too-long": 7})
        said.wait_for("The fill is longer than a hole may be.")
        (empty / "1111111111111111.sock").unlink()
        said.wait_for("no server runs now")
        os.write(ours, b"q")
        until(lambda: said.read() and process.poll() is not None, "it ends")
        assert process.returncode == 0, said.text
        assert termios.tcgetattr(theirs) == before
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


class Terminal:
    """What a program has drawn."""

    def __init__(self, file: int) -> None:
        self.file = file
        self.text = ""

    def read(self) -> bool:
        while select.select([self.file], [], [], 0)[0]:
            with suppress(OSError):
                self.text += os.read(self.file, 65536).decode(errors="replace")
        return True

    def wait_for(self, text: str) -> None:
        self.text = ""
        until(lambda: self.read() and text in self.text, f"{text!r} is shown")
