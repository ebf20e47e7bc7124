"""Python's own parser, which refuses what the grammar takes: a bad indentation, a header without
its body, a positional argument after a named one; and a `return` outside of functions. Knows one
language and no trees.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable

SMALL = 10_000  # characters: 5 ms; Python's parser lets nobody else run, not even from a thread
# Where a top-level statement begins, as far as a line's first characters tell.
TOP_LEVEL = re.compile(r"^(?!else\b|elif\b|except\b|finally\b|case\b)[^\s)\]}#\\'\"]", re.MULTILINE)
# What only the compiler refuses where it does not belong.
LEAVES = re.compile(r"\b(?:return|yield|break|continue|await)\b")


def refused_at(filled: str, before: str, start: int, end: int) -> int | None:
    """Where in `filled` Python stops reading, if it read `before` to its end; else None.

    The two differ only in `filled[start:end]`. Of a large file only the top-level statement
    around is read, unless that does not parse by itself.
    """
    reads = _compile if LEAVES.search(filled, start, end) else ast.parse
    top, bottom = (0, 0) if len(filled) <= SMALL else _statement_round(filled, start, end)
    for cut_top, cut_bottom in ((top, bottom), (0, 0)):
        error = _error_in(filled[cut_top : len(filled) - cut_bottom], reads)
        if error is None:
            return None
        if _error_in(before[cut_top : len(before) - cut_bottom], reads) is None:
            return min(cut_top + error, len(filled))
    return None


def stops_at(text: str) -> int | None:
    """Where Python stops reading a whole file, None when it reads all of it."""
    return _error_in(text, _compile)


def _statement_round(text: str, start: int, end: int) -> tuple[int, int]:
    """How much may be left out in front of and behind the top-level statement round a range."""
    first = max((m.start() for m in TOP_LEVEL.finditer(text, 0, start + 1)), default=0)
    line_end = text.find("\n", end)
    following = TOP_LEVEL.search(text, line_end + 1) if line_end >= 0 else None
    return first, len(text) - following.start() if following else 0


def _compile(text: str) -> None:
    # Notebooks await at the top level.
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compile(text, "", "exec", flags=flags, dont_inherit=True)


def _error_in(text: str, reads: Callable[[str], object]) -> int | None:
    """The offset at which Python stops, None when it reads all of it."""
    try:
        with warnings.catch_warnings():  # about the user's escapes and literals, not ours to tell
            warnings.simplefilter("ignore")
            reads(text)
    except SyntaxError as error:
        lines = re.split(r"\r\n|\r|\n", text)
        row = min(max(error.lineno or 1, 1), len(lines)) - 1
        starts = [0, *(m.end() for m in re.finditer(r"\r\n|\r|\n", text))]
        return starts[row] + min(max((error.offset or 1) - 1, 0), len(lines[row]))
    except (ValueError, RecursionError, MemoryError):  # a NUL, half a character, nested too deep
        return 0
    return None
