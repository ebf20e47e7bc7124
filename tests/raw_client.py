"""A bare JSON-RPC client over a server's standard input and output: frames out, messages in.

For tests and benchmarks that look at what is really on the wire. It knows no types of the protocol.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0  # seconds until a missing message is a failure; a slow machine needs far less

Message = dict[str, Any]


def server_command(model: str = "bundled", *, log_level: str = "debug") -> list[str]:
    """The server of this checkout, as an editor starts it; other settings go into `initialize`."""
    launcher = str(ROOT / "infill_lsp.py")
    return [sys.executable, "-I", launcher, "--model", model, "--log-level", log_level]


class RawClient:
    """A running server. `log` is what it wrote to standard error so far.

    A thread reads its output, so `expect` may wait for any message while others come before it;
    those are kept.
    """

    def __init__(self, command: list[str], env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdin
        self.stdin = self.process.stdin
        self.log = ""
        self.messages: list[Message] = []  # received and not yet taken by `expect`
        self._arrived: queue.Queue[Message | None] = queue.Queue()
        self._next_id = 0
        self._readers = [threading.Thread(target=self._read_messages, daemon=True),
                         threading.Thread(target=self._read_log, daemon=True)]  # fmt: skip
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def send_bytes(self, data: bytes) -> None:
        self.stdin.write(data)
        self.stdin.flush()

    def send_body(self, body: bytes) -> None:
        self.send_bytes(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def send(self, message: object) -> None:
        self.send_body(json.dumps(message).encode())

    def notify(self, method: str, params: object = None) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def request(self, method: str, params: object = None) -> int:
        """Sends a request and returns its id; the answer is had by `answer(id)`."""
        self._next_id += 1
        self.send({"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params})
        return self._next_id

    def answer(self, msg_id: object, timeout: float = PATIENCE) -> Message:
        """The response with that id, whenever it came."""
        return self.expect(
            lambda message: "method" not in message and message["id"] == msg_id, timeout
        )

    def ask(self, method: str, params: object = None) -> Any:
        """The result of a request that must succeed."""
        answer = self.answer(self.request(method, params))
        assert "error" not in answer, answer
        return answer["result"]

    def expect(self, wanted: Callable[[Message], bool], timeout: float = PATIENCE) -> Message:
        for index, message in enumerate(self.messages):
            if wanted(message):
                return self.messages.pop(index)
        while True:
            try:
                message = self._arrived.get(timeout=timeout)
            except queue.Empty:
                raise AssertionError(
                    f"nothing came; before: {self.messages}\n{self.log[-2000:]}"
                ) from None
            assert message is not None, f"the server ended\n{self.log[-2000:]}"
            if wanted(message):
                return message
            self.messages.append(message)

    def notification(self, method: str) -> Message:
        return self.expect(lambda message: message.get("method") == method)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Waits for the server to end by itself; its exit status."""
        return self.process.wait(timeout)

    def initialize(
        self, options: object = None, capabilities: object = None, **params: object
    ) -> Message:
        """Through the handshake; returns the initialize result."""
        result: Message = self.ask(
            "initialize",
            {"processId": None, "rootUri": None, "capabilities": capabilities or {},
             "initializationOptions": options, **params},
        )  # fmt: skip
        self.notify("initialized", {})
        return result

    def when_ready(self) -> None:
        """Returns once the model is loaded."""
        for _ in range(3000):
            status = self.ask("workspace/executeCommand", {"command": "infill.status"})
            assert not status["failure"], status
            if status["ready"]:
                return
            threading.Event().wait(0.02)
        raise AssertionError(f"the model was not ready in time\n{self.log}")

    def open(self, uri: str, text: str, language: str = "python", version: int = 1) -> None:
        item = {"uri": uri, "languageId": language, "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def change(self, uri: str, version: int, *changes: Message) -> None:
        document = {"uri": uri, "version": version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": changes})

    def inline(self, uri: str, line: int, character: int, **context: object) -> int:
        """Asks for an inline completion; returns the request's id."""
        params = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character},
                  "context": {"triggerKind": 2, **context}}  # fmt: skip
        return self.request("textDocument/inlineCompletion", params)

    def cancel(self, msg_id: int) -> None:
        self.notify("$/cancelRequest", {"id": msg_id})

    def leave(self) -> int:
        """Says goodbye as an editor does; the exit status."""
        self.ask("shutdown")
        self.notify("exit")
        return self.wait()

    def _read_messages(self) -> None:
        stream = self.process.stdout
        assert stream
        while line := stream.readline():
            length = int(line.removeprefix(b"Content-Length: "))
            while stream.readline().strip():
                pass
            self._arrived.put(json.loads(stream.read(length)))
        self._arrived.put(None)

    def _read_log(self) -> None:
        stream = self.process.stderr
        assert stream
        for line in stream:
            self.log += line.decode(errors="replace")
