"""How fast fills are: the time of each stage, of a remembered fill, and what happens on a cancel.

Works on Python's own library, which lies on every machine and changes only with Python. Knows no
editor; the server's own numbers come from `lsp/benchmark.py`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

from infill.document import Document
from infill.fill import Fill, fill_at
from infill.memory import Memory
from infill.settings import Settings
from infill.verbs.terminal import percentile
from model import Denoiser, ModelError
from model.scripted import Scripted

CONTEXT = 800  # characters: about 256 tokens of Python
MODULES = ("textwrap", "shlex", "calendar", "csv", "fractions", "configparser", "statistics")
CUT = re.compile(r"^[ ]+(?:return|if|[a-z_.]+ =) (?P<rest>\S.{6,38})$", re.MULTILINE)
STAGES = ("context_ms", "queue_ms", "steps_ms", "tidy_ms")
LONGER_THAN_A_STEP = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class Spot:
    """A real line of code without its end, and the cursor where the end is missing."""

    document: Document
    cursor: int
    rest: str = ""  # what was cut away


def spots(count: int) -> list[Spot]:
    """The same ones every time, spread evenly over the modules."""
    found = [spot for name in MODULES for spot in spots_in(source_of(name))]
    if not found:
        raise ModelError("this Python has no source of its own library to measure on")
    return [found[i * len(found) // count % len(found)] for i in range(count)]


def source_of(module: str) -> str:
    spec = find_spec(module)
    path = Path(spec.origin) if spec and spec.origin else None
    return path.read_text("utf-8") if path and path.is_file() else ""


def spots_in(text: str) -> Iterator[Spot]:
    for match in CUT.finditer(text):
        start, end = match.span("rest")
        document = Document(None, "python", text[:start] + text[end:])
        yield Spot(document, start, match["rest"])


async def fill_times(
    denoiser: Denoiser, settings: Settings, count: int, saw: Callable[[], None]
) -> dict[str, Any]:
    """What a fill costs, stage by stage. The first one, which pays for what is loaded late, is
    not counted."""
    settings = replace(settings, context_chars=CONTEXT)
    fills: list[Fill] = []
    for spot in spots(count + 1):
        fills.append(await fill_of(spot, denoiser, settings, Memory()))
        saw()
    timings = [fill.timing for fill in fills[1:]]
    return {
        "fills": count,
        "context_chars": CONTEXT,
        "shown": sum(fill.edit is not None for fill in fills[1:]),
        "steps_p50": percentile((fill.steps for fill in fills[1:]), 50),
        "total_ms": spread([timing.total for timing in timings]),
        **{stage: spread([getattr(timing, stage) for timing in timings]) for stage in STAGES},
    }


async def fill_of(spot: Spot, denoiser: Denoiser, settings: Settings, memory: Memory) -> Fill:
    return await fill_at(
        spot.document, spot.cursor, denoiser=denoiser, settings=settings, memory=memory,
        invoked=True,
    )  # fmt: skip


def spread(values: Sequence[float]) -> dict[str, float | None]:
    return {"p50": percentile(values, 50), "p95": percentile(values, 95)}


async def typed_along(settings: Settings, count: int) -> dict[str, Any]:
    """The time to find a fill again while it is typed. No model is asked on that way, so the
    scripted one makes the fill that is remembered."""
    denoiser, typed, ms = Scripted("compute(1)"), "compute", list[float]()
    for spot in spots(count):
        memory = Memory()
        if (await fill_of(spot, denoiser, settings, memory)).edit is None:
            continue
        text, cursor = spot.document.text, spot.cursor
        later = replace(spot.document, text=text[:cursor] + typed + text[cursor:], version=1)
        began = perf_counter()
        fill = await fill_of(Spot(later, cursor + len(typed)), denoiser, settings, memory)
        ms += [(perf_counter() - began) * 1000] * fill.remembered
    return {"hits": len(ms), "ms": spread(ms)}


@runtime_checkable
class Stepping(Protocol):
    """A denoiser that tells how many steps it has made."""

    @property
    def steps(self) -> int: ...


async def steps_after_cancel(denoiser: Denoiser, settings: Settings, count: int) -> dict[str, Any]:
    """Cancels each fill at its first draft and waits for longer than a step takes.

    What is counted are the model's steps, or the drafts of one that does not tell. The step that
    is under way when the cancel comes may still end, and is counted when it does: so the first
    is not a late one.
    """
    drafts, late = 0, 0

    def made() -> int:
        return denoiser.steps if isinstance(denoiser, Stepping) else drafts

    for spot in spots(count):
        first = asyncio.Event()

        def saw(*_: object, first: asyncio.Event = first) -> None:
            nonlocal drafts
            drafts += 1
            first.set()

        fill = asyncio.create_task(
            fill_at(
                spot.document, spot.cursor, denoiser=denoiser, settings=settings, memory=Memory(),
                invoked=True, watch=saw,
            )
        )  # fmt: skip
        await asyncio.wait((fill, asyncio.create_task(first.wait())), return_when="FIRST_COMPLETED")
        fill.cancel()
        await asyncio.wait((fill,))
        before = made()
        await asyncio.sleep(LONGER_THAN_A_STEP)
        late += max(0, made() - before - 1)
    return {"cancelled": count, "late_steps": late,
            "counted": "steps" if isinstance(denoiser, Stepping) else "drafts"}  # fmt: skip
