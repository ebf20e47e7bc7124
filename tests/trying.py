"""One language server, inside whose process one model after another is tried."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.raw_client import RawClient, server_command

PATIENT = {"deadline_ms": 30_000, "min_confidence": 0.0}


@contextmanager
def trying(cache: Path, uri: str, text: str) -> Generator[RawClient]:
    """A client of it with that document open; what of the hub there is, lies in `cache`."""
    env = {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    with RawClient(server_command("scripted:x"), env) as running:
        running.initialize(PATIENT)
        running.when_ready()
        running.open(uri, text)
        yield running


def use(client: RawClient, model: str, keys: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The server's status when it has loaded that model, or something in its place."""
    options = {"model": model, "model_keys": keys or {}, **PATIENT}
    options["server"] = "inside"  # or each of so many networks would start a server
    client.notify("workspace/didChangeConfiguration", {"settings": {"infill": options}})
    for _ in range(600):
        status = client.ask("workspace/executeCommand", {"command": "infill.status"})
        if not status["loading"]:
            assert status["model"] == model
            return status
        time.sleep(0.1)
    raise AssertionError(f"{model} was not loaded in time\n{client.log[-2000:]}")


def steps_of_a_fill(client: RawClient, uri: str, line: int, character: int) -> int:
    """How many steps the model made; what it writes need not be worth showing."""
    client.answer(client.inline(uri, line, character))
    why = {"command": "infill.why", "arguments": [uri]}
    return client.ask("workspace/executeCommand", why).get("steps", 0)
