"""A model server on loopback TCP with a token, as plugins of others are pointed at one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from tests.raw_client import ROOT
from tests.servers import until

TOKEN = "only-of-these-tests"


@dataclass(frozen=True, slots=True)
class Served:
    url: str
    process: subprocess.Popen[str]

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, headers={"Authorization": f"Bearer {TOKEN}"})

    def post(self, path: str, body: object, token: str = TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.post(self.url + path, json=body, headers=headers, timeout=60.0)


@contextmanager
def served(model: str = "bundled") -> Generator[Served]:
    """`infill-lsp serve` of this checkout, once its model is loaded."""
    command = [sys.executable, "-I", str(ROOT / "infill_lsp.py"), "serve", "--model", model]
    command += ["--listen", "127.0.0.1:0", "--token-env", "TOKEN_OF_TEST", "--exit-after", "300"]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            command, env={**os.environ, "TOKEN_OF_TEST": TOKEN}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
        ) as process,
    ):  # fmt: skip
        try:
            server = Served(url_told(process, log.fileno()), process)
            until(lambda: server.get("/health").is_success, "the server's model is loaded")
            yield server
        finally:
            process.kill()


def url_told(process: subprocess.Popen[str], log: int) -> str:
    found: list[str] = []

    def told() -> bool:
        text = os.pread(log, 10_000, 0).decode()
        assert process.poll() is None, f"the server has ended: {text}"
        found[:] = re.findall(r"http://127\.0\.0\.1:\d+", text)
        return bool(found)

    until(told, "the server says where it listens")
    return found[0]
