"""Windows that share one server: found, started once, adopted, left alone, and what is told.

All of it with real processes: windows are asked over stdio, as editors do.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from importlib.util import find_spec
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import psutil
import pytest

from infill.settings import Settings
from infill.verbs import doctor
from model import ModelError
from model.canvas import Canvas, Hole
from model.serving import supervise, watch
from model.serving.client import Shared, connected
from model.serving.look import look_at
from model.serving.reach import Reach, reach_from
from model.serving.runtime import FOLDER, place_for
from model.serving.supervise import LAUNCHER, Asked, found_or_started
from model.serving.watch import Watch
from tests.raw_client import RawClient, server_command
from tests.servers import Served, servers, until

# Not imported: only servers need it.
pytestmark = pytest.mark.skipif(not find_spec("torch"), reason="torch is not installed")

URI = "file:///w/area.py"
TEXT = "def area(width, height):\n    return \n\n\nprint(area(3, 4))\n"
WHERE = (1, len("    return "))
PATIENT = {"deadline_ms": 60_000, "min_confidence": 0.0}
MOST_MB = 80  # of a window's process, in memory
BUNDLED = Asked("bundled", {}, 0)


def status_of(window: RawClient) -> dict[str, Any]:
    return window.ask("workspace/executeCommand", {"command": "infill.status"})


def begin(window: RawClient, **options: object) -> RawClient:
    window.initialize({**PATIENT, **options})
    return window


def fill_in(window: RawClient, uri: str = URI) -> str:
    """What is offered in a document that is opened for it."""
    window.open(uri, TEXT)
    answer = window.answer(window.inline(uri, *WHERE))["result"]
    return answer["items"][0]["insertText"] if answer else ""


def resident_mb(window: RawClient) -> float:
    return psutil.Process(window.process.pid).memory_info().rss / 1e6


def libraries_of(window: RawClient) -> str:
    return "\n".join(mapped.path for mapped in psutil.Process(window.process.pid).memory_maps())


def starts_logged(folder: Path) -> int:
    """How many servers have said in the log that they listen, or that another does already."""
    (log,) = folder.glob("*.log")
    said = r"^infill-lsp: bundled on unix:|a server for this model already runs"
    return len(re.findall(said, log.read_text(), re.MULTILINE))


def switch(window: RawClient, *, enabled: bool) -> None:
    options = {"settings": {"infill": {**PATIENT, "enabled": enabled}}}
    window.notify("workspace/didChangeConfiguration", options)


def test_windows_share_one_server_which_ends_once_they_have_left(folder: Path) -> None:
    with RawClient(server_command()) as one, RawClient(server_command()) as two:
        for number, window in enumerate((one, two)):
            window.initialize(PATIENT, clientInfo={"name": f"editor {number}"})
            window.when_ready()
        assert fill_in(one) == fill_in(two) != ""
        (server,) = servers(folder)
        for window in (one, two):
            told = status_of(window)["server"]
            (socket_file,) = folder.glob("*.sock")
            assert told == {"state": "ready", "pid": server.pid, "address": f"unix:{socket_file}"}
            assert resident_mb(window) < MOST_MB
            assert not re.search("torch|uvicorn", libraries_of(window))
        reach = reach_from(told["address"])
        clients = (look_at(reach).state or {})["clients"]
        assert [it["name"] for it in clients] == ["editor 0", "editor 1"]
        assert one.leave() == 0
        switch(two, enabled=False)
        assert status_of(two)["server"] is None
        switch(two, enabled=True)
        two.when_ready()
        assert status_of(two)["server"]["pid"] == server.pid
        assert fill_in(two, URI + "x")
        switch(two, enabled=False)  # as good as having left
        until(lambda: not server.is_running(), "the server has ended by itself")
    assert not list(folder.glob("*.sock"))


def test_a_window_imports_nothing_of_what_serves() -> None:
    heavy = ("torch", "starlette", "uvicorn", "prometheus_client", "transformers", "numpy")
    program = (
        "import sys, lsp.handlers, infill.fill, model.serving.client; "
        f"print(*(set(sys.modules) & set({heavy!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=LAUNCHER.parent, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_twenty_windows_started_at_once_start_one_server(folder: Path) -> None:
    with ExitStack() as stack:
        windows = [stack.enter_context(RawClient(server_command())) for _ in range(20)]
        for window in windows:
            window.request("initialize", {"capabilities": {}, "initializationOptions": PATIENT})
            window.notify("initialized", {})
        for window in windows:
            window.when_ready()
        (server,) = servers(folder)
        assert {status_of(window)["server"]["pid"] for window in windows} == {server.pid}
        assert starts_logged(folder) == 1
        assert fill_in(windows[0])


@pytest.fixture
def scripted(folder: Path) -> Iterator[Served]:
    with Served(folder, text="a + b", seconds_a_step=0.05, steps_a_fill=4) as served:
        yield served


def test_a_server_that_is_named_is_asked_and_never_started(scripted: Served) -> None:
    with RawClient(server_command()) as window:
        begin(window, server=scripted.address).when_ready()
        assert fill_in(window) == "a + b"
        assert status_of(window)["server"]["pid"] == scripted.get("/healthz")["pid"]
        (client,) = scripted.get("/v1/state")["clients"]
        assert client["pid"] == window.process.pid


def test_a_named_server_that_is_not_there_is_told_and_is_asked_once_it_comes(folder: Path) -> None:
    served = Served(folder, text="a + b")
    with RawClient(server_command()) as window:
        begin(window, server=served.address)
        said = window.notification("window/showMessage")["params"]["message"]
        assert f"the server at {served.address}" in said
        assert fill_in(window) == ""
        with served:
            until(lambda: status_of(window)["ready"], "the window has found it")
            assert fill_in(window, URI + "x") == "a + b"


def test_a_cancelled_request_leaves_nothing_at_the_server(folder: Path) -> None:
    slow = Served(folder, text="a + b", seconds_a_step=0.05, steps_a_fill=100_000)
    with slow, RawClient(server_command()) as window:
        begin(window, server=slow.address).when_ready()
        window.open(URI, TEXT)
        asked = window.inline(URI, *WHERE)
        until(lambda: slow.get("/v1/state")["running"] == 1, "the server works on it")
        window.cancel(asked)
        assert window.answer(asked)["error"]["code"] == -32800
        until(lambda: slow.get("/v1/state")["running"] == 0, "the server has let it go")


def test_a_refusal_is_told_in_words(folder: Path) -> None:
    slow = Served(folder, "--queue", "1", text="a + b", seconds_a_step=0.05, steps_a_fill=100_000)
    with slow, RawClient(server_command()) as window:
        begin(window, server=slow.address).when_ready()
        for uri in (URI, URI + "x"):
            window.open(uri, TEXT)
        window.inline(URI, *WHERE)
        until(lambda: slow.get("/v1/state")["running"] == 1, "the server is full")
        assert window.answer(window.inline(URI + "x", *WHERE))["result"] is None
        said = window.notification("window/showMessage")["params"]["message"]
        assert "refused (429)" in said


def test_of_a_model_that_cannot_be_loaded_the_window_is_told_and_the_bundled_one_fills(
    folder: Path, tmp_path: Path
) -> None:
    with RawClient(server_command()) as window:
        begin(window, model=str(tmp_path))
        said = window.notification("window/showMessage")["params"]["message"]
        assert said.endswith(". Until then the bundled model fills the holes.")
        assert fill_in(window)
        assert len(servers(folder)) == 1


def test_doctor_says_which_server_there_is(scripted: Served, folder: Path) -> None:
    def told(server: str) -> tuple[bool | None, str]:
        check = doctor.shared_server(Settings(server=server))
        return check.ok, check.found

    assert told("shared") == (True, f"none runs; a window will start it, in {folder}")
    assert told("inside")[0] is None
    ok, found = told(scripted.address)
    assert (ok, found.split(",")[0]) == (
        True, f"process {scripted.get('/healthz')['pid']} at {scripted.address}",
    )  # fmt: skip
    scripted.kill()
    assert told(scripted.address) == (False, f"nothing listens at {scripted.address}")
    folder.chmod(0o755)
    ok, found = told("shared")
    assert (ok, "open to other users" in found) == (False, True)
    folder.chmod(0o700)


def bar_of(window: RawClient) -> list[str]:
    """The next bar that is shown, to its end: what each of its messages is, and the farewell."""
    asked = window.expect(lambda it: it.get("method") == "window/workDoneProgress/create")
    window.send({"jsonrpc": "2.0", "id": asked["id"], "result": None})
    said: list[str] = []
    while "end" not in said:
        value = window.notification("$/progress")["params"]["value"]
        said.append(value["kind"])
    return [*said, value["message"]]


def test_a_model_that_was_given_back_is_loaded_again_with_a_bar(folder: Path) -> None:
    with RawClient(server_command()) as window:
        window.initialize({**PATIENT, "unload_after": 1}, {"window": {"workDoneProgress": True}})
        assert bar_of(window)[-2:] == ["end", "the model is ready"]
        window.when_ready()
        assert fill_in(window)
        (server,) = servers(folder)
        held = server.memory_info().rss
        until(lambda: status_of(window)["server"]["state"] == "unloaded", "it is to be given back")
        until(lambda: server.memory_info().rss < 0.85 * held, "it is given back")
        window.open(URI + "x", TEXT)
        asked = window.inline(URI + "x", *WHERE)
        first, *_, end, farewell = bar_of(window)
        assert (first, end, farewell) == ("begin", "end", "the model is ready")
        assert window.answer(asked)["result"]["items"]
        assert server.memory_info().rss < 1.06 * held, "nothing is held twice"


def test_a_server_logs_as_much_as_the_window_that_starts_it(folder: Path) -> None:
    with RawClient(server_command(log_level="info")) as window:
        begin(window).when_ready()
        (log,) = folder.glob("*.log")
        until(lambda: " INFO " in log.read_text(), "more is logged than warnings")


# What keeps a server from being used, asked within this process.


def connect(asked: Asked = BUNDLED, server: str = "shared") -> tuple[Shared | None, str]:
    loaded = connected(
        server, asked, on_progress=lambda *_: None, on_choice=lambda _: None,
        on_news=lambda _: None, still=lambda: True,
    )  # fmt: skip
    assert loaded.denoiser is None or isinstance(loaded.denoiser, Shared)
    return loaded.denoiser, loaded.failure or ""


def test_what_is_not_installed_is_named_before_anything_is_started(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "NEEDED", ("torch", "not_to_be_had"))
    denoiser, failure = connect()
    assert denoiser is None
    assert failure == (
        "the model's server needs not_to_be_had, not installed here: "
        "pip install 'infill-lsp[local]'"
    )
    assert servers(folder) == []


def test_why_a_server_ended_at_its_start_is_told_in_its_own_words(folder: Path) -> None:
    place_for("bundled", {}, 0).socket.mkdir()
    denoiser, failure = connect()
    assert denoiser is None
    assert "the model's server ended at its start (status 1): " in failure
    assert "is no socket" in failure


class OtherProtocol(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        told = {"protocol": 99, "version": "9", "model": "bundled", "pid": 1, "state": "ready"}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "a window"

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_server_of_another_protocol_is_left_alone(folder: Path) -> None:
    path = place_for("bundled", {}, 0).socket
    with ThreadingUnixStreamServer(str(path), OtherProtocol) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        for server in ("shared", f"unix:{path}"):
            denoiser, failure = connect(server=server)
            assert "speaks protocol 99 (infill-lsp 9)" in failure
            if denoiser:
                denoiser.close()
        assert path.exists()
        assert servers(folder) == []
        other.shutdown()


MUTE = "import socket, sys, time; it = socket.socket(socket.AF_UNIX); it.bind(sys.argv[1]); " \
       "it.listen(9); print('listens', flush=True); time.sleep(600)"  # fmt: skip


def test_a_server_that_hangs_is_ended_and_another_started(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "HUNG", 0.2)
    monkeypatch.setattr("model.serving.reach.HEALTH", 0.5)
    path = place_for("bundled", {}, 0).socket
    command = [sys.executable, "-c", MUTE, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as mute:
        assert mute.stdout
        mute.stdout.readline()
        _, pid = found_or_started(BUNDLED, lambda: False)
        assert mute.wait() == -9
    assert [process.pid for process in servers(folder)] == [pid]


def test_a_server_that_ends_again_and_again_is_given_up_and_that_is_told_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PAUSES", (0.0,))
    news: list[str] = []
    tries: list[int] = []

    def find(_: object) -> tuple[Reach, int]:
        tries.append(1)
        return Reach(folder / "nobody.sock"), len(tries)

    it = Watch(find, "test", starts=True, on_news=news.append)
    until(lambda: it.seen.over, "it has given up")
    (told,) = news
    assert "ended 5 times in a row and is not started again" in told
    assert len(tries) == 5
    with pytest.raises(ModelError, match="not started again"):
        asyncio.run(anext(aiter(Shared(it, "test").denoise(Canvas(("", ""), (Hole(0, 0),))))))
    it.close()


def test_a_closed_window_waits_for_nothing(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(folder / "silent.sock"))
        silent.listen()
        it = Watch(
            lambda _: (Reach(folder / "silent.sock"), 1), "x", starts=True, on_news=lambda _: None
        )
        until(lambda: it._connection, "it waits for an answer")
        it.close()
        it._thread.join(5)
        assert not it._thread.is_alive()


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://example.org:80", "in the clear"),
        ("https://user:secret@example.org", "holds no secrets"),
        ("ftp://example.org", '"unix:PATH"'),
        ("somewhere", '"unix:PATH"'),
        ("https://[", '"unix:PATH"'),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_in_words(address: str, told: str) -> None:
    with pytest.raises(ModelError, match=re.escape(told)) as error:
        reach_from(address)
    assert "user:secret" not in str(error.value) or "https://[" in address


def test_only_what_leaves_this_machine_is_told_to_leave_it() -> None:
    assert not reach_from("unix:/x").leaves
    assert not reach_from("http://127.0.0.1:1").leaves
    assert not reach_from("https://localhost:1").leaves
    assert reach_from("https://example.org").leaves


def test_the_token_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFILL_TOKEN", "secret-token")
    reach = reach_from("http://127.0.0.1:1")
    assert reach.token == "secret-token"
    assert "secret" not in repr(reach)
    assert FOLDER == "INFILL_RUNTIME_DIR"
