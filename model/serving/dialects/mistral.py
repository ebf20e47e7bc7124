"""Mistral's fill in the middle, `POST /v1/fim/completions`.

Its `usage`, which its own client cannot do without, counts the pieces that the model has written,
each about a token; those of the prompt are not counted and told as 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.serving.dialects.answering import Dialect, Made, kind_of
from model.serving.dialects.asked import Asked, Json, limit_in, plain, said, stops_in, text_in
from model.serving.dialects.telling import Part


def asked(body: Json) -> Asked:
    prompt, suffix = text_in(body, "prompt", needed=True), text_in(body, "suffix")
    return Asked(
        before=plain(prompt),
        after=plain(suffix),
        limit=limit_in(body, "max_tokens", None),
        stops=stops_in(body),
        stream=said(body, "stream", bool, False),
        returns="\r\n" in prompt or "\r\n" in suffix,
    )


def whole(made: Made, parts: Sequence[Part]) -> Json:
    choices = [
        {
            "index": part.choice,
            "message": {"role": "assistant", "content": part.text, "tool_calls": None},
            "finish_reason": part.ended,
        }
        for part in parts
    ]
    return told(made, "chat.completion", choices) | {"usage": usage(parts[0])}


def events(made: Made, part: Part) -> list[Json]:
    delta = {"role": "assistant", "content": part.text}
    choice = {"index": part.choice, "delta": delta, "finish_reason": part.ended or None}
    event = told(made, "chat.completion.chunk", [choice])
    return [event | {"usage": usage(part)} if part.ended else event]


def told(made: Made, kind: str, choices: list[Json]) -> Json:
    return {
        "id": made.id,
        "object": kind,
        "created": made.created,
        "model": made.model,
        "choices": choices,
    }


def usage(part: Part) -> Json:
    count = len(part.draft.holes[0]) if part.draft is not None else 0
    return {"prompt_tokens": 0, "completion_tokens": count, "total_tokens": count}


def trouble(status: int, sentence: str, field: str | None) -> Json:
    return {
        "object": "error", "message": sentence, "type": kind_of(status), "param": field,
        "code": str(status),
    }  # fmt: skip


MISTRAL = Dialect(asked, whole, events, trouble)
