"""Keeps what a benchmark measured: a section of bench/RESULTS.md, with date, commit and command."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "RESULTS.md"


def append(kind: str, command: str, lines: Sequence[str]) -> None:
    commit = output_of(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]).strip()
    section = [f"## {kind}, {date.today()}, {commit}", "", f"`{command}`", "", *lines, ""]
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write("\n" + "\n".join(section))
    print("\n".join(section))


def table(rows: Iterable[Mapping[str, object]]) -> list[str]:
    """Lines of a table whose head are the keys of the first row."""
    rows = list(rows)
    lines = [" | ".join(rows[0]), "|".join(["---", *["--:"] * (len(rows[0]) - 1)])]
    lines += [" | ".join(map(str, row.values())) for row in rows]
    return [f"| {line} |" for line in lines]


def output_of(command: Sequence[str]) -> str:
    """What it prints; its progress goes to our standard error."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
