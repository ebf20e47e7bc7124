"""OpenAI's completions: what its clients send, marks of networks in it too, and what they read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from model.canvas import Draft, ModelError
from model.fallback import Loaded
from model.scripted import Scripted
from model.serving.app import app_of
from model.serving.dialects.marks import spelt
from model.serving.service import Limits, Service
from tests.dialects import OPENAI, answered, events_of, slowly

P, S = "def f(x):\n    return ", "\n\nprint(f(1))\n"


@pytest.mark.parametrize(
    "prompt",
    [
        f"<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>",
        f"<|fim_suffix|>{S}<|fim_prefix|>{P}<|fim_middle|>",
        f"<|fim_prefix|><|fim_suffix|>{S}<|fim_middle|>{P}",
        f"<fim_prefix>{P}<fim_suffix>{S}<fim_middle>",
        f"<fim-prefix>{P}<fim-suffix>{S}<fim-middle>",
        f"<PRE> {P} <SUF>{S} <MID>",
        f"<PRE> <SUF>{S} <MID> {P}",
        f"<s><PRE> {P} <SUF>{S} <MID>",
        f"<｜fim▁begin｜>{P}<｜fim▁hole｜>{S}<｜fim▁end｜>",
        f"<|code_suffix|>{S}<|code_prefix|>{P}<|code_middle|>",
        f"[SUFFIX]{S}[PREFIX]{P}",
        f"<s>[SUFFIX]{S}[PREFIX]{P}",
    ],
)
def test_a_prompt_that_spells_out_marks_of_a_network_is_understood(prompt: str) -> None:
    model = Scripted("x")
    answered("/v1/completions", {"prompt": prompt, "max_tokens": 64}, model)
    assert [canvas.texts for canvas in model.seen] == [(P, S)]


def test_files_that_stand_before_the_marks_are_other_texts_of_the_project() -> None:
    model = Scripted("x")
    files = "<|repo_name|>it\n<|file_sep|>a.py\nimport os\n<|file_sep|>b.py\n"
    prompt = f"{files}<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>"
    answered("/v1/completions", {"prompt": prompt}, model)
    (canvas,) = model.seen
    assert (canvas.texts, canvas.others) == ((P, S), ("import os\n",))


@pytest.mark.parametrize(
    "prompt",
    [
        "MARKS = ('<|fim_prefix|>', '<|fim_suffix|>')\nprint(",
        "text = '<PRE>'\n",
        "names['[SUFFIX]'] + names['[PREFIX]']\nprint(",
        "<|fim_middle|><|fim_prefix|>a<|fim_suffix|>b",
    ],
)
def test_a_prompt_that_is_about_marks_is_text(prompt: str) -> None:
    assert spelt(prompt) is None


def test_a_prompt_with_a_suffix_beside_it_is_text_whatever_is_in_it() -> None:
    model = Scripted("x")
    prompt = f"<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>"
    answered("/v1/completions", {"prompt": prompt, "suffix": "\n"}, model)
    assert [canvas.texts for canvas in model.seen] == [(prompt, "\n")]


def test_completions_are_answered_in_openai_s_shape() -> None:
    said = answered("/v1/completions", OPENAI).json()
    assert said["id"].startswith("cmpl-")
    assert said["created"] > 1_600_000_000
    assert said["object"] == "text_completion"
    assert said["model"] == "scripted"
    assert "usage" not in said  # nobody counted
    assert said["choices"] == [
        {"text": "width * height", "index": 0, "logprobs": None, "finish_reason": "stop"}
    ]


def test_completions_are_streamed_as_they_settle() -> None:
    *chunks, done = events_of(answered("/v1/completions", OPENAI | {"stream": True}, slowly()))
    assert done == "[DONE]"
    texts = [chunk["choices"][0]["text"] for chunk in chunks]
    assert "".join(texts) == "width * height"
    assert len(texts) > 3
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["stop"]
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_probabilities_are_those_of_the_pieces_that_are_told() -> None:
    model = Scripted("ab)", confidence=0.5)
    body = {"prompt": "f(", "suffix": ")\n", "logprobs": 3}
    said = answered("/v1/completions", body, model).json()["choices"][0]
    half = pytest.approx(-0.6931, abs=1e-3)
    assert said["text"] == "ab"
    assert said["logprobs"] == {
        "tokens": ["a", "b"], "token_logprobs": [half, half], "top_logprobs": None,
        "text_offset": [0, 1],
    }  # fmt: skip


def test_a_piece_of_no_probability_is_told_as_json_can() -> None:
    said = answered("/v1/completions", OPENAI | {"logprobs": 1}, Scripted("a", confidence=0.0))
    assert said.json()["choices"][0]["logprobs"]["token_logprobs"] == [-99.0]


def test_further_choices_are_the_next_best_texts_and_no_more_than_there_are() -> None:
    model = Scripted("a", rivals={"a": 0.5, "b": 0.3, "c": 0.1})
    choices = answered("/v1/completions", OPENAI | {"n": 2}, model).json()["choices"]
    assert [(it["index"], it["text"]) for it in choices] == [(0, "a"), (1, "b")]
    choices = answered("/v1/completions", OPENAI | {"n": 9}, model).json()["choices"]
    assert [it["text"] for it in choices] == ["a", "b", "c"]
    events = events_of(answered("/v1/completions", OPENAI | {"n": 2, "stream": True}, model))
    ended = [it["choices"][0]["index"] for it in events[:-1] if it["choices"][0]["finish_reason"]]
    assert ended == [0, 1]


def test_the_likeliest_text_that_closes_no_bracket_too_much_is_the_answer() -> None:
    model = Scripted("rubbish", rivals={")": 0.6, "value": 0.3, "f(": 0.1})
    body = OPENAI | {"logprobs": 1}
    (choice,) = answered("/v1/completions", body, model).json()["choices"]
    assert choice["text"] == "value"
    assert choice["logprobs"]["tokens"] == ["value"]
    assert choice["logprobs"]["token_logprobs"] == [pytest.approx(-1.204, abs=1e-3)]
    events = events_of(answered("/v1/completions", body | {"stream": True}, model))
    assert events[0]["choices"][0]["text"] == "value"  # and nothing before the choice
    body = {"prompt": "f(\n    g(1),\n    ", "suffix": "\n"}
    assert answered("/v1/completions", body, model).json()["choices"][0]["text"] == ")"


@pytest.mark.parametrize("stream", [False, True])
def test_who_writes_lines_in_returns_is_answered_in_returns(stream: bool) -> None:
    model = Scripted("a\n    b", steps_a_fill=7, seconds_a_step=0.01)
    body = {"prompt": "def f():\r\n", "suffix": "\r\nx\r\n", "max_tokens": 64, "stream": stream}
    response = answered("/v1/completions", body, model)
    assert model.seen[0].texts == ("def f():\n", "\nx\n")
    choices = (
        [it["choices"][0] for it in events_of(response)[:-1]]
        if stream
        else response.json()["choices"]
    )
    assert "".join(it["text"] for it in choices) == "a\r\n    b"


@pytest.mark.parametrize(
    ("route", "body", "field"),
    [
        ("/v1/completions", {"suffix": "x"}, "prompt"),
        ("/v1/completions", OPENAI | {"n": 0}, "n"),
        ("/v1/completions", OPENAI | {"echo": True}, "echo"),
        ("/v1/completions", OPENAI | {"suffix": ["a"]}, "suffix"),
        ("/v1/completions", OPENAI | {"max_tokens": "all"}, "max_tokens"),
        ("/v1/completions", OPENAI | {"logprobs": True}, "logprobs"),
    ],
)
def test_a_refusal_names_the_field(route: str, body: dict[str, Any], field: str) -> None:
    response = answered(route, body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == field
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_trouble_in_the_middle_of_a_stream_is_an_event() -> None:
    class Breaking(Scripted):
        async def denoise(self, *asked: Any) -> AsyncIterator[Draft]:  # type: ignore[override]
            async for draft in super().denoise(*asked):
                yield draft
                if draft.step == 4:
                    raise ModelError("out of it")

    model = Breaking("width * height", steps_a_fill=7, seconds_a_step=0.02)
    *_, last = events_of(answered("/v1/completions", OPENAI | {"stream": True}, model))
    assert last["error"]["message"] == "out of it"


def test_half_a_character_is_made_whole() -> None:
    model = Scripted("x")
    body = b'{"prompt": "a\\ud83d = ", "suffix": "\\n"}'
    assert answered("/v1/completions", body, model).status_code == 200
    assert model.seen[0].texts == ("a\ufffd = ", "\n")


@pytest.mark.parametrize("stream", [False, True])
def test_who_hangs_up_costs_no_further_step(stream: bool) -> None:
    model = Scripted("width * height", steps_a_fill=1000, seconds_a_step=0.01)

    async def asked() -> None:
        service = Service(lambda _: Loaded(model), limits=Limits())
        app = app_of(service)
        service.start()
        body = json.dumps(OPENAI | {"stream": stream}).encode()
        messages = [{"type": "http.request", "body": body}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            while model.steps < 5:
                await asyncio.sleep(0.01)
            return {"type": "http.disconnect"}

        async def send(message: object) -> None:
            pass

        scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": [],
                 "query_string": b"", "asgi": {"spec_version": "2.3"}}  # fmt: skip
        await app(scope, receive, send)  # type: ignore[arg-type]
        assert not service.visits
        steps = model.steps
        await asyncio.sleep(0.1)
        assert model.steps == steps < 20
        await service.close()

    asyncio.run(asked())
