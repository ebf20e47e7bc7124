"""The diffusion model beside its left-to-right twin, on the same holes: to bench/RESULTS.md.

    infill-lsp train --twin …     with the corpus, size and minutes of the diffusion model
    python bench/twin.py --twin FOLDER --suite SUITE.jsonl[.gz] [--model NAME] [--limit N]

Both see the same tokens on both sides, and nothing beside the networks has a say: no counts, no
tidying, no gate. Holes of one line only. Exact is without spaces at the ends; similarity is
difflib's ratio; the twin is searched greedily and with beams.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from statistics import mean, median

from loops import markdown
from record import append
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from infill.measure.suite import Task, tasks_in
from model import Canvas, Hole
from model.folder import load_folder
from model.load import folder_of
from model.masked.board import Board, Start, fixed_tokens
from model.masked.network import Network, Shape
from model.masked.refine import refine
from model.tokens import Tokens
from model.training.report import read_model
from model.training.twin import written

LIMIT = 48  # tokens a line may take

Filler = Callable[[Canvas], str]


@dataclass(slots=True)
class Tally:
    seconds: list[float] = field(default_factory=list[float])
    texts: list[str] = field(default_factory=list[str])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--twin", type=Path, required=True)
    parser.add_argument("--suite", type=Path, required=True)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--dry", action="store_true", help="print, and leave RESULTS.md alone")
    options = parser.parse_args(arguments)
    engine = load_folder(folder_of(options.model))

    def diffused(canvas: Canvas) -> str:
        board = Board(canvas, engine.vocabulary, engine.start)
        return list(refine(engine.network, board, engine.policy))[-1].texts[0]

    network, tokens = twin_from(options.twin)
    fillers: dict[str, Filler] = {"diffusion": diffused} | {
        f"twin, {'greedy' if beams == 1 else f'{beams} beams'}": partial(
            read_on, network, tokens, engine.start, beams
        )
        for beams in (1, 5)
    }
    tasks = [task for task in tasks_in(options.suite) if one_line(task)][: options.limit]
    tallies = {name: Tally() for name in fillers}
    for task in track(tasks, "filling", console=Console(stderr=True)):
        canvas = canvas_of(task)
        for name, fill in fillers.items():
            began = time.perf_counter()
            tallies[name].texts.append(fill(canvas))
            tallies[name].seconds.append(time.perf_counter() - began)
    engine.close()
    wanted = [task.canonical_solution.strip("\n") for task in tasks]
    rows = [row_of(name, tally, wanted) for name, tally in tallies.items()]
    head = (
        f"{len(tasks)} holes of one line from {options.suite.name}; {engine.card.name} "
        f"{engine.card.version} and its twin of {trained(options.twin)} (the former: "
        f"{trained(folder_of(options.model))})"
    )
    lines = [head, "", *markdown(rows)]
    if options.dry:
        print("\n".join(lines))
    else:
        append("diffusion and its twin", "python bench/twin.py", lines)
    return 0


def one_line(task: Task) -> bool:
    """Neither several holes nor several lines, and something to be written."""
    solution = task.canonical_solution.strip("\n")
    return bool(solution.strip()) and "\n" not in solution and len(task.wanted) == 1


def canvas_of(task: Task) -> Canvas:
    """As `Task.place` has it: where a whole line was taken out, an empty one stands for it."""
    opened = "\n" if task.whole_lines else ""
    return Canvas((task.prompt, opened + task.suffix), (Hole(0, 0, limit=LIMIT),))


def twin_from(folder: Path) -> tuple[Network, Tokens]:
    saved = read_model(folder)
    network = Network(Shape(**saved["shape"]))
    if not network.shape.causal:
        sys.exit(f"{folder} is no twin; `infill-lsp train --twin` makes one")
    network.load_state_dict(saved["network"])
    return network.eval(), Tokens.from_file(folder / "tokenizer.json")


def read_on(network: Network, tokens: Tokens, start: Start, beams: int, canvas: Canvas) -> str:
    before, after = fixed_tokens(canvas, tokens, start.context)
    return written(network, tokens, before, after, limit=LIMIT, beams=beams)


def row_of(name: str, tally: Tally, wanted: Sequence[str]) -> dict[str, object]:
    pairs = [(text.strip(), want.strip()) for text, want in zip(tally.texts, wanted, strict=True)]
    return {
        "": name,
        "exact": sum(text == want for text, want in pairs),
        "similarity": round(mean(SequenceMatcher(None, *pair).ratio() for pair in pairs), 3),
        "empty": sum(not text for text, _ in pairs),
        "length error": round(mean(abs(len(text) - len(want)) for text, want in pairs), 1),
        "ms p50": round(1000 * median(tally.seconds), 1),
    }


def trained(folder: Path) -> str:
    try:
        state = read_model(folder)["state"]
    except Exception:  # a model that another trainer wrote can be measured, too
        return "a run not noted"
    return f"{state['tokens'] / 1e6:.1f} M tokens"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
