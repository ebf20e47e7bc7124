"""How good fills are on a suite, added to bench/RESULTS.md.

    python bench/quality.py SUITE.jsonl[.gz] [--limit N] [--model NAME]

Runs `infill-lsp eval`, which is what users have; this file only keeps the numbers, with the date
and the commit.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from record import ROOT, append, output_of


def main(arguments: list[str]) -> None:
    command = [sys.executable, "-I", str(ROOT / "infill_lsp.py"), "eval", "--json", *arguments]
    report: dict[str, Any] = json.loads(output_of(command))
    suite = Path(report.pop("suite")).name
    append("quality", f"infill-lsp eval {suite}", lines_of(report))


def lines_of(report: dict[str, Any]) -> list[str]:
    reasons = report.pop("reasons")
    return [
        "| | |",
        "|---|--:|",
        *(f"| {name.replace('_', ' ')} | {value} |" for name, value in report.items()),
        *(f"| not shown: {reason} | {count} |" for reason, count in reasons.items()),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
