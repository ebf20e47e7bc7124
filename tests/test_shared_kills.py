"""Whatever dies or goes missing between a window and its server: no request is left unanswered, the
next one is filled, and no process stays behind.

INFILL_KILLS says how often each is done, 3 times otherwise. With `-s` it is shown how long it took.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from model.serving.runtime import answers
from tests.raw_client import RawClient, server_command
from tests.servers import Served, servers, until
from tests.test_shared import PATIENT, URI, WHERE, begin, fill_in, status_of
from tests.test_shared import TEXT as SHORT_TEXT

pytestmark = [
    pytest.mark.skipif(not find_spec("torch"), reason="torch is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals"),
]

KILLS = int(os.environ.get("INFILL_KILLS", "3"))
A_WINDOW = 3  # kills that one window sees: at the fifth in a row it gives up, as it should
TEXT = "".join(f"def area_{i}(width, height):\n    return width * height\n\n\n" for i in range(40))
TEXT += SHORT_TEXT
LINE = TEXT.count("\n") - SHORT_TEXT.count("\n") + WHERE[0]
GONE = 15.0  # seconds; what is gone is noticed at once, and a machine may be slow


@contextmanager
def windows(times: int, **options: object) -> Iterator[Iterator[tuple[int, RawClient]]]:
    """Numbers to count by, and for each a window that is ready, which some share."""
    open_ones: list[RawClient] = []

    def each() -> Iterator[tuple[int, RawClient]]:
        for number in range(times):
            if number % A_WINDOW == 0:
                while open_ones:
                    open_ones.pop().__exit__()
                open_ones.append(begin(RawClient(server_command()), **options))
            open_ones[-1].when_ready()
            yield number, open_ones[-1]

    try:
        yield each()
    finally:
        while open_ones:
            open_ones.pop().__exit__()


def ask(window: RawClient, number: int) -> int:
    """Asks for a fill that takes a while, in a document of its own."""
    uri = f"{URI}{number}"
    window.open(uri, TEXT)
    return window.inline(uri, LINE, WHERE[1])


def filled(window: RawClient, asked: int) -> str:
    answer = window.answer(asked)["result"]
    return answer["items"][0]["insertText"] if answer else ""


def back(window: RawClient, former: int) -> dict[str, float]:
    """Waits for another server; the seconds until it was there, and those it took to load."""
    began = time.monotonic()
    seen: dict[str, float] = {}

    def ready() -> bool:
        status = status_of(window)
        server = status["server"]
        if server["pid"] != former and server["state"] in ("loading", "ready"):
            seen.setdefault("up", time.monotonic() - began)
        return bool(status["ready"]) and server["pid"] != former

    until(ready, "another server is ready")
    return {"up": round(seen["up"], 2), "loaded": round(time.monotonic() - began - seen["up"], 2)}


def dead_children(window: RawClient) -> list[psutil.Process]:
    children = psutil.Process(window.process.pid).children()
    return [child for child in children if child.status() == psutil.STATUS_ZOMBIE]


def shown(window: RawClient) -> list[str]:
    status_of(window)  # after which all that was sent before has been read
    return [message["params"]["message"] for message in window.messages
            if message.get("method") == "window/showMessage"]  # fmt: skip


def test_a_request_whose_server_is_killed_is_filled_by_the_next_one(folder: Path) -> None:
    dice = random.Random(0)
    with windows(KILLS) as each:
        for number, window in each:
            former = status_of(window)["server"]["pid"]
            if number % 2:  # so that it is surely in the middle
                os.kill(former, signal.SIGSTOP)
            asked = ask(window, number)
            time.sleep(dice.uniform(0.02, 0.3))
            os.kill(former, signal.SIGKILL)
            print("killed:", back(window, former))
            assert filled(window, asked)
            assert len(servers(folder)) == 1
            until(lambda: not dead_children(window), "the dead server is gone")  # noqa: B023
            told = [it for it in shown(window) if "ended and was started again" in it]
            assert len(told) == 1, "the editor is told, once"


def test_a_request_whose_server_is_told_to_end_is_filled_by_the_next_one(folder: Path) -> None:
    with windows(1) as each:
        for number, window in each:
            former = status_of(window)["server"]["pid"]
            asked = ask(window, number)
            time.sleep(0.05)
            os.kill(former, signal.SIGTERM)
            assert filled(window, asked)
            back(window, former)


def test_a_named_server_that_is_killed_amid_its_drafts_is_asked_again_once_it_is_back(
    folder: Path,
) -> None:
    served = Served(folder, text="a + b", seconds_a_step=0.2, steps_a_fill=10)
    with served, RawClient(server_command()) as window:
        begin(window, server=served.address).when_ready()
        for number in range(KILLS):
            asked = ask(window, number)
            until(lambda: served.get("/v1/state")["running"], "the first draft is there")
            served.kill()
            served.start()
            assert filled(window, asked) == "a + b"


def test_a_window_that_is_killed_leaves_nothing_at_its_server(folder: Path) -> None:
    served = Served(folder, text="a + b", seconds_a_step=0.05, steps_a_fill=100_000)
    with served:
        for number in range(KILLS):
            with RawClient(server_command()) as window:
                begin(window, server=served.address).when_ready()
                ask(window, number)
                until(lambda: served.get("/v1/state")["running"] == 1, "it is being worked on")
                window.process.send_signal(signal.SIGKILL)
                until(lambda: served.get("/v1/state")["running"] == 0, "it is let go", GONE)
                until(lambda: not served.get("/v1/state")["clients"], "it is no client", GONE)


def test_when_the_socket_is_removed_a_server_comes_that_can_be_found(folder: Path) -> None:
    with windows(KILLS) as each:
        for number, window in each:
            former = status_of(window)["server"]["pid"]
            (path,) = folder.glob("*.sock")
            asked = ask(window, number) if number % 2 else None  # it is noticed without, too
            path.unlink()
            assert asked is None or filled(window, asked)
            with RawClient(server_command()) as other:
                begin(other).when_ready()
                print("removed:", back(window, former))
                until(lambda: len(servers(folder)) == 1, "one server is left", GONE)
                assert answers(path)
                both = {status_of(it)["server"]["pid"] for it in (window, other)}
                assert both == {servers(folder)[0].pid}


def test_a_server_that_is_killed_again_and_again_is_given_up_until_a_setting_changes(
    folder: Path,
) -> None:
    with RawClient(server_command()) as window:
        begin(window).when_ready()

        def state() -> str:
            for server in servers(folder):
                server.kill()
            return status_of(window)["server"]["state"]

        until(lambda: state() == "given up", "it has been given up")
        (told,) = (it for it in shown(window) if "5 times in a row" in it)
        assert "until you change a setting" in told
        assert not filled(window, ask(window, 0))
        assert (
            sum("5 times in a row" in it for it in shown(window)) <= 2
        )  # as news, and as an error
        window.notify("workspace/didChangeConfiguration", {"settings": {"infill": PATIENT}})
        until(lambda: status_of(window)["ready"], "it is tried again")
        assert filled(window, ask(window, 1))


# What the system refuses.


def limited(command: list[str]) -> list[str]:
    """With a limit of 0 bytes to a file it writes: nothing can be logged, nothing noted down."""
    return ["/bin/sh", "-c", 'ulimit -f 0; exec "$0" "$@"', *command]


def test_where_nothing_can_be_written_holes_are_filled(folder: Path) -> None:
    for number in range(KILLS):
        with RawClient(limited(server_command())) as window:
            begin(window).when_ready()
            assert filled(window, ask(window, number))
            assert all(path.stat().st_size == 0 for path in folder.glob("*.log"))
            servers(folder)[0].kill()


@pytest.fixture
def full(folder: Path) -> Iterator[Path]:
    """The runtime folder on a disk of its own, of which not a byte is free."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here, which only root may")
    try:
        with pytest.raises(OSError, match="No space left"):
            (folder / "filler").write_bytes(bytes(1 << 20))
        yield folder
    finally:
        for server in servers(folder):
            server.kill()
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_on_a_full_disk_holes_are_filled(full: Path) -> None:
    for _ in range(KILLS):
        with RawClient(server_command()) as window:
            begin(window).when_ready()
            assert fill_in(window)
            (server,) = servers(full)
            server.kill()


CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
/* The wall clock of processes that preload this is off by as many seconds as the file is long that
   STEPPED names, backwards where its permissions are 0600. */
static long step(void) {
  struct stat found;
  const char *path = getenv("STEPPED");
  if (!path || stat(path, &found)) return 0;
  return (found.st_mode & 0777) == 0600 ? -found.st_size : found.st_size;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int status = real(clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec += step();
  return status;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec precise;
  int status = clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return status;
}
time_t time(time_t *at) {
  struct timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  if (at) *at = precise.tv_sec;
  return precise.tv_sec;
}
"""


@pytest.fixture
def clock(tmp_path: Path) -> dict[str, str]:
    """The environment of processes whose wall clock can be set, by the size of a file."""
    source, library = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(CLOCK)
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler for Linux is here, to put a clock before the system's")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "STEPPED": str(tmp_path / "step")}


def test_the_clock_may_be_set_at_any_time(folder: Path, clock: dict[str, str]) -> None:
    """A day on, then a day back: of the window and of the server, in the middle of fills."""
    file = Path(clock["STEPPED"])
    seen = [sys.executable, "-c", "import time; print(time.time())"]
    with RawClient(server_command(), clock) as window:
        begin(window).when_ready()
        server = status_of(window)["server"]["pid"]
        for number in range(KILLS):
            asked: list[Any] = []
            for mode in (0o644, 0o600):
                asked.append(ask(window, 10 * number + len(asked)))
                time.sleep(0.05)
                file.write_bytes(bytes(86_400))
                file.chmod(mode)
                told = subprocess.run(
                    seen, env={**os.environ, **clock}, capture_output=True, check=True
                )
                assert abs(float(told.stdout) - time.time()) > 80_000, "the clock was set"
            assert all(filled(window, one) for one in asked)
        time.sleep(3)  # longer than a server without clients lives
        status = status_of(window)
        assert (status["ready"], status["server"]["pid"]) == (True, server)
