"""The server as one ASGI app: each endpoint takes a request apart, calls the service, answers.

It knows HTTP; what listens, and where, it does not.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from model.canvas import ModelError
from model.serving import wire
from model.serving.body import body_of
from model.serving.dialects import routes as dialects
from model.serving.dialects.telling import Choose, chosen_here
from model.serving.runtime import version
from model.serving.service import Service, placed
from model.serving.stream import Told
from model.serving.wire import PROTOCOL, Ask, Refused

logger = logging.getLogger(__name__)

COUNTED = ("shown", "accepted", "partly", "kept")
REASON = re.compile(r"[a-z][a-z-]{0,39}")  # it is shown to people, so it may be no text
LARGE = 500_000  # bytes that take milliseconds to read, for which others would wait
# Who looks is no reason to stay.
LOOKS = frozenset({"/healthz", "/health", "/metrics", "/v1/state"})
OPEN = frozenset({"/healthz", "/health"})  # to everyone: an orchestrator has no token


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may ask: whoever has the token; with an empty one, whoever reaches the socket."""

    token: str = ""


def app_of(service: Service, *, guard: Guard = Guard(), choose: Choose = chosen_here) -> Starlette:
    """The app; its lifespan starts and closes the service. `choose` says which of the texts that
    were weighed plugins of others are answered with."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        service.start()
        try:
            yield
        finally:
            await service.close()

    return Starlette(
        routes=[*routes(service), *dialects.routes(service, choose)],
        middleware=[Middleware(Guarded, guard=guard, service=service)],
        exception_handlers={HTTPException: strange},
        lifespan=lifespan,
    )


def routes(service: Service) -> list[BaseRoute]:
    async def fill(request: Request) -> Response:
        service.check_room()
        ask = await ask_of(request, service)
        return Told(lines(service, ask), refusal=refusal)

    async def card(request: Request) -> Response:
        return of_json(wire.card_to(await service.card()))

    async def watch(request: Request) -> Response:
        asked = request.query_params
        pid = asked.get("pid", "")
        watched = service.watch(
            asked.get("asker", "")[:200],
            int(pid) if pid.isdecimal() and len(pid) < 12 else None,
            asked.get("name", "")[:200],
        )
        return Told(watch_lines(watched), refusal=refusal)

    async def state(request: Request) -> Response:
        return of_json(wire.dumped(service.state()))

    async def told(request: Request) -> Response:
        service.tell(*told_from(wire.loaded(await body_of(request, 10_000))))
        return Response(status_code=204)

    async def health(request: Request) -> Response:
        told = {"protocol": PROTOCOL, "version": version(), "model": service.name}
        return of_json(wire.dumped(told | {"pid": os.getpid(), "state": service.weights.state}))

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=1.0.0")

    return [
        Route("/v1/fill", fill, methods=["POST"]),
        Route("/v1/card", card),
        Route("/v1/watch", watch),
        Route("/v1/state", state),
        Route("/v1/told", told, methods=["POST"]),
        Route("/healthz", health),
        Route("/metrics", metrics),
    ]


async def lines(service: Service, ask: Ask) -> AsyncGenerator[bytes, None]:
    """The answer to a fill. What is refused is raised; the model's own trouble is a line."""
    visit = service.visit(ask.claim)
    try:
        async with aclosing(service.drafts(ask.canvas, ask.claim, visit)) as drafts:
            async for draft in drafts:
                yield wire.draft_line(draft, visit.ms)
    except ModelError as error:
        yield wire.error_line(str(error))
    else:
        yield wire.end_line(visit.end)


async def watch_lines(watched: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(watched):
        async for state in watched:
            yield wire.dumped(state) + b"\n"


async def ask_of(request: Request, service: Service) -> Ask:
    body = await body_of(request, service.limits.body)
    read = partial(wire.ask_from, body, most=service.limits.body, holes=service.limits.holes)
    return read() if len(body) < LARGE else await asyncio.to_thread(read)


def told_from(value: object) -> tuple[dict[str, int], dict[str, int]]:
    """How often what, and how often which reason for silence."""
    told = wire.objected(value, "what is told")
    counts = {name: count_from(told.get(name, 0), name) for name in COUNTED}
    silences = wire.objected(told.get("silences", {}), "silences")
    if (reason := told.get("reason")) is not None:
        silences = {**silences, wire.plain(reason, str, "reason"): 1}
    if strange := [code for code in silences if not REASON.fullmatch(code)]:
        raise Refused(422, f"a reason is a code such as low-confidence, not {strange[0][:40]!r}")
    return counts, {code: count_from(count, code) for code, count in silences.items()}


def count_from(value: object, name: str) -> int:
    count: int = wire.plain(value, int, name)
    if not 0 <= count <= 1000:
        raise Refused(422, f"{name} must be from 0 to 1000")
    return count


class Guarded:
    """Around all routes: asks for the token, and makes an answer of whatever is raised. Nothing
    that an error says is logged, because it may hold code."""

    def __init__(self, app: ASGIApp, *, guard: Guard, service: Service) -> None:
        self.app = app
        self.guard = guard
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def seen(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                if message["status"] >= 400:
                    self.service.metrics.refused(message["status"])
            await send(message)

        try:
            if self.guard.token and scope["path"] not in OPEN:
                check_token(scope, self.guard.token)
            with nullcontext() if scope["path"] in LOOKS else self.service.present():
                await self.app(scope, receive, seen)
        except ClientDisconnect:
            pass
        except Exception as error:
            if begun:
                logger.error("an answer broke off: %s", placed(error))
                return
            await refusal(error)(scope, receive, seen)


def check_token(scope: Scope, token: str) -> None:
    given = dict(scope["headers"]).get(b"authorization", b"")
    if not hmac.compare_digest(given, b"Bearer " + token.encode()):
        raise Refused(401, "this server wants the header Authorization: Bearer TOKEN")


def refusal(error: Exception) -> Response:
    if isinstance(error, Refused):
        response = of_json(wire.error_to(str(error)), error.status)
        if error.retry is not None:
            response.headers["Retry-After"] = str(error.retry)
        if error.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response
    logger.error("a request failed: %s", placed(error))
    return of_json(wire.error_to(f"the server failed ({type(error).__name__})"), 500)


async def strange(request: Request, error: Exception) -> Response:
    """An unknown route, or an unknown method of a known one."""
    assert isinstance(error, HTTPException)
    told = f"{request.method} {request.url.path[:100]}: {error.detail}"
    response = of_json(wire.error_to(told), error.status_code)
    response.headers.update(error.headers or {})
    return response


def of_json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")
