"""What an event loop logs, less what is known to mean nothing. Knows no editors."""

from __future__ import annotations

import asyncio
from typing import Any


def log_what_matters(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for a loop that reads from Unix sockets by anyio.

    anyio 4.16 has the loop end its wait for bytes directly, also where the wait was cancelled in
    the same turn, as it is when somebody types on: nothing is lost by that, and six lines of
    traceback would stand in the editor's log. (Its #1267 was the same for closing.)
    """
    spent = isinstance(context.get("exception"), asyncio.InvalidStateError)
    if not (spent and "Future.set_result(None)" in repr(context.get("handle"))):
        loop.default_exception_handler(context)
