"""How a verb ends that could not do what was asked: an exit status, and a sentence for the user."""

from __future__ import annotations

import sys
from collections.abc import Iterable

FAILED = 1  # the work was done, and what came of it is not what was wanted
MISUSED = 2  # what argparse ends with, too: nothing was done, since what was asked made no sense
INTERRUPTED = 130  # what a shell expects after ctrl-c


def complain(message: str, status: int) -> int:
    print(f"infill-lsp: {message}", file=sys.stderr)
    return status


def lacking(names: Iterable[str], doing: str, extra: str) -> str | None:
    """The sentence where not all is installed of what only an extra brings, else `None`."""
    missing = [name for name in names if not importable(name)]
    if not missing:
        return None
    return (
        f"{doing} needs {', '.join(missing)}, which is not installed: "
        f"pip install 'infill-lsp[{extra}]'"
    )


def importable(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None
