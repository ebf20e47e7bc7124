"""Starts infill-lsp with its own packages, and no others of the same names.

`lsp`, `infill` and `model` are plain words: a folder of that name in the user's project, or on
`PYTHONPATH`, would be imported in our place, and its code would run. So before anything of ours is
imported, these three names are tied to the folder that this file lies in, whatever `sys.path`
says. This file knows nothing else: what the program does begins in `lsp/command.py`.

Where no console script is installed, `python -I -m infill_lsp` is the same program. On a cluster
`serve run infill_lsp:ray_application` is its server.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = frozenset({"lsp", "infill", "model"})


class OwnPackages:
    """Finds our three packages beside this file, and leaves every other name to Python."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in OURS:
            return None
        found = PathFinder.find_spec(name, [HERE])
        if found is None or found.origin is None:  # without an origin it is some folder, not ours
            raise ModuleNotFoundError(
                f"infill-lsp is not whole: {HERE} holds no package {name!r}; install it again",
                name=name,
            )
        return found


def tie() -> None:
    """From here on the three names are ours, in this process."""
    if OwnPackages not in sys.meta_path:
        sys.meta_path.insert(0, OwnPackages)


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script: the exit status of the verb that the arguments name."""
    tie()
    from lsp.command import run  # only now

    return run(sys.argv[1:] if arguments is None else arguments)


def ray_application(arguments: dict[str, Any]) -> Any:
    """For Ray Serve, which calls it with `args` of its configuration, or NAME=VALUE of `serve run`:
    the application. What may be told it is `Replicas` of `model/serving/ray_app.py`."""
    tie()
    from model.serving.ray_app import application, replicas_from

    return application(replicas_from(arguments))


if __name__ == "__main__":
    sys.exit(main())
