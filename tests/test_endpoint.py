"""Networks that are elsewhere: asked as their servers document it, drafted as they write, and each
trouble is one sentence."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from infill.document import Document
from infill.fill import fill_at
from infill.memory import Memory
from infill.reason import Reason
from infill.settings import Settings
from lsp.command import run
from model.canvas import Canvas, Denoiser, Draft, Hole, ModelError
from model.endpoint.client import pieces_of
from model.endpoint.events import MOST, Oversized, events
from model.endpoint.frame import fenced, span_of
from model.endpoint.site import site_from
from model.endpoint.wire import tokens_in
from model.load import card_of, load
from tests.raw_client import ROOT, RawClient, server_command
from tests.vllm import Server, serving

BEFORE, AFTER = "def area(width, height):\n    return ", "\n\n\nprint(area(3, 4))\n"
CANVAS = Canvas((BEFORE, AFTER), (Hole(0, 0, limit=16),))
KINDS = ["vllm", "llama.cpp", "openai", "mistral"]


def keys_for(it: Server, kind: str = "openai", **more: Any) -> dict[str, Any]:
    return {"url": it.url, "kind": kind, "model": "it", "timeout": 5.0, **more}


def drafts_of(keys: dict[str, Any]) -> list[Draft]:
    return drafts_of_it(load("endpoint", keys=keys))


def drafts_of_it(network: Denoiser) -> list[Draft]:
    async def asked() -> list[Draft]:
        return [draft async for draft in network.denoise(CANVAS)]

    return asyncio.run(asked())


def sentence_of(keys: dict[str, Any]) -> str:
    with pytest.raises(ModelError) as caught:
        drafts_of(keys)
    assert "return" not in str(caught.value)  # no code
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("probability", [0.8, None])
def test_each_kind_is_asked_as_it_is_documented_and_drafts_as_it_is_written(
    kind: str, probability: float | None
) -> None:
    with serving(probability=probability) as it:
        drafts = drafts_of(keys_for(it, kind))
    assert it.refused == []
    assert [draft.texts for draft in drafts] == [("width",), *[("width * height",)] * 2]
    assert [draft.final for draft in drafts] == [False, False, True]
    told = probability is not None
    wanted = [0.8, 0.8] if told else [0.5]
    assert [piece.confidence for piece in drafts[-1].holes[0]] == pytest.approx(wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_are_sent_and_nothing_else_of_the_user_s(kind: str) -> None:
    with serving() as it:
        drafts_of(keys_for(it, kind))
    ((_, body),) = it.seen
    sent = str(body).replace("\\n", "\n")
    assert "def area(width, height):" in sent
    assert "print(area(3, 4))" in sent
    assert str(ROOT) not in sent


def test_a_server_that_does_not_stream_is_understood() -> None:
    with serving(play="whole") as it:
        assert drafts_of(keys_for(it, "vllm"))[-1].texts == ("width * height",)


@pytest.mark.parametrize(
    ("answer", "fill"),
    [
        ("width * height", "width * height"),
        (" width", "width"),  # the blank that was not sent comes again
        ("width\n```\nThat is the area.", "width"),
        ("width<turn|>", "width"),
        ("<|channel>thought\nhm<channel|>width", "width"),
        ("```python\ndef area(width, height):\n    return width\n```", None),
        ("width\n\n\nprint(area(3, 4))\n", "width"),
        ("", ""),
    ],
)
def test_of_a_prompted_answer_only_the_fill_is_kept(answer: str, fill: str | None) -> None:
    frame = fenced(BEFORE, AFTER)
    start, end = span_of(answer, frame, final=True)
    if fill is None:  # it began anew: what is left is told apart by those who know code
        assert answer[start:end].rstrip().endswith("width")
        assert "```" not in answer[start:end]
    else:
        assert answer[start:end].rstrip("\n") == fill


def test_a_file_that_holds_fences_gets_a_longer_one() -> None:
    frame = fenced("'''\n````\n'''\nx = ", "\n")
    assert frame.fence == "`````"


@given(
    st.lists(st.tuples(st.text(max_size=3), st.floats(0, 1)), max_size=6),
    st.integers(0, 12),
    st.integers(0, 12),
    st.booleans(),
)
def test_the_pieces_are_the_stretch(
    tokens: list[tuple[str, float]], start: int, end: int, others: bool
) -> None:
    text = "".join(word for word, _ in tokens)
    assume(not text.startswith("\0"))
    told = [("\0other", 1.0), *tokens] if others else tokens
    pieces = pieces_of(text, told, start, end, 0.5)
    assert "".join(piece.text for piece in pieces) == text[start:end]
    if others:
        assert all(piece.confidence == 0.5 for piece in pieces)


@pytest.mark.parametrize(
    ("text", "tokens", "sure"),
    [
        ("width", [("width", 0.9), ("\n", 0.8), ("```", 0.8)], [0.9]),  # what ended it is told, too
        ("width", [("width", 0.9), ("<turn|>", 0.8)], [0.9]),
        ("a)", [("a", 0.9), (")\n", 0.8)], [0.9, 0.8]),  # a stop within a token
        ("width", [("wi", 0.9), ("der", 0.8)], [0.9, 0.5]),
    ],
)
def test_a_token_s_probability_counts_as_far_as_the_tokens_are_the_text(
    text: str, tokens: list[tuple[str, float]], sure: list[float]
) -> None:
    pieces = pieces_of(text, tokens, 0, len(text), 0.5)
    assert "".join(piece.text for piece in pieces) == text
    assert [piece.confidence for piece in pieces] == sure


@pytest.mark.parametrize("logprob", [float("nan"), -(10**400), 5])
def test_no_number_that_a_server_tells_is_believed_beyond_reason(logprob: float) -> None:
    for _, probability in tokens_in([{"token": "x", "logprob": logprob}]):
        assert 0 <= probability <= 1
    assert tokens_in([{"token": "x", "logprob": float("nan")}]) == ()


LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1)


@given(st.lists(LINES), st.randoms())
def test_events_are_the_same_however_the_bytes_come(said: list[str], chance: Any) -> None:
    raw = "".join(f"data: {it}\n\n" for it in said).encode()

    async def chunks() -> AsyncIterator[bytes]:
        at = 0
        while at < len(raw):
            size = chance.randint(1, 9)
            yield raw[at : at + size]
            at += size

    async def heard() -> list[bytes]:
        return [event async for event in events(chunks())]

    assert asyncio.run(heard()) == [it.encode() for it in said]


def test_an_event_that_never_ends_is_not_kept() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"data" * 1000

    async def heard() -> None:
        async for _ in events(endless()):
            pass

    with pytest.raises(Oversized):
        asyncio.run(heard())
    assert MOST < 1 << 21


@pytest.mark.parametrize(
    ("play", "words"),
    [
        (401, "refused the token (401)"),
        (403, "refused the token (403)"),
        (404, "no model 'it' (404)"),
        (429, "no room just now (429)"),
        (503, "no room just now (503)"),
        (302, "code is sent only where you said"),
        (500, "refused what it was asked (500): as it was told to"),
        ("half", "ended its answer before it was complete"),
        ("html", "in words of no known shape"),
        ("garbage", "in words of no known shape"),
        ("nested", "in words of no known shape"),
        ("quoting", "its words are not shown, since they repeat what was sent"),
    ],
)
def test_each_trouble_with_a_server_is_one_sentence(play: str | int, words: str) -> None:
    with serving(play=play) as it:
        sentence = sentence_of(keys_for(it))
    assert words in sentence
    assert sentence.startswith(f"the endpoint {it.url}/v1/completions ")
    assert "\n" not in sentence


def test_a_server_that_is_silent_or_gone_is_told() -> None:
    with serving(play="silent") as it:
        assert "said nothing for 0.2 s" in sentence_of(keys_for(it, timeout=0.2))
    assert "cannot be reached" in sentence_of(keys_for(it))


def test_a_server_that_says_for_how_long_is_left_alone() -> None:
    with serving(play=429, headers={"Retry-After": "1"}) as it:
        network = load("endpoint", keys=keys_for(it))

        async def again() -> str:
            with pytest.raises(ModelError) as caught:
                await anext(aiter(network.denoise(CANVAS)))
            return str(caught.value)

        first, second = asyncio.run(again()), asyncio.run(again())
        assert len(it.seen) == 1
        assert first == second
        assert "it is asked again in 1 s" in first
        it.play = "stream"
        time.sleep(1.0)
        assert [draft.texts for draft in drafts_of_it(network)][-1] == ("width * height",)


def test_an_event_may_say_that_there_is_no_error() -> None:
    with serving(more={"error": None}) as it:
        assert drafts_of(keys_for(it))[-1].texts == ("width * height",)


def test_what_is_for_this_machine_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as it, serving(parts=("stolen",)) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert drafts_of(keys_for(it))[-1].texts == ("width * height",)
        assert proxy.seen == []


@pytest.mark.parametrize(
    ("name", "value"), [("ALL_PROXY", "socks5://localhost:1"), ("SSL_CERT_FILE", "/no/such.pem")]
)
def test_an_environment_that_cannot_be_used_is_one_sentence(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    sentence = sentence_of({"url": "https://host.invalid", "model": "m"})
    assert "cannot be asked" in sentence
    assert "SSL_CERT_FILE" in sentence


def test_one_line_is_enough_for_a_hole_of_one_line() -> None:
    with serving(parts=("width", "\n", *("more\n",) * 500), pause=0.02) as it:
        (*_, last) = drafts_of(keys_for(it, "vllm"))
        assert last.texts == ("width",)
        assert it.hung_up.wait(3)


def test_an_answer_without_an_end_is_left_off() -> None:
    with serving(parts=("word " * 100,) * 50) as it:
        (*_, last) = drafts_of(keys_for(it))
    assert last.final
    assert len(last.texts[0]) < 1000


def test_to_stop_asking_closes_the_connection() -> None:
    async def first(keys: dict[str, Any]) -> Draft:
        async with aclosing(load("endpoint", keys=keys).denoise(CANVAS)) as drafts:  # type: ignore[type-var]
            return await anext(drafts)

    with serving(parts=("a",) * 200, pause=0.02) as it:
        draft = asyncio.run(first(keys_for(it)))
        assert draft.texts == ("a",)
        assert it.hung_up.wait(3)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "has to be told where it is"),
        ({"url": "ftp://x"}, "begins with http:// or https://"),
        ({"url": "http://example.com", "model": "m"}, "readable by anyone"),
        ({"url": "https://me:secret@example.com", "model": "m"}, "no user, password or query"),
        ({"url": "http://localhost:1", "kind": "other"}, "vllm, llama.cpp, openai, mistral"),
        ({"url": "http://localhost:1"}, "has to be told which network"),
        ({"url": "http://localhost:1", "model": "m", "token": "s"}, "into an environment variable"),
        ({"url": "http://localhost:1", "model": "m", "colour": 1}, "no key 'colour'"),
        ({"url": "http://localhost:1", "model": "m", "timeout": "1"}, "of type float, not str"),
        ({"url": "http://localhost:1", "model": "m", "context": 0}, "above 0, not 0"),
        ({"url": "http://localhost:1", "model": "m", "token_env": "NOT_SET"}, "is not set"),
        ({"url": "http://localhost:1", "model": "m", "token_file": "/no/file"}, "cannot be read"),
    ],
)
def test_wrong_keys_are_one_sentence(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=r".") as caught:
        card_of("endpoint", keys)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kind", "whole"),
    [
        ("http://localhost:8000", "vllm", "http://localhost:8000/v1/chat/completions"),
        ("http://localhost:8000/v1/", "openai", "http://localhost:8000/v1/completions"),
        ("https://host/api/v1", "mistral", "https://host/api/v1/fim/completions"),
        ("https://host/odd/infill", "llama.cpp", "https://host/odd/infill"),
        ("http://[::1]:8012", "llama.cpp", "http://[::1]:8012/infill"),
    ],
)
def test_a_url_is_a_base_or_the_whole_route(url: str, kind: str, whole: str) -> None:
    site = site_from({"url": url, "kind": kind, "model": "m"})
    assert site.url == whole
    assert site.leaves == url.startswith("https")


def test_who_sends_code_away_is_told_where() -> None:
    told: list[str] = []
    load("endpoint", keys={"url": "https://host", "model": "m"}, on_choice=told.append)
    assert told == [
        "fills come from https://host/v1/chat/completions: the code around the cursor is sent there"
    ]
    load("endpoint", keys={"url": "http://127.0.0.1:1", "model": "m"}, on_choice=told.append)
    assert len(told) == 1


def test_a_token_is_sent_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("quiet-word\n")
    monkeypatch.setenv("SOME_TOKEN", "quiet-word")
    with serving(token="quiet-word") as it:
        for more in ({"token_env": "SOME_TOKEN"}, {"token_file": str(tmp_path / "token")}):
            keys = keys_for(it, **more)
            assert drafts_of(keys)[-1].texts == ("width * height",)
            assert "quiet-word" not in repr(site_from(keys))
        monkeypatch.setenv("SOME_TOKEN", "other-word")
        sentence = sentence_of(keys_for(it, token_env="SOME_TOKEN"))
    assert "refused the token (401)" in sentence
    assert "$SOME_TOKEN" in sentence
    assert "other-word" not in sentence


async def test_it_fills_through_the_whole_way_with_brackets_and_overlap_tidied() -> None:
    text = "def area(width, height):\n    return (\n\n\nprint(area(3, 4))\n"
    at = text.index("(\n") + 1
    with serving(parts=("width", " * ", "height)", "\n\n\nprint(area(3, 4))\n")) as it:
        fill = await fill_at(
            Document(None, "python", text), at, denoiser=load("endpoint", keys=keys_for(it)),
            settings=Settings(deadline_ms=10_000), memory=Memory(),
        )  # fmt: skip
    assert fill.edit is not None
    assert fill.edit.text == "width * height)"


async def test_a_file_with_secrets_is_not_sent(tmp_path: Path) -> None:
    document = Document(tmp_path / ".env", "python", BEFORE + AFTER)
    with serving() as it:
        fill = await fill_at(
            document, len(BEFORE), denoiser=load("endpoint", keys=keys_for(it)),
            settings=Settings(), memory=Memory(), invoked=True,
        )  # fmt: skip
        assert fill.reason is Reason.SECRET
        assert it.seen == []


def test_holes_of_a_file_are_asked_for_one_by_one_and_it_is_said_where_code_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "area.py"
    file.write_text("x = __HOLE__\ny = __HOLE__\n")
    with serving(parts=("1 + 1",)) as it:
        url = it.url.replace("127.0.0.1", "0.0.0.0")  # another machine as far as anyone can tell
        keys = keys_for(it) | {"url": url, "insecure": True}
        assert (
            run(["fill", str(file), "--model", "endpoint", "--model-keys", json.dumps(keys)]) == 0
        )
    assert [body["prompt"] for _, body in it.seen] == ["x = __HOLE__\ny = ", "x = "]
    said = capsys.readouterr()
    assert "+y = 1 + 1" in said.out
    assert f"fills come from {url}/v1/completions: the code around the cursor is sent" in said.err


def test_the_language_server_fills_and_lives_through_a_server_that_dies() -> None:
    uri, text = "file:///area.py", BEFORE + AFTER
    with serving() as it, RawClient(server_command("endpoint")) as client:
        options = {"model": "endpoint", "model_keys": keys_for(it, "vllm", timeout=2.0)}
        client.initialize({**options, "deadline_ms": 10_000})
        client.when_ready()
        client.open(uri, text)
        answer = client.answer(client.inline(uri, 1, len("    return ")))["result"]
        assert answer["items"][0]["insertText"] == "width * height"
        it.play = 503
        client.change(uri, 2, {"text": text + "\n"})
        assert client.answer(client.inline(uri, 1, len("    return ")))["result"] is None
        said = client.notification("window/showMessage")["params"]["message"]
        assert "has no room just now (503)" in said
        status = {"command": "infill.status"}
        assert client.ask("workspace/executeCommand", status)["failure"] in said
        it.play = "stream"
        client.change(uri, 3, {"text": text + "\n\n"})
        answer = client.answer(client.inline(uri, 1, len("    return ")))["result"]
        assert answer["items"][0]["insertText"] == "width * height"
        assert client.ask("workspace/executeCommand", status)["failure"] is None
        assert "area(width" not in client.log


def test_the_editor_shows_where_code_is_sent() -> None:
    """Settings may have come with somebody's repository."""
    with RawClient(server_command("endpoint")) as client:
        keys = {"url": "https://host.invalid", "model": "m"}
        client.initialize({"model": "endpoint", "model_keys": keys})
        client.when_ready()
        said = client.notification("window/showMessage")["params"]["message"]
    assert "https://host.invalid/v1/chat/completions" in said
    assert "the code around the cursor is sent there" in said


def test_no_torch_is_needed_for_it() -> None:
    with serving() as it:
        program = (
            "import asyncio, sys\n"
            "from model.load import load\n"
            "from model.canvas import Canvas, Hole\n"
            f"network = load('endpoint', keys={keys_for(it)!r})\n"
            "async def ask():\n"
            "    canvas = Canvas(('x = ', '\\n'), (Hole(0, 0),))\n"
            "    return [draft.texts async for draft in network.denoise(canvas)][-1]\n"
            "print(asyncio.run(ask()), 'torch' in sys.modules)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )
    assert done.stdout == "('width * height',) False\n"
