"""How a server is reached: over a Unix socket, or at a URL with a token. Knows what a server says
of its health, and nothing of canvases.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

import httpx

from model.canvas import ModelError
from model.serving.runtime import answers
from model.serving.wire import PROTOCOL

TOKEN = "INFILL_TOKEN"  # the environment variable with the token of a server that was named
SESSION = "X-Session-Id"  # a header: Ray sends all requests with the same one to the same replica
CONNECT = 2.0  # seconds; it is this machine, or a team's
HEALTH = 5.0  # seconds that a server may take to say that it is well


class Absent(Exception):
    """Nothing listens there."""


class Hung(Exception):
    """Something listens there and says nothing."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a server is. `leaves`: what it is asked leaves this machine."""

    socket: Path | None = None
    url: str = "http://infill-lsp"  # over a socket any name does
    token: str = field(default="", repr=False)
    leaves: bool = False

    def __str__(self) -> str:
        return f"unix:{self.socket}" if self.socket else self.url

    def client(self, timeout: httpx.Timeout) -> httpx.Client:
        return httpx.Client(transport=self._transport(httpx.HTTPTransport), **self._told(timeout))

    def async_client(self, timeout: httpx.Timeout) -> httpx.AsyncClient:
        transport = self._transport(httpx.AsyncHTTPTransport)
        return httpx.AsyncClient(transport=transport, **self._told(timeout))

    def _transport(self, kind: type[Any]) -> Any:
        """None where httpx makes its own, which goes through the proxy that the environment names:
        what stays on this machine goes through none."""
        if self.socket:
            return kind(uds=os.fspath(self.socket), verify=False)  # there is no TLS on it
        return None if self.leaves else kind(verify=tls() if self.is_tls else False)

    def _told(self, timeout: httpx.Timeout) -> dict[str, Any]:
        return {
            "base_url": self.url,
            "headers": {"Authorization": f"Bearer {self.token}"} if self.token else {},
            "timeout": timeout,
            "trust_env": self.leaves,
            "verify": tls() if self.leaves else False,
        }

    @property
    def is_tls(self) -> bool:
        return self.url.startswith("https:")


@cache
def tls() -> SSLContext:
    """Once: it takes longer to read all certificates than a server needs to answer."""
    return httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class Health:
    protocol: int
    version: str
    model: str
    pid: int


def health_of(reach: Reach) -> Health:
    """Raises `Absent`, `Hung`, or `ModelError` where what answers is no server of ours."""
    if reach.socket and not answers(reach.socket):
        raise Absent("nothing listens on it")
    try:
        with reach.client(httpx.Timeout(HEALTH, connect=CONNECT)) as client:
            said = client.get("/healthz")
            told = said.raise_for_status().json()
        return Health(
            int(told["protocol"]), str(told["version"]), str(told["model"]), int(told["pid"])
        )
    except httpx.TimeoutException as error:
        raise Hung from error
    except httpx.TransportError as error:
        raise Absent(str(error)) from error
    except (httpx.HTTPError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"what answers at {reach} is no `infill-lsp serve` ({type(error).__name__}): is the "
            "address right?"
        ) from error


def checked(reach: Reach, *, model: str | None = None) -> Health:
    """The health of a server that can be used. Raises as `health_of`, and `ModelError` where it
    speaks another protocol or serves another model."""
    health = health_of(reach)
    if health.protocol != PROTOCOL:
        raise ModelError(
            f"the server at {reach} speaks protocol {health.protocol} (infill-lsp "
            f"{health.version}), and this infill-lsp speaks {PROTOCOL}: bring both to one version"
        )
    if model is not None and health.model != model:
        raise ModelError(
            f"the server at {reach} serves {health.model!r}, and {model!r} is wanted: end it "
            f"(process {health.pid}) and try again"
        )
    return health


def reach_from(address: str) -> Reach:
    """From the setting `server`. Raises `ModelError` for what would be sent in the clear."""
    if address.startswith("unix:"):
        return Reach(Path(address.removeprefix("unix:")).expanduser())
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise ModelError(
            f'the setting `server` is "shared", "inside", "unix:PATH" or "https://HOST:PORT", not '
            f"{address!r}"
        )
    if parts.username or parts.password or parts.query:
        raise ModelError(f"a server's address holds no secrets: put its token into {TOKEN}")
    here = is_loopback(host)
    if parts.scheme == "http" and not here:
        raise ModelError(
            f"your code would go to {host} in the clear: to another machine `server` needs https://"
        )
    return Reach(
        url=address.rstrip("/"), token=os.environ.get(TOKEN, ""), leaves=not here
    )  # fmt: skip


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
