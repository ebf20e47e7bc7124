"""Keeps what a benchmark measured: a section of bench/RESULTS.md, with date, commit and command."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
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


def output_of(command: Sequence[str]) -> str:
    """What it prints; its progress goes to our standard error."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
