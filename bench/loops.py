"""Our refinement loop beside one commitment a step, on the same weights: to bench/RESULTS.md.

    python bench/loops.py [--suite SUITE.jsonl[.gz]] [--limit N] [--model NAME]

Each hole is the rest of a line: a task of the suite, or a line of Python's own library that the
model has seen in training (so compare the rows with each other, not with a suite's). Forwards and
wall time a hole, exact matches, and how often a policy's text equals that of one commitment a step.
The policies take turns hole by hole, so a drifting machine slows them all alike.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

from record import append
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from infill.benchmark import spots
from infill.suite import tasks_in
from model import Canvas, Hole
from model.board import Board
from model.folder import load_folder
from model.load import folder_of
from model.refine import Policy, refine

POLICIES = {
    "one a step": Policy(threshold=1.0, cut=None),
    "one a step, tail cut at once": Policy(threshold=1.0),
    "threshold 0.9": Policy(threshold=0.9),
    "threshold 0.7": Policy(threshold=0.7),
    "threshold 0.5": Policy(threshold=0.5),
    "entropy bound 0.1": Policy(entropy_bound=0.1),
    "entropy bound 0.5": Policy(entropy_bound=0.5),
}


@dataclass(slots=True)
class Tally:
    forwards: list[int] = field(default_factory=list[int])
    seconds: list[float] = field(default_factory=list[float])
    texts: list[str] = field(default_factory=list[str])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", type=Path)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--model", default="bundled")
    options = parser.parse_args(arguments)
    engine = load_folder(folder_of(options.model))
    cases = cases_of(options.suite, options.limit)
    tallies = {name: Tally() for name in POLICIES}
    progress = Console(stderr=True)
    for before, after, _ in track(cases, "filling", console=progress):
        for name, policy in POLICIES.items():
            canvas = Canvas((before, after), (Hole(0, 0, limit=48),))
            board = Board(canvas, engine.vocabulary, engine.start)
            began = time.perf_counter()
            drafts = list(refine(engine.network, board, policy))
            tallies[name].seconds.append(time.perf_counter() - began)
            tallies[name].forwards.append(len(drafts))
            tallies[name].texts.append(drafts[-1].texts[0])
    engine.close()
    rows = summary(tallies, [wanted for _, _, wanted in cases])
    where = options.suite.name if options.suite else "Python's own library"
    head = f"{len(cases)} holes of one line from {where}; {engine.card.name} {engine.card.version}"
    append("refinement loops", "python bench/loops.py", [head, "", *markdown(rows)])
    return 0


def cases_of(suite: Path | None, limit: int) -> list[tuple[str, str, str]]:
    """(before, after, what was there)"""
    if suite is not None:
        tasks = tasks_in(suite, limit)
        return [(t.prompt, t.suffix, t.canonical_solution) for t in tasks]
    return [
        (spot.document.text[: spot.cursor], spot.document.text[spot.cursor :], spot.rest)
        for spot in spots(limit)
    ]


def summary(tallies: dict[str, Tally], wanted: Sequence[str]) -> list[dict[str, object]]:
    plain = next(iter(tallies.values()))
    return [
        {
            "policy": name,
            "forwards": round(mean(tally.forwards), 2),
            "ms_p50": round(1000 * median(tally.seconds), 1),
            "time_ratio": round(sum(tally.seconds) / sum(plain.seconds), 3),
            "exact": sum(t.strip() == w.strip() for t, w in zip(tally.texts, wanted, strict=True)),
            "same_text": sum(a == b for a, b in zip(tally.texts, plain.texts, strict=True)),
        }
        for name, tally in tallies.items()
    ]


def markdown(rows: Sequence[dict[str, object]]) -> list[str]:
    names = [name.replace("_", " ") for name in rows[0]]
    lines = [" | ".join(names), "|".join(["---", *["--:"] * (len(names) - 1)])]
    lines += [" | ".join(map(str, row.values())) for row in rows]
    return [f"| {line} |" for line in lines]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
