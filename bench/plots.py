"""Draws what `infill-lsp eval --samples ROWS` wrote: no model is asked again.

    python bench/plots.py ROWS.jsonl... [--out FOLDER]

length.png: how good fills are by how much is missing. reliability.png: how often a fill is right
that the model is so sure of. coverage.png: what each gate shows, and how much of that is right.
Each file of rows is one curve, named after it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from record import ROOT

sys.path.insert(0, str(ROOT))

from infill.measure.figures import (
    Row,
    calibration_of,
    ece_of,
    groups_of,
    length_of,
    rows_in,
    thresholds_of,
)

OUT = ROOT / "bench" / "out"

Runs = Mapping[str, Sequence[Row]]  # by the name that a curve gets


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=Path, nargs="+", metavar="ROWS")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER")
    options = parser.parse_args(arguments)
    runs = {path.stem: rows_in(path) for path in options.rows}
    for path in draw(runs, options.out):
        print(path)
    return 0


def draw(runs: Runs, out: Path) -> list[Path]:
    """Writes the three plots and returns where they are."""
    figures = {
        "length": length_figure(runs),
        "reliability": reliability_figure(runs),
        "coverage": coverage_figure(runs),
    }
    return [save(figure, out / f"{name}.png") for name, figure in figures.items()]


def save(figure: Figure, path: Path) -> Path:
    mpl.use("agg")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


def length_figure(runs: Runs) -> Figure:
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, rows in runs.items():
        groups = groups_of(rows, 0.0, length_of)
        left.plot(list(groups), [100 * it["right"] for it in groups.values()], "o-", label=name)
        alike = [100 * it["similarity"] for it in groups.values()]
        right.plot(list(groups), alike, "o-", label=name)
    left.set(xlabel="characters missing", ylabel="right, % of all holes", ylim=(0, None))
    right.set(xlabel="characters missing", ylabel="edit similarity, %", ylim=(0, 100))
    finish(left, right)
    return figure


def reliability_figure(runs: Runs) -> Figure:
    """Above, each bin's share of right fills against its confidence; below, how many it holds."""
    figure = Figure(figsize=(5, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot((0, 1), (0, 1), color="grey", linestyle=":", linewidth=1)
    for name, rows in runs.items():
        bins = calibration_of([row for row in rows if row.shown])
        full = [it for it in bins if it["count"]]
        error = ece_of(bins)
        label = f"{name}, ECE {'–' if error is None else f'{error:.3f}'}"
        above.plot(
            [it["confidence"] for it in full], [it["right"] for it in full], "o-", label=label
        )
        middles = [(it["from"] + it["to"]) / 2 for it in bins]
        below.step(middles, [it["count"] for it in bins], where="mid", label=name)
    above.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    below.set(xlabel="confidence", ylabel="fills", ylim=(0, None))
    finish(above, below)
    return figure


def coverage_figure(runs: Runs) -> Figure:
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, rows in runs.items():
        points = [it for it in thresholds_of(rows) if it["precision"] is not None]
        axes.plot(
            [100 * it["coverage"] for it in points], [100 * it["precision"] for it in points],
            ".-", label=name,
        )  # fmt: skip
        for point in points[::4]:
            place = 100 * point["coverage"], 100 * point["precision"]
            axes.annotate(f"{point['threshold']:.1f}", place, fontsize=7)
    axes.set(xlabel="shown, % of all holes", ylabel="right, % of those shown", ylim=(0, 100))
    finish(axes)
    return figure


def growth_figure(tokens: Mapping[str, float], reports: Mapping[str, dict[str, Any]]) -> Figure:
    """Quality against the tokens that each model was trained on."""
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    names = sorted(tokens, key=lambda name: tokens[name])
    millions = [tokens[name] / 1e6 for name in names]
    for figure_name in ("right", "exact", "precision", "similarity"):
        values = [100 * (reports[name]["open"][figure_name] or 0) for name in names]
        axes.plot(millions, values, "o-", label=figure_name)
    axes.set(xscale="log", xlabel="million tokens", ylabel="%, gate open", ylim=(0, None))
    axes.set_xticks(millions, [f"{it:.3g}" for it in millions])
    axes.minorticks_off()
    finish(axes)
    return figure


def finish(*several: Axes) -> None:
    for axes in several:
        axes.grid(alpha=0.3)
    several[0].legend(fontsize=8)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
