"""`infill-lsp fill`: the holes of one file, filled: a diff, a JSON object or a changed file.

Knows files and the terminal; what a file leaves open is told in `infill/deeds/holes.py`, how it is
filled in `infill/fill.py`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from infill.code.syntax import language_of
from infill.deeds.fill_all import PATIENCE_MS, Filled, fill_document
from infill.deeds.holes import gaps_in
from infill.deeds.joint import MOST, filled_gaps
from infill.document import Document
from infill.settings import Settings
from infill.source import (
    InputError,
    line_starts,
    offset_at,
    place_from,
    position_of,
    source_at,
    write_back,
)
from infill.verbs.diff import diff_of
from infill.verbs.show import Screen, coloured
from infill.verbs.terminal import console, loaded, print_bytes, print_json
from model import Hole


def fill_file(
    place: str,
    settings: Settings,
    *,
    write: bool = False,
    watch: bool = False,
    as_json: bool = False,
) -> int:  # fmt: skip
    """The exit status: 0 when a hole was filled. Raises `InputError` and `ModelError`."""
    path, position = place_from(place)
    source = source_at(path)
    document = Document(path.resolve(), language_of(path), source.text)
    settings = replace(settings, deadline_ms=PATIENCE_MS, min_confidence=0.0)
    stderr = console()
    fill = filling(document, path, position, stderr)
    with loaded(settings, stderr) as denoiser:
        asked = partial(fill, denoiser=denoiser, settings=settings)
        screen = Screen(stderr, path.name) if watch else None
        filled = asyncio.run(shown_on(screen, asked) if screen else asked())
    if as_json:
        print_json(as_object(path, document, filled))
    else:
        print_diff(diff_of(str(path), document.text, filled.edits))
    explain(path, document, filled, stderr)
    if write and filled.edits:
        write_back(source, filled.text)
        stderr.print(Text(f"wrote {path}"), style="green", soft_wrap=True)
    return 0 if filled.edits else 1


def filling(
    document: Document, path: Path, position: tuple[int, int] | None, to: Console
) -> Callable[..., Coroutine[Any, Any, Filled]]:
    """What fills the place that was named, or all that the file leaves open."""
    if position is not None:
        cursor = offset_at(document.text, *position)
        return partial(fill_document, document, (Hole(cursor, cursor),), at=True)
    gaps = gaps_in(document)
    if not gaps:
        raise InputError(
            f"{path} has no holes. Put __HOLE__ where text is missing, leave a function's body "
            f"as `...` or with nothing but a TODO, or name a place: {path}:LINE:COL"
        )
    if len(gaps) > MOST:
        said = f"{path} has {len(gaps)} holes; the first {MOST} are filled, run again for more"
        to.print(Text(said), soft_wrap=True)
    return partial(filled_gaps, document, gaps)


async def shown_on(screen: Screen, fill: Callable[..., Coroutine[Any, Any, Filled]]) -> Filled:
    showing = asyncio.create_task(screen.show())
    try:
        filled = await fill(watch=screen.put)
    except BaseException:
        showing.cancel()  # no one wants to see the rest of what failed or was interrupted
        raise
    screen.finish()
    await showing
    return filled


def as_object(path: Path, document: Document, filled: Filled) -> dict[str, Any]:
    starts = line_starts(document.text)
    return {
        "file": str(path),
        "holes": [
            {
                "range": {
                    "start": position_of(starts, hole.start),
                    "end": position_of(starts, hole.end),
                },
                "text": fill.edit.text if fill.edit else None,
                "confidence": round(fill.score, 4) if fill.edit else None,
                "reason": fill.reason.explanation if fill.reason else None,
            }
            for hole, fill in filled.holes
        ],
        "steps": filled.steps,
        "ms": round(filled.ms, 1),
        "model": filled.model,
    }


def print_diff(diff: list[str]) -> None:
    if sys.stdout.isatty():
        Console(highlight=False).print(coloured(diff), end="", soft_wrap=True)
    else:
        print_bytes("".join(diff))


def explain(path: Path, document: Document, filled: Filled, to: Console) -> None:
    """How it went, and for each hole that stays one, where it is and why it does."""
    starts = line_starts(document.text)
    for hole, fill in filled.holes:
        if fill.reason:
            at = position_of(starts, hole.start)
            place = f"{path}:{at['line'] + 1}:{at['character'] + 1}"
            to.print(Text(f"{place}: not filled: {fill.reason.explanation}"), soft_wrap=True)
    to.print(
        Text(
            f"{len(filled.edits)} of {len(filled.holes)} holes filled "
            f"in {filled.steps} steps and {filled.ms:.0f} ms by {filled.model}"
        ),
        style="dim",
        soft_wrap=True,
    )
