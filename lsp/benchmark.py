"""`infill-lsp bench`: the numbers of a fill and of the server that an editor starts, in one table.

Fills are measured in this process; the server is measured from outside, as an editor meets it.
"""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from infill.measure.benchmark import STAGES, fill_times, spread, steps_after_cancel, typed_along
from infill.settings import Settings
from infill.verbs.terminal import console, loaded, print_json
from lsp.probe import Window, resident_mb
from model import Denoiser

STARTS = 5
CANCELS = 5
HITS = 50
PROBE = "def area(width, height):\n    return \n"


def measure(settings: Settings, *, fills: int, as_json: bool) -> int:
    """The exit status: 1 when a step started after a cancel. Raises `ModelError`."""
    stderr = console()
    with Progress(console=stderr) as progress:
        bar = progress.add_task("starting the server", total=fills + 1 + STARTS)
        advance = partial(progress.advance, bar)
        window = window_numbers(settings, advance)
        progress.update(bar, description="filling")
        with loaded(settings, Console(quiet=True)) as denoiser:
            numbers = asyncio.run(fill_numbers(denoiser, settings, fills, advance))
            model = {"name": denoiser.card.name, "version": denoiser.card.version}
    report = {"machine": machine(), "model": model, **numbers, "window": window}
    if as_json:
        print_json(report)
    else:
        Console(highlight=False).print(table_of(report))
    return 1 if report["after_cancel"]["late_steps"] else 0


async def fill_numbers(
    denoiser: Denoiser, settings: Settings, count: int, saw: Callable[[], None]
) -> dict[str, Any]:
    return {
        "fill": await fill_times(denoiser, settings, count, saw),
        "after_cancel": await steps_after_cancel(denoiser, settings, CANCELS),
        "typed_along": await typed_along(settings, HITS),
    }


def window_numbers(settings: Settings, saw: Callable[[], None]) -> dict[str, Any]:
    """The server from outside: first without any model, then with the model and a fill made."""
    starts: list[float] = []
    for _ in range(STARTS):
        began = perf_counter()
        with Window() as window:
            window.initialize(enabled=False)
            starts.append((perf_counter() - began) * 1000)
        saw()
    without, _ = when_answered(enabled=False)
    with_model, seconds = when_answered(
        model=settings.model, model_keys=settings.model_keys, seed=settings.seed, server="inside"
    )
    return {
        "initialize_ms": spread(starts),
        "first_fill_s": seconds,
        "resident_mb_without_model": without,
        "resident_mb_with_model": with_model,
    }


def when_answered(**options: object) -> tuple[float | None, float]:
    """The memory of a server that has answered a request, before which it has not loaded all of
    itself; and after how many seconds from its start that was."""
    began = perf_counter()
    with Window() as window:
        window.initialize(**options)
        if options.get("enabled", True):
            window.when_ready()
        window.fill(PROBE, 1, len("    return "))
        return resident_mb(window.process.pid), round(perf_counter() - began, 2)


def machine() -> dict[str, Any]:
    """What the numbers depend on, besides the model."""
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
    }


def table_of(report: dict[str, Any]) -> Table:
    fill, window, machine = report["fill"], report["window"], report["machine"]
    table = Table(title=f"{report['model']['name']} {report['model']['version']}")
    for column in ("", "p50", "p95"):
        table.add_column(column, justify="left" if not column else "right")

    def row(name: str, spread: dict[str, float | None], unit: str = "ms") -> None:
        table.add_row(name, *(measured(spread[part], unit) for part in ("p50", "p95")))

    row(f"a fill ({fill['fills']} lines, {fill['context_chars']} characters)", fill["total_ms"])
    for stage in STAGES:
        row(f"  {stage.removesuffix('_ms')}", fill[stage])
    row(f"typed along ({report['typed_along']['hits']} hits)", report["typed_along"]["ms"])
    row("start to the answer to initialize", window["initialize_ms"])
    table.add_row("start to the first fill", measured(window["first_fill_s"], "s"), "")
    table.add_section()
    table.add_row("fills shown", f"{fill['shown']} of {fill['fills']}", "")
    table.add_row("steps a fill", measured(fill["steps_p50"], ""), "")
    cancel = report["after_cancel"]
    table.add_row(
        f"{cancel['counted']} begun after a cancel",
        f"{cancel['late_steps']} in {cancel['cancelled']}", "",
    )  # fmt: skip
    for name in ("without", "with"):
        resident = window[f"resident_mb_{name}_model"]
        table.add_row(f"the server's memory {name} a model", measured(resident, "MB"), "")
    table.caption = f"{machine['cores']} cores, load {machine['load']}, {machine['system']}"
    return table


def measured(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:g} {unit}".strip()
