"""Training runs side by side: a table to bench/RESULTS.md, their curves to bench/figures.

    infill-lsp train --tokens N --work A …     once for each recipe, on the same corpus
    python bench/recipes.py A B … [--dry]

Each folder's name is that of its run. The runs are held against each other at the end, when their
rates have fallen to zero: by nats a byte of what is missing, the only figure here that means the
same in another vocabulary; how much of it is guessed right; and how often the end of the hole is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from loops import markdown
from matplotlib.figure import Figure
from plots import finish, save
from record import ROOT, append

Log = Sequence[Mapping[str, Any]]

FIGURES = ROOT / "bench" / "figures"
MARKS = {
    "heldout_nats_a_byte": "nats a byte",
    "heldout_right": "content right",
    "heldout_length_right": "length right",
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("works", nargs="+", type=Path, metavar="WORK")
    parser.add_argument("--title", default="recipes", help="of the section, and of the figure")
    parser.add_argument("--dry", action="store_true", help="print, and leave RESULTS.md alone")
    options = parser.parse_args(arguments)
    logs: dict[str, Log] = {}
    for work in options.works:
        try:
            logs[work.absolute().name] = json.loads((work / "log.json").read_text())
        except OSError as error:
            sys.exit(f"{work} is no work folder of a training run ({error})")
    lines = markdown([row_of(name, log) for name, log in logs.items()])
    if options.dry:
        print("\n".join(lines))
        return 0
    path = save(curves(logs), FIGURES / f"{options.title.replace(' ', '-')}.png")
    picture = f"![held-out nats a byte by training tokens](figures/{path.name})"
    append(options.title, "python bench/recipes.py", [*lines, "", picture])
    return 0


def row_of(name: str, log: Log) -> dict[str, object]:
    last = log[-1]
    marks = {told: round(last[key], 3) for key, told in MARKS.items() if key in last}
    seconds = last["seconds"]
    return {
        "": name,
        "million tokens": round(last["tokens"] / 1e6, 2),
        "steps": last["step"],
        "minutes": round(seconds / 60, 1),
        **marks,
    }


def curves(logs: Mapping[str, Log]) -> Figure:
    mpl.use("agg")
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, log in logs.items():
        points = [row for row in log if "heldout_nats_a_byte" in row]
        axes.plot(
            [row["tokens"] / 1e6 for row in points],
            [row["heldout_nats_a_byte"] for row in points],
            ".-",
            label=name,
        )
    axes.set(xlabel="million tokens", ylabel="held-out, nats a byte of what is missing")
    finish(axes)
    return figure


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
