"""Endpoints of other kinds of servers, as far as they are alike: what their clients send becomes a
canvas, the best text is the answer, and what cannot be done is told as those servers would."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infill.between import chosen_between
from model.canvas import Draft, Piece
from model.scripted import Scripted
from model.serving.dialects.asked import Asked, head, tail
from model.serving.service import Limits
from tests.dialects import AFTER, ASKS, BEFORE, answered, sentence_of


@pytest.mark.parametrize("route", ASKS)
def test_the_text_round_the_cursor_becomes_the_canvas(route: str) -> None:
    model = Scripted("x")
    answered(route, ASKS[route] | {"stop": ["\n"]}, model)
    assert [canvas.texts for canvas in model.seen] == [(BEFORE, AFTER)]
    assert [canvas.wide for canvas in model.seen] == [(BEFORE, AFTER)]
    assert [claim.document for claim in model.claims] == [""]  # nothing says which one it is


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


@pytest.mark.parametrize("route", ASKS)
def test_fields_that_mean_nothing_here_are_taken(route: str) -> None:
    strange = {"temperature": 0.7, "seed": 3, "top_p": 0.9, "samplers": ["top_k"], "user": "me",
               "cache_prompt": True, "id_slot": 0, "n_indent": 4, "never": {"heard": "of"},
               "stream_options": {"include_usage": True}, "stop": None}  # fmt: skip
    assert answered(route, ASKS[route] | strange).status_code == 200


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


@pytest.mark.parametrize(
    ("route", "none"),
    [("/v1/completions", "max_tokens"), ("/infill", "n_predict"),
     ("/v1/fim/completions", "max_tokens")],
)  # fmt: skip
def test_to_predict_nothing_is_answered_without_a_step(route: str, none: str) -> None:
    model = Scripted("x")
    response = answered(route, ASKS[route] | {none: 0, "response_fields": [""]}, model)
    assert (response.status_code, model.steps) == (200, 0)


def test_models_are_listed_and_any_name_is_the_one_there_is() -> None:
    said = answered("/v1/models", b"", method="GET").json()
    assert [it["object"] for it in said["data"]] == ["model"]
    assert answered("/v1/models/codestral-latest", b"", method="GET").json()["object"] == "model"


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


@pytest.mark.parametrize("route", ASKS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_cannot_answer_is_a_status_and_a_sentence(route: str, stream: bool) -> None:
    response = answered(route, ASKS[route] | {"stream": stream}, Scripted("", error="out of it"))
    assert response.status_code == 503
    assert sentence_of(route, response) == "out of it"


@pytest.mark.parametrize("route", ASKS)
def test_too_much_and_too_many_are_refused(route: str) -> None:
    assert answered(route, ASKS[route], limits=Limits(body=50)).status_code == 413
    busy = answered(route, ASKS[route], limits=Limits(queue=0))
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")
    assert sentence_of(route, busy)
