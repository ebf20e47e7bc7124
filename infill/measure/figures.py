"""Rows of an evaluation in, figures out: shares, precision, calibration, by kind and by length.

Knows neither models nor tasks. A row holds all that is needed, so that figures and plots can be
made again from the rows that `infill-lsp eval --samples` wrote, at any gate.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from infill.reason import Reason
from infill.source import InputError
from infill.verbs.terminal import percentile

THRESHOLDS = tuple(i / 20 for i in range(20))
LENGTHS = (0, 8, 16, 32, 64)  # characters; what is longer makes the last group
BINS = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One hole of one task, answered and scored, whatever its score.

    `passed` is only for what is `tested`; a fill of nothing but blanks has not passed, even where
    the test is content without. `ms` is the time for all holes of the task.
    """

    task_id: str
    hole: int
    kind: str
    package: str
    renamed: bool
    text: str | None
    wanted: str
    reason: str | None
    score: float
    steps: int
    ms: float
    tested: bool
    passed: bool
    trouble: str
    exact: bool
    similarity: float
    parses: bool
    parsed_before: bool
    gold_parses: bool

    @property
    def shown(self) -> bool:
        return self.text is not None

    @property
    def right(self) -> bool:
        """By the test; where there is none, by the text."""
        return self.passed if self.tested else self.exact

    @property
    def label(self) -> str:
        return f"{self.kind}, renamed" if self.renamed else self.kind


SHARES = frozenset({
    "pass@1", "right", "precision", "exact", "similarity", "parses", "shown_parses",
    "shown_parses_where_parsed_before", "shown_parses_where_gold_parses", "empty",
    "withheld_right", "coverage", "shown", "precision_at_gate", "shown_at_gate", "ece",
})  # fmt: skip


def report_of(rows: Sequence[Row], gate: float = 0.0) -> dict[str, Any]:
    """The figures as an editor would show the fills, and under `open` as if it showed all.

    Shares are of all rows unless their name says otherwise; None is a share of nothing.
    """
    shown = [row for row in rows if row.shown]
    withheld = [row for row in shown if row.score < gate]
    return {
        "gate": gate,
        **figures_of([at_gate(row, gate) for row in rows]),
        "withheld": len(withheld),
        "withheld_right": share(row.right for row in withheld),
        "open": figures_of(rows),
        "ece": ece_of(calibration_of(shown)),
        "kinds": groups_of(rows, gate, lambda row: row.label),
        "lengths": groups_of(rows, gate, length_of),
        "thresholds": thresholds_of(rows),
        "calibration": calibration_of(shown),
    }


def at_gate(row: Row, gate: float) -> Row:
    """The row as it is with that `min_confidence`: less sure a fill is not shown."""
    if row.text is None or row.score >= gate:
        return row
    return replace(
        row, text=None, reason=Reason.LOW_CONFIDENCE.value, passed=False, exact=False,
        similarity=0.0, parses=row.parsed_before,
    )  # fmt: skip


def figures_of(rows: Sequence[Row]) -> dict[str, Any]:
    shown = [row for row in rows if row.shown]
    asked = [row.ms for row in rows if row.hole == 0]
    return {
        "tasks": len(asked),
        "holes": len(rows),
        "pass@1": share(row.passed for row in rows if row.tested),
        "right": share(row.right for row in rows),
        "precision": share(row.right for row in shown),
        "exact": share(row.exact for row in rows),
        "similarity": mean(row.similarity for row in rows),
        "parses": share(row.parses for row in rows),
        "shown_parses": share(row.parses for row in shown),
        "shown_parses_where_parsed_before": share(row.parses for row in shown if row.parsed_before),
        "shown_where_parsed_before": sum(row.parsed_before for row in shown),
        "shown_parses_where_gold_parses": share(row.parses for row in shown if row.gold_parses),
        "empty": share(not row.shown for row in rows),
        "length_error_characters": mean(off_by(row, len) for row in shown),
        "length_error_lines": mean(off_by(row, lines) for row in shown),
        "ms_p50": percentile(asked, 50),
        "ms_p90": percentile(asked, 90),
        "ms_p95": percentile(asked, 95),
        "steps_mean": mean(row.steps for row in shown),
        "reasons": dict(Counter(row.reason for row in rows if row.reason).most_common()),
    }


def groups_of(
    rows: Sequence[Row], gate: float, label: Callable[[Row], str]
) -> dict[str, dict[str, Any]]:
    """A few figures of each group, the gate open unless their name says otherwise."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(label(row), []).append(row)
    return {name: brief(group, gate) for name, group in sorted(groups.items())}


def brief(rows: Sequence[Row], gate: float) -> dict[str, Any]:
    shown = [row for row in rows if row.shown]
    sure = [row for row in shown if row.score >= gate]
    return {
        "holes": len(rows),
        "right": share(row.right for row in rows),
        "exact": share(row.exact for row in rows),
        "similarity": mean(row.similarity for row in rows),
        "shown": share(row.shown for row in rows),
        "precision": share(row.right for row in shown),
        "shown_at_gate": share(row.shown and row.score >= gate for row in rows),
        "precision_at_gate": share(row.right for row in sure),
    }


def length_of(row: Row) -> str:
    """The group of lengths that what stood in the hole belongs to."""
    size = len(row.wanted.strip())
    for most_before, most in pairwise(LENGTHS):
        if size <= most:
            return f"{most_before + 1:>2}–{most}"
    return f"{LENGTHS[-1] + 1}+"


def thresholds_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What each gate would show, and how much of that is right."""
    table: list[dict[str, Any]] = []
    for threshold in THRESHOLDS:
        sure = [row for row in rows if row.shown and row.score >= threshold]
        table.append({
            "threshold": threshold,
            "coverage": share(row.shown and row.score >= threshold for row in rows),
            "precision": share(row.right for row in sure),
            "right": round(sum(row.right for row in sure) / len(rows), 4) if rows else None,
        })  # fmt: skip
    return table


def calibration_of(shown: Sequence[Row], bins: int = BINS) -> list[dict[str, Any]]:
    """What is shown, by confidence: how sure the model was, and how often it was right."""
    groups: list[list[Row]] = [[] for _ in range(bins)]
    for row in shown:
        groups[min(int(row.score * bins), bins - 1)].append(row)
    return [
        {
            "from": i / bins,
            "to": (i + 1) / bins,
            "count": len(group),
            "confidence": mean(row.score for row in group),
            "right": share(row.right for row in group),
        }
        for i, group in enumerate(groups)
    ]


def ece_of(calibration: Sequence[dict[str, Any]]) -> float | None:
    """Expected calibration error: how far confidence is from the truth, by the bins' counts."""
    total = sum(it["count"] for it in calibration)
    off = (it["count"] * abs(it["confidence"] - it["right"]) for it in calibration if it["count"])
    return round(sum(off) / total, 4) if total else None


def off_by(row: Row, size: Callable[[str], int]) -> int:
    return abs(size((row.text or "").strip("\n")) - size(row.wanted.strip("\n")))


def lines(text: str) -> int:
    return text.count("\n") + 1


def share(values: Iterable[bool]) -> float | None:
    return mean(map(int, values))


def mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return round(fmean(known), 4) if known else None


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    try:
        text = "".join(json.dumps(asdict(row)) + "\n" for row in rows)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def rows_in(path: Path) -> list[Row]:
    """What `write_rows` wrote. Raises `InputError`."""
    names = [field.name for field in fields(Row)]
    rows: list[Row] = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            rows.append(Row(**{name: values[name] for name in names}))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}, row {len(rows) + 1} is not what `infill-lsp eval --samples` writes: {error!r}"
        ) from error
    return rows
