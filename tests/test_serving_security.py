"""Who may ask a model's server, and what it takes: the rest is refused, and it goes on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from model import ModelError
from model.serving.listening import Tls, at_address, at_path
from model.serving.run import Serving, token_of
from tests.servers import short_folder, until
from tests.serving import CANVAS, WHOLE, Served, certified, command, refused, serving

TOKEN = "a-token-that-is-long-enough"
TLS = Tls(Path("cert.pem"))


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture(autouse=True)
def goes_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever was refused, the server answers the next."""
    yield
    if "served" in request.fixturenames:
        one: Served = request.getfixturevalue("served")
        assert one.fill()[-1]["end"]["reason"] == "final"


def status_of(served: Served, body: object) -> int:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with served.client() as client:
        answer = client.post("/v1/fill", content=content)
    assert answer.json()["error"]["message"]
    return answer.status_code


def canvas(**more: object) -> dict[str, object]:
    return {"canvas": CANVAS | more}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"\xff\xfe", 400), (b"[" * 100_000, 400), (b"null", 422),
        ({}, 422), (canvas(path="/etc/passwd"), 422), (WHOLE | {"path": "/etc/passwd"}, 422),
        (canvas(holes=[{"start": 0, "end": 0, "file": "x"}]), 422), (canvas(holes=[]), 422),
        (canvas(holes=[{"start": 0, "end": 0}] * 10_000), 413), (b" " * 17_000_000, 413),
        (canvas(texts=["", "x" * 100_000, ""], holes=[{"start": 0, "end": 0}] * 2), 413),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(served: Served, body: object, status: int):
    assert status_of(served, body) == status


def test_a_body_without_end_is_refused_while_it_comes(served: Served):
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 1 << 30:
            sent += 1 << 20
            yield b" " * (1 << 20)

    before = most_held(served)
    with served.client() as client:
        answer = client.post("/v1/fill", content=endless())
    assert answer.status_code == 413
    assert most_held(served) < before + 100e6


def most_held(served: Served) -> float:
    """Bytes of memory, at its highest; nothing where the system does not tell."""
    try:
        told = Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0.0
    return next(float(line.split()[1]) * 1000 for line in told if line.startswith("VmHWM"))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/fill", 405), ("DELETE", "/v1/card", 405), ("GET", "/../../etc/passwd", 404),
     ("GET", "/nothing", 404), ("POST", "/metrics", 405)],
)  # fmt: skip
def test_unknown_routes_and_methods_are_refused_in_json(
    served: Served, method: str, path: str, status: int
):
    with served.client() as client:
        answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "sent",
    [b"nonsense\r\n\r\n", b"\x16\x03\x01" * 50, b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,
     b"POST /v1/fill HTTP/1.1\r\nHost: s\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
     b"POST /v1/fill HTTP/1.1\r\nHost: s\r\nContent-Length: -1\r\n\r\n",
     b"POST /v1/fill HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)  # fmt: skip
def test_what_is_no_http_is_answered_with_a_refusal_and_closed(served: Served, sent: bytes):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(served.socket))
        raw.sendall(sent)
        answer = b""
        try:
            while part := raw.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    assert b"HTTP/1.1 400" in answer


def test_only_this_user_can_reach_the_socket(served: Served):
    assert stat.S_IMODE(served.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(served.folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="only root can become another user")
def test_another_users_process_cannot_connect(served: Served):
    """Not even where the folder is open to it."""
    program = (
        "import os, socket, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: socket.socket(socket.AF_UNIX).connect(sys.argv[1])\n"
        "except PermissionError: print('refused')\n"
    )
    asked = [sys.executable, "-I", "-c", program, str(served.socket)]
    for mode in (0o700, 0o755):
        served.folder.chmod(mode)
        done = subprocess.run(asked, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("refused\n", "")
    served.folder.chmod(0o700)


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path):
    tmp_path.chmod(0o777)
    with pytest.raises(ModelError, match="others may write"):
        at_path(tmp_path / "s")


def test_nothing_listens_on_the_network_by_default():
    folder = short_folder()
    with listening("--model-keys", "{}", folder=folder, tcp=False) as (process, _):
        kinds = {it.family for it in psutil.Process(process.pid).net_connections("all")}
        assert kinds == {socket.AF_UNIX}
        (found,) = folder.glob("*.sock")
        assert stat.S_IMODE(found.stat().st_mode) == 0o600
        noted = json.loads(found.with_suffix(".json").read_text())
        assert noted == {"pid": process.pid, "url": "", "token": ""}
    assert list(folder.glob("*.json")) == list(folder.glob("*.sock")) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
@pytest.mark.parametrize(
    ("token", "tls", "said"),
    [("", None, "--tls-cert"), (TOKEN, None, "--tls-cert"), ("", TLS, "--token-env")],
)
def test_other_machines_are_listened_to_only_with_tls_and_a_token(
    host: str, token: str, tls: Tls | None, said: str
):
    with pytest.raises(ModelError, match="can be reached from other machines") as refused:
        at_address(host, 0, token=token, tls=tls)
    assert said in str(refused.value)


def test_a_server_that_may_not_listen_says_why_and_ends():
    assert "can be reached from other machines" in refused("--listen", "0.0.0.0:0")


def test_a_token_must_be_there_and_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("T", raising=False)
    with pytest.raises(ModelError, match="no such variable"):
        token_of(Serving("bundled", token_env="T"))
    with pytest.raises(ModelError, match="16 or more"):
        at_address("127.0.0.1", 0, token="short", tls=None)


def test_on_tcp_only_who_has_the_token_is_answered():
    with listening("--listen", "127.0.0.1:0", "--token-env", "T") as (_, url):
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN},
                       {"Authorization": f"Basic {TOKEN}"}, {"Authorization": b"Bearer \xff"},
                       {"Authorization": f"Bearer {TOKEN}x"}):  # fmt: skip
            for path in ("/v1/card", "/v1/state", "/metrics", "/v1/nothing", "/v1/models"):
                answer = httpx.get(url + path, headers=header)
                assert answer.status_code == 401
                assert answer.json()["error"]["message"]
            assert httpx.post(url + "/v1/fill", json=WHOLE, headers=header).status_code == 401
        assert httpx.get(url + "/healthz").status_code == 200
        answer = httpx.post(url + "/v1/fill", json=WHOLE, headers=bearer(TOKEN))
        assert answer.status_code == 200


def test_a_token_that_nobody_gave_is_made_and_kept_for_this_user_alone():
    folder = short_folder()
    with listening("--listen", "localhost:0", folder=folder) as (process, url):
        (note,) = folder.glob("*.json")
        assert stat.S_IMODE(note.stat().st_mode) == 0o600
        told = json.loads(note.read_text())
        assert told["pid"] == process.pid
        assert told["url"] == url
        assert httpx.get(url + "/v1/card").status_code == 401
        assert httpx.get(url + "/v1/card", headers=bearer(told["token"])).status_code == 200
    assert not note.exists()


def test_a_team_asks_over_tls(tmp_path: Path):
    options = ("--listen", "0.0.0.0:0", "--token-env", "T", *certified(tmp_path))
    with listening(*options) as (_, url):
        here = url.replace("0.0.0.0", "127.0.0.1")
        trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        answer = httpx.post(here + "/v1/fill", json=WHOLE, headers=bearer(TOKEN), verify=trusting)
        assert answer.status_code == 200
        assert httpx.get(here + "/v1/card", verify=trusting).status_code == 401
        with pytest.raises(httpx.HTTPError):
            httpx.get(here.replace("https", "http") + "/healthz")


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path):
    *options, key = certified(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    *_, strange = certified(other)
    for wrong, why in ((f"{key}.none", "No such file"), (strange, "KEY_VALUES_MISMATCH")):
        said = refused("--listen", "127.0.0.1:0", *options, wrong)
        assert f"--tls-key {wrong} cannot be used" in said
        assert why in said


def test_who_never_ends_the_head_of_a_request_is_left():
    folder = short_folder()
    program = [sys.executable, "-c", "import sys, model.serving.run as run; run.HEAD = 0.5; "
               "from lsp.command import run; sys.exit(run(sys.argv[1:]))",
               "serve", "--model", "scripted:x", "--socket", str(folder / "s.sock")]  # fmt: skip
    with serving(folder=folder, program=program) as served:
        with socket.socket(socket.AF_UNIX) as slow:
            slow.settimeout(10)
            slow.connect(str(served.socket))
            began = time.monotonic()
            slow.sendall(b"GET /healthz HT")
            assert slow.recv(100) == b""
            assert time.monotonic() - began < 5
        with served.client() as client:  # one that is kept between requests is no such
            client.get("/healthz")
            time.sleep(1)
            assert client.get("/healthz").status_code == 200
    shutil.rmtree(folder)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def listening(
    *options: str, folder: Path | None = None, tcp: bool = True
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server, and the address that it says it has; it is told to end."""
    folder = folder or short_folder()
    env = os.environ | {"T": TOKEN, "INFILL_RUNTIME_DIR": str(folder)}
    process = subprocess.Popen(command("scripted:x", *options), env=env, text=True,
                               stderr=subprocess.PIPE)  # fmt: skip
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert " on " in line, line
        url = line.split(" on ")[1].split()[0]
        if tcp:
            until(lambda: answers(url), "an answer")
        else:
            time.sleep(1)
        yield process, url
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]
        shutil.rmtree(folder, ignore_errors=True)


def answers(url: str) -> bool:
    try:
        return httpx.get(url + "/healthz", verify=False).status_code == 200
    except httpx.ConnectError:
        return False
