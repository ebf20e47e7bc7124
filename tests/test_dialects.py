"""Endpoints of other kinds of servers: what their clients send becomes a canvas, and what they read
is told, as those servers would. The official client and our own ask a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import httpx
import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infill.between import chosen_between
from model.canvas import Canvas, Draft, Hole, ModelError, Piece
from model.fallback import Loaded
from model.load import load
from model.scripted import Scripted
from model.serving.app import Guard, app_of
from model.serving.dialects.asked import Asked, head, tail
from model.serving.dialects.marks import spelt
from model.serving.dialects.telling import Choose, Part, chosen_here, cut, joined, kept_of, parts
from model.serving.service import Limits, Service
from tests.served import TOKEN, Served, served

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


# What is asked.


@pytest.mark.parametrize("route", ASKS)
def test_the_text_round_the_cursor_becomes_the_canvas(route: str) -> None:
    model = Scripted("x")
    answered(route, ASKS[route] | {"stop": ["\n"]}, model)
    assert [canvas.texts for canvas in model.seen] == [(BEFORE, AFTER)]
    assert [canvas.wide for canvas in model.seen] == [(BEFORE, AFTER)]
    assert [claim.document for claim in model.claims] == [""]  # nothing says which one it is


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


def test_the_files_of_llama_cpp_s_input_extra_are_other_texts_of_the_project() -> None:
    model = Scripted("x")
    extra = [{"filename": "a.py", "text": "import os\r\n", "time": 1}, {"text": " \n"}]
    answered("/infill", LLAMA | {"input_extra": extra}, model)
    assert [canvas.others for canvas in model.seen] == [("import os\n",)]


@pytest.mark.parametrize(
    ("asked", "several"),
    [
        (Asked("def f():\n", "\n"), True),
        (Asked("def f():", "\nx = 1\n"), True),
        (Asked("function f() {", "  \n}\n"), True),
        (Asked("x = ", "\n"), False),  # the line is begun
        (Asked("def f():\n", "\n", stops=("\n",)), False),
        (Asked("def f():\n", "\n", stops=("\n\n",)), True),
        (Asked("def f():\n", "\n", limit=24), False),
        (Asked("f(", ")\n"), False),  # something follows on the line
        (Asked("", ""), True),
    ],
)
def test_a_block_is_meant_where_nothing_forbids_it(asked: Asked, several: bool) -> None:
    canvas = asked.canvas(Scripted("").card)
    assert canvas.holes[0].multiline is several
    assert canvas.holes[0].limit <= (128 if several else 48)


@given(st.text("ab\n", max_size=30), st.integers(1, 30))
def test_what_a_model_cannot_see_is_cut_from_the_far_ends(text: str, room: int) -> None:
    assert text.endswith(tail(text, room))
    assert len(tail(text, room)) <= room
    assert text.startswith(head(text, room))
    assert len(head(text, room)) <= room
    assert bool(tail(text, room)) == bool(head(text, room)) == bool(text)


def test_a_time_limit_holds_for_a_block_and_brings_the_best_so_far() -> None:
    model = Scripted("one\n    two", steps_a_fill=100, seconds_a_step=0.02)
    block = {"input_prefix": "def f():\n", "input_suffix": "\n"}
    limits = {"t_max_prompt_ms": 100, "t_max_predict_ms": 200}
    said = answered("/infill", block | limits, model).json()
    assert (said["content"], said["stop_type"]) == ("one\n    two", "limit")
    assert [claim.deadline_ms for claim in model.claims] == [pytest.approx(300, abs=100)]
    assert model.steps < 50


def test_a_line_is_finished_whatever_the_time_limit() -> None:
    model = Scripted("width", steps_a_fill=5, seconds_a_step=0.02)
    said = answered("/infill", LLAMA | {"t_max_predict_ms": 1}, model).json()
    assert (said["content"], said["stop_type"]) == ("width", "eos")


@pytest.mark.parametrize("route", ASKS)
def test_fields_that_mean_nothing_here_are_taken(route: str) -> None:
    strange = {"temperature": 0.7, "seed": 3, "top_p": 0.9, "samplers": ["top_k"], "user": "me",
               "cache_prompt": True, "id_slot": 0, "n_indent": 4, "never": {"heard": "of"},
               "stream_options": {"include_usage": True}, "stop": None}  # fmt: skip
    assert answered(route, ASKS[route] | strange).status_code == 200


# What is answered.


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


def slowly() -> Scripted:
    """Slow enough for each draft to be read: of those that wait only the newest is kept."""
    return Scripted("width * height", steps_a_fill=7, seconds_a_step=0.02)


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
    said = answered("/infill", LLAMA | {"n_probs": 1}, model).json()
    assert [it["token"] for it in said["completion_probabilities"]] == ["a", "b", ")"]
    assert said["completion_probabilities"][0]["logprob"] == half


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


@pytest.mark.parametrize("route", ASKS)
def test_where_the_texts_can_be_read_as_code_the_best_of_them_is_the_answer(route: str) -> None:
    model = Scripted("rubbish", rivals={"width +": 0.6, "nothing": 0.3, "width * height": 0.1},
                     languages=frozenset({"python"}))  # fmt: skip
    response = answered(route, ASKS[route], model, choose=chosen_between)
    assert "width * height" in response.text  # the others do not parse, or are not known here
    assert "rubbish" not in response.text


@pytest.mark.parametrize(
    ("before", "written", "after", "told"),
    [
        ("print(", "value)", ")\n", "value"),
        ("def f():\n    ", "    return 1", "\n", "return 1"),
        ("x = ", ")", "\n", ""),  # nothing of it may stand there
    ],
)
def test_what_was_written_alone_is_tidied(before: str, written: str, after: str, told: str) -> None:
    canvas = Asked(before, after).canvas(Scripted("").card)
    draft = Draft(1, ((Piece(written, 0.9),),), True)
    assert asyncio.run(chosen_between(draft, canvas, Scripted("").card)) == told


def test_infill_is_answered_in_llama_cpp_s_shape() -> None:
    said = answered("/infill", LLAMA).json()
    assert {name: said[name] for name in ("content", "stop", "truncated", "tokens_cached")} == {
        "content": "width * height", "stop": True, "truncated": False, "tokens_cached": 0,
    }  # fmt: skip
    assert said["tokens_predicted"] == said["timings"]["predicted_n"] == 14
    assert said["timings"]["predicted_ms"] > 0
    assert isinstance(said["generation_settings"], dict)


def test_fields_of_an_answer_are_chosen_by_their_paths() -> None:
    fields = ["content", "timings/predicted_n", "timings/nothing", "", "truncated/x"]
    said = answered("/infill", LLAMA | {"response_fields": fields}).json()
    assert said == {"content": "width * height", "timings/predicted_n": 14}


def test_infill_is_streamed_in_parts_of_which_the_last_says_stop() -> None:
    *parts, last = events_of(answered("/infill", LLAMA | {"stream": True}, slowly()))
    assert "".join(part["content"] for part in parts) == "width * height"
    assert len(parts) > 3
    assert not any(part["stop"] for part in parts)
    assert (last["content"], last["stop"], last["timings"]["predicted_n"]) == ("", True, 14)


@pytest.mark.parametrize(
    ("route", "none"),
    [("/v1/completions", "max_tokens"), ("/infill", "n_predict"),
     ("/v1/fim/completions", "max_tokens")],
)  # fmt: skip
def test_to_predict_nothing_is_answered_without_a_step(route: str, none: str) -> None:
    model = Scripted("x")
    response = answered(route, ASKS[route] | {none: 0, "response_fields": [""]}, model)
    assert (response.status_code, model.steps) == (200, 0)


def test_mistral_s_completions_are_answered_in_its_shape() -> None:
    said = answered("/v1/fim/completions", MISTRAL).json()
    assert said["object"] == "chat.completion"
    assert said["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "width * height", "tool_calls": None},
            "finish_reason": "stop",
        }
    ]
    assert said["usage"] == {"prompt_tokens": 0, "completion_tokens": 14, "total_tokens": 14}


def test_mistral_s_completions_are_streamed_in_deltas() -> None:
    *chunks, done = events_of(answered("/v1/fim/completions", MISTRAL | {"stream": True}, slowly()))
    assert done == "[DONE]"
    texts = [chunk["choices"][0]["delta"]["content"] for chunk in chunks]
    assert "".join(texts) == "width * height"
    assert len(texts) > 3
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == "stop"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}


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


def test_models_are_listed_and_any_name_is_the_one_there_is() -> None:
    said = answered("/v1/models", b"", method="GET").json()
    assert [it["object"] for it in said["data"]] == ["model"]
    assert answered("/v1/models/codestral-latest", b"", method="GET").json()["object"] == "model"


def test_a_server_is_well_once_its_model_is_loaded() -> None:
    async def asked() -> list[int]:
        loading = asyncio.Event()
        found: list[int] = []
        loop = asyncio.get_running_loop()

        def load(_: object) -> Loaded:
            asyncio.run_coroutine_threadsafe(loading.wait(), loop).result()
            return Loaded(Scripted("x"))

        service = Service(load, limits=Limits())
        transport = httpx.ASGITransport(app_of(service, guard=Guard(TOKEN)))
        service.start()
        async with httpx.AsyncClient(transport=transport, base_url="http://it") as client:
            found.append((await client.get("/health")).status_code)  # and it needs no token
            loading.set()
            await service.card()
            found.append((await client.get("/health")).status_code)
            found.append((await client.get("/props")).status_code)
        await service.close()
        return found

    assert asyncio.run(asked()) == [503, 200, 401]


# What is refused.


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


@pytest.mark.parametrize("route", ASKS)
@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"prompt": ["a", "b"]}, 400, "one string"),
        ({"prompt": [1, 2, 3]}, 400, "token ids"),
        ({"prompt": {"a": 1}}, 400, "must be a string, not an object"),
        ({"stop": [1]}, 400, "'stop'"),
        ({"stop": 7}, 400, "'stop'"),
        ({"stream": "yes"}, 400, "'stream' must be true or false, not a string"),
        (b"{", 400, "not JSON"),
        (b"[]", 400, "an object"),
        (b'{"prompt": NaN}', 400, "not JSON"),
    ],
)
def test_what_cannot_be_used_is_refused_in_the_dialect_s_shape(
    route: str, change: dict[str, Any] | bytes, status: int, words: str
) -> None:
    body = change if isinstance(change, bytes) else ASKS[route] | change
    response = answered(route, body)
    assert response.status_code == status
    assert words in sentence_of(route, response)


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


@pytest.mark.parametrize(
    "body",
    [
        {"input_prefix": "a"},
        {"input_suffix": "a"},
        LLAMA | {"input_extra": ["a"]},
        LLAMA | {"input_extra": [{"filename": "a"}]},
        LLAMA | {"response_fields": [1]},
        LLAMA | {"n_predict": 1.5},
    ],
)
def test_what_llama_cpp_would_refuse_is_refused(body: dict[str, Any]) -> None:
    response = answered("/infill", body)
    assert response.status_code == 400
    assert sentence_of("/infill", response)


@pytest.mark.parametrize("route", ASKS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_cannot_answer_is_a_status_and_a_sentence(route: str, stream: bool) -> None:
    response = answered(route, ASKS[route] | {"stream": stream}, Scripted("", error="out of it"))
    assert response.status_code == 503
    assert sentence_of(route, response) == "out of it"


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


@pytest.mark.parametrize("route", ASKS)
def test_too_much_and_too_many_are_refused(route: str) -> None:
    assert answered(route, ASKS[route], limits=Limits(body=50)).status_code == 413
    busy = answered(route, ASKS[route], limits=Limits(queue=0))
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")
    assert sentence_of(route, busy)


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


# What is told of drafts.


@pytest.mark.parametrize(
    ("before", "text", "after", "kept"),
    [
        ("x = ", "y", "\n", "y"),
        ("print(", "value)", ")\n", "value"),
        ("print(", "f(value)", ")\n", "f(value)"),
        ("print(f(", "value)", ")\n", "value)"),  # one for each
        ("x = '", "abc'", "'\n", "abc"),
        ("x = [", "1, 2]", "]\n", "1, 2"),
        ("def f():\n    ", "return total", " total\n", "return"),
        ("def f():\n    ", "return subtotal", "total\n", "return subtotal"),  # not in a word
        ("def f():\n", "    a = 1\n    return a", "\n    return a\n", "    a = 1"),
        ("def f():\n", "    a = 1\n    return a\n    b", "\n\n    return a\n", "    a = 1"),
        ("def f():\n", "    a = 1\n\n\n", "\n", "    a = 1"),
        ("x = ", "1  ", " + y\n", "1  "),  # blanks that something follows
        ("x = ", "1\ny = 2", "\n", "1"),
    ],
)
def test_what_follows_the_cursor_is_not_told_again(
    before: str, text: str, after: str, kept: str
) -> None:
    assert kept_of(text, Asked(before, after), final=True).text == kept


@pytest.mark.parametrize(
    ("stops", "text", "kept", "stop"),
    [
        (("\n\n",), "a\n\nb", "a", "\n\n"),
        (("c", "bc"), "abcd", "a", "bc"),  # the first to be met
        (("x",), "abc", "abc", ""),
    ],
)
def test_a_text_ends_before_the_first_stop(
    stops: tuple[str, ...], text: str, kept: str, stop: str
) -> None:
    found = kept_of(text, Asked("def f():\n", "\n", stops=stops), final=True)
    assert (found.text, found.stop) == (kept, stop)


FEW = st.text("a()\n ", max_size=12)
ASKED = st.builds(
    Asked,
    st.sampled_from(["", "f(", "if a:\n", "x = "]),
    FEW,
    stops=st.lists(st.text("a)\n", min_size=1, max_size=3), max_size=2).map(tuple),
    stream=st.just(True),
)


@given(ASKED, FEW, FEW)
@example(Asked("", stops=("ab",)), "xa", "b")
@example(Asked("", "\na a a"), "a\na", " a a")
@example(Asked("f(", ")\n"), "a)", "")
@example(Asked("f(", ")\n"), "a)", "b")
def test_what_is_sure_of_a_beginning_is_a_beginning_of_what_is_kept(
    asked: Asked, text: str, more: str
) -> None:
    sure = kept_of(text, asked, final=False)
    kept = kept_of(text + more, asked, final=True)
    assert kept.text.startswith(sure.text)
    assert not sure.sure or kept.text == sure.text


def told_of(drafts: Sequence[Draft], asked: Asked, limit: int = 100) -> list[Part]:
    async def played() -> AsyncIterator[Draft]:
        for draft in drafts:
            yield draft

    async def told() -> list[Part]:
        async with aclosing(parts(played(), asked, limit)) as found:
            return [part async for part in found]

    return asyncio.run(told())


@st.composite
def refinements(draw: st.DrawFn) -> list[Draft]:
    """Drafts of one text: in each some more of it has settled, anywhere; the rest is guessed."""
    text = draw(FEW)
    order = draw(st.permutations(range(len(text))))
    drafts: list[Draft] = []
    counts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=5)))
    for step, count in enumerate([*counts, len(text)]):
        final = step == len(counts)
        settled = set(order[:count])
        guesses = [draw(st.sampled_from("ab(\n")) for _ in text]
        pieces = tuple(
            Piece(text[i] if i in settled or final else guesses[i], 0.5, i in settled)
            for i in range(len(text))
        )
        drafts.append(Draft(step, (pieces,), final))
    return drafts


@given(refinements(), ASKED)
def test_nothing_that_was_streamed_is_taken_back(drafts: list[Draft], asked: Asked) -> None:
    streamed = told_of(drafts, asked)
    whole = told_of(drafts, Asked(asked.before, asked.after, stops=asked.stops))
    assert [part.ended for part in whole] == ["stop"]
    assert "".join(part.text for part in streamed) == whole[0].text
    assert [bool(part.ended) for part in streamed] == [False] * (len(streamed) - 1) + [True]
    assert all(joined(part.pieces) == part.text for part in streamed)
    at = 0
    for part in streamed:
        assert part.at == at
        at += len(part.text)


PIECES = st.lists(st.builds(Piece, FEW, st.just(0.5), st.booleans()), max_size=4).map(tuple)


@given(st.lists(st.builds(lambda it: Draft(1, (it,), False), PIECES), max_size=4), PIECES, ASKED)
def test_a_draft_that_contradicts_what_was_streamed_ends_it_there(
    drafts: list[Draft], last: tuple[Piece, ...], asked: Asked
) -> None:
    final = Draft(9, (last,), True)
    streamed = told_of([*drafts, final], asked)
    text = "".join(part.text for part in streamed)
    whole = told_of([final], asked)[0].text
    early = streamed[-1].draft is not final  # a stop was met in what had settled
    assert early or text == whole or (streamed[-1].text, streamed[-1].ended) == ("", "length")


def test_drafts_that_end_early_leave_the_best_so_far() -> None:
    guess = Draft(1, ((Piece("a", 0.9, True), Piece("b", 0.4, False)),), False)
    asked = Asked("x = ", "\n", stream=True)
    assert [(it.text, it.ended) for it in told_of([guess], asked)] == [("a", ""), ("b", "length")]
    assert [(it.text, it.ended) for it in told_of([], asked)] == [("", "length")]


def test_a_hole_that_is_full_says_that_its_length_ended_it() -> None:
    final = Draft(1, (tuple(Piece(it, 0.9) for it in "abc"),), True)
    assert told_of([final], Asked("x = "), limit=3)[0].ended == "length"
    assert told_of([final], Asked("x = "), limit=4)[0].ended == "stop"


@given(st.lists(FEW), st.integers(0, 9), st.integers(0, 9))
def test_cutting_pieces_cuts_their_text(texts: list[str], start: int, more: int) -> None:
    pieces = [Piece(text, 0.5) for text in texts]
    assert joined(cut(pieces, start, start + more)) == joined(pieces)[start : start + more]


# Real clients of a real server.


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
