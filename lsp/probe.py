"""A server of ours in a process of its own, asked over stdio as an editor would: for measuring it.

Knows frames and a handful of messages, and what a process holds in memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from model import ModelError

LAUNCHER = Path(__file__).resolve().parent.parent / "infill_lsp.py"


class Window:
    """A running server. It is ended when the `with` block is left."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(LAUNCHER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin
        assert self.process.stdout
        self._to, self._from = self.process.stdin, self.process.stdout
        self._last = 0

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._from.close()
        self._to.close()

    def initialize(self, **options: object) -> None:
        self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {},
                                "initializationOptions": options})  # fmt: skip
        self.tell("initialized", {})

    def when_ready(self) -> None:
        """Returns once the model is loaded. Raises `ModelError` where it cannot be."""
        while True:
            status = self.ask("workspace/executeCommand", {"command": "infill.status"})
            if status["failure"]:
                raise ModelError(status["failure"])
            if status["ready"]:
                return
            time.sleep(0.05)

    def fill(self, text: str, line: int, character: int) -> Any:
        uri = "file:///probe.py"
        item = {"uri": uri, "languageId": "python", "version": 1, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": item})
        return self.ask(
            "textDocument/inlineCompletion",
            {"textDocument": {"uri": uri}, "position": {"line": line, "character": character},
             "context": {"triggerKind": 1}},
        )  # fmt: skip

    def ask(self, method: str, params: object) -> Any:
        self._last += 1
        self._send({"id": self._last, "method": method, "params": params})
        while (answer := self._receive()).get("id") != self._last or "method" in answer:
            pass
        if "error" in answer:
            raise ModelError(f"the server answered {method} with {answer['error']['message']!r}")
        return answer["result"]

    def tell(self, method: str, params: object) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, object]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._to.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._to.flush()

    def _receive(self) -> dict[str, Any]:
        length = 0
        while line := self._from.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        body = self._from.read(length)
        if not body:
            raise ModelError("the server ended before it answered")
        return json.loads(body)


def resident_mb(pid: int) -> float | None:
    """What the process holds in memory; None where neither /proc nor `ps` tells."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    except (OSError, StopIteration):
        try:
            asked = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True)
            kib = int(asked.stdout)
        except (OSError, ValueError):
            return None
    return round(kib / 1024, 1)
