"""`infill-lsp models pull` and `rm`: fetching and removing the weights of a network.

Knows the terminal and its signals; the files are huggingface_hub's. No torch in here.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from infill.source import InputError
from infill.verbs.terminal import console
from model import ModelError
from model.published import hub
from model.published.catalog import Row, likely, row_of
from model.published.hub import gb

NAME = "bundled"
PATIENCE_S = 3  # after ctrl-c the lines to the hub get so long to end by themselves
AGAIN = "What is complete is kept: the same command goes on from there."


def fetch(name: str) -> int:
    id, row = id_named(name)
    needs_hub()
    revision = row.revision if row else ""
    if here := hub.found(id, revision):
        print(f"{id} is already here: {here}")
        return 0
    to = console()
    say = to.print
    if row is None:
        say(Text(f"the catalog does not know {id}: it will need a few keys in your settings, and "
                 "can be used if it is of a known architecture"), soft_wrap=True)  # fmt: skip
    else:
        say(Text(f"licence of {id}: {row.licence}; {row.limits}"), soft_wrap=True)
    if not revision:
        say(Text("no revision of it is pinned: what 'main' is now is fetched"), soft_wrap=True)
    stop = threading.Event()
    with bar(to) as progress, ended_by_ctrl_c(stop, to):
        task = progress.add_task(id.rpartition("/")[2], total=None)
        try:
            folder = hub.pull(
                id, revision,
                lambda done, whole: progress.update(task, completed=done, total=whole),
                stop.is_set,
            )  # fmt: skip
        except (hub.Stopped, KeyboardInterrupt):
            progress.stop()
            say(Text(f"stopped. {AGAIN}"))
            raise KeyboardInterrupt from None
    print(f"{id}: {gb(hub.size_of(folder))} in {folder}")
    say(Text(f"use it by `--model {id}`, or as `model` in your editor's settings"), soft_wrap=True)
    return 0


def bar(to: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(), console=to,
    )  # fmt: skip


@contextmanager
def ended_by_ctrl_c(stop: threading.Event, to: Console) -> Generator[None]:
    """The hub's client waits for its threads, and those for bytes; so they are told to stop, and
    where a line is silent the process ends without them."""

    def leave() -> None:
        to.show_cursor()
        print(f"stopped. {AGAIN}", file=sys.stderr, flush=True)
        os._exit(130)

    def interrupted(number: int, frame: object) -> None:
        if not stop.is_set():
            stop.set()
            timer = threading.Timer(PATIENCE_S, leave)
            timer.daemon = True
            timer.start()
            timers.append(timer)
        raise KeyboardInterrupt

    timers: list[threading.Timer] = []
    former = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
        for timer in timers:
            timer.cancel()


def remove(name: str, *, yes: bool) -> int:
    id, _ = id_named(name)
    needs_hub()
    removal = hub.removal_of(id)
    if removal is None:
        raise ModelError(f"nothing of {id} is on disk: {hub.cache()} does not hold it")
    many = f" in {removal.revisions} revisions" if removal.revisions > 1 else ""
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(f"removing {id} frees {gb(removal.bytes)}; say so with --yes")
        print(
            f"{removal.folder} holds {gb(removal.bytes)}{many}, for all programs that use "
            "huggingface_hub.",
            file=sys.stderr,
        )
        if input(f"Remove {id}? [y/N] ").strip().casefold() not in ("y", "yes"):
            print("kept", file=sys.stderr)
            return 1
    removal.execute()
    print(f"{id}: {gb(removal.bytes)} freed{many}")
    return 0


def id_named(name: str) -> tuple[str, Row | None]:
    """The hub's id for a name of the catalog, or for one of the hub that the catalog lacks."""
    if name == NAME:
        raise InputError(
            "the bundled model is a part of infill-lsp: it is neither fetched nor removed"
        )
    row = row_of(name)
    if row:
        return row.id, row
    if name.count("/") != 1 or Path(name).expanduser().exists():
        raise InputError(
            f"{name!r} is neither a known network nor an id of the hub (owner/name); {likely(name)}"
        )
    return name, None


def needs_hub() -> None:
    from importlib.util import find_spec

    if find_spec("huggingface_hub") is None:
        raise ModelError(
            "networks of others are kept by huggingface_hub, which is not installed: "
            "pip install 'infill-lsp[local]'"
        )
