"""A stand-in for servers of networks: real HTTP on loopback, and strict about what it is asked.

It speaks what vLLM documents of its OpenAI-compatible server (docs.vllm.ai, "OpenAI-Compatible
Server": /v1/chat/completions with `continue_final_message`, `chat_template_kwargs` and
`skip_special_tokens` as extra parameters, /v1/completions without a suffix), what llama.cpp's
tools/server/README.md documents of `POST /infill`, what OpenAI's reference documents of
/v1/completions with a suffix, and Mistral's of /v1/fim/completions. A field that those do not name,
a wrong type, or a combination that they refuse is answered by 400, as there. What it answers is
told by the test.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Check = Callable[[Any], bool]


def of(*types: type) -> Check:
    return lambda value: type(value) in types


def messages(value: Any) -> bool:
    return isinstance(value, list) and all(
        set(it) == {"role", "content"} and isinstance(it["content"], str) for it in value
    )


def words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(it, str) and it for it in value)


SAMPLED: dict[str, Check] = {"temperature": of(int, float), "stream": of(bool), "stop": words}
NEEDED = {"model", "messages", "prompt", "suffix", "input_prefix", "input_suffix"}
FIELDS: dict[str, dict[str, Check]] = {
    "/v1/chat/completions": SAMPLED | {
        "model": of(str), "messages": messages, "add_generation_prompt": of(bool),
        "continue_final_message": of(bool), "chat_template_kwargs": of(dict),
        "skip_special_tokens": of(bool), "max_completion_tokens": of(int), "logprobs": of(bool),
    },
    "/v1/completions": SAMPLED | {
        "model": of(str), "prompt": of(str), "suffix": of(str), "max_tokens": of(int),
        "logprobs": of(int),
    },
    "/v1/fim/completions": SAMPLED | {
        "model": of(str), "prompt": of(str), "suffix": of(str), "max_tokens": of(int),
    },
    "/infill": SAMPLED | {
        "input_prefix": of(str), "input_suffix": of(str), "prompt": of(str), "n_predict": of(int),
        "cache_prompt": of(bool), "n_probs": of(int), "model": of(str),
    },
}  # fmt: skip
OPTIONAL = {"stop", "logprobs", "n_probs"}


def amiss(route: str, body: dict[str, Any]) -> str | None:
    """What the real server would say against the request."""
    fields = FIELDS[route]
    if unknown := set(body) - set(fields):
        return f"extra inputs are not permitted: {sorted(unknown)}"
    if missing := (NEEDED & set(fields)) - set(body) - ({"model"} if route == "/infill" else set()):
        return f"field required: {sorted(missing)}"
    if wrong := [name for name, value in body.items() if not fields[name](value)]:
        return f"of a wrong type: {wrong}"
    if body.get("continue_final_message") and body.get("add_generation_prompt") is not False:
        return "cannot set both continue_final_message and add_generation_prompt"
    if body.get("continue_final_message") and body["messages"][-1]["role"] != "assistant":
        return "the message to be gone on with is the assistant's"
    return None


@dataclass
class Server:
    """`parts` are what it answers, one event each, `probability` that of each; `play` says how.

    Plays: "stream", "whole" (not streamed), "half" (cut off), "silent" (nothing for a while),
    "html", "garbage", "nested", "quoting" (a refusal in the words of what it was asked), or the
    number of a status. `more` is in each event, `headers` in each answer that is not streamed.
    """

    parts: tuple[str, ...] = ("width", " * height")
    probability: float | None = 0.8
    play: str | int = "stream"
    pause: float = 0.0
    token: str = ""
    url: str = ""
    more: dict[str, Any] = field(default_factory=dict[str, Any])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)

    def event(self, route: str, part: str | None) -> dict[str, Any]:
        """Of a part of the answer, None for its end."""
        logprobs = None
        text, told = part or "", self.probability is not None and part is not None
        logprob = -0.2231435513142097 if told else 0.0  # of 0.8
        if route == "/infill":
            said = {"content": text, "stop": part is None}
            return said | ({"completion_probabilities": [{"token": text, "logprob": logprob}]}
                           if told else {})  # fmt: skip
        if route == "/v1/completions":
            logprobs = {"tokens": [text], "token_logprobs": [logprob]} if told else None
            choice: dict[str, Any] = {"text": text}
        else:
            logprobs = {"content": [{"token": text, "logprob": logprob}]} if told else None
            choice = {"delta": {"content": text}}
        reason = "stop" if part is None else None
        return {"choices": [{**choice, "index": 0, "logprobs": logprobs, "finish_reason": reason}]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "stand-in"
    stand_in: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        it = self.stand_in
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if it.token and self.headers.get("Authorization") != f"Bearer {it.token}":
            return self.whole(401, {"error": {"message": "Unauthorized"}})
        if self.path not in FIELDS:
            return self.whole(404, {"error": {"message": "Not Found"}})
        body = json.loads(raw)
        it.seen.append((self.path, body))
        if trouble := amiss(self.path, body):
            it.refused.append(trouble)
            return self.whole(400, {"error": {"message": trouble, "code": 400}})
        if isinstance(it.play, int):
            return self.whole(it.play, {"error": {"message": "as it was told to"}})
        if it.play == "quoting":
            return self.whole(400, {"error": {"message": f"invalid: input={body}"}})
        if it.play == "html":
            return self.sent(200, "text/html", b"<html>welcome</html>")
        if it.play == "whole":
            event = it.event(self.path, "".join(it.parts))
            choice = event["choices"][0]
            choice["message"] = choice.pop("delta")
            choice["finish_reason"] = "stop"
            return self.whole(200, event)
        self.stream(it)

    def stream(self, it: Server) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            if it.play == "silent":
                time.sleep(1.0)
            if it.play == "garbage":
                self.wfile.write(b"data: {not json\n\n")
            if it.play == "nested":
                self.wfile.write(b"data: " + b"[" * 100_000 + b"\n\n")
            for part in it.parts:
                self.say(it.event(self.path, part))
                time.sleep(it.pause)
            if it.play != "half":
                self.say(it.event(self.path, None))
                self.wfile.write(b"data: [DONE]\n\n")
        except (BrokenPipeError, ConnectionResetError):
            it.hung_up.set()

    def say(self, event: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(event | self.stand_in.more).encode() + b"\n\n")
        self.wfile.flush()

    def whole(self, status: int, body: dict[str, Any]) -> None:
        self.sent(status, "application/json", json.dumps(body).encode())

    def sent(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in self.stand_in.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(**options: Any) -> Iterator[Server]:
    it = Server(**options)
    handler = type("Bound", (Handler,), {"stand_in": it})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    it.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield it
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
