"""Frames on standard input and output: bytes in, bytes out. Knows neither JSON nor what is said."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from typing import BinaryIO

# Not tied to the start of the line: after a frame whose length was wrong, what is left of it runs
# into the next header, and reading goes on from there.
LENGTH = re.compile(rb"content-length[ \t]*:[ \t]*(\d{1,18})\s*$", re.IGNORECASE)
LONGEST_LINE = 1 << 16
LONGEST_FRAME = 1 << 29  # a header that claims more is taken for damage


def frames(stream: BinaryIO) -> Iterator[bytes]:
    """The body of each frame until the input ends; blocks."""
    length = None
    while line := stream.readline(LONGEST_LINE):
        if found := LENGTH.search(line):
            length = int(found[1])
        elif not line.strip() and length is not None and length <= LONGEST_FRAME:
            body = stream.read(length)
            if len(body) < length:
                return
            yield body
            length = None


class Output:
    """What messages are written to. A client that no longer reads is noticed and raises nowhere."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.broken = False

    def write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
            self._stream.flush()
        except (OSError, ValueError):
            self.broken = True

    def close(self) -> None:
        pass  # the stream belongs to whoever opened it


def framed(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def kept_stdout() -> BinaryIO:
    """Standard output for the protocol alone.

    Descriptor 1 is pointed at standard error, so that nothing that prints, be it from C, can put a
    word between two frames.
    """
    sys.stdout.flush()
    ours = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return ours
