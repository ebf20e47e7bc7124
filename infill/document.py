"""A file as it was when the request came. Offsets are code points from the start of the text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Document:
    """`path` is None for a buffer that was never saved; `language` is an LSP language id."""

    path: PurePath | None
    language: str
    text: str
    version: int = 0
