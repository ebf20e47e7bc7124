"""`infill-lsp eval`: tasks in, honest numbers out; and the sandbox that runs what a model wrote."""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from infill.document import Document
from infill.fill import fill_at
from infill.measure.evaluate import (
    Answer,
    Answers,
    answers_from,
    own_solution,
    pipeline,
    rows_of,
    scored_rows,
)
from infill.measure.figures import Row, at_gate, report_of, rows_in
from infill.measure.sandbox import outcome_of
from infill.measure.suite import Task, tasks_in
from infill.memory import Memory
from infill.settings import Settings
from infill.source import InputError
from infill.verbs.terminal import percentile
from lsp.command import run
from model.scripted import Scripted

ADD = Task(
    "tiny/add",
    prompt="def add(a, b):\n    return ",
    suffix="\n",
    canonical_solution="a + b",
    test="def check(candidate):\n    assert candidate(2, 3) == 5\n",
    entry_point="add",
)
BLOCK = Task(
    "tiny/block",
    prompt="def largest(items):\n    best = items[0]\n",
    suffix="    return best\n",
    canonical_solution="    for item in items:\n        best = max(best, item)\n",
    test="def check(candidate):\n    assert candidate([1, 3, 2]) == 3\n",
    entry_point="largest",
)
SETTINGS = Settings(deadline_ms=60_000)


def suite_at(path: Path, *tasks: Task) -> Path:
    text = "".join(json.dumps(asdict(task)) + "\n" for task in tasks)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["tiny.jsonl", "tiny.jsonl.gz"])
def test_the_suites_own_solutions_pass(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = suite_at(tmp_path / name, ADD, BLOCK)
    assert run(["eval", str(suite), "--gold", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["tasks"], report["pass@1"], report["exact"], report["parses"]) == (2, 1, 1, 1)
    assert (report["length_error_characters"], report["length_error_lines"]) == (0, 0)


@pytest.mark.parametrize(
    ("text", "passed", "exact", "shown"),
    [
        ("a + b", True, True, True),
        ("b + a", True, False, True),  # right without being the same
        ("a - b", False, False, True),
        ("", False, False, False),
    ],
)
async def test_a_fill_is_scored_by_what_it_does(
    text: str, passed: bool, exact: bool, shown: bool
) -> None:
    (row,) = await rows_of([ADD], pipeline(Scripted(text), SETTINGS))
    assert (row.passed, row.exact, row.shown) == (passed, exact, shown)
    assert (row.reason is None) == shown
    assert row.gold_parses


async def test_a_missing_line_is_asked_for_on_a_line_of_its_own() -> None:
    task = replace(
        ADD,
        task_id="SingleLineInfilling/1",
        prompt="def add(a, b):\n    total = a\n",
        suffix="    return total\n",
        canonical_solution="    total += b\n",
    )
    (row,) = await rows_of([task], pipeline(Scripted("    total += b"), SETTINGS))
    assert (row.passed, row.exact, row.text) == (True, True, "    total += b"), row


async def test_a_hole_of_several_lines_is_asked_for_as_one() -> None:
    loop = "for item in items:\n        best = max(best, item)"
    prompt = BLOCK.prompt + "    "
    task = replace(BLOCK, prompt=prompt, suffix="\n" + BLOCK.suffix, canonical_solution=loop)
    (row,) = await rows_of([task], pipeline(Scripted(loop), SETTINGS))
    assert (row.passed, row.exact, row.text) == (True, True, loop), row


async def test_several_holes_are_filled_jointly_and_scored_each() -> None:
    task = Task(
        "several/tiny/0", "def add(a, b):\n    total = ", "\n", "a + b\n    return total",
        spans=((0, 5), (17, 22)),
    )  # fmt: skip
    denoiser = Scripted(lambda canvas: ("a + b", "totals"))
    first, second = await rows_of([task], pipeline(denoiser, SETTINGS))
    assert len(denoiser.seen) == 1, "on one canvas"
    assert ("".join(denoiser.seen[0].texts), len(denoiser.seen[0].holes)) == (
        "def add(a, b):\n    total = \n    return \n", 2,
    )  # fmt: skip
    assert (first.wanted, first.right, second.wanted, second.right) == ("a + b", 1, "total", 0)
    assert first.similarity == 1
    assert 0 < second.similarity < 1
    assert report_of([first, second])["tasks"] == 1
    assert report_of([first, second])["holes"] == 2


async def test_a_test_that_is_content_with_nothing_has_not_passed_on_blanks() -> None:
    task = replace(ADD, prompt="def add(a, b):\n    return a + b", canonical_solution="  # sum")
    blank = Answers((Answer("  ", None, 0.9, 1),), task.completed("  "), 1.0)
    (row,) = scored_rows(task, blank)
    assert not row.passed
    two = replace(task, canonical_solution="  # sum", spans=((0, 2), (2, 7)))
    half = Answers((Answer("  ", None, 0.9, 1), Answer("# sum", None, 0.9, 1)), task.file, 1.0)
    assert [row.passed for row in scored_rows(two, half)] == [False, True]
    assert scored_rows(task, await own_solution(task))[0].passed


async def test_the_gate_decides_as_the_pipeline_does() -> None:
    sure, unsure = Scripted("a + b", confidence=0.8), Scripted("a - b", confidence=0.4)
    opened = [await rows_of([ADD], pipeline(it, SETTINGS)) for it in (sure, unsure)]
    gated = replace(SETTINGS, min_confidence=0.8)
    text, (place,) = ADD.place
    document = Document(None, "python", text)
    shown: list[list[Row]] = []
    for denoiser in (sure, unsure):  # as an editor asks by itself; who is asked has no gate
        fill = await fill_at(document, place, denoiser=denoiser, settings=gated, memory=Memory())
        shown.append(scored_rows(ADD, answers_from(document, [fill], 0.0)))
    for (row,), (wanted,) in zip(opened, shown, strict=True):
        found = at_gate(row, 0.8)
        assert (found.text, found.reason, found.passed, found.parses) == (
            wanted.text, wanted.reason, wanted.passed, wanted.parses,
        )  # fmt: skip
    report = report_of([row for rows in opened for row in rows], gate=0.8)
    assert (report["precision"], report["open"]["precision"]) == (1, 0.5)
    assert (report["withheld"], report["withheld_right"]) == (1, 0)
    assert report["reasons"] == {"low-confidence": 1}


async def test_rows_come_in_the_order_of_the_tasks() -> None:
    tasks = [replace(ADD, task_id=str(i)) for i in range(5)]
    seen: list[str] = []
    rows = await rows_of(tasks, own_solution, lambda rows: seen.append(rows[0].task_id))
    assert [row.task_id for row in rows] == seen == ["0", "1", "2", "3", "4"]


def test_a_report_counts_each_thing_where_it_belongs() -> None:
    def row(text: str | None) -> Row:
        reason = None if text is not None else "empty"
        answers = (Answer(text, reason, 0.5, 4),)
        return scored_rows(ADD, Answers(answers, ADD.completed(text or ""), 10.0))[0]

    rows = [row("a + b"), row("a -"), row("a +\\\n b"), row(None)]
    report = report_of(rows)
    assert report["pass@1"] == 0.5
    assert report["precision"] == round(2 / 3, 4)
    assert report["exact"] == 0.25
    assert report["parses"] == 0.75  # with nothing shown, `return` alone is valid
    assert report["shown_parses"] == round(2 / 3, 4)
    assert report["shown_where_parsed_before"] == 3
    assert report["empty"] == 0.25
    assert report["length_error_characters"] == round((0 + 2 + 2) / 3, 4)
    assert report["length_error_lines"] == round(1 / 3, 4)
    assert report["reasons"] == {"empty": 1}


def test_samples_are_a_row_for_each_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite, samples = suite_at(tmp_path / "tiny.jsonl", ADD, BLOCK), tmp_path / "rows.jsonl"
    arguments = ["eval", str(suite), "--model", "scripted:a + b", "--samples", str(samples)]
    assert run([*arguments, "--limit", "1"]) == 0
    (row,) = rows_in(samples)
    assert (row.task_id, row.text, row.passed) == ("tiny/add", "a + b", True)
    out = capsys.readouterr().out
    assert "pass@1" in out
    assert "100.0%" in out


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("x.jsonl.gz", b"no gzip", "is not a whole gzip file"),
        ("x.jsonl.gz", gzip.compress(b"x" * 999, mtime=0)[:-9], "is not a whole gzip file"),
        ("x.jsonl", b"", "holds no tasks"),
        ("x.jsonl", b"{}\n", "row 1 lacks text for task_id, prompt, suffix"),
        ("x.jsonl", json.dumps(asdict(ADD)).encode() + b"\n\nnope\n", "row 3 is not JSON"),
        ("x.jsonl", b'"text"\n', "row 1 is not a JSON object"),
        ("x.jsonl", b"\xff\n", "row 1 is not JSON"),
        ("x.jsonl", json.dumps(asdict(replace(ADD, entry_point="a; b"))).encode(), "is no name"),
        ("x.jsonl", json.dumps(asdict(replace(ADD, spans=((0, 9),)))).encode(), "leave the"),
        ("x.jsonl", json.dumps({**asdict(ADD), "spans": [3]}).encode(), "are no list"),
    ],
)
def test_a_bad_suite_is_said_and_ends_with_2(
    name: str, content: bytes, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert run(["eval", str(tmp_path / name), "--gold"]) == 2
    out, err = capsys.readouterr()
    assert complaint in err
    assert out == ""


def test_a_suite_or_a_folder_for_samples_that_is_missing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", str(tmp_path / "none.jsonl")]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert run(["eval", str(tmp_path)]) == 2
    assert "cannot read" in capsys.readouterr().err
    suite = suite_at(tmp_path / "tiny.jsonl", ADD)
    assert run(["eval", str(suite), "--gold", "--samples", str(tmp_path / "no" / "rows")]) == 2
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "passed", "trouble"),
    [
        ("assert True", True, ""),
        ("assert False, 'no'", False, "AssertionError: no"),
        ("import sys; sys.exit(0)", False, "ended early with status 0"),
        ("import os; os._exit(0)", False, "ended early with status 0"),
        ("def f(:", False, "SyntaxError"),
        ("input()", False, "EOFError"),
        ("import os; assert os.listdir() == []", True, ""),  # an empty folder
        ("import os; assert 'HOME' not in os.environ", True, ""),
        ("import sys; assert sys.flags.isolated", True, ""),
        ("import os, sys; assert os.getcwd() not in sys.path and '' not in sys.path", True, ""),
        ("open('big', 'w').write('x' * (2 << 20))", False, "File too large"),
        ("bytearray(2 << 30)", False, "MemoryError"),
        ("while True: pass", False, "stopped by SIG"),
        ("import time; time.sleep(60)", False, "took longer than 3 s"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not know all the limits")
def test_the_sandbox_lets_a_program_end_well_or_stops_it(
    program: str, passed: bool, trouble: str
) -> None:
    outcome = outcome_of(program, cpu_seconds=1, wall_seconds=3)
    assert (outcome.passed, trouble in outcome.trouble) == (passed, True), outcome


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_that_a_program_started_is_left(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = (
        "import os, time\n"
        f"if os.fork() == 0:\n    open({str(note)!r}, 'w').write(str(os.getpid()))\n"
        "    time.sleep(60)\n"
        f"while not os.path.exists({str(note)!r}): time.sleep(0.01)\n"
    )
    assert outcome_of(program).passed
    pid = note.read_text()
    for _ in range(500):  # a killed process stays a zombie until its parent looks
        status = Path(f"/proc/{pid}/status")
        if not status.exists() or "\nState:\tZ" in status.read_text():
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} is still there")


def test_rows_that_nobody_can_read_are_said(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    with pytest.raises(InputError, match="cannot read"):
        rows_in(rows)
    rows.write_text('{"task_id": "x"}\n')
    with pytest.raises(InputError, match="row 1 is not what"):
        rows_in(rows)


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0], 90) == 3.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.0
    assert percentile(range(1, 11), 90) == 9


@pytest.mark.skipif(
    "INFILL_EVAL_SINGLE_LINE" not in os.environ, reason="INFILL_EVAL_SINGLE_LINE names no suite"
)
async def test_the_first_solutions_of_the_real_suite_pass() -> None:
    tasks = tasks_in(Path(os.environ["INFILL_EVAL_SINGLE_LINE"]), limit=20)
    assert [row.task_id for row in await rows_of(tasks, own_solution) if not row.passed] == []


def test_a_limit_takes_the_first_tasks(tmp_path: Path) -> None:
    suite = suite_at(tmp_path / "tiny.jsonl", ADD, BLOCK)
    assert [task.task_id for task in tasks_in(suite, 1)] == ["tiny/add"]
    with pytest.raises(InputError):
        tasks_in(tmp_path / "none")
