"""llama.cpp's `/infill`: what its clients send, and what they read."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from model.fallback import Loaded
from model.scripted import Scripted
from model.serving.app import Guard, app_of
from model.serving.service import Limits, Service
from tests.dialects import LLAMA, answered, events_of, sentence_of, slowly
from tests.served import TOKEN


def test_the_files_of_llama_cpp_s_input_extra_are_other_texts_of_the_project() -> None:
    model = Scripted("x")
    extra = [{"filename": "a.py", "text": "import os\r\n", "time": 1}, {"text": " \n"}]
    answered("/infill", LLAMA | {"input_extra": extra}, model)
    assert [canvas.others for canvas in model.seen] == [("import os\n",)]


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


def test_probabilities_stand_beside_each_piece() -> None:
    model = Scripted("ab)", confidence=0.5)
    said = answered("/infill", LLAMA | {"n_probs": 1}, model).json()
    assert [it["token"] for it in said["completion_probabilities"]] == ["a", "b", ")"]
    assert said["completion_probabilities"][0]["logprob"] == pytest.approx(-0.6931, abs=1e-3)
