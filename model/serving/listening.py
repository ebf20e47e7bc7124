"""Where a server listens, and who else may: a Unix socket of this user's, or an address with a
token. Knows no requests; it looks only whether a former server still answers.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import ssl
import stat
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from model.canvas import ModelError
from model.serving.runtime import answers, fitting

BACKLOG = 128
SHORTEST = 16  # characters of a token


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM; the key may stand in the certificate's file, `key` is None then."""

    cert: Path
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """`url` is as a client says it. `made` is whether nobody knows the token but this process."""

    socket: socket.socket = field(repr=False)
    url: str
    token: str = field(default="", repr=False)
    made: bool = False
    path: Path | None = None
    inode: int = 0

    @property
    def gone(self) -> bool:
        """Whether nobody can find the socket any more: removed, or another's in its place."""
        return self.path is not None and inode_of(self.path) != self.inode

    def close(self) -> None:
        self.socket.close()
        if self.path is not None and not self.gone:
            self.path.unlink(missing_ok=True)


def at_path(path: Path) -> Listener:
    """Listens on a Unix socket that only this user can connect to. What a dead server left is
    replaced. Raises `ModelError` where one lives there."""
    path = fitting(path.absolute())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(path.parent)
        if path.exists() and not path.is_socket():
            raise ModelError(f"{path} is no socket: name another path, or remove it")
        if path.is_socket() and (pid := living(path)) is not None:
            raise ModelError(f"a server for this model already runs (pid {pid})")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Under a name of its own until it answers: whoever looks takes a socket that does not
        # answer for a dead server's.
        early = path.with_name(f".{os.getpid()}")
        before = os.umask(0o177)
        try:
            early.unlink(missing_ok=True)
            listening.bind(os.fspath(early))
        finally:
            os.umask(before)
        listening.listen(BACKLOG)
        os.replace(early, path)
    except OSError as error:
        raise ModelError(f"cannot listen on {path}: {error.strerror or error}") from error
    return Listener(listening, f"unix:{path}", path=path, inode=inode_of(path))


def at_address(host: str, port: int, *, token: str, tls: Tls | None) -> Listener:
    """Listens on TCP; an empty token is replaced by a random one. Raises `ModelError`, too, for
    what would let strangers read code or have it filled."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
    except OSError as error:
        raise ModelError(f"--listen {host}:{port}: {error.strerror or error}") from error
    if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
        lacking = [
            what
            for what, there in (
                ("--tls-cert FILE and --tls-key FILE, or others in between can read the code", tls),
                ("--token-env NAME, or anyone who reaches it can ask", token),
            )
            if not there
        ]
        if lacking:
            raise ModelError(
                f"--listen {host}:{port} can be reached from other machines; it needs "
                f"{', and '.join(lacking)}. For this machine alone, take 127.0.0.1"
            )
    if tls:
        check_tls(tls)
    if token and len(token) < SHORTEST:
        raise ModelError(f"the token has {len(token)} characters; it must have {SHORTEST} or more")
    try:
        listening = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise ModelError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    name = f"[{host}]" if ":" in host else host
    url = f"{'https' if tls else 'http'}://{name}:{listening.getsockname()[1]}"
    return Listener(listening, url, token or secrets.token_urlsafe(32), made=not token)


def check_tls(tls: Tls) -> None:
    """Raises `ModelError` where nothing can be served with these files. Whoever serves with them
    reads them once more, and Ray's proxy would not say what is wrong."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise ModelError(
            f"--tls-cert {tls.cert} and --tls-key {tls.key or tls.cert} cannot be used "
            f"({error.strerror or error}): name a certificate in PEM and the key that belongs to it"
        ) from error


def living(path: Path) -> int | None:
    """The process of the server that answers there, 0 where it does not say; None where none."""
    if not answers(path):
        return None
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=os.fspath(path)), timeout=2) as client:
            return int(client.get("http://server/healthz").json()["pid"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):  # it is there, and too busy to say
        return 0


def check_private(folder: Path) -> None:
    """Raises `ModelError` where others could put their own socket in the place of ours."""
    found = folder.stat()
    if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        raise ModelError(
            f"others may write into {folder}, so they could put their own server there: "
            f"chmod go-w {folder}, or name a socket elsewhere"
        )


def inode_of(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
