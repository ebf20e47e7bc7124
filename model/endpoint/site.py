"""Where a network is served, from what a user says of it: `model = "endpoint"` and `model_keys`.

Knows URLs, tokens and what is risky about them; opens no connection.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from model.canvas import Card, ModelError
from model.endpoint.wire import KINDS

# What may be said, of which type, and what holds where it is not.
KEYS: Mapping[str, tuple[type, Any]] = {
    "url": (str, ""),  # the server's base, or the whole route
    "kind": (str, "vllm"),  # of `KINDS`
    "model": (str, ""),  # as the server calls it
    "token_env": (str, ""),  # the name of an environment variable
    "token_file": (str, ""),
    "context": (int, 8000),  # characters of code that are sent at most
    "hole_limit": (int, 256),  # tokens of an answer; DiffusionGemma writes so many at once
    "confidence": (float, 0.5),  # what a fill is taken for where the endpoint does not say it
    "logprobs": (bool, True),  # ask it to say it
    "timeout": (float, 30.0),  # seconds until the next words of an answer
    "insecure": (bool, False),  # allows http to another machine
    "speculate": (bool, False),  # asks for what may never be needed; it may be paid for, too
}


@dataclass(frozen=True, slots=True)
class Site:
    """All that is needed to ask. `url` is the whole route; it never holds a secret."""

    url: str
    kind: str
    model: str
    context: int
    hole_limit: int
    confidence: float
    logprobs: bool
    timeout: float
    leaves: bool  # what is sent leaves this machine
    token: str = field(default="", repr=False)
    token_from: str = ""  # in words, for messages

    @property
    def card(self) -> Card:
        """Made without connecting. One hole at a time: no such endpoint takes several."""
        version = sha256("\n".join((self.url, self.kind, self.model)).encode()).hexdigest()[:12]
        return Card(
            self.model or self.kind, version, self.context, self.hole_limit,
            frozenset({"grow", "drafts"}),
        )  # fmt: skip


def site_from(keys: Mapping[str, Any]) -> Site:
    """Raises `ModelError` with what is wrong in the keys and what to write instead."""
    said = {name: taken(keys, name) for name in KEYS}
    for name in keys:
        if name == "token":
            raise ModelError(
                "a token does not belong into settings, which are shared and logged: put it into "
                "an environment variable or a file, and name that by `token_env` or `token_file`"
            )
        if name not in KEYS:
            raise ModelError(
                f"an endpoint has no key {name!r} in model_keys; it has {', '.join(KEYS)}"
            )
    if said["kind"] not in KINDS:
        raise ModelError(
            f"there is no kind of endpoint called {said['kind']!r}; there are {', '.join(KINDS)}"
        )
    url, leaves = route_from(said["url"], KINDS[said["kind"]].route, insecure=said["insecure"])
    if KINDS[said["kind"]].needs_model and not said["model"]:
        raise ModelError(
            f"an endpoint of the kind {said['kind']} has to be told which network: "
            'model_keys = { model = "as the server calls it", … }'
        )
    if not 0 <= said["confidence"] <= 1:
        raise ModelError(f"confidence is between 0 and 1, not {said['confidence']}")
    for name in ("context", "hole_limit", "timeout"):
        if said[name] <= 0:
            raise ModelError(f"{name} of an endpoint is above 0, not {said[name]}")
    token, token_from = token_of(said["token_env"], said["token_file"])
    return Site(
        url, said["kind"], said["model"], said["context"], said["hole_limit"],
        said["confidence"], said["logprobs"], said["timeout"], leaves, token, token_from,
    )  # fmt: skip


def taken(keys: Mapping[str, Any], name: str) -> Any:
    wanted, default = KEYS[name]
    value = keys.get(name, default)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        raise ModelError(
            f"the key {name!r} of an endpoint is of type {wanted.__name__}, "
            f"not {type(value).__name__}"
        )
    return value


def route_from(url: str, route: str, *, insecure: bool) -> tuple[str, bool]:
    """The URL to be asked, and whether it is on another machine.

    `url` is the server's base, with or without its /v1, or the whole route where that is another.
    """
    example = 'model_keys = { url = "http://127.0.0.1:8000", … }'
    if not url:
        raise ModelError(f"an endpoint has to be told where it is: {example}")
    try:
        parts = urlsplit(url.strip())
        port = parts.port  # raises, too
    except ValueError as error:
        raise ModelError(f"the url of the endpoint cannot be read: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ModelError(f"the url of an endpoint begins with http:// or https://: {example}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ModelError(
            "the url of an endpoint holds no user, password or query, since it is shown in "
            "messages: a token is named by `token_env` or `token_file`"
        )
    leaves = not is_loopback(parts.hostname)
    if leaves and parts.scheme == "http" and not insecure:
        raise ModelError(
            f"http to {parts.hostname} would send your code readable by anyone in between: use "
            "https, or a tunnel to this machine such as `ssh -L 8000:localhost:8000 "
            f"{parts.hostname}`; the key `insecure = true` allows it nevertheless"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{path_of(parts, route)}", leaves


def path_of(parts: SplitResult, route: str) -> str:
    path = parts.path.rstrip("/")
    last = route.rpartition("/")[2]
    if path.rpartition("/")[2] == last:
        return path
    first, _, rest = route.removeprefix("/").partition("/")
    if path.rpartition("/")[2] == first:
        return f"{path}/{rest}"
    return path + route


def is_loopback(host: str) -> bool:
    if host.rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def token_of(variable: str, file: str) -> tuple[str, str]:
    """The token and, in words, where it came from; both empty where none was named."""
    if variable and file:
        raise ModelError("an endpoint's token is named once: by `token_env` or by `token_file`")
    if variable:
        token, source = os.environ.get(variable, "").strip(), f"${variable}"
        if not token:
            raise ModelError(
                f"the environment variable {variable}, which `token_env` names, is not set "
                "where infill-lsp was started"
            )
    elif file:
        source = file
        try:
            token = Path(file).expanduser().read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ModelError(f"the token_file {file} cannot be read: {why}") from None
        if not token:
            raise ModelError(f"the token_file {file} is empty")
    else:
        return "", ""
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ModelError(f"what {source} holds is no token: it has blanks or odd characters in it")
    return token, source
