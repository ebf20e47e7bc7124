"""How a request in another server's dialect becomes an answer in it. Knows HTTP and no dialect."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from time import monotonic, time
from typing import cast
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from model.canvas import Card, Draft, ModelError
from model.serving import wire
from model.serving.body import body_of
from model.serving.dialects.asked import Amiss, Asked, Json
from model.serving.dialects.telling import Choose, Part, chosen_here, parts
from model.serving.service import Service, placed
from model.serving.stream import Told
from model.serving.wire import Refused

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """What all parts of an answer share. `came` is in monotonic time, `created` in the clock's."""

    id: str
    created: int
    model: str
    asked: Asked
    came: float


@dataclass(frozen=True, slots=True)
class Dialect:
    """`asked` raises `Refused`. `trouble` is of status, sentence and the field that is amiss."""

    asked: Callable[[Json], Asked]
    whole: Callable[[Made, Sequence[Part]], Json]
    events: Callable[[Made, Part], list[Json]]
    trouble: Callable[[int, str, str | None], Json]
    done: bool = True  # whether a stream says at its end that it has


def endpoint(
    service: Service, dialect: Dialect, choose: Choose = chosen_here
) -> Callable[[Request], Awaitable[Response]]:
    """`choose` says which of the texts that a model weighed is the answer."""

    def refusal(error: Exception) -> Response:
        return refused(error, dialect)

    async def answer(request: Request) -> Response:
        came = monotonic()
        try:
            service.check_room()
            asked = dialect.asked(object_of(await body_of(request, service.limits.body)))
        except Refused as error:
            return refusal(error)
        kind = "text/event-stream" if asked.stream else "application/json"
        told = lines(service, dialect, asked, asker_of(request), came, choose)
        return Told(told, media_type=kind, refusal=refusal)

    return answer


def object_of(body: bytes) -> Json:
    told = wire.loaded(body)
    if not isinstance(told, dict):
        raise Refused(400, "the body must be an object of JSON")
    return cast(Json, told)


def asker_of(request: Request) -> str:
    """Whom turns are shared with: a program of a machine. Two windows of one plugin are told apart
    by nothing that they send."""
    host = request.client.host if request.client else "socket"
    return f"{host} {request.headers.get('user-agent', '')}"[:200]


async def lines(
    service: Service, dialect: Dialect, asked: Asked, asker: str, came: float, choose: Choose
) -> AsyncGenerator[bytes, None]:
    card = await service.card() if asked.limit != 0 else None
    name = card.name if card else service.name
    made = Made(uuid4().hex, int(time()), name, asked, came)
    begun = False
    try:
        async with aclosing(parts_of(service, asked, asker, card, choose)) as told:
            if not asked.stream:
                yield wire.dumped(dialect.whole(made, [part async for part in told]))
                return
            async for part in told:
                for said in dialect.events(made, part):
                    begun = True
                    yield event(said)
    except (ModelError, Refused) as error:
        if not begun:
            raise
        trouble = dialect.trouble(500, str(error), None)
        yield event({"error": trouble.get("error", trouble)})
        return
    if dialect.done:
        yield b"data: [DONE]\n\n"


def event(said: Json) -> bytes:
    return b"data: " + wire.dumped(said) + b"\n\n"


async def parts_of(
    service: Service, asked: Asked, asker: str, card: Card | None, choose: Choose
) -> AsyncGenerator[Part, None]:
    if card is None:  # nothing is wanted: a plugin lets servers of another kind read ahead
        yield Part(ended="length")
        return
    canvas = asked.canvas(card)

    def chosen(draft: Draft) -> Awaitable[str]:
        return choose(draft, canvas, card)

    async with (
        aclosing(service.drafts(canvas, asked.claim(asker))) as drafts,
        aclosing(parts(drafts, asked, canvas.holes[0].limit, chosen)) as told,
    ):
        async for part in told:
            yield with_returns(part) if asked.returns else part


def with_returns(part: Part) -> Part:
    pieces = tuple(replace(it, text=it.text.replace("\n", "\r\n")) for it in part.pieces)
    return replace(part, text=part.text.replace("\n", "\r\n"), pieces=pieces)


def refused(error: Exception, dialect: Dialect) -> Response:
    match error:
        case Refused():
            status, sentence, retry = error.status, str(error), error.retry
        case ModelError():
            status, sentence, retry = 503, str(error), None
        case _:
            logger.error("a request failed: %s", placed(error))
            status, sentence, retry = 500, f"the server failed ({type(error).__name__})", None
    field = error.field if isinstance(error, Amiss) else None
    body = wire.dumped(dialect.trouble(status, sentence, field))
    headers = {} if retry is None else {"Retry-After": str(retry)}
    return Response(body, status, headers, media_type="application/json")


def kind_of(status: int) -> str:
    """What OpenAI, and others after it, call a trouble of this status."""
    match status:
        case 401:
            return "authentication_error"
        case 429:
            return "rate_limit_error"
        case _ if status < 500:
            return "invalid_request_error"
        case 503:
            return "unavailable_error"
        case _:
            return "server_error"
