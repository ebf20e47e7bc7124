"""Cuts suites out of the files of a corpus that no model was trained on. Knows no model.

What stands in the training part too, or in a file that came earlier, is no honest question: a hole
is only made where the five lines around it are new. The packages are split in two parts, one to
choose settings by and one to report. Which places become tasks is drawn by a seed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from infill.measure.cutters import CUTTERS, Cutter, Holes, Page, page_of
from infill.measure.rename import renamed_task
from infill.measure.suite import Task, write_tasks
from infill.source import InputError
from model.training.corpus import Source, read_corpus
from model.training.sources import CorpusError

DEV = frozenset({"anyio", "attr", "click", "peewee", "pygorithm"})  # about half of what is held out
STRETCH = 5  # lines; fewer in a row are the same in many files by chance
MOST_KNOWN = 0.5  # of a file's stretches; one that has more is a copy, as in the training text
DENSEST = 400  # places of a kind looked at in one file, so that a large one does not take minutes


@dataclass(frozen=True, slots=True)
class Fresh:
    """A held-out file and those of its stretches that stand elsewhere, too."""

    package: str
    page: Page
    lines: tuple[int, ...]  # those that say something
    known: frozenset[int]

    def is_new(self, holes: Holes) -> bool:
        """Whether no stretch with a hole in its middle, or near it at the file's ends, is known."""
        return not any(self.known & set(stretches(self._round(*hole))) for hole in holes)

    def _round(self, start: int, end: int) -> list[str]:
        first = bisect_left(self.lines, self.page.line_at(start))
        last = bisect_right(self.lines, self.page.line_at(end))
        half = STRETCH // 2
        start = max(0, min(first - half, len(self.lines) - STRETCH))
        window = self.lines[start : max(last + half, start + STRETCH)]
        return [self.page.line(number).strip() for number in window]


def cut(
    corpus: Path, out: Path, *, each: int = 400, seed: int = 0, dev: Container[str] = DEV
) -> Iterator[tuple[Path, int]]:
    """Writes up to `each` tasks of each kind to `dev-KIND.jsonl.gz` and `test-KIND.jsonl.gz`, and
    the same with other names to `…-renamed.jsonl.gz`; yields each file and how many are in it.

    Raises `InputError`.
    """
    try:
        sources = [source for source in read_corpus(corpus) if source.held_out]
        known = known_stretches(corpus, sources)
    except (CorpusError, OSError) as error:
        raise InputError(str(error)) from error
    if not sources:
        raise InputError(f"{corpus} holds no file that is marked as held out")
    for part in ("dev", "test"):
        files = list(fresh([it for it in sources if (it.package in dev) == (part == "dev")], known))
        for kind, cutter in CUTTERS.items():
            tasks = list(islice(tasks_from(files, kind, cutter, seed), each))
            renamed = [it for task in tasks if (it := renamed_task(task, seed)) is not None]
            for name, rows in ((kind, tasks), (f"{kind}-renamed", renamed)):
                path = out / f"{part}-{name}.jsonl.gz"
                write_tasks(path, rows)
                yield path, len(rows)


def tasks_from(files: Iterable[Fresh], kind: str, cutter: Cutter, seed: int) -> Iterator[Task]:
    """In turn from each package, so that the largest does not speak for all."""
    random = Random(f"{seed} {kind}")
    places: dict[str, list[tuple[Fresh, Holes]]] = {}
    for file in files:
        holes = islice(cutter(file.page, random), DENSEST)
        places.setdefault(file.package, []).extend((file, it) for it in holes if file.is_new(it))
    for of_package in places.values():
        random.shuffle(of_package)
    for turn in range(max(map(len, places.values()), default=0)):
        for package, of_package in sorted(places.items()):
            if turn < len(of_package):
                file, holes = of_package[turn]
                yield task_of(file.page.text, holes, f"{kind}/{package}/{turn}", kind, package)


def task_of(text: str, holes: Holes, task_id: str, kind: str, package: str) -> Task:
    start, end = holes[0][0], holes[-1][1]
    spans = tuple((a - start, b - start) for a, b in holes) if len(holes) > 1 else ()
    return Task(
        task_id, text[:start], text[end:], text[start:end], kind=kind, package=package, spans=spans
    )


def known_stretches(corpus: Path, sources: Iterable[Source]) -> set[int]:
    """Of the held-out files' stretches those that the training part has, too.

    The corpus is read a second time rather than kept: it may be larger than the memory.
    """
    wanted = {stretch for it in sources for stretch in stretches(lines_of(it.text))}
    known: set[int] = set()
    for source in read_corpus(corpus):
        if not source.held_out:
            known.update(wanted.intersection(stretches(lines_of(source.text))))
    return known


def fresh(sources: Iterable[Source], known: set[int]) -> Iterator[Fresh]:
    """The files that are no copies, each with what of it is known; adds their own to `known`."""
    for source in sources:
        own = set(stretches(lines_of(source.text)))
        page = page_of(source.text)
        if page is not None and len(own & known) <= MOST_KNOWN * len(own):
            numbers = (n for n in range(len(page.offsets)) if says_something(page.line(n).strip()))
            yield Fresh(source.package, page, tuple(numbers), frozenset(own & known))
        known |= own


def lines_of(text: str) -> list[str]:
    return [line for line in map(str.strip, text.split("\n")) if says_something(line)]


def says_something(line: str) -> bool:
    return len(line) > 3


def stretches(lines: list[str]) -> Iterator[int]:
    """A hash of each run of lines; good for this process only."""
    for i in range(max(1, len(lines) - STRETCH + 1)):
        yield hash(tuple(lines[i : i + STRETCH]))
