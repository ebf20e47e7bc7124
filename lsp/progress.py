"""A progress bar in the editor for one piece of work. Knows nothing of the work."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable
from typing import cast

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer


class Bar:
    """`$/progress` under a token of our own; silent until the client has agreed to the token."""

    def __init__(self, server: LanguageServer, title: str) -> None:
        self._shown = server.work_done_progress
        self._title = title
        self._token = str(uuid.uuid4())
        self._begun = self._ended = False

    async def open(self) -> None:
        """Waits for the client, so run it beside the work. A client that refuses sees no bar.

        Shielded, because pygls 2.1.1 trips over an answer to a request given up on (its #621).
        """
        try:
            asked = self._shown.create_async(self._token)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # bare in pygls
            await asyncio.shield(cast(Awaitable[None], asked))
        except JsonRpcException:
            return
        if not self._ended:
            self._begun = True
            self._shown.begin(self._token, types.WorkDoneProgressBegin(self._title, percentage=0))

    def report(self, message: str, share: float) -> None:
        if self._begun and not self._ended:
            percentage = round(100 * min(max(share, 0.0), 1.0))
            said = types.WorkDoneProgressReport(message=message, percentage=percentage)
            self._shown.report(self._token, said)

    def close(self, message: str) -> None:
        self._ended = True
        if self._begun:
            self._shown.end(self._token, types.WorkDoneProgressEnd(message=message))
