"""Real model servers for tests: processes of this checkout, and clients of theirs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.serving.runtime import answers
from tests.raw_client import ROOT
from tests.servers import short_folder, until

PATIENCE = 30.0  # seconds until what does not happen is a failure
CANVAS: dict[str, Any] = {
    "texts": ["def add(a, b):\n    return ", "\n"], "holes": [{"start": 1, "end": 1}],
}  # fmt: skip
WHOLE = {"canvas": CANVAS}


def scripted(**options: Any) -> str:
    return "scripted:" + json.dumps(options)


@dataclass
class Served:
    process: subprocess.Popen[str]
    folder: Path

    @property
    def socket(self) -> Path:
        return self.folder / "s.sock"

    @property
    def log(self) -> str:
        return (self.folder / "s.log").read_text("utf-8")

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text("utf-8")

    def client(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.socket))
        return httpx.Client(transport=transport, base_url="http://server", timeout=PATIENCE)

    def get(self, path: str) -> Any:
        with self.client() as client:
            return client.get(path).raise_for_status().json()

    def post(self, path: str, body: object) -> httpx.Response:
        with self.client() as client:
            return client.post(path, content=json.dumps(body).encode())

    def fill(self, body: object = WHOLE) -> list[dict[str, Any]]:
        """All lines of an answer."""
        answer = self.post("/v1/fill", body)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    @property
    def state(self) -> dict[str, Any]:
        return self.get("/v1/state")

    @property
    def metrics(self) -> str:
        with self.client() as client:
            return client.get("/metrics").text

    def metric(self, name: str) -> float:
        """Over all labels."""
        told = [line.replace("{", " ", 1).split() for line in self.metrics.splitlines()]
        return sum(float(words[-1]) for words in told if words[0] == name)

    @contextmanager
    def asking(self, body: object = WHOLE) -> Generator[Iterator[dict[str, Any]]]:
        """The lines of a fill as they come; the connection is closed on leaving."""
        with (
            self.client() as client,
            client.stream("POST", "/v1/fill", content=json.dumps(body).encode()) as answer,
        ):
            assert answer.status_code == 200, answer.read()
            yield (json.loads(line) for line in answer.iter_lines())

    @contextmanager
    def watching(self, asker: str = "me", name: str = "test") -> Generator[Iterator[Any]]:
        asked = {"asker": asker, "pid": str(os.getpid()), "name": name}
        with self.client() as client, client.stream("GET", "/v1/watch", params=asked) as answer:
            yield (json.loads(line) for line in answer.iter_lines())

    def told_to_end(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self, patience: float = PATIENCE) -> int:
        """Its exit status."""
        return self.process.wait(patience)


def command(model: str, *options: str, log: str = "") -> list[str]:
    launcher = [sys.executable, "-I", str(ROOT / "infill_lsp.py"), "--log-level", "debug"]
    launcher += ["--log-file", log] if log else []
    return [*launcher, "serve", "--model", model, "--exit-after", "0", *options]


@contextmanager
def serving(
    model: str = "scripted:a + b", *options: str, folder: Path | None = None,
    program: list[str] | None = None, ready: bool = True, log: str = "",
) -> Generator[Served]:  # fmt: skip
    """A server on a socket, which has loaded its model if it is wanted `ready`; it is killed at the
    end, and the folder is removed if it was made here."""
    own = folder is None
    folder = folder or short_folder()
    wanted = program or command(model, "--socket", str(folder / "s.sock"), *options, log=log)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "INFILL_RUNTIME_DIR": str(folder)}
    with (folder / "out").open("w") as out:
        process = subprocess.Popen(wanted, stdout=out, stderr=out, text=True, env=environment)
    served = Served(process, folder)
    try:
        until(lambda: listening(served), "a server that listens")
        if ready:
            served.get("/v1/card")
        yield served
    finally:
        process.kill()
        process.wait()
        if own:
            shutil.rmtree(folder, ignore_errors=True)


def listening(served: Served) -> bool:
    """Fails where it has ended, with what it said."""
    assert served.process.poll() is None, served.out
    return answers(served.socket) and served.get("/healthz")["pid"] == served.process.pid


def certified(folder: Path) -> tuple[str, ...]:
    """Options that serve 127.0.0.1 with a certificate, `cert.pem` in the folder, of its own making.
    Skips the test where there is nothing to make one with."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=x",
            "-addext", "subjectAltName=IP:127.0.0.1"]  # fmt: skip
    try:
        subprocess.run(made, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    return "--tls-cert", str(cert), "--tls-key", str(key)


def refused(*options: str, model: str = "scripted:x", **environment: str) -> str:
    """What a server that does not start says."""
    done = subprocess.run(command(model, *options), capture_output=True, text=True, timeout=60,
                          env=os.environ | environment)  # fmt: skip
    assert done.returncode == 1, done
    return done.stderr
