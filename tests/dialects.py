"""What clients of other kinds of servers send, and what they read in the answers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

from model.fallback import Loaded
from model.scripted import Scripted
from model.serving.app import Guard, app_of
from model.serving.dialects.telling import Choose, chosen_here
from model.serving.service import Limits, Service
from tests.served import TOKEN

BEFORE, AFTER = "def area(width, height):\n    return ", "\n\n\nprint(area(3, 4))\n"
OPENAI = {"model": "it", "prompt": BEFORE, "suffix": AFTER}
LLAMA = {"input_prefix": "def area(width, height):\n", "prompt": "    return ",
         "input_suffix": AFTER}  # fmt: skip
MISTRAL = {"model": "it", "prompt": BEFORE, "suffix": AFTER}
ASKS = {"/v1/completions": OPENAI, "/infill": LLAMA, "/v1/fim/completions": MISTRAL}


def answered(
    route: str,
    body: object,
    model: Scripted | None = None,
    *,
    limits: Limits | None = None,
    method: str = "POST",
    choose: Choose = chosen_here,
) -> httpx.Response:
    """What the app answers, with `model` behind it."""
    model = model or Scripted("width * height")

    async def asked() -> httpx.Response:
        service = Service(lambda _: Loaded(model), limits=limits or Limits(), name="scripted")
        transport = httpx.ASGITransport(app_of(service, guard=Guard(TOKEN), choose=choose))
        service.start()
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://it") as client:
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                headers = {"Authorization": f"Bearer {TOKEN}"}
                return await client.request(method, route, content=content, headers=headers)
        finally:
            await service.close()

    return asyncio.run(asked())


def events_of(response: httpx.Response) -> list[Any]:
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in response.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    data = [line.removeprefix("data: ") for line in lines]
    return [line if line == "[DONE]" else json.loads(line) for line in data]


def slowly() -> Scripted:
    """Slow enough for each draft to be read: of those that wait only the newest is kept."""
    return Scripted("width * height", steps_a_fill=7, seconds_a_step=0.02)


def sentence_of(route: str, response: httpx.Response) -> str:
    """The sentence, where a client of that dialect looks for it."""
    said = response.json()
    match route:
        case "/v1/completions":
            assert set(said["error"]) == {"message", "type", "param", "code"}
            return said["error"]["message"]
        case "/infill":
            assert (said["error"]["code"], set(said["error"])) == (
                response.status_code, {"code", "message", "type"},
            )  # fmt: skip
            return said["error"]["message"]
        case _:
            assert (said["object"], said["code"]) == ("error", str(response.status_code))
            return said["message"]
