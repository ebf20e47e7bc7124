"""What it costs and gains to wait for another key before the model is asked.

    python bench/pauses.py [--seconds S]

No model runs, and no clock: people type the traces of traces.py at a model that would take so long
for a fill at the median if it had nothing else to do, and shares its time among all who wait. Fills
take as long as they happen to, log-normally. Each key asks, and ends what was asked before. So the
numbers are the same on every machine; how they come out in real windows depends on what else the
machine does.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from record import ROOT, table
from rich.console import Console
from rich.progress import track
from traces import files, typed

sys.path.insert(0, str(ROOT))

from infill.verbs.terminal import percentile
from lsp.pace import Pace

CLIENTS = (1, 4)
FILLS = (0.05, 0.1, 0.17, 0.3, 0.5)  # seconds
SPREADS = (0.1, 0.5)  # of the logarithm: of a machine for the model alone, and of a busy one
TICK = 0.005


@dataclass(slots=True)
class Asked:
    at: float
    begins: float
    left: float  # seconds of the model's time


@dataclass(frozen=True, slots=True)
class Outcome:
    keys: int
    times: tuple[float, ...]  # seconds from a key to its fill, where no other key came before it
    worked: float  # seconds


def typing(
    code: Sequence[str], fill: float, spread: float, seconds: float, *, pauses: bool
) -> Outcome:
    """One person types each of these texts."""
    chance = random.Random(1)
    traces = [keys_of(text, number, seconds) for number, text in enumerate(code)]
    paces = [Pace() for _ in code]
    asked: list[Asked | None] = [None] * len(code)
    times: list[float] = []
    worked = 0.0
    for tick in range(int(seconds / TICK)):
        now = tick * TICK
        for number, trace in enumerate(traces):
            while trace and trace[-1][0] <= now:
                at, is_line = trace.pop()
                paces[number].typed("", at)
                pause = paces[number].pause(at) if pauses and not is_line else 0.0
                left = fill * math.exp(chance.gauss(0, spread))
                asked[number] = Asked(at, at + pause, left)
        working = [i for i, it in enumerate(asked) if it is not None and it.begins <= now]
        for number in working:
            it = asked[number]
            assert it is not None
            it.left -= TICK / len(working)
            worked += TICK / len(working)
            if it.left <= 0:
                times.append(now - it.at)
                paces[number].filled(now - it.begins)
                asked[number] = None
    return Outcome(
        sum(len(keys_of(t, i, seconds)) for i, t in enumerate(code)), tuple(times), worked
    )


def keys_of(text: str, seed: int, seconds: float) -> list[tuple[float, bool]]:
    """When each key is pressed, the last one first, and whether it begins a line."""
    keys: list[tuple[float, bool]] = []
    now = 0.0
    for key in typed(text, seed):
        now += key.after
        if now > seconds:
            break
        keys.append((now, key.text.startswith("\n")))
    return keys[::-1]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="of typing, for each row")
    options = parser.parse_args(arguments)
    found = files([Path(sysconfig.get_path("stdlib"))], max(CLIENTS), seed=1, least=8_000)
    code = [path.read_text("utf-8") for path in found]
    cases = list(product(CLIENTS, SPREADS, FILLS))
    rows: list[dict[str, object]] = []
    for clients, spread, fill in track(cases, "typing", console=Console(stderr=True)):
        row: dict[str, object] = {
            "clients": clients, "a fill alone, ms": round(1000 * fill), "spread": spread,
        }  # fmt: skip
        for pauses, how in ((False, "at once"), (True, "with pauses")):
            it = typing(code[:clients], fill, spread, options.seconds, pauses=pauses)
            row[f"{how}: in time"] = f"{len(it.times) / it.keys:.1%}"
            row[f"{how}: p50 of those, ms"] = round(
                percentile([1000 * s for s in it.times], 50) or 0
            )
            row[f"{how}: model's ms a key"] = round(1000 * it.worked / it.keys)
        rows.append(row)
    print("\n".join(table(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
