"""A training run on disk: the last state and the one before it, each whole or not there at all.

Knows nothing of what is in a state but that torch can save it.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

NAMES = ("checkpoint.pt", "checkpoint.previous.pt")  # newest first


class CheckpointError(Exception):
    """No checkpoint of those that are there can be used; the message says what to do."""


def save(state: dict[str, Any], work: Path) -> None:
    """Writes a new checkpoint; the last one becomes the previous one. A kill at any moment leaves
    at least one of them whole. Raises OSError where there is no space, and then nothing changed."""
    last, previous = (work / name for name in NAMES)
    new = work / "checkpoint.new.pt"
    try:
        with new.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch makes the one of the other, now and then
        new.unlink(missing_ok=True)
        raise OSError(f"{new} could not be written ({reason(error)})") from error
    if last.exists():
        os.replace(last, previous)
    os.replace(new, last)


def reason(error: BaseException) -> str:
    """The cause that the system named, where torch wrapped it in words of its own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return cause.strerror or str(cause)
        cause = cause.__cause__ or cause.__context__
    return str(error).partition("\n")[0]


def last_saved(work: Path, console: Console) -> dict[str, Any] | None:
    """The newest checkpoint that is whole, None if the run has not saved any."""
    damaged: list[Path] = []
    for name in NAMES:
        path = work / name
        if not path.exists():
            continue
        try:
            state = read(path)
        except Exception as error:  # torch raises many kinds for a damaged file
            console.print(f"{path} is damaged ({str(error).partition(chr(10))[0]})")
            damaged.append(path)
            continue
        if damaged:
            console.print(f"going on from the one before it, {path}")
        return state
    if damaged:
        raise CheckpointError(
            f"{' and '.join(map(str, damaged))} cannot be resumed; delete "
            f"{'it' if len(damaged) == 1 else 'them'} to begin anew"
        )
    return None


def read(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:  # torch itself does not look at the checksums
        if spoilt := archive.testzip():
            raise ValueError(f"the checksum of {spoilt} is wrong")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
