"""What the rest of a project is worth: the same holes, with and without their package beside them.

    python bench/project.py SUITE.jsonl.gz ... --corpus CORPUS [--model FOLDER] [--limit N]

On suites that `infill-lsp eval --cut` made of the corpus. Each package is written to a folder, as
in a user's project, and each hole is asked in its own file there. Adds a table to bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from record import append
from rich.progress import track

from infill.document import Document
from infill.fill import fill_at
from infill.measure.suite import Task, tasks_in
from infill.memory import Memory
from infill.settings import Settings
from infill.verbs.terminal import percentile
from model.canvas import Denoiser
from model.load import load
from model.training.corpus import read_corpus

GATE = Settings().gate


@dataclass(frozen=True, slots=True)
class Asked:
    kind: str
    right: bool
    score: float
    ms: float


async def asked(
    task: Task, path: Path, root: Path, denoiser: Denoiser, settings: Settings
) -> Asked:
    text, (at,) = task.place
    fill = await fill_at(
        Document(path, "python", text), at, denoiser=denoiser, settings=settings, memory=Memory(),
        root=root, invoked=True,
    )  # fmt: skip
    written = fill.edit.text.strip() if fill.edit else None
    right = written == task.canonical_solution.strip()
    return Asked(task.kind, right, fill.score if fill.edit else 0.0, fill.timing.total)


async def measured(
    tasks: Sequence[Task], corpus: Path, denoiser: Denoiser
) -> list[tuple[Asked, Asked]]:
    beside = replace(Settings(), deadline_ms=5000, min_confidence=0.0)
    alone = replace(beside, other_files=False)
    pairs: list[tuple[Asked, Asked]] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = written(corpus, {task.package for task in tasks}, Path(folder))
        for task in track(tasks, "holes"):
            path = paths.get((task.package, task.file.strip()))
            if path is None:
                continue
            root = Path(folder) / task.package
            first = await asked(task, path, root, denoiser, alone)
            pairs.append((first, await asked(task, path, root, denoiser, beside)))
    return pairs


def written(corpus: Path, packages: set[str], folder: Path) -> dict[tuple[str, str], Path]:
    """Where each file of the packages lies now, by package and text."""
    paths: dict[tuple[str, str], Path] = {}
    for it in read_corpus(corpus):
        if it.package in packages:
            path = folder / it.package / it.path.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(it.text, "utf-8")
            paths[it.package, it.text.strip()] = path
    return paths


def rows(pairs: Sequence[tuple[Asked, Asked]]) -> Iterator[str]:
    kinds = sorted({alone.kind for alone, _ in pairs})
    for kind in [*kinds, "all"]:
        mine = [pair for pair in pairs if kind in (pair[0].kind, "all")]
        cells = [str(len(mine))]
        for answers in zip(*mine, strict=True):
            cells += figures(answers)
        yield f"| {kind} | {' | '.join(cells)} |"


def figures(answers: Iterable[Asked]) -> list[str]:
    answers = list(answers)
    shown = [it for it in answers if it.score >= GATE]
    right = sum(it.right for it in shown)
    return [
        f"{sum(it.right for it in answers) / len(answers):.3f}",
        f"{len(shown) / len(answers):.3f}",
        f"{right / len(shown):.3f}" if shown else "–",
        f"{percentile([it.ms for it in answers], 50):.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="+", type=Path, metavar="SUITE")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    tasks = [task for suite in options.suites for task in tasks_in(suite, options.limit)]
    denoiser = load(options.model)
    pairs = asyncio.run(measured(tasks, options.corpus, denoiser))
    denoiser.close()
    lines = [
        f"{denoiser.card.name} {denoiser.card.version}; {len(pairs)} of {len(tasks)} holes lie in "
        f"a file of the corpus. The file alone, then with its package; the gate is {GATE}.",
        "",
        "| | holes | right, open | shown at gate | precision | ms p50 "
        "| right, open | shown at gate | precision | ms p50 |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        *rows(pairs),
    ]
    names = " ".join(it.name for it in options.suites)
    append("the project beside the file", f"python bench/project.py {names} --corpus …", lines)


if __name__ == "__main__":
    main()
