"""How good fills are on suites, added to bench/RESULTS.md, with plots in bench/out.

    python bench/quality.py SUITE.jsonl[.gz]... [--limit N] [--model NAME] [--renamed]

Runs `infill-lsp eval`, which is what users have; this file only keeps the numbers, with the date
and the commit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from plots import OUT, draw
from record import ROOT, append, output_of

from infill.measure.figures import rows_in


def main(arguments: list[str]) -> None:
    if {"-h", "--help"} & {*arguments}:
        print(__doc__)
        return
    OUT.mkdir(parents=True, exist_ok=True)
    rows = OUT / "quality.jsonl"
    command = [sys.executable, "-I", str(ROOT / "infill_lsp.py"), "eval", "--json"]
    report: dict[str, Any] = json.loads(output_of([*command, "--samples", str(rows), *arguments]))
    append("quality", f"infill-lsp eval {report.pop('suite')}", lines_of(report))
    for path in draw({report["model"]: rows_in(rows)}, OUT):
        print(path)


def lines_of(report: dict[str, Any]) -> list[str]:
    opened = report["open"]
    reasons = sorted({*report["reasons"], *opened["reasons"]})
    return [
        f"{report['model']}; of what the gate withholds ({report['withheld']} holes) "
        f"{report['withheld_right']} is right; calibration error {report['ece']}",
        "",
        *table(
            ["", f"gate at {report['gate']:g}", "gate open"],
            [
                *([name, report[name], opened[name]] for name in opened if name != "reasons"),
                *(
                    [f"not shown: {reason}"]
                    + [it["reasons"].get(reason, 0) for it in (report, opened)]
                    for reason in reasons
                ),
            ],
        ),
        *groups("kind of hole", report["kinds"]),
        *groups("characters missing", report["lengths"]),
        *groups("gate", {it["threshold"]: it for it in report["thresholds"][::2]}),
    ]


def groups(head: str, figures: dict[Any, dict[str, Any]]) -> list[str]:
    names = [name for name in next(iter(figures.values())) if name != "threshold"]
    rows = ([label, *(it[name] for name in names)] for label, it in figures.items())
    return ["", *table([head, *names], rows)]


def table(head: list[str], rows: Iterable[list[Any]]) -> list[str]:
    lines = [" | ".join(str(cell) for cell in row) for row in (head, *rows)]
    lines = [line.replace("_", " ") for line in lines]
    return [
        f"| {lines[0]} |",
        f"|---{'|--:' * (len(head) - 1)}|",
        *(f"| {it} |" for it in lines[1:]),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
