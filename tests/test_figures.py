"""Rows in, figures out: the gate, calibration, groups. No model is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from infill.measure.figures import (
    Row,
    at_gate,
    calibration_of,
    ece_of,
    report_of,
    rows_in,
    write_rows,
)

ROW = Row(
    "line/p/0", 0, "line", "p", False, "x = 1", "x = 1", None, 0.5, 4, 10.0, False, False, "",
    True, 1.0, True, True, True,
)  # fmt: skip

rows = st.lists(
    st.builds(
        Row,
        st.text("ab/", min_size=1), st.integers(0, 1), st.sampled_from(("line", "rest")),
        st.just("p"), st.booleans(), st.none() | st.text("xy =", min_size=1),
        st.text("xy =", min_size=1, max_size=99), st.none() | st.just("empty"), st.floats(0, 1),
        st.integers(0, 9), st.floats(0, 999), st.booleans(), st.booleans(), st.just(""),
        st.booleans(), st.floats(0, 1), st.booleans(), st.booleans(), st.booleans(),
    ).map(lambda row: row if row.text else replace(row, passed=False, exact=False)),
    min_size=1,
)  # fmt: skip


@given(rows, st.floats(0, 1))
def test_a_higher_gate_shows_less_and_nothing_else(rows: list[Row], gate: float) -> None:
    report = report_of(rows, gate)
    assert report["right"] <= report["open"]["right"]
    assert report["empty"] >= report["open"]["empty"]
    shown = sum(row.shown for row in rows)
    assert report["withheld"] + sum(at_gate(row, gate).shown for row in rows) == shown
    coverage = [it["coverage"] for it in report["thresholds"]]
    assert coverage == sorted(coverage, reverse=True)
    assert coverage[0] == round(1 - report["open"]["empty"], 4)


@given(rows)
def test_every_row_is_in_one_group_of_each_kind(rows: list[Row]) -> None:
    report = report_of(rows)
    for groups in (report["kinds"], report["lengths"]):
        assert sum(group["holes"] for group in groups.values()) == len(rows)
    for it in report["calibration"]:
        assert it["confidence"] is None or it["from"] - 1e-4 <= it["confidence"] <= it["to"] + 1e-4
    assert sum(it["count"] for it in report["calibration"]) == sum(row.shown for row in rows)


def test_right_is_what_the_test_says_and_where_there_is_none_the_text() -> None:
    assert ROW.right
    assert not replace(ROW, tested=True).right
    assert replace(ROW, tested=True, passed=True, exact=False).right


def test_a_model_that_is_as_often_right_as_it_is_sure_has_no_calibration_error() -> None:
    honest = [replace(ROW, score=0.75, exact=i < 3) for i in range(4)]
    assert ece_of(calibration_of(honest)) == 0
    boasting = [replace(ROW, score=1.0, exact=False)]
    assert ece_of(calibration_of(boasting)) == 1
    assert ece_of(calibration_of([])) is None


def test_latency_counts_a_task_once_however_many_holes_it_has() -> None:
    holes = [replace(ROW, hole=i, ms=100.0) for i in range(4)]
    report = report_of([*holes, replace(ROW, task_id="line/p/1", ms=10.0)])
    assert (report["ms_p50"], report["ms_p95"]) == (10.0, 100.0)


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = [ROW, replace(ROW, text=None, reason="empty", wanted="é\u2028\n")]
    write_rows(tmp_path / "rows.jsonl", written)
    assert rows_in(tmp_path / "rows.jsonl") == written
