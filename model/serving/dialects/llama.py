"""What llama.cpp's server answers to plugins that were written for it: `POST /infill`, and what
they ask to see whether it is there.

`n_predict` 0, by which plugins have a prompt read ahead, is answered at once: this model reads all
of it at each step. For the same reason timings tell no tokens of a prompt and as its time the one
in the queue; those predicted are the pieces that the model has written, each about a token. A time
limit holds from asking, and not for a single line, which would be of no use by half.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any, cast

from model.serving.dialects.answering import Dialect, Made, kind_of
from model.serving.dialects.asked import (
    Amiss,
    Asked,
    Json,
    limit_in,
    plain,
    said,
    stops_in,
    text_in,
    whole_characters,
)
from model.serving.dialects.completions import logprob
from model.serving.dialects.telling import Part


def asked(body: Json) -> Asked:
    for name in ("input_prefix", "input_suffix"):
        if body.get(name) is None:
            raise Amiss(f"{name!r} is missing: the text before and after the cursor", name)
    before = text_in(body, "input_prefix") + text_in(body, "prompt")
    after = text_in(body, "input_suffix")
    limit = limit_in(body, "n_predict", None)
    predicting = said(body, "t_max_predict_ms", float, 0.0)
    reading = said(body, "t_max_prompt_ms", float, 0.0)
    return Asked(
        before=plain(before),
        after=plain(after),
        limit=limit if limit is not None else limit_in(body, "max_tokens", None),
        stops=stops_in(body),
        others=tuple(plain(text) for text in others_in(body)),
        stream=said(body, "stream", bool, False),
        told=said(body, "n_probs", int, 0) > 0,
        returns="\r\n" in before or "\r\n" in after,
        deadline_ms=max(0.0, reading) + predicting if predicting > 0 else 0.0,
        fields=fields_in(body),
    )


def others_in(body: Json) -> list[str]:
    found: list[str] = []
    for extra in said(body, "input_extra", list, []):
        text = cast(Json, extra).get("text") if isinstance(extra, dict) else None
        if not isinstance(text, str):
            raise Amiss("each of 'input_extra' must be an object with a 'text'", "input_extra")
        found.append(whole_characters(text))
    return [text for text in found if text.strip()]


def fields_in(body: Json) -> tuple[str, ...]:
    fields = said(body, "response_fields", list, [])
    if not all(isinstance(field, str) for field in fields):
        raise Amiss("'response_fields' must be a list of strings", "response_fields")
    return tuple(fields)


def whole(made: Made, parts: Sequence[Part]) -> Json:
    return chosen(ended(made, parts[0]) | probabilities(made, parts[0]), made.asked.fields)


def events(made: Made, part: Part) -> list[Json]:
    count = len(part.pieces)
    told: Json = {
        "index": 0, "content": part.text, "tokens": [], "stop": False, "tokens_predicted": count,
    }  # fmt: skip
    found = [told | probabilities(made, part)] if part.text else []
    if part.ended:
        found.append(chosen(ended(made, part) | {"content": ""}, made.asked.fields))
    return found


def ended(made: Made, part: Part) -> Json:
    limited = part.ended == "length"
    return {
        "index": 0,
        "content": part.text,
        "tokens": [],  # ids, which say nothing to anyone else
        "stop": True,
        "model": made.model,
        "tokens_predicted": count_of(part),
        "tokens_cached": 0,
        "generation_settings": {
            "n_predict": -1 if made.asked.limit is None else made.asked.limit,
            "stop": list(made.asked.stops),
            "stream": made.asked.stream,
        },
        "has_new_line": "\n" in part.text,
        "truncated": False,
        "stop_type": "limit" if limited else "word" if part.stop else "eos",
        "stopping_word": part.stop,
        "timings": timings(made, part),
    }


def count_of(part: Part) -> int:
    return len(part.draft.holes[0]) if part.draft is not None else 0


def timings(made: Made, part: Part) -> Json:
    queue = part.draft.queue_ms if part.draft is not None else 0.0
    ms, count = (monotonic() - made.came) * 1000 - queue, count_of(part)
    return {
        "prompt_n": 0,
        "prompt_ms": round(queue, 3),
        "prompt_per_token_ms": 0.0,
        "prompt_per_second": 0.0,
        "predicted_n": count,
        "predicted_ms": round(ms, 3),
        "predicted_per_token_ms": round(ms / count, 3) if count else 0.0,
        "predicted_per_second": round(count / ms * 1000, 3) if ms > 0 else 0.0,
    }


def probabilities(made: Made, part: Part) -> Json:
    if not made.asked.told or not part.pieces:
        return {}
    entries: list[Json] = [
        {
            "token": piece.text,
            "bytes": list(piece.text.encode()),
            "logprob": logprob(piece),
            "top_logprobs": [],
        }
        for piece in part.pieces
    ]
    return {"completion_probabilities": entries}


def chosen(told: Json, fields: Sequence[str]) -> Json:
    """Those that were asked for, each named by its whole path; those that there are not, not."""
    if not fields:
        return told
    found: Json = {}
    for path in fields:
        value: Any = told
        for name in path.split("/"):
            inner = cast(Json, value) if isinstance(value, dict) else {}
            value = inner.get(name, MISSING)
        if value is not MISSING:
            found[path] = value
    return found


MISSING = object()


def trouble(status: int, sentence: str, field: str | None) -> Json:
    return {"error": {"code": status, "message": sentence, "type": kind_of(status)}}


def health(state: str, known: bool, failure: str | None) -> tuple[int, Json]:
    """Weights that are `known` and were given back while nobody asked come again when needed."""
    if state == "ready" or (state == "unloaded" and known):
        return 200, {"status": "ok"}
    return 503, trouble(503, failure or "Loading model", None)


def props(name: str, build: str) -> Json:
    return {
        "default_generation_settings": {},
        "total_slots": 1,
        "model_alias": name,
        "model_path": name,
        "chat_template": "",
        "build_info": f"infill-lsp {build}",
    }


LLAMA = Dialect(asked, whole, events, trouble, done=False)
