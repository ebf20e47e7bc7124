"""What each kind of endpoint is asked, and what its events say: as their makers document it.

vllm       POST /v1/chat/completions of vLLM, for instruction-tuned networks such as DiffusionGemma:
           vLLM's /v1/completions has no suffix. The last message is the beginning of the answer,
           to be gone on with (`continue_final_message`), so no chatter comes before the code.
llama.cpp  POST /infill of llama-server: the line up to the cursor is the `prompt`, which stands
           behind the token for the middle.
openai     POST /v1/completions with `prompt` and `suffix`.
mistral    POST /v1/fim/completions, of Mistral and others.

Pure: knows JSON objects, neither HTTP nor how an answer becomes a fill.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from model.canvas import Hole
from model.endpoint.frame import Frame

Json = dict[str, Any]
Token = tuple[str, float]  # its text, and the probability that it was written with

CLOSING = 16  # tokens beyond the hole's own: blanks that come again, the end of the fence


@dataclass(frozen=True, slots=True)
class Heard:
    """What one event said. Tokens may come before or after the text that they are the parts of."""

    text: str = ""
    tokens: tuple[Token, ...] = ()
    ended: bool = False


class Unreadable(Exception):
    """An event of no documented shape. It holds none of the event's words."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`body` makes the request of network, frame, hole, and whether to say probabilities."""

    route: str
    body: Callable[[str, Frame, Hole, bool], Json]
    heard: Callable[[Json], Heard]
    needs_model: bool = True
    prompted: bool = False  # the suffix is told in words, so the answer stands in a code fence


def vllm_body(model: str, frame: Frame, hole: Hole, logprobs: bool) -> Json:
    return {
        "model": model,
        "messages": [
            {"role": "user", "content": frame.question},
            {"role": "assistant", "content": frame.begun},
        ],
        "add_generation_prompt": False,
        "continue_final_message": True,
        "chat_template_kwargs": {"enable_thinking": False},
        "skip_special_tokens": False,  # else what they mark off could not be told from code
        "max_completion_tokens": hole.limit + CLOSING,
        "temperature": 0,
        "stop": [f"\n{frame.fence}"],
        "stream": True,
        **({"logprobs": True} if logprobs else {}),
    }


def llama_body(model: str, frame: Frame, hole: Hole, logprobs: bool) -> Json:
    lines, end, line = frame.before.rpartition("\n")
    return {
        **({"model": model} if model else {}),
        "input_prefix": lines + end,
        "prompt": line,
        "input_suffix": frame.after,
        "n_predict": hole.limit,
        "temperature": 0,
        "stop": line_end(hole),
        "stream": True,
        "cache_prompt": True,
        **({"n_probs": 1} if logprobs else {}),
    }


def openai_body(model: str, frame: Frame, hole: Hole, logprobs: bool) -> Json:
    return mistral_body(model, frame, hole, logprobs) | ({"logprobs": 1} if logprobs else {})


def mistral_body(model: str, frame: Frame, hole: Hole, logprobs: bool) -> Json:
    """Mistral's has no probabilities."""
    stop = line_end(hole)
    return {
        "model": model,
        "prompt": frame.before,
        "suffix": frame.after,
        "max_tokens": hole.limit,
        "temperature": 0,
        **({"stop": stop} if stop else {}),
        "stream": True,
    }


def line_end(hole: Hole) -> list[str]:
    return [] if hole.multiline else ["\n"]


def openai_heard(event: Json) -> Heard:
    """Of chats and completions, a whole answer as well as a part of one."""
    choices: Any = event.get("choices")
    if choices == []:  # only what it cost
        return Heard()
    if not isinstance(choices, list) or not isinstance(choices[0], dict):
        raise Unreadable
    said = cast(Json, choices[0])
    part: Any = said.get("delta") or said.get("message") or said
    if not isinstance(part, dict) or said.get("finish_reason") == "error":
        raise Unreadable
    part = cast(Json, part)
    text = part.get("text") if part is said else part.get("content")
    if not isinstance(text, str | None):
        raise Unreadable
    thought = part.get("reasoning") or part.get("reasoning_content")
    tokens = () if thought else openai_tokens(said.get("logprobs"))
    return Heard(text or "", tokens, ended=said.get("finish_reason") is not None)


def openai_tokens(logprobs: Any) -> tuple[Token, ...]:
    """Those of chats, {"content": [{"token", "logprob"}, …]}, or of completions, two lists."""
    if not isinstance(logprobs, dict):
        return ()
    said = cast(Json, logprobs)
    content, texts, numbers = (said.get(it) for it in ("content", "tokens", "token_logprobs"))
    if isinstance(content, list):
        return tokens_in(cast("list[Any]", content))
    if isinstance(texts, list) and isinstance(numbers, list):
        pairs = zip(cast("list[Any]", texts), cast("list[Any]", numbers), strict=False)
        return tokens_in([{"token": text, "logprob": number} for text, number in pairs])
    return ()


def llama_heard(event: Json) -> Heard:
    text, entries = event.get("content"), event.get("completion_probabilities")
    if not isinstance(text, str):
        raise Unreadable
    tokens = tokens_in(cast("list[Any]", entries)) if isinstance(entries, list) else ()
    return Heard(text, tokens, ended=event.get("stop") is True)


def tokens_in(entries: list[Any]) -> tuple[Token, ...]:
    """Those that say both; a server that says neither is no error."""
    found: list[Token] = []
    for entry in entries:
        said = cast(Json, entry) if isinstance(entry, dict) else {}
        text, logprob = said.get("token"), said.get("logprob")
        if isinstance(text, str) and isinstance(logprob, int | float) and logprob == logprob:
            found.append((text, math.exp(max(-99.0, min(0.0, logprob)))))  # JSON has any number
    return tuple(found)


KINDS: Mapping[str, Kind] = {
    "vllm": Kind("/v1/chat/completions", vllm_body, openai_heard, prompted=True),
    "llama.cpp": Kind("/infill", llama_body, llama_heard, needs_model=False),
    "openai": Kind("/v1/completions", openai_body, openai_heard),
    "mistral": Kind("/v1/fim/completions", mistral_body, openai_heard),
}
