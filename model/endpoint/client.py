"""The Denoiser whose network is elsewhere: one request a hole, each event of the answer a draft.

To stop asking closes the connection, and the server stops writing. Nothing of the user's code and
no token is in a message, also where it repeats a server's own words.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, contextmanager
from time import monotonic
from typing import Any, cast

import httpx

from model.canvas import Canvas, Card, Claim, Draft, Hole, ModelError, Piece
from model.endpoint.events import MOST, Oversized, events, whole
from model.endpoint.frame import Frame, fenced, span_of
from model.endpoint.site import Site
from model.endpoint.wire import KINDS, Heard, Json, Token, Unreadable

CONNECT = 1.0  # seconds; less than a fill may take, or nobody would hear that it failed
CHARS_A_TOKEN = 16  # more than any code has: an answer so long does not keep to what was asked
SAID = 200  # characters of a server's own words that a message repeats
QUOTED = 12  # so many characters in a row of what was sent are a quotation
LONGEST = 60.0  # seconds that a server is left alone at most, whatever it asks for


class Endpoint:
    """What answers at a `Site`."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.kind = KINDS[site.kind]
        self._busy = ""  # what it said, which holds until then, in monotonic time
        self._until = 0.0
        with self.usable():
            # Once: it takes longer to read all certificates than most servers need to answer.
            self._tls = httpx.create_ssl_context() if site.url.startswith("https") else False

    @property
    def card(self) -> Card:
        return self.site.card

    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        if len(canvas.holes) != 1:
            raise ValueError(f"an endpoint fills one hole at a time, not {len(canvas.holes)}")
        (hole,) = canvas.holes
        frame = fenced(*canvas.ends) if self.kind.prompted else Frame(*canvas.ends)
        text, tokens, step = "", list[Token](), 0
        async with aclosing(self.heard(frame, hole)) as answer:
            async for heard in answer:
                text += heard.text
                tokens += heard.tokens
                start, end = span_of(text, frame, final=False)
                a_line = not hole.multiline and "\n" in text[start:end]
                if heard.ended or a_line or len(text) > CHARS_A_TOKEN * hole.limit:
                    break
                step += 1
                yield Draft(step, (self.pieces(text, tokens, start, end),), final=False)
        start, end = span_of(text, frame, final=True)
        if not hole.multiline:
            end = start + len(text[start:end].partition("\n")[0])
        yield Draft(step + 1, (self.pieces(text, tokens, start, end),), final=True)

    def pieces(self, text: str, tokens: Sequence[Token], start: int, end: int) -> tuple[Piece, ...]:
        return pieces_of(text, tokens, start, end, self.site.confidence)

    async def heard(self, frame: Frame, hole: Hole) -> AsyncGenerator[Heard, None]:
        """The events of one answer, of which the last has ended. Raises `ModelError`."""
        if monotonic() < self._until:
            raise self.trouble(self._busy)
        site = self.site
        body = self.kind.body(site.model, frame, hole, site.logprobs)
        try:
            async with (
                self.client() as client,
                client.stream("POST", site.url, json=body) as response,
            ):
                if not response.is_success:
                    raise await self.refused(response, frame)
                async with aclosing(data_of(response)) as data:
                    async for event in data:
                        heard = self.understood(event, frame)
                        yield heard
                        if heard.ended:
                            return
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            why = str(error) or f"nothing within {min(CONNECT, site.timeout):g} s"
            raise self.trouble(
                f"cannot be reached ({why}): is it running, and is the url right?"
            ) from error
        except httpx.TimeoutException as error:
            raise self.trouble(
                f"said nothing for {site.timeout:g} s: it may be loading or overloaded; the key "
                "`timeout` allows it more"
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

    def client(self) -> httpx.AsyncClient:
        """What goes to this machine goes through no proxy."""
        site = self.site
        with self.usable():
            return httpx.AsyncClient(
                headers={"Authorization": f"Bearer {site.token}"} if site.token else {},
                timeout=httpx.Timeout(site.timeout, connect=min(CONNECT, site.timeout)),
                trust_env=site.leaves,
                verify=self._tls,
            )

    @contextmanager
    def usable(self) -> Generator[None]:
        """Says what of the environment keeps httpx from being set up."""
        try:
            yield
        except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
            raise self.trouble(
                f"cannot be asked ({' '.join(str(error).split())}): see SSL_CERT_FILE, HTTPS_PROXY "
                "and ALL_PROXY in the environment that infill-lsp was started in"
            ) from error

    def understood(self, event: bytes, frame: Frame) -> Heard:
        if event.strip() == b"[DONE]":
            return Heard(ended=True)
        try:
            said = json.loads(event)
        except (ValueError, RecursionError):
            raise Unreadable from None
        if not isinstance(said, dict):
            raise Unreadable
        said = cast(Json, said)
        if said.get("error"):
            raise self.trouble(f"reports an error: {self.told(said, frame)}")
        return self.kind.heard(said)

    async def refused(self, response: httpx.Response, frame: Frame) -> ModelError:
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
                return self.busy(status, response.headers.get("retry-after", ""))
            case _ if response.is_redirect:
                return self.trouble(
                    f"sends on to elsewhere ({status}), and code is sent only where you said: name "
                    "the url that it is to be sent to"
                )
            case _:
                try:
                    words = self.told(json.loads(await whole(response.aiter_bytes())), frame)
                except (ValueError, RecursionError, Oversized):
                    words = "in words of no known shape"
                return self.trouble(f"refused what it was asked ({status}): {words}")

    def busy(self, status: int, wait: str) -> ModelError:
        """It is not asked again before it said it can be."""
        if not (wait.isascii() and wait.isdecimal()):
            return self.trouble(f"has no room just now ({status}): it answers again later")
        seconds = min(float(wait), LONGEST)
        self._until = monotonic() + seconds
        self._busy = f"has no room just now ({status}): it is asked again in {seconds:g} s"
        return self.trouble(self._busy)

    def told(self, said: Any, frame: Frame) -> str:
        """A server's own words, in one line and not too many: unless they quote what was sent."""
        match said:
            case (
                {"error": {"message": str(words)}} | {"error": str(words)} | {"message": str(words)}
            ):
                words = " ".join(words.split())
            case _:
                return "it does not say which"
        sent = " ".join(f"{frame.before}\n{frame.after}".split())
        pieces = (words[at : at + QUOTED] for at in range(len(words) - QUOTED + 1))
        token = self.site.token
        if any(piece in sent for piece in pieces) or (token and token in words):
            return "its words are not shown, since they repeat what was sent"
        return words[:SAID]

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


def pieces_of(
    text: str, tokens: Sequence[Token], start: int, end: int, otherwise: float
) -> tuple[Piece, ...]:
    """The stretch in pieces. Each token's own probability counts as far as the tokens are the text:
    those of the mark that ended it are told, too, and what comes after a token that is not there
    may be anything."""
    pieces: list[Piece] = []
    end = min(end, len(text))

    def take(first: int, last: int, probability: float) -> None:
        first, last = max(first, start), min(last, end)
        if first < last:
            pieces.append(Piece(text[first:last], probability))

    at = 0
    for word, probability in tokens:
        if not (text.startswith(word, at) or word.startswith(text[at:])):
            break
        take(at, at + len(word), probability)
        at = min(at + len(word), len(text))
    take(at, len(text), otherwise)
    return tuple(pieces)
