"""Mistral's FIM completions: what its clients read."""

from __future__ import annotations

from tests.dialects import MISTRAL, answered, events_of, slowly


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
