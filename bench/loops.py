"""Rules of commitment beside one commitment a step, on the same weights: to bench/RESULTS.md.

    python bench/loops.py [--suite SUITE.jsonl[.gz]] [--limit N] [--minutes M] [--model NAME]

Each hole is a line of the suite, or the rest of a line of Python's own library, which the model may
have seen in training (so compare the rows with each other, not with a suite's). Forwards a hole,
exact matches, and how often a rule's text equals that of one commitment a step; by the network
alone and, where the model has them, with its counts. out/commits.png: agreement by forwards. What
costs time is a forward, so these are counted and not timed: most rules come by the same boards, and
the states of one are computed once for all of them.

"Exact" is the text that the loop itself ends with. A fill is chosen later, among that and the texts
that were weighed at the first step, the same by every rule; how often the likeliest of those is
exact is said below the rows with counts.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from record import ROOT, append
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(ROOT))

from infill.measure.benchmark import spots
from infill.measure.suite import tasks_in
from model import Canvas, Hole
from model.evidence.weighing import Evidence
from model.folder import load_folder
from model.load import folder_of
from model.masked.board import Board
from model.masked.engine import Engine
from model.masked.network import picked
from model.masked.policy import Policy
from model.masked.refine import refine

# The first is what the others are held against; KLASS's pairs but the last are the published ones.
RULES: dict[str, dict[str, Policy]] = {
    "one a step": {"": Policy(threshold=1.0)},
    "one a step, no tail cut": {"": Policy(threshold=1.0, cut=None)},
    "one a step, by entropy": {"": Policy(threshold=1.0, order="entropy")},
    "threshold": {str(it): Policy(threshold=it) for it in (0.9, 0.7, 0.5, 0.333)},
    "factor": {str(it): Policy(factor=it) for it in (0.5, 1.0, 2.0)},
    "entropy bound": {str(it): Policy(entropy_bound=it) for it in (0.1, 0.5, 2.0)},
    "KLASS": {str(it): Policy(klass=it) for it in ((0.9, 0.01), (0.8, 0.001), (0.5, 0.05))},
    "LLaDA, steps": {str(it): Policy(even=it) for it in (16, 8, 4)},
    "P2, steps": {str(it): Policy(p2=it) for it in (64, 16, 8)},
}
SHIPPED = "as it ships"
Case = tuple[str, str, str]  # before, after, what was there


@dataclass(slots=True)
class Tally:
    forwards: list[int] = field(default_factory=list[int])
    texts: list[str] = field(default_factory=list[str])
    likeliest: list[str] = field(default_factory=list[str])  # of the texts weighed, "" if none was


class Remembering(torch.nn.Module):
    """A network's body that computes the same tokens only once. For boards one by one, unpadded."""

    def __init__(self, body: torch.nn.Module) -> None:
        super().__init__()
        self.body = body
        self.states: dict[tuple[int, ...], torch.Tensor] = {}

    def forward(
        self,
        tokens: torch.Tensor,
        lengths: None,
        kept: None,
        where: None,
        wanted: torch.Tensor,
    ) -> torch.Tensor:
        key = tuple(tokens.flatten().tolist())
        if key not in self.states:
            self.states[key] = self.body(tokens, lengths, kept, where)
        # Rules ask for different rows of the same board.
        return picked(self.states[key], wanted)


Tallies = dict[str, dict[str, Tally]]  # by whether with counts, then by policy


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", type=Path)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--minutes", type=float, help="stop after the hole in which they are over")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "out", metavar="FOLDER")
    parser.add_argument("--dry", action="store_true", help="leave RESULTS.md alone")
    options = parser.parse_args(arguments)
    engine = load_folder(folder_of(options.model))
    remembering = Remembering(engine.network.model)
    engine.network.model = remembering
    kinds = ("network alone", "with counts") if engine.evidence else ("network alone",)
    rules = {**RULES, SHIPPED: {str(engine.policy.threshold or ""): engine.policy}}
    policies = {f"{rule} {it}".strip(): p for rule, some in rules.items() for it, p in some.items()}
    tallies: Tallies = {kind: {name: Tally() for name in policies} for kind in kinds}
    cases = cases_of(options.suite, options.limit)
    end = time.monotonic() + 60 * (options.minutes or 1e9)
    done: list[Case] = []
    for case in track(cases, "filling", console=Console(stderr=True)):
        if time.monotonic() < end:
            fill(engine, case, policies, tallies)
            remembering.states.clear()
            done.append(case)
    engine.close()
    where = options.suite.name if options.suite else "Python's own library"
    lines = [
        f"{len(done)} holes of one line from {where}; {engine.card.name} {engine.card.version}. "
        "Agreement is with one commitment a step."
    ]
    wanted = [it for _, _, it in done]
    rows = {kind: summary(of, wanted) for kind, of in tallies.items()}
    for kind, some in rows.items():
        lines += ["", f"*{kind}*", "", *markdown(some)]
        if kind == "with counts":
            likeliest = next(iter(tallies[kind].values())).likeliest
            lines += ["", f"The likeliest text weighed is exact in {same(likeliest, wanted)}."]
    plot = draw(rows, rules, options.out / "commits.png")
    if options.dry:
        print("\n".join(lines), plot, sep="\n\n")
    else:
        command = ["python bench/loops.py", *map(str, arguments)]
        append("rules of commitment", " ".join(it.rpartition("/")[2] for it in command), lines)
    return 0


def cases_of(suite: Path | None, limit: int) -> list[Case]:
    if suite is not None:
        tasks = tasks_in(suite)
        random.Random(0).shuffle(tasks)  # so that the first few stand for all
        places = [(*task.place, task.wanted[0]) for task in tasks[:limit]]
        return [(text[: at[0]], text[at[0] :], wanted) for text, at, wanted in places]
    return [
        (spot.document.text[: spot.cursor], spot.document.text[spot.cursor :], spot.rest)
        for spot in spots(limit)
    ]


def fill(engine: Engine, case: Case, policies: Mapping[str, Policy], tallies: Tallies) -> None:
    """One hole by every policy, without and with counts; these are looked up once."""
    before, after, _ = case
    canvas = Canvas((before, after), (Hole(0, 0, limit=48),))
    fresh = Board(canvas, engine.vocabulary, engine.start)
    known = engine.evidence(fresh) if engine.evidence else None
    for kind, of in tallies.items():
        for name, policy in policies.items():
            evidence = unused(known) if known and kind == "with counts" else None
            board = Board(canvas, engine.vocabulary, engine.start)
            drafts = list(refine(engine.network, board, policy, evidence))
            of[name].forwards.append(len(drafts))
            of[name].texts.append(drafts[-1].texts[0])
            rivals = drafts[-1].rivals[0] if evidence else ()
            of[name].likeliest.append(rivals[0].text if rivals else "")


def unused(evidence: Evidence) -> Evidence:
    return replace(evidence, rivals=[() for _ in evidence.holes])


def summary(tallies: Mapping[str, Tally], wanted: Sequence[str]) -> list[dict[str, object]]:
    plain = next(iter(tallies.values()))
    return [
        {
            "rule": name,
            "forwards": round(mean(tally.forwards), 2),
            "exact": same(tally.texts, wanted),
            "same text": sum(a == b for a, b in zip(tally.texts, plain.texts, strict=True)),
        }
        for name, tally in tallies.items()
    ]


def same(texts: Sequence[str], wanted: Sequence[str]) -> int:
    return sum(a.strip() == b.strip() for a, b in zip(texts, wanted, strict=True))


def markdown(rows: Sequence[dict[str, object]]) -> list[str]:
    names = list(rows[0])
    lines = [" | ".join(names), "|".join(["---", *["--:"] * (len(names) - 1)])]
    lines += [" | ".join(map(str, row.values())) for row in rows]
    return [f"| {line} |" for line in lines]


def draw(
    rows: Mapping[str, Sequence[dict[str, object]]],
    rules: Mapping[str, Mapping[str, Policy]],
    path: Path,
) -> Path:
    """How many texts stay those of one commitment a step, by forwards: a curve for each rule."""
    mpl.use("agg")
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(1, len(rows), sharey=True, squeeze=False)[0]
    for panel, (kind, some) in zip(panels, rows.items(), strict=True):
        by_name = {str(row["rule"]): row for row in some}
        for rule, policies in rules.items():
            if rule == "one a step, no tail cut":
                continue  # so many forwards that the others could not be told apart
            mine = [by_name[f"{rule} {it}".strip()] for it in policies]
            across, up = ([row[name] for row in mine] for name in ("forwards", "same text"))
            panel.plot(across, up, marker="o", label=rule)
            for x, y, it in zip(across, up, policies, strict=True):
                panel.annotate(it, (x, y), fontsize=7, xytext=(3, 3), textcoords="offset points")
        # What takes half as many again and more is no rule to save forwards by: the table has it.
        least = min(float(str(row["forwards"])) for row in some)
        plain = float(str(some[0]["forwards"]))
        panel.set(title=kind, xlabel="forwards a hole", xlim=(0.95 * least, 1.5 * plain))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("texts as with one commitment a step")
    panels[-1].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
