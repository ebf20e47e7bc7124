"""Real clients of a real server that answers as servers of other kinds do: the official one of
OpenAI's, and our own that asks endpoints."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from model.canvas import Canvas, Draft, Hole, ModelError
from model.load import load
from tests.dialects import AFTER, BEFORE, OPENAI
from tests.served import TOKEN, Served, served


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as it:
        yield it


def test_the_official_openai_client_streams_in_parts_what_settles_in_parts() -> None:
    script = {"text": "width * height", "steps_a_fill": 7, "seconds_a_step": 0.02}
    with served(f"scripted:{json.dumps(script)}") as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=TOKEN)
        with client.completions.create(
            model="any", prompt=BEFORE, suffix=AFTER, max_tokens=32, stream=True
        ) as stream:
            texts = [chunk.choices[0].text for chunk in stream]
    assert "".join(texts) == "width * height"
    assert len(texts) > 3


def test_a_real_server_chooses_as_for_our_own_editors() -> None:
    script = {"text": "rubbish", "rivals": {"<|pad|>": 0.6, "width * height": 0.39}}
    with served(f"scripted:{json.dumps(script)}") as server:
        said = server.post("/v1/completions", OPENAI).json()
    assert said["choices"][0]["text"] == "width * height"


def test_the_official_openai_client_streams_from_a_real_server(server: Served) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=TOKEN)
    asked: dict[str, Any] = {"model": "any", "prompt": "def twice(value):\n    return value * ",
                             "suffix": "\n\n\nprint(twice(4))\n", "max_tokens": 24}  # fmt: skip
    whole = client.completions.create(**asked, logprobs=1)
    assert whole.choices[0].text
    assert whole.choices[0].logprobs
    assert whole.choices[0].logprobs.tokens
    with client.completions.create(**asked, stream=True) as stream:
        chunks = list(stream)
    assert "".join(it.choices[0].text for it in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert [model.id for model in client.models.list()] == [whole.model]


def test_the_official_openai_client_understands_refusals(server: Served) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=TOKEN, max_retries=0)
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model="any", prompt=["several", "prompts"])
    assert refused.value.param == "prompt"
    stranger = openai.OpenAI(base_url=f"{server.url}/v1", api_key="no", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="Bearer"):
        stranger.completions.create(model="any", prompt="x = ")


@pytest.mark.parametrize("kind", ["openai", "llama.cpp", "mistral"])
def test_our_own_endpoint_client_is_answered_as_by_each_kind_of_server(
    server: Served, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_ENDPOINT", TOKEN)
    keys = {"url": server.url, "kind": kind, "model": "it", "token_env": "TOKEN_OF_ENDPOINT",
            "timeout": 30.0, "logprobs": kind != "mistral"}  # fmt: skip
    endpoint = load("endpoint", keys=keys)
    before, after = "def twice(value):\n    return value * ", "\n\n\nprint(twice(4))\n"
    canvas = Canvas((before, after), (Hole(0, 0, limit=24),))

    async def asked() -> list[Draft]:
        return [draft async for draft in endpoint.denoise(canvas)]

    drafts = asyncio.run(asked())
    body = {"prompt": before, "suffix": after, "max_tokens": 24, "stop": "\n"}
    direct = server.post("/v1/completions", body).json()["choices"][0]["text"]
    assert drafts[-1].texts == (direct,) != ("",)
    assert drafts[-1].final
    if kind != "mistral":  # which has no probabilities
        assert {piece.confidence for piece in drafts[-1].holes[0]} != {endpoint.site.confidence}  # type: ignore[attr-defined]


def test_a_client_that_chats_is_told_that_there_is_no_such_route(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_ENDPOINT", TOKEN)
    keys = {"url": server.url, "kind": "vllm", "model": "it", "token_env": "TOKEN_OF_ENDPOINT"}
    endpoint = load("endpoint", keys=keys)

    async def asked() -> None:
        async for _ in endpoint.denoise(Canvas((BEFORE, AFTER), (Hole(0, 0),))):
            pass

    with pytest.raises(ModelError, match=r"knows no such route .* \(404\)"):
        asyncio.run(asked())
