"""`infill-lsp eval`: how good fills are, measured the way an editor gets them.

Runs each completed task in the sandbox, beside the next fill. What the numbers mean is told by
`infill-lsp eval --help`; what they are made of, by `Row`.
"""

from __future__ import annotations

import ast
import asyncio
import json
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any, Protocol

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from infill.document import Document
from infill.fill import Fill, applied, fill_at
from infill.memory import Memory
from infill.sandbox import Outcome, outcome_of
from infill.settings import Settings
from infill.source import InputError
from infill.suite import Task, tasks_in
from infill.terminal import console, loaded, percentile, print_json
from model import Denoiser


@dataclass(frozen=True, slots=True)
class Answer:
    """What came for a task: the text for the hole and the whole with it; no text, the reason."""

    text: str | None
    completed: str
    reason: str | None
    score: float
    steps: int
    ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """One task, answered and scored."""

    task_id: str
    text: str | None
    wanted: str
    reason: str | None
    score: float
    steps: int
    ms: float
    passed: bool
    trouble: str
    exact: bool
    parses: bool
    parsed_before: bool
    gold_parses: bool

    @property
    def shown(self) -> bool:
        return self.text is not None


SHARES = frozenset({
    "pass@1", "precision", "exact", "parses", "shown_parses", "shown_parses_where_parsed_before",
    "shown_parses_where_gold_parses", "empty",
})  # fmt: skip


class Asked(Protocol):
    """Whoever is asked to fill a task: the pipeline, or the suite's own solution."""

    def __call__(self, task: Task) -> Awaitable[Answer]: ...


def evaluate_suite(
    suite: Path,
    settings: Settings,
    *,
    limit: int | None = None,
    gold: bool = False,
    samples: Path | None = None,
    as_json: bool = False,
    deadline_ms: int = Settings().deadline_ms,
) -> int:
    """The exit status: 0 when the suite was run through, however good the fills are.

    Raises `InputError` and `ModelError`.
    """
    tasks, stderr = tasks_in(suite, limit), console()
    if samples:
        write_rows(samples, [])  # rather fail now than after an hour
    settings = replace(settings, deadline_ms=deadline_ms)
    if gold:
        name, rows = "the suite's own solutions", run(tasks, own_solution, stderr)
    else:
        with loaded(settings, stderr) as denoiser:
            name = denoiser.card.name
            rows = run(tasks, pipeline(denoiser, settings), stderr)
    if samples:
        write_rows(samples, rows)
    report = {"suite": str(suite), "model": name, **report_of(rows)}
    if as_json:
        print_json(report)
    else:
        Console(highlight=False).print(table_of(report))
    return 0


def pipeline(denoiser: Denoiser, settings: Settings) -> Asked:
    """The way of an editor's request. Each task has a memory of its own, so nothing is recalled."""

    async def ask(task: Task) -> Answer:
        text, cursor = task.place
        document = Document(None, "python", text)
        began = perf_counter()
        fill = await fill_at(
            document, cursor, denoiser=denoiser, settings=settings, memory=Memory(), invoked=True
        )  # fmt: skip
        return answer_from(document, fill, (perf_counter() - began) * 1000)

    return ask


def answer_from(document: Document, fill: Fill, ms: float) -> Answer:
    completed = applied(document, fill.edit).text if fill.edit else document.text
    reason = fill.reason.value if fill.reason else None
    text = fill.edit.text if fill.edit else None
    return Answer(text, completed, reason, fill.score, fill.steps, ms)


async def own_solution(task: Task) -> Answer:
    text = task.canonical_solution
    return Answer(text, task.completed(text), None, 1.0, 0, 0.0)


def run(tasks: Sequence[Task], ask: Asked, stderr: Console) -> list[Row]:
    """Asks for every task in turn; a progress bar shows how far it is and how well it goes."""
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr) as progress:
        bar = progress.add_task("pass@1   –  ", total=len(tasks))
        passed: list[bool] = []

        def saw(row: Row) -> None:
            passed.append(row.passed)
            progress.update(bar, advance=1, description=f"pass@1 {fmean(passed):6.1%}")

        return asyncio.run(rows_of(tasks, ask, saw))


async def rows_of(
    tasks: Sequence[Task], ask: Asked, saw: Callable[[Row], None] = lambda row: None
) -> list[Row]:
    """Programs run one at a time, each beside the next fill: more would slow the fills down."""
    rows: list[Row] = []
    running: asyncio.Future[Row] | None = None
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="sandbox") as sandbox:
        for task in (*tasks, None):
            answer = await ask(task) if task else None
            if running:
                rows.append(await running)
                saw(rows[-1])
            if task and answer:
                running = loop.run_in_executor(sandbox, row_of, task, answer)
    return rows


def row_of(task: Task, answer: Answer) -> Row:
    """Runs the task's test. Where nothing was shown there is nothing to test."""
    outcome = Outcome(False, "nothing was shown")
    if answer.text is not None:
        outcome = outcome_of(task.program(answer.completed))
    wanted = task.canonical_solution
    return Row(
        task.task_id, answer.text, wanted, answer.reason, answer.score, answer.steps, answer.ms,
        passed=outcome.passed,
        trouble=outcome.trouble,
        exact=answer.text is not None and answer.text.strip() == wanted.strip(),
        parses=is_python(answer.completed),
        parsed_before=is_python(task.place[0]),
        gold_parses=is_python(task.completed(wanted)),
    )  # fmt: skip


def is_python(text: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):  # of doubtful escapes in strings
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def report_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Shares are of all rows unless their name says otherwise; None is a share of nothing."""
    shown = [row for row in rows if row.shown]
    return {
        "tasks": len(rows),
        "pass@1": share(row.passed for row in rows),
        "precision": share(row.passed for row in shown),
        "exact": share(row.exact for row in rows),
        "parses": share(row.parses for row in rows),
        "shown_parses": share(row.parses for row in shown),
        "shown_parses_where_parsed_before": share(row.parses for row in shown if row.parsed_before),
        "shown_where_parsed_before": sum(row.parsed_before for row in shown),
        "shown_parses_where_gold_parses": share(row.parses for row in shown if row.gold_parses),
        "empty": share(not row.shown for row in rows),
        "length_error_characters": mean(off_by(row, len) for row in shown),
        "length_error_lines": mean(off_by(row, lines) for row in shown),
        "ms_p50": percentile((row.ms for row in rows), 50),
        "ms_p90": percentile((row.ms for row in rows), 90),
        "steps_mean": mean(row.steps for row in shown),
        "reasons": dict(Counter(row.reason for row in rows if row.reason).most_common()),
    }


def off_by(row: Row, size: Callable[[str], int]) -> int:
    return abs(size((row.text or "").strip("\n")) - size(row.wanted.strip("\n")))


def lines(text: str) -> int:
    return text.count("\n") + 1


def share(values: Iterable[bool]) -> float | None:
    return mean(map(int, values))


def mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return round(fmean(known), 4) if known else None


def table_of(report: dict[str, Any]) -> Table:
    table = Table(title=f"{report['model']} on {Path(report['suite']).name}", show_header=False)
    for name, value in report.items():
        if name not in ("suite", "model", "reasons"):
            table.add_row(name.replace("_", " "), as_text(name, value))
    for reason, count in report["reasons"].items():
        table.add_row(f"not shown: {reason}", str(count))
    return table


def as_text(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name in SHARES:
        return f"{value:.1%}"
    return str(value) if isinstance(value, int) else f"{value:.1f}"


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    try:
        text = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
