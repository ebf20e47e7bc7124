"""A stand-in of the hub on this machine: the few routes that huggingface_hub asks, and troubles.

For tests of what is downloaded, resumed and refused. `HF_ENDPOINT` names it; nothing leaves the
machine.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "8ccc747" + "0" * 33  # what every revision resolves to that is no whole commit itself
CHUNK = 1 << 16


@dataclass(slots=True)
class Repo:
    """A repository: its files, and what goes wrong with it."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    trouble: str = ""  # "gated", "gated files", "private": refused with the hub's own codes
    claims: dict[str, int] = field(default_factory=dict[str, int])  # sizes that the listing says
    cuts: dict[str, int] = field(
        default_factory=dict[str, int]
    )  # cut off after so many bytes, once
    stalls: dict[str, int] = field(default_factory=dict[str, int])  # likewise, but the line stays


class Hub:
    """Serves `repos` until the `with` block ends. `asked` is what was asked, in order."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.asked: list[tuple[str, str, str | None]] = []  # method, path, Range
        self.stalled = threading.Event()  # set once a file's line stays open and silent
        self.leaving = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Hub:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leaving.set()
        self.server.shutdown()
        self.server.server_close()

    def fetched(self, name: str) -> list[str | None]:
        """The ranges in which a file's bytes were asked for; None stands for all of it."""
        return [
            part for method, path, part in self.asked if method == "GET" and path.endswith(name)
        ]


def handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.respond()

        def do_GET(self) -> None:
            self.respond()

        def respond(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((self.command, path, self.headers.get("Range")))
            if found := re.fullmatch(r"/api/models/(.+?)/(tree|revision)/([^/]+)", path):
                self.describe(*found.groups())
            elif found := re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path):
                self.give(*found.groups())
            else:
                self.refuse(404, "EntryNotFound", "no such page")

        def describe(self, name: str, what: str, revision: str) -> None:
            repo = self.repo(name, "private", "gated")
            if repo is None:
                return
            if what == "tree":
                self.answer([entry(repo, path) for path in repo.files])
            else:
                siblings = [{"rfilename": path} for path in repo.files]
                self.answer({"id": name, "sha": commit_of(revision), "siblings": siblings})

        def give(self, name: str, revision: str, file: str) -> None:
            repo = self.repo(name, "private", "gated", "gated files")
            if repo is None:
                return
            if file not in repo.files:
                return self.refuse(404, "EntryNotFound", "no such file")
            data = repo.files[file]
            start = int((self.headers.get("Range") or "bytes=0-")[len("bytes=") :].split("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", commit_of(revision))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(repo.claims.get(file, len(data)) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            if self.command == "GET":
                self.send(repo, file, data, start)

        def send(self, repo: Repo, file: str, data: bytes, start: int) -> None:
            end = min(repo.cuts.pop(file, len(data)), repo.stalls.get(file, len(data)))
            for at in range(start, end, CHUNK):
                self.wfile.write(data[at : min(at + CHUNK, end)])
            self.wfile.flush()
            if file in repo.stalls:
                hub.stalled.set()
                hub.leaving.wait()
            self.close_connection = end < len(data)

        def repo(self, name: str, *refused: str) -> Repo | None:
            repo = hub.repos.get(name)
            if repo is None:
                self.refuse(404, "RepoNotFound", "Repository not found")
            elif repo.trouble not in refused:
                return repo
            elif repo.trouble == "private":
                self.refuse(401, "RepoNotFound", "Repository not found")
            else:
                self.refuse(403, "GatedRepo", f"Access to model {name} is restricted")
            return None

        def refuse(self, status: int, code: str, message: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", message)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def answer(self, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    return Handler


def entry(repo: Repo, path: str) -> dict[str, object]:
    data = repo.files[path]
    size = repo.claims.get(path, len(data))
    listed = {"type": "file", "path": path, "size": size, "oid": hashlib.sha1(data).hexdigest()}
    if path.endswith((".safetensors", ".bin")):
        digest = hashlib.sha256(data).hexdigest()
        listed["lfs"] = {"oid": digest, "size": size, "pointerSize": 134}
    return listed


def commit_of(revision: str) -> str:
    return revision if re.fullmatch("[0-9a-f]{40}", revision) else COMMIT
