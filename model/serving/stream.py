"""An answer that is told line by line, and ends when its reader leaves. Knows ASGI, no model.

Starlette's own streaming answer, by ASGI before 2.4 as uvicorn speaks it, listens for a reader that
leaves only once it has sent its first byte, and calls every outcome a success.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

PATIENCE = 60.0  # seconds for which a reader that takes nothing is waited for


class Told(Response):
    """Sends what `lines` yields. Before the first line nothing is sent, so that what is raised
    until then can be answered with another status: `refusal` makes that answer of it.

    When the reader leaves, is too slow or the process ends, the lines are closed.
    """

    def __init__(
        self,
        lines: AsyncGenerator[bytes, None],
        *,
        media_type: str = "application/x-ndjson",
        refusal: Callable[[Exception], Response],
    ) -> None:
        super().__init__(media_type=media_type, headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self.lines = lines
        self.refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._sent(scope, receive, send))
        leaving = asyncio.ensure_future(left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.wait({sending, leaving})
            await self.lines.aclose()
        with suppress(asyncio.CancelledError):
            sending.result()

    async def _sent(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def given(message: Message) -> None:
            async with asyncio.timeout(PATIENCE):
                await send(message)

        begun = False
        try:
            async for line in self.lines:
                if not begun:
                    begun = True
                    start = {"type": "http.response.start", "status": self.status_code}
                    await given(start | {"headers": self.raw_headers})
                await given({"type": "http.response.body", "body": line, "more_body": True})
        except Exception as error:
            if begun:
                raise
            await self.refusal(error)(scope, receive, send)
            return
        await given({"type": "http.response.body", "body": b""})


async def left(receive: Callable[[], Awaitable[Message]]) -> None:
    """Returns once the reader has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
