"""What each gate shows, and how much of that would do: the curve that the three levels sit on.

    python bench/gate.py ROWS.jsonl... [--out FOLDER]

ROWS are what `infill-lsp eval --samples` wrote, so no model is asked again. A fill would do if it
is what stood there, or so like it that more than four fifths of the two agree: nobody was asked,
and this stands in for whether somebody would have accepted it. Prints tables and draws gate.png.
Levels are chosen on suites `dev-…`, and told with suites `test-…`, which are of other packages.
"""

# pyright: reportUnknownMemberType=false
# matplotlib is only partly typed.

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from plots import OUT, finish, save
from record import ROOT, table

sys.path.insert(0, str(ROOT))

from infill.measure.figures import Row, rows_in, share
from infill.settings import GATES

ALIKE = 0.8
STEPS = [i / 50 for i in range(50)]


@dataclass(frozen=True, slots=True)
class Point:
    """Shares at one gate: of all holes what is shown, of that what would do, and what is exact."""

    gate: float
    shown: float
    accepted: float
    exact: float

    @property
    def of_all(self) -> float:
        return self.shown * self.accepted


def would_do(row: Row) -> bool:
    return row.exact or row.similarity > ALIKE


def point(rows: Sequence[Row], gate: float) -> Point:
    shown = [row for row in rows if row.shown and row.score >= gate]
    return Point(
        gate,
        len(shown) / len(rows),
        share(map(would_do, shown)) or 0.0,
        share(row.exact for row in shown) or 0.0,
    )


def figure_of(rows: Sequence[Row]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    points = [it for gate in STEPS if (it := point(rows, gate)).shown >= 0.02]
    across = [100 * it.shown for it in points]
    axes.plot(across, [100 * it.accepted for it in points], label="exact, or alike above 0.8")
    axes.plot(across, [100 * it.exact for it in points], label="exact", linestyle="--")
    for name, gate in GATES.items():
        at = point(rows, gate)
        place = 100 * at.shown, 100 * at.accepted
        axes.plot(*place, "o", color="black")
        axes.annotate(f"{name}, {gate:g}", place, xytext=(6, 6), textcoords="offset points")
    axes.set(xlabel="shown, % of all holes", ylabel="of those shown, %", ylim=(0, 100))
    finish(axes)
    return figure


def groups_of(rows: Sequence[Row], label: Callable[[Row], str]) -> Mapping[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(label(row), []).append(row)
    return dict(sorted(groups.items()))


def told(rows: Sequence[Row]) -> list[str]:
    """The levels, and other gates to compare them with; then the levels by kind of hole."""
    named = {gate: name for name, gate in GATES.items()}
    gates = sorted({*GATES.values(), 0.0, 0.05, 0.3, 0.4, 0.6, 0.7, 0.8})
    overall = [
        {
            "gate": f"{gate:g}{f', {named[gate]}' if gate in named else ''}",
            "shown": f"{(it := point(rows, gate)).shown:.1%}",
            "of that, would do": f"{it.accepted:.1%}",
            "of that, exact": f"{it.exact:.1%}",
            "would do, of all holes": f"{it.of_all:.1%}",
        }
        for gate in gates
    ]
    kinds = [
        {
            "kind of hole": kind,
            "holes": len(some),
            **{
                f"{name}: shown, would do": f"{it.shown:.0%}, {it.accepted:.0%}"
                for name, gate in GATES.items()
                for it in (point(some, gate),)
            },
        }
        for kind, some in groups_of(rows, lambda row: row.label).items()
    ]
    return [*table(overall), "", *table(kinds)]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=Path, nargs="+", metavar="ROWS")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER")
    options = parser.parse_args(arguments)
    rows = [row for path in options.rows for row in rows_in(path)]
    if not rows:
        print("the files hold no rows: nothing was evaluated", file=sys.stderr)
        return 1
    packages = len({row.package for row in rows})
    print(f"{len(rows)} holes of {packages} packages.\n")
    print("\n".join(told(rows)))
    print(save(figure_of(rows), options.out / "gate.png"), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
