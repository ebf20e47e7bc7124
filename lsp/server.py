"""The server as a process: standard input and output, the log, the exit status.

It greets the editor itself and only then imports what handles everything else, so `initialize` is
answered in the time that Python needs to start.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from infill.settings import Settings
from lsp.greeting import Greeting, greeting_in, welcome
from lsp.stdio import Output, framed, frames, kept_stdout


def serve_stdio(
    settings: Settings, *, log_file: Path | None = None, log_level: str = "warning"
) -> int:
    """Serves one editor on standard input and output until it leaves; returns the exit status."""
    log_to(log_file, log_level)
    output, read = Output(kept_stdout()), frames(sys.stdin.buffer)
    try:
        greeting, read = greeted(read, output)
        from lsp.handlers import serve

        status, is_free = serve(settings, greeting, read, output)
    except KeyboardInterrupt:
        status, is_free = 130, False  # what a shell expects of a program ended by ctrl-c
    return status if is_free else leave(status)


def greeted(read: Iterator[bytes], output: Output) -> tuple[Greeting | None, Iterator[bytes]]:
    """Answers a first message that is a request to initialize; any other is left to be read."""
    first = next(read, None)
    if first is None:
        return None, read
    try:
        message = json.loads(first)
    except (ValueError, RecursionError):
        message = None
    greeting = greeting_in(message)
    if greeting is None:
        return None, chain([first], read)
    output.write(framed(json.dumps(welcome(greeting)).encode()))
    return greeting, read


def log_to(log_file: Path | None, log_level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr if log_file is None else log_file.open("a", encoding="utf-8"),
        level=log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for name in ("httpx", "httpcore", "filelock"):  # every byte and every look, at lower levels
        logging.getLogger(name).setLevel(logging.WARNING)


def leave(status: int) -> int:
    """Ends the process although a thread is stuck, in a load or in a read that nothing can stop."""
    logging.shutdown()
    os._exit(status)
