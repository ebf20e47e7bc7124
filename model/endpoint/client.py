"""The Denoiser whose network is elsewhere: one request a hole, each event of the answer a draft.

To stop asking closes the connection, and the server stops writing. Nothing of the user's code and
no token is in a message.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, cast

import httpx

from model.canvas import Canvas, Card, Draft, ModelError, Piece
from model.endpoint.events import MOST, Oversized, events, whole
from model.endpoint.frame import Frame, fenced, span_of
from model.endpoint.site import Site
from model.endpoint.wire import KINDS, Heard, Json, Token, Unreadable

CONNECT = 5.0  # seconds
CHARS_A_TOKEN = 16  # more than any code has: an answer so long does not keep to what was asked
SAID = 200  # characters of a server's own words that a message repeats


class Endpoint:
    """What answers at a `Site`."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.kind = KINDS[site.kind]

    @property
    def card(self) -> Card:
        return self.site.card

    async def denoise(self, canvas: Canvas) -> AsyncGenerator[Draft, None]:
        if len(canvas.holes) != 1:
            raise ValueError(f"an endpoint fills one hole at a time, not {len(canvas.holes)}")
        (hole,) = canvas.holes
        frame = fenced(*canvas.ends) if self.kind.prompted else Frame(*canvas.ends)
        body = self.kind.body(self.site.model, frame, hole, self.site.logprobs)
        text, tokens, step = "", list[Token](), 0
        async with aclosing(self.heard(body)) as answer:
            async for heard in answer:
                text += heard.text
                tokens += heard.tokens
                if heard.ended or len(text) > CHARS_A_TOKEN * hole.limit:
                    break
                step += 1
                yield self.draft(text, tokens, frame, step, final=False)
        yield self.draft(text, tokens, frame, step + 1, final=True)

    def draft(
        self, text: str, tokens: Sequence[Token], frame: Frame, step: int, *, final: bool
    ) -> Draft:
        start, end = span_of(text, frame, final=final)
        pieces = pieces_of(text, tokens, start, end, self.site.confidence)
        return Draft(step, (pieces,), final)

    async def heard(self, body: Json) -> AsyncGenerator[Heard, None]:
        """The events of one answer, of which the last has ended. Raises `ModelError`."""
        site = self.site
        headers = {"Authorization": f"Bearer {site.token}"} if site.token else {}
        timeout = httpx.Timeout(site.timeout, connect=min(CONNECT, site.timeout))
        try:
            async with (
                httpx.AsyncClient(timeout=timeout, headers=headers) as client,
                client.stream("POST", site.url, json=body) as response,
            ):
                if not response.is_success:
                    raise await self.refused(response)
                async with aclosing(data_of(response)) as data:
                    async for event in data:
                        heard = self.understood(event)
                        yield heard
                        if heard.ended:
                            return
        except httpx.TimeoutException as error:
            raise self.trouble(
                f"said nothing for {site.timeout:g} s: it may be loading or overloaded; the key "
                "`timeout` allows it more"
            ) from error
        except httpx.ConnectError as error:
            raise self.trouble(
                f"cannot be reached ({error}): is it running, and is the url right?"
            ) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise self.trouble(
                f"broke the connection off ({type(error).__name__}): try again"
            ) from error
        except Oversized:
            raise self.trouble(
                f"sent more than {MOST} bytes at once, which no answer needs"
            ) from None
        except Unreadable:
            raise self.trouble(
                f"answered in words of no known shape: is it of the kind {site.kind}?"
            ) from None
        raise self.trouble("ended its answer before it was complete: try again")

    def understood(self, event: bytes) -> Heard:
        if event.strip() == b"[DONE]":
            return Heard(ended=True)
        try:
            said = json.loads(event)
        except ValueError:
            raise Unreadable from None
        if not isinstance(said, dict):
            raise Unreadable
        said = cast(Json, said)
        if "error" in said:
            raise self.trouble(f"reports an error: {told(said)}")
        return self.kind.heard(said)

    async def refused(self, response: httpx.Response) -> ModelError:
        status, site = response.status_code, self.site
        named = f"the one of {site.token_from}" if site.token else "none was sent (`token_env`)"
        match status:
            case 401 | 403:
                return self.trouble(f"refused the token ({status}); {named}")
            case 404:
                return self.trouble(
                    f"knows no such route or no model {site.model!r} (404): the key `model` is "
                    "what the server calls it, `url` its base"
                )
            case 429 | 503:
                return self.trouble(f"has no room just now ({status}): it answers again later")
            case _:
                try:
                    words = told(json.loads(await whole(response.aiter_bytes())))
                except (ValueError, Oversized):
                    words = "in words of no known shape"
                return self.trouble(f"refused what it was asked ({status}): {words}")

    def trouble(self, what: str) -> ModelError:
        return ModelError(f"the endpoint {self.site.url} {what}")

    def close(self) -> None:
        """Holds nothing between two requests."""


async def data_of(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The events, or the one whole answer of a server that does not stream."""
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        async for event in events(response.aiter_bytes()):
            yield event
    else:
        yield await whole(response.aiter_bytes())
        yield b"[DONE]"


def told(said: Any) -> str:
    """A server's own words, in one line and not too many. They are about the request's form; what
    it was asked about is never in ours."""
    match said:
        case {"error": {"message": str(words)}} | {"error": str(words)} | {"message": str(words)}:
            return " ".join(words.split())[:SAID]
        case _:
            return "it does not say which"


def pieces_of(
    text: str, tokens: Sequence[Token], start: int, end: int, otherwise: float
) -> tuple[Piece, ...]:
    """The stretch in pieces. Each token's own probability counts only where all of them together
    are the text: what is told of other tokens says nothing of these."""
    if "".join(word for word, _ in tokens) != text:
        tokens = [(text, otherwise)]
    pieces: list[Piece] = []
    at = 0
    for word, probability in tokens:
        first, last = max(at, start), min(at + len(word), end)
        if first < last:
            pieces.append(Piece(text[first:last], probability))
        at += len(word)
    return tuple(pieces)
