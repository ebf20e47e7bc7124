"""A progress bar in the editor for one piece of work, or for each time it is done. Knows nothing
of the work."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer


class Bar:
    """`$/progress` under a token of our own; silent until the client has agreed to the token."""

    def __init__(self, server: LanguageServer, title: str, *, cancellable: bool = False) -> None:
        self._shown = server.work_done_progress
        self._title = title
        self._cancellable = cancellable
        self.token = str(uuid.uuid4())
        self._begun = self._ended = False
        self._farewell: str | None = None  # once the work has ended
        self._last: tuple[str, int] | None = None

    async def open(self) -> None:
        """Waits for the client, so run it beside the work. A client that refuses sees no bar.

        Also work that has ended by then is begun and ended: Helix shows a token that it has agreed
        to as busy until it hears of an end. Shielded, because pygls 2.1.1 trips over an answer to a
        request given up on (its #621).
        """
        try:
            asked = self._shown.create_async(self.token)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # bare in pygls
            await asyncio.shield(cast(Awaitable[None], asked))
        except JsonRpcException:
            return
        self._begun = True
        began = types.WorkDoneProgressBegin(
            self._title, cancellable=self._cancellable, percentage=0
        )
        self._shown.begin(self.token, began)
        if self._farewell is not None:
            self.close(self._farewell)

    def report(self, message: str, share: float) -> None:
        percentage = round(100 * min(max(share, 0.0), 1.0))
        if self._begun and self._farewell is None and (message, percentage) != self._last:
            self._last = message, percentage
            said = types.WorkDoneProgressReport(message=message or None, percentage=percentage)
            self._shown.report(self.token, said)

    def close(self, message: str) -> None:
        """The first time ends the bar; what is said later comes too late."""
        self._farewell = self._farewell or message
        if self._begun and not self._ended:
            self._ended = True
            self._shown.end(self.token, types.WorkDoneProgressEnd(message=message))


class Bars:
    """A bar for each time that some work is done, from its first report until it is closed."""

    def __init__(
        self,
        server: LanguageServer,
        title: str,
        begin: Callable[[Coroutine[Any, Any, None]], None] | None,
    ) -> None:
        """`begin` starts what is to go on beside the work; None where the client shows no bars."""
        self._server = server
        self._title = title
        self._begin = begin
        self._bar: Bar | None = None

    def report(self, message: str, share: float) -> None:
        if self._bar is None:
            self._bar = Bar(self._server, self._title)
            if self._begin is not None:
                self._begin(self._bar.open())
        self._bar.report(message, share)

    def close(self, message: str) -> None:
        if self._bar is not None:
            self._bar.close(message)
            self._bar = None
