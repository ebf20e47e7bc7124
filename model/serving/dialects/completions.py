"""OpenAI's completions with a suffix, `POST /v1/completions`, and its list of models.

A `usage` is not told: the tokens are the model's own, and nothing here counts those of a prompt.
What a diffusion model has no use for (`temperature`, `seed`, `top_p`, …) is taken and not used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from model.canvas import Piece
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
)
from model.serving.dialects.marks import spelt
from model.serving.dialects.telling import Part

DEFAULT = 16  # tokens, as OpenAI has it
CHOICES = 128  # as OpenAI has it
LOWEST = -99.0  # JSON has no minus infinity


def asked(body: Json) -> Asked:
    prompt, suffix = text_in(body, "prompt", needed=True), text_in(body, "suffix")
    if said(body, "echo", bool, False):
        raise Amiss("'echo' is not offered: the prompt is not told again", "echo")
    choices = said(body, "n", int, 1)
    if not 1 <= choices <= CHOICES:
        raise Amiss(f"'n' must be from 1 to {CHOICES}, not {choices}", "n")
    returns = "\r\n" in prompt or "\r\n" in suffix
    prompt, suffix = plain(prompt), plain(suffix)
    told = None if suffix else spelt(prompt)
    return Asked(
        before=told.before if told else prompt,
        after=told.after if told else suffix,
        others=told.others if told else (),
        limit=limit_in(body, "max_tokens", DEFAULT),
        stops=stops_in(body),
        stream=said(body, "stream", bool, False),
        choices=choices,
        told=bool(said(body, "logprobs", int, 0)),
        returns=returns,
    )


def whole(made: Made, parts: Sequence[Part]) -> Json:
    return completion(made, [choice(made, part, part.ended) for part in parts])


def events(made: Made, part: Part) -> list[Json]:
    told = [completion(made, [choice(made, part, None)])] if part.text else []
    if part.ended:
        end = Part(at=part.at + len(part.text), choice=part.choice)
        told.append(completion(made, [choice(made, end, part.ended)]))
    return told


def completion(made: Made, choices: list[Json]) -> Json:
    return {
        "id": f"cmpl-{made.id}",
        "object": "text_completion",
        "created": made.created,
        "model": made.model,
        "choices": choices,
    }


def choice(made: Made, part: Part, ended: str | None) -> Json:
    return {
        "text": part.text,
        "index": part.choice,
        "logprobs": logprobs(part) if made.asked.told and part.pieces else None,
        "finish_reason": ended,
    }


def logprobs(part: Part) -> Json:
    """The model says of each piece how probable it is, and of no other how probable that was."""
    offsets, at = list[int](), part.at
    for piece in part.pieces:
        offsets.append(at)
        at += len(piece.text)
    return {
        "tokens": [piece.text for piece in part.pieces],
        "token_logprobs": [logprob(piece) for piece in part.pieces],
        "top_logprobs": None,
        "text_offset": offsets,
    }


def logprob(piece: Piece) -> float:
    return max(LOWEST, math.log(piece.confidence)) if piece.confidence > 0 else LOWEST


def trouble(status: int, sentence: str, field: str | None) -> Json:
    return {"error": {"message": sentence, "type": kind_of(status), "param": field, "code": None}}


def models(name: str, created: int) -> Json:
    return {"object": "list", "data": [model(name, created)]}


def model(name: str, created: int) -> Json:
    return {"id": name, "object": "model", "created": created, "owned_by": "infill-lsp"}


COMPLETIONS = Dialect(asked, whole, events, trouble)
