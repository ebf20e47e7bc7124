"""Server-sent events out of bytes, with a bound on what one may hold. Knows nothing of their data.

httpx' own lines end at every line end that Unicode has, which JSON may hold; and an event that
never ends would be kept in memory until it does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable

MOST = 1 << 20  # bytes of one event; a token's is a few hundred


class Oversized(Exception):
    """An event, or a body, of more than `MOST` bytes."""


async def events(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """The data of each event. A stream that breaks off in the middle of one leaves that out."""
    rest, data = b"", list[bytes]()
    async for chunk in chunks:
        rest += chunk
        lines = rest.splitlines(keepends=True)
        # Half a line waits for its other half, and so does what may be half of a line's end.
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for line in lines:
            if line := line.rstrip(b"\r\n"):
                name, _, value = line.partition(b":")
                value = value.removeprefix(b" ")
                if name == b"data":
                    data.append(value)
                elif name == b"error":  # how llama-server told of one until the end of 2025
                    data.append(b'{"error": %s}' % value)
            elif data:
                yield b"\n".join(data)
                data.clear()
        if len(rest) + sum(map(len, data)) > MOST:
            raise Oversized
    if data:  # whole lines, of which the last is followed by nothing
        yield b"\n".join(data)


async def whole(chunks: AsyncIterable[bytes], most: int = MOST) -> bytes:
    """All of a body, if it is not too much."""
    body = b""
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            raise Oversized
    return body
