"""`infill-lsp eval`: how good fills are, measured the way an editor gets them.

Runs each completed task in the sandbox, beside the next fill. What the numbers mean is told by
`infill-lsp eval --help`; what they are made of, by `infill.measure.figures.Row`.
"""

from __future__ import annotations

import ast
import asyncio
import sys
import warnings
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any, Protocol

from rich import box
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from infill.code.due import indentation_at
from infill.document import Document
from infill.fill import Fill, applied, fill_at, fill_holes
from infill.hole import BLOCK_LIMIT, hole_at, indent_unit
from infill.measure.figures import SHARES, Row, report_of, write_rows
from infill.measure.rename import renamed_task
from infill.measure.sandbox import Outcome, outcome_of
from infill.measure.suite import Task, tasks_in
from infill.memory import Memory
from infill.reason import Reason
from infill.settings import Settings
from infill.source import InputError
from infill.verbs.terminal import console, loaded, print_json
from model import Denoiser
from model.canvas import Hole


@dataclass(frozen=True, slots=True)
class Answer:
    """What came for a hole: the text for it; no text, the reason."""

    text: str | None
    reason: str | None
    score: float
    steps: int


@dataclass(frozen=True, slots=True)
class Answers:
    """What came for a task: an answer for each hole, the whole with all of them, the time."""

    holes: tuple[Answer, ...]
    completed: str
    ms: float


class Asked(Protocol):
    """Whoever is asked to fill a task: the pipeline, or the suite's own solution."""

    def __call__(self, task: Task) -> Awaitable[Answers]: ...


def evaluate_suites(
    suites: Sequence[Path],
    settings: Settings,
    *,
    limit: int | None = None,
    gold: bool = False,
    renamed: bool = False,
    samples: Path | None = None,
    as_json: bool = False,
    deadline_ms: int = Settings().deadline_ms,
) -> int:
    """The exit status: 0 when the suites were run through, however good the fills are.

    Fills are asked for with the gate open, and what the gate of the settings would show is worked
    out from their scores. Raises `InputError` and `ModelError`.
    """
    tasks = [task for suite in suites for task in tasks_in(suite, limit)]
    stderr = console()
    if renamed:
        tasks = with_other_names(tasks, stderr)
    if samples:
        write_rows(samples, [])  # rather fail now than after an hour
    open_gate = replace(settings, deadline_ms=deadline_ms, min_confidence=0.0)
    if gold:
        name, rows = "the suite's own solutions", run(tasks, own_solution, stderr)
    else:
        with loaded(settings, stderr) as denoiser:
            name = denoiser.card.name
            rows = run(tasks, pipeline(denoiser, open_gate), stderr)
    if samples:
        write_rows(samples, rows)
    suite = ", ".join(it.name for it in suites) + (", renamed" if renamed else "")
    report = {"suite": suite, "model": name, **report_of(rows, settings.gate)}
    if as_json:
        print_json(report)
    else:
        # In a file nobody is short of space.
        stdout = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
        for table in tables_of(report):
            stdout.print(table)
    return 0


def with_other_names(tasks: Sequence[Task], stderr: Console) -> list[Task]:
    renamed = [it for task in tasks if (it := renamed_task(task)) is not None]
    if len(renamed) < len(tasks):
        stderr.print(f"{len(tasks) - len(renamed)} tasks cannot be renamed and are left out")
    if not renamed:
        raise InputError("no task of the suite can be renamed: its solutions are no valid Python")
    return renamed


def pipeline(denoiser: Denoiser, settings: Settings) -> Asked:
    """The way of an editor's request. Each task has a memory of its own, so nothing is recalled."""

    async def ask(task: Task) -> Answers:
        text, places = task.place
        document = Document(None, "python", text)
        began = perf_counter()
        if len(places) == 1 and not task.spans_lines:
            fills = [
                await fill_at(
                    document, places[0], denoiser=denoiser, settings=settings, memory=Memory(),
                    invoked=True,
                )
            ]  # fmt: skip
        else:
            fills = await fills_at(document, places, task.spans_lines, denoiser, settings)
        return answers_from(document, fills, (perf_counter() - began) * 1000)

    return ask


async def fills_at(
    document: Document,
    places: Sequence[int],
    spans_lines: bool,
    denoiser: Denoiser,
    settings: Settings,
) -> list[Fill | Reason]:
    """Fills of the holes at these places, written jointly; a reason where there can be no hole."""
    holes = [hole_of(document, place, spans_lines, settings) for place in places]
    asked = [hole for hole in holes if isinstance(hole, Hole)]
    filled = iter(await fill_holes(document, asked, denoiser=denoiser, settings=settings))
    return [next(filled) if isinstance(hole, Hole) else hole for hole in holes]


def hole_of(document: Document, place: int, spans_lines: bool, settings: Settings) -> Hole | Reason:
    """The hole that an editor would make. It makes blocks only behind headers: so where the suite
    knows that several lines are missing, it says so, as someone who selects them would."""
    hole = hole_at(document, place, settings, invoked=True)
    if isinstance(hole, Reason) or hole.multiline or not spans_lines:
        return hole
    indent = block_indentation(document.text, place)
    return replace(hole, multiline=True, limit=BLOCK_LIMIT, indent=indent)


def block_indentation(text: str, place: int) -> str:
    """That of the cursor's line, or at the margin of what stands above. Behind other text on the
    line it is not known which block the hole ends in, so none is asked for."""
    above, _, left = text[:place].rpartition("\n")
    if left.strip():
        return ""
    last = above.rstrip().rpartition("\n")[2]
    step = indent_unit(text, "    ") if last.endswith(":") else ""
    return left or indentation_at(last, 0) + step


def answers_from(document: Document, fills: Sequence[Fill | Reason], ms: float) -> Answers:
    answers: list[Answer] = []
    for fill in reversed(fills):  # from the last, so that the places of those before stay
        if isinstance(fill, Reason):
            answers.append(Answer(None, fill.value, 0.0, 0))
            continue
        text, reason = fill.edit and fill.edit.text, fill.reason and fill.reason.value
        answers.append(Answer(text, reason, fill.score, fill.steps))
        document = applied(document, fill.edit) if fill.edit else document
    return Answers(tuple(reversed(answers)), document.text, ms)


async def own_solution(task: Task) -> Answers:
    answers = (Answer(text, None, 1.0, 0) for text in task.wanted)
    return Answers(tuple(answers), task.file, 0.0)


def run(tasks: Sequence[Task], ask: Asked, stderr: Console) -> list[Row]:
    """Asks for every task in turn; a progress bar shows how far it is and how well it goes."""
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr) as progress:
        bar = progress.add_task("right   –  ", total=len(tasks))
        right: list[bool] = []

        def saw(rows: Sequence[Row]) -> None:
            right.extend(row.right for row in rows)
            progress.update(bar, advance=1, description=f"right {fmean(right):6.1%}")

        return asyncio.run(rows_of(tasks, ask, saw))


async def rows_of(
    tasks: Sequence[Task], ask: Asked, saw: Callable[[Sequence[Row]], None] = lambda rows: None
) -> list[Row]:
    """Programs run one at a time, each beside the next fill: more would slow the fills down.

    So would parsing a large file in this process; where there is no test the next fill waits.
    """
    rows: list[Row] = []
    running: asyncio.Future[list[Row]] | None = None
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="sandbox") as sandbox:
        for task in (*tasks, None):
            answers = await ask(task) if task else None
            if running:
                scored = await running
                rows += scored
                saw(scored)
            if task and answers:
                running = loop.run_in_executor(sandbox, scored_rows, task, answers)
                if not task.test:
                    await asyncio.wait({running})
    return rows


def scored_rows(task: Task, answers: Answers) -> list[Row]:
    """Runs the task's test, if it has one. Where nothing was shown there is nothing to test."""
    filled = any(answer.text and answer.text.strip() for answer in answers.holes)
    outcome = Outcome(False, "nothing was filled" if task.test else "there is no test")
    if task.test and filled:
        outcome = outcome_of(task.program(answers.completed))
    parses, parsed_before = is_python(answers.completed), is_python(task.place[0])
    return [
        Row(
            task.task_id, i, task.kind, task.package, task.renamed,
            answer.text, wanted, answer.reason, answer.score, answer.steps, answers.ms,
            tested=bool(task.test),
            passed=outcome.passed and bool(answer.text and answer.text.strip()),
            trouble=outcome.trouble,
            exact=answer.text is not None and answer.text.strip() == wanted.strip(),
            similarity=similarity_of(answer.text or "", wanted),
            parses=parses,
            parsed_before=parsed_before,
            gold_parses=is_whole(task.file),
        )
        for i, (answer, wanted) in enumerate(zip(answers.holes, task.wanted, strict=True))
    ]  # fmt: skip


def similarity_of(text: str, wanted: str) -> float:
    """1 for the same, 0 for nothing in common, spaces at both ends apart."""
    matcher = SequenceMatcher(None, text.strip(), wanted.strip(), autojunk=False)
    return round(matcher.ratio(), 4)


def is_python(text: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):  # of doubtful escapes in strings
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


is_whole = lru_cache(maxsize=128)(is_python)  # the file that many tasks were cut from


def tables_of(report: dict[str, Any]) -> list[Table]:
    title = f"{report['model']} on {report['suite']}"
    main = Table("", f"gate at {report['gate']:g}", "gate open", title=title, box=box.SIMPLE)
    opened = report["open"]
    for name, value in opened.items():
        if name != "reasons":
            main.add_row(name.replace("_", " "), as_text(name, report[name]), as_text(name, value))
    for reason in sorted({*report["reasons"], *opened["reasons"]}):
        counts = (str(it["reasons"].get(reason, 0)) for it in (report, opened))
        main.add_row(f"not shown: {reason}", *counts)
    main.add_row("withheld by the gate", str(report["withheld"]))
    main.add_row("right of those", as_text("withheld_right", report["withheld_right"]))
    main.add_row("calibration error", "", as_text("ece", report["ece"]))
    tenths = {f"{it['threshold']:.1f}": it for it in report["thresholds"][::2]}
    return [
        main,
        table_of("kind of hole", report["kinds"]),
        table_of("characters missing", report["lengths"]),
        table_of("gate", tenths),
    ]


def table_of(head: str, groups: dict[str, dict[str, Any]]) -> Table:
    names = [name for name in next(iter(groups.values())) if name != "threshold"]
    table = Table(head, *(name.replace("_", " ") for name in names), box=box.SIMPLE)
    table.columns[0].no_wrap = True
    for label, figures in groups.items():
        table.add_row(label, *(as_text(name, figures[name]) for name in names))
    return table


def as_text(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name in SHARES:
        return f"{value:.1%}"
    return str(value) if isinstance(value, int) else f"{value:.1f}"
