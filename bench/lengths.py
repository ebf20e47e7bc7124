"""How well each method finds the length of a hole, on a model whose length tokens are switched off.

    python bench/lengths.py SUITE.jsonl[.gz] [--limit N] [--minutes M] [--model FOLDER]
                            [--corpus FILE] [--counts] [--dry]

The model may then neither expand nor delete: a hole keeps the length that was chosen for it. Beside
the methods stand sixteen masks whatever is missing, as many as are, and the model as it ships. With
`--corpus` CAL's curve is also fitted to the model, on 100 holes of that corpus; a probe is asked
where `python -m model.lengths.probe` has left one in the folder; with `--counts` the model's counts
vote, as they do when it ships. Adds a table to bench/RESULTS.md and draws
bench/out/lengths-SUITE.png; with `--dry` the table is only printed.

"First choice" is the length that came first, decoded alone; after it three lengths were decoded
together and weighed. LR-DLLM as published goes on from its first choice, writes from the left and
looks at the length anew before each token: there the first choice is what stage 1 chose, and the
text the one it ends with. Methods take turns hole by hole, so a drifting machine slows all alike;
the time is that of choosing, stepping and weighing, counting not included.
"""

# pyright: reportUnknownMemberType=false
# matplotlib is only partly typed.

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from statistics import fmean, median

import matplotlib as mpl
from matplotlib.figure import Figure
from record import ROOT, append
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(ROOT))

from infill.measure.evaluate import similarity_of
from infill.measure.suite import Task, tasks_in
from model import Canvas, Hole
from model.evidence.weighing import Evidence
from model.folder import card_of, load_folder
from model.lengths.calibrate import curve_for, demos_from
from model.lengths.grid import (
    Curve,
    Grid,
    calibrated,
    powered,
    regressed,
)
from model.lengths.probe import Probing, probe_in
from model.lengths.trial import Choosing, begun, tried
from model.load import folder_of
from model.masked.board import Board, Specials, Vocabulary
from model.masked.engine import Engine
from model.masked.policy import Policy
from model.masked.refine import hole_logits
from model.training.cores import spread

LIMIT = 48
DEMOS = 100
SHORT, MIDDLE = 4, 9  # tokens: up to so many a hole is short, of middle length
ALONE = Policy(threshold=0.9)  # of a network without counts
LEFTMOST = Policy(threshold=1.0, block=1, temperature=0.2, top_p=0.9, cut=None, grow=0.0)  # LR-DLLM
LIKELIEST = replace(LEFTMOST, temperature=0.0, top_p=1.0)

# From a fresh board and what is missing: how its length is chosen, and by which policy it is
# written, None for the usual one.
Begin = Callable[[Board, int], tuple[Board, Choosing | None, Policy | None]]


class Fixed:
    """A vocabulary without its length tokens."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        specials = vocabulary.specials
        tokens = [it for it in (specials.expand, specials.delete) if it is not None]
        banned = (*specials.banned, *tokens)
        self.specials: Specials = replace(specials, expand=None, delete=None, banned=banned)
        self.newlines = vocabulary.newlines
        self.encode, self.pieces = vocabulary.encode, vocabulary.pieces


@dataclass(frozen=True, slots=True)
class Outcome:
    """One hole filled by one method. Of the first choice what it would have been alone."""

    gold: int
    length: int
    text: str
    wanted: str
    first_length: int
    first_text: str
    forwards: int
    boards: int
    ms: float


def same(text: str, wanted: str) -> bool:
    return text.strip() == wanted.strip()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite", type=Path)
    parser.add_argument("--limit", type=int, default=100, help="holes, drawn from the suite")
    parser.add_argument("--minutes", type=float, help="stop after the hole in which they are over")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "out", metavar="FOLDER")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    drawn = drawn_from(tasks_in(options.suite), options.limit)
    end = time.time() + 60 * (options.minutes or 1e9)
    work = partial(compared, options.model, options.corpus, options.counts, end)
    done = spread(work, drawn, chunk=1)
    every = [it for it in track(done, "filling", len(drawn), console=console) if it is not None]
    outcomes = {name: [it[name] for it in every] for name in every[0]}
    card = card_of(folder_of(options.model))
    size = [it.gold for it in outcomes[SHIPPED]]
    head = (
        f"{len(size)} holes from {options.suite.name}, {fmean(size):.1f} tokens in the mean; "
        f"{card.name} {card.version}, length tokens off, "
        f"{'with' if options.counts else 'without'} counts"
    )
    lines = [head, "", *table(outcomes)]
    if options.dry:
        print("\n".join(lines))
    else:
        command = ["python bench/lengths.py", *map(str, arguments)]
        append("lengths", " ".join(it.rpartition("/")[2] for it in command), lines)
    name = options.suite.name.partition(".")[0] + ("-counts" if options.counts else "")
    print(draw(outcomes, options.out / f"lengths-{name}.png"))
    return 0


SHIPPED = "expand and delete, as it ships"


def compared(
    model: str, corpus: Path | None, counts: bool, end: float, task: Task
) -> dict[str, Outcome] | None:
    """One hole by each method, or nothing once the time is over."""
    if time.time() > end:
        return None
    engine, methods = ready(model, corpus)
    canvas, wanted = hole_of(task)
    shipped = Board(canvas, engine.vocabulary, engine.start)
    counted = engine.evidence(shipped) if counts and engine.evidence else None
    outcomes: dict[str, Outcome] = {}
    for name, begin in methods.items():
        vocabulary = engine.vocabulary if name == SHIPPED else Fixed(engine.vocabulary)
        board = Board(canvas, vocabulary, engine.start)
        outcomes[name] = outcome(engine, board, begin, wanted, counted)
    return outcomes


@cache
def ready(model: str, corpus: Path | None) -> tuple[Engine, dict[str, Begin]]:
    """Loaded once in each process."""
    folder = folder_of(model)
    engine = load_folder(folder)
    return engine, methods_for(engine, folder, corpus, Console(stderr=True))


def methods_for(
    engine: Engine, folder: Path, corpus: Path | None, console: Console
) -> dict[str, Begin]:
    rules = {
        "CAL, published curve": Grid(calibrated(Curve())),
        "LR-DLLM": Grid(regressed),
        "length power 0.1": Grid(powered()),
    }
    if corpus is not None:
        demos = demos_from(corpus, Fixed(engine.vocabulary), engine.start, DEMOS)
        curve = curve_for(engine.network, list(demos), console)
        console.print(f"fitted {curve}")
        rules["CAL, fitted curve"] = Grid(calibrated(curve))
    chosen = {name: choosing(Choosing(rule)) for name, rule in rules.items()}
    probe = probe_in(folder, engine.network)
    if probe is not None:
        chosen["probe"] = choosing(Choosing(Probing.of(probe, engine.network)))
    return {
        "always 16 masks": lambda board, _: (board.resized([16]), None, None),
        "as many masks as are missing": lambda board, gold: (board.resized([gold]), None, None),
        **chosen,
        "LR-DLLM, both stages, sampled": choosing(Choosing(None, boards=1), LEFTMOST),
        "LR-DLLM, both stages, likeliest tokens": choosing(Choosing(None, boards=1), LIKELIEST),
        SHIPPED: lambda board, _: (board, None, None),
    }


def choosing(how: Choosing, policy: Policy | None = None) -> Begin:
    return lambda board, _: (board, how, policy)


def outcome(
    engine: Engine, board: Board, begin: Begin, wanted: str, counted: Evidence | None
) -> Outcome:
    gold = len(board.vocabulary.encode(wanted))
    sizes: list[int] = []
    network = engine.network
    watch = network.model.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    look = partial(hole_logits, network)
    began = time.perf_counter()
    board, how, policy = begin(board, gold)
    trial = begun(board, how, look, evidence=partial(again, counted) if counted else None)
    first = trial.runners[0]
    chosen = len(first.board.cells[0])
    *_, draft = tried(network, trial, policy or (engine.policy if counted else ALONE))
    ms = (time.perf_counter() - began) * 1000
    watch.remove()
    ended = next(it for it in trial.runners if it.told.texts == draft.texts)
    alone = len(first.board.cells[0])  # what it ends with, whatever was chosen at first
    goes_on = how is not None and how.chooser is None
    return Outcome(
        gold, len(ended.board.cells[0]), draft.texts[0], wanted, chosen if goes_on else alone,
        first.told.texts[0], len(sizes), sum(sizes), ms,
    )  # fmt: skip


def again(counted: Evidence, board: Board) -> Evidence:
    """The same counts for another board of the same canvas."""
    return replace(counted, rivals=[() for _ in board.cells])


def drawn_from(tasks: Sequence[Task], limit: int) -> list[Task]:
    """The same ones every time, in an order in which the first few stand for all."""
    one_hole = [task for task in tasks if len(task.wanted) == 1 and not task.spans_lines]
    return random.Random(0).sample(one_hole, min(limit, len(one_hole)))


def hole_of(task: Task) -> tuple[Canvas, str]:
    """As an editor has it: where a whole line is missing an empty one stands for it."""
    text, (place,) = task.place
    before, after = text[:place], text[place:]
    (wanted,) = task.wanted
    wanted = wanted.removesuffix("\n") if task.whole_lines else wanted
    return Canvas((before, after), (Hole(place, place, limit=LIMIT),), (before, after)), wanted


def table(outcomes: dict[str, list[Outcome]]) -> list[str]:
    lines = [
        "| | first choice off by | within 2 | exact | similarity | weighed: off by | exact "
        "| similarity | forwards | boards | ms p50 |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, some in outcomes.items():
        cells = [
            f"{fmean(abs(it.first_length - it.gold) for it in some):.2f}",
            f"{fmean(abs(it.first_length - it.gold) <= 2 for it in some):.0%}",
            f"{sum(same(it.first_text, it.wanted) for it in some)}",
            f"{fmean(similarity_of(it.first_text, it.wanted) for it in some):.3f}",
            f"{fmean(abs(it.length - it.gold) for it in some):.2f}",
            f"{sum(same(it.text, it.wanted) for it in some)}",
            f"{fmean(similarity_of(it.text, it.wanted) for it in some):.3f}",
            f"{fmean(it.forwards for it in some):.1f}",
            f"{fmean(it.boards for it in some):.1f}",
            f"{median(it.ms for it in some):.0f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def draw(outcomes: dict[str, list[Outcome]], path: Path) -> Path:
    """Left how far off each method is, right how alike its texts are, by how much is missing."""
    mpl.use("agg")
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = list(outcomes)
    places = range(len(names))
    first = [fmean(abs(it.first_length - it.gold) for it in outcomes[name]) for name in names]
    ended = [fmean(abs(it.length - it.gold) for it in outcomes[name]) for name in names]
    left.barh([it + 0.2 for it in places], first, 0.4, label="first choice")
    left.barh([it - 0.2 for it in places], ended, 0.4, label="of three, weighed")
    left.set_yticks(list(places), names)
    left.set(xlabel="tokens too many or too few, mean")
    left.legend()
    groups = {
        f"1–{SHORT}": range(1, SHORT + 1),
        f"{SHORT + 1}–{MIDDLE}": range(SHORT + 1, MIDDLE + 1),
        f"{MIDDLE + 1}+": range(MIDDLE + 1, 10_000),
    }
    for name in names:
        means = [
            fmean(alike) if alike else float("nan")
            for some in groups.values()
            for alike in [[similarity_of(it.text, it.wanted)
                           for it in outcomes[name] if it.gold in some]]
        ]  # fmt: skip
        right.plot(list(groups), means, "o-", label=name)
    right.set(xlabel="tokens missing", ylabel="edit similarity", ylim=(0, 1))
    right.legend(fontsize="x-small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
