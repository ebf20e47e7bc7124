"""A source file on disk: read it as text, find a place in it, write it back whole or not at all.

Knows bytes, encodings, line ends and permissions; does not know what a hole is.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

LINE_END = re.compile(r"\r\n|\n|\r")  # only these end a line for an editor; a form feed does not
BOM = "\ufeff"
PLACE = re.compile(r"(?P<path>.+?):(?P<line>\d+)(?::(?P<column>\d+))?")


class InputError(Exception):
    """What the user named cannot be used. The message is for them."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file's text as it stands on disk, `\\r\\n` and all, without the byte order mark."""

    path: Path
    text: str
    bom: bool
    raw: bytes

    def to_bytes(self, text: str) -> bytes:
        return ((BOM if self.bom else "") + text).encode()


def source_at(path: Path) -> Source:
    """Reads the file. Raises `InputError` for what is not a readable text file in UTF-8."""
    raw = _bytes_at(path)
    if b"\0" in raw:
        raise InputError(
            f"{path} looks binary: byte {raw.index(0)} is 0. Name a text file in UTF-8."
        )
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}. "
            "Convert the file to UTF-8 first."
        ) from error
    return Source(path, text.removeprefix(BOM), text.startswith(BOM), raw)


def write_back(source: Source, text: str) -> None:
    """Puts `text` in the file's place in one move: a reader sees the old file or the new one.

    Mode, byte order mark and symbolic links stay. Raises `InputError` where the file may not be
    written or is no longer as it was read.
    """
    path = Path(os.path.realpath(source.path))  # a link stays a link
    try:
        if path.read_bytes() != source.raw:
            raise InputError(f"{source.path} has changed since it was read; nothing was written")
        before = path.stat()
        # Root may write anything, and a rename needs no permission on the file itself: so the
        # mode is asked too, and a file marked read-only is left alone.
        if not before.st_mode & 0o222 or not os.access(path, os.W_OK):
            raise InputError(f"{source.path} is write-protected; nothing was written")
        _replace(path, source.to_bytes(text), before)
    except OSError as error:
        raise InputError(
            f"cannot write {source.path}: {error.strerror}; nothing was written"
        ) from error


def place_from(argument: str) -> tuple[Path, tuple[int, int] | None]:
    """`FILE` or `FILE:LINE:COL`, counted from 1. A file that really has such a name wins.

    Only digits at the end count as a place, so the colon of a Windows drive stays in the path.
    """
    match = PLACE.fullmatch(argument)
    if match is None or os.path.exists(argument):
        return Path(argument), None
    path, line, column = match["path"], int(match["line"]), match["column"]
    if column is None:
        raise InputError(f"a place needs a line and a column: {path}:{line}:1, not {argument}")
    return Path(path), (line, int(column))


def offset_at(text: str, line: int, column: int) -> int:
    """The offset of a line and a column counted from 1. Raises `InputError` outside the text."""
    starts = line_starts(text)
    if not 1 <= line <= len(starts):
        raise InputError(f"line {line} is outside the file, which has {len(starts)} lines")
    start = starts[line - 1]
    end_of_line = LINE_END.search(text, start)
    length = (end_of_line.start() if end_of_line else len(text)) - start
    if not 1 <= column <= length + 1:
        raise InputError(f"column {column} is outside line {line}, which ends at {length + 1}")
    return start + column - 1


def position_of(starts: list[int], offset: int) -> dict[str, int]:
    """Line and character counted from 0, as in LSP, but the characters are code points."""
    line = bisect_right(starts, offset) - 1
    return {"line": line, "character": offset - starts[line]}


def line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in LINE_END.finditer(text))]


def _bytes_at(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{path} is a folder; name a file in it")
        if not stat.S_ISREG(mode):  # reading a pipe or a device could wait forever
            raise InputError(f"{path} is not a regular file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _replace(path: Path, content: bytes, before: os.stat_result) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, stat.S_IMODE(before.st_mode))
        if hasattr(os, "chown"):
            with contextlib.suppress(PermissionError):  # only root may keep another's ownership
                os.chown(name, before.st_uid, before.st_gid)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
