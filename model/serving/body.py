"""The body of a request, no more of it than is allowed. Knows nothing of what is in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request

from model.serving.wire import Refused, too_large

SLOWEST = 30.0  # seconds for a whole body
LINGER = 2.0  # seconds for a client to end its sending, so that it reads why it was refused


async def body_of(request: Request, most: int) -> bytes:
    """The body, refused as soon as it is too long, so that never more of it is held."""
    body = bytearray()
    stream = request.stream()
    declared = request.headers.get("content-length", "")
    longer = declared.isdecimal() and int(declared[:20]) > most
    try:
        async with asyncio.timeout(SLOWEST):
            async for chunk in stream:
                body += chunk
                if longer or len(body) > most:
                    body.clear()
                    await rest(stream)
                    raise too_large(most)
    except TimeoutError as error:
        raise Refused(408, f"the body did not come within {SLOWEST:g} seconds") from error
    return bytes(body)


async def rest(stream: AsyncGenerator[bytes, None]) -> None:
    """Reads for a while what is not kept: a connection that is closed on what was not read resets,
    and the answer is lost."""
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(LINGER):
            async for _ in stream:
                pass
