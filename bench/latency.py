"""How fast fills are on this machine, added to bench/RESULTS.md.

    python bench/latency.py [--fills N] [--model NAME]

Runs `infill-lsp bench`, which is what users have; this file only keeps the numbers, with the date,
the commit and the machine. Let nothing else run meanwhile: the load is written down, too.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from record import ROOT, append, output_of

STAGES = ("total_ms", "context_ms", "queue_ms", "steps_ms", "tidy_ms")


def main(arguments: list[str]) -> None:
    if {"-h", "--help"} & {*arguments}:
        print(__doc__)
        return
    command = [sys.executable, "-I", str(ROOT / "infill_lsp.py"), "bench", "--json", *arguments]
    report: dict[str, Any] = json.loads(output_of(command))
    append("latency", f"infill-lsp bench {' '.join(arguments)}".strip(), lines_of(report))


def lines_of(report: dict[str, Any]) -> list[str]:
    machine, fill, window = report["machine"], report["fill"], report["window"]
    along, cancel = report["typed_along"], report["after_cancel"]
    return [
        f"{report['model']['name']} {report['model']['version']}; {machine['cores']} cores, "
        f"load {machine['load']}, Python {machine['python']}, {machine['system']}",
        "",
        "| | p50 ms | p95 ms |",
        "|---|--:|--:|",
        *(f"| fill: {name.removesuffix('_ms')} | {both(fill[name])} |" for name in STAGES),
        f"| typed along | {both(along['ms'])} |",
        f"| start to `initialize` answered | {both(window['initialize_ms'])} |",
        "",
        f"{fill['shown']} of {fill['fills']} fills shown, {fill['steps_p50']} steps at the median; "
        f"{cancel['late_steps']} {cancel['counted']} begun after {cancel['cancelled']} cancels; "
        f"the first fill comes {window['first_fill_s']} s after the server was started; "
        f"the server holds {window['resident_mb_without_model']} MB without and "
        f"{window['resident_mb_with_model']} MB with the model.",
    ]


def both(spread: dict[str, float | None]) -> str:
    return f"{spread['p50']} | {spread['p95']}"


if __name__ == "__main__":
    main(sys.argv[1:])
