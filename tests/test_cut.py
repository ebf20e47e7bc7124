"""Suites out of a corpus: whole files in three parts, fair questions, split by package."""

from __future__ import annotations

import ast
import json
import lzma
import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infill.measure.cut import cut
from infill.measure.cutters import CUTTERS, page_of
from infill.measure.evaluate import own_solution, pipeline, rows_of
from infill.measure.suite import Task, tasks_in
from infill.settings import Settings
from lsp.command import run
from model.scripted import Scripted
from tests.programs import programs

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    "dev": ("infill/fill.py", "infill/judge/tidy.py"),
    "test": ("model/masked/refine.py", "model/masked/board.py"),
}
TRAINED = "infill/document.py", "infill/code/brackets.py"


def corpus_at(path: Path, *more: tuple[str, bool, str]) -> Path:
    """Files of ours, of a package to choose settings by, one to report, and one to train on."""
    files = [("click", True, read(name)) for name in FILES["dev"]]
    files += [("h11", True, read(name)) for name in FILES["test"]]
    files += [("python", False, read(name)) for name in TRAINED]
    rows = [
        json.dumps({"package": package, "path": "x.py", "held_out": held_out, "text": text})
        for package, held_out, text in [*files, *more]
    ]
    text = "".join(row + "\n" for row in rows)
    path.write_bytes(lzma.compress(text.encode()) if path.suffix == ".xz" else text.encode())
    return path


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cut")
    corpus = corpus_at(folder / "corpus.jsonl.xz")
    assert run(["eval", "--cut", str(corpus), "--out", str(folder / "suites"), "--each", "12"]) == 0
    return folder / "suites"


def test_each_kind_is_cut_for_both_parts_and_once_more_renamed(suites: Path) -> None:
    names = {f"{part}-{kind}{copy}.jsonl.gz" for part in FILES for kind in CUTTERS
             for copy in ("", "-renamed")}  # fmt: skip
    assert {path.name for path in suites.iterdir()} == names
    for path in suites.iterdir():
        tasks = tasks_in(path)
        assert len(tasks) == 12
        assert {task.renamed for task in tasks} == {"renamed" in path.name}
        assert {task.kind for task in tasks} == {path.name.split("-")[1].partition(".")[0]}


@pytest.mark.parametrize("part", FILES)
@pytest.mark.parametrize("kind", CUTTERS)
def test_the_parts_of_a_task_are_the_file(part: str, kind: str, suites: Path) -> None:
    texts = {read(name) for name in FILES[part]}
    for task in tasks_in(suites / f"{part}-{kind}.jsonl.gz"):
        assert task.prompt + task.canonical_solution + task.suffix in texts
        text, places = task.place
        for place, wanted in reversed(list(zip(places, task.wanted, strict=True))):
            text = text[:place] + wanted + text[place:]
        assert text in texts


def test_no_package_is_in_both_parts(suites: Path) -> None:
    packages = {
        part: {task.package for path in suites.glob(f"{part}-*") for task in tasks_in(path)}
        for part in FILES
    }
    assert packages == {"dev": {"click"}, "test": {"h11"}}


async def test_the_missing_text_is_exact_in_every_suite(suites: Path) -> None:
    for path in suites.iterdir():
        rows = await rows_of(tasks_in(path), own_solution)
        assert all(row.exact and row.parses and row.similarity == 1 for row in rows), path.name


@pytest.mark.parametrize("kind", [kind for kind in CUTTERS if kind != "several"])
async def test_who_knows_the_text_gets_it_through_as_an_editor_asks(
    kind: str, suites: Path
) -> None:
    for task in tasks_in(suites / f"dev-{kind}.jsonl.gz"):
        ask = pipeline(Scripted(task.canonical_solution), Settings(deadline_ms=60_000))
        (row,) = await rows_of([task], ask)
        assert row.exact, row


def test_the_same_corpus_gives_the_same_suites(suites: Path, tmp_path: Path) -> None:
    corpus = corpus_at(tmp_path / "corpus.jsonl")
    for path, count in cut(corpus, tmp_path, each=12):
        assert count == 12
        assert path.read_bytes() == (suites / path.name).read_bytes()


def test_nothing_is_asked_that_is_trained_on_or_was_asked_before(tmp_path: Path) -> None:
    own = "".join(f"def f{i}(x):\n    y = {i} + x\n    return y * {i}\n\n\n" for i in range(150))
    common = read("infill/code/brackets.py")
    corpus = corpus_at(
        tmp_path / "corpus.jsonl",
        ("anyio", True, common),  # stands in the training part
        ("anyio", True, read("infill/fill.py")),  # a copy of click's
        ("attr", True, own + common),  # its second part is known
        ("funcy", True, own),  # of the other part, and asked in this one
    )
    tasks = [task for path, _ in cut(corpus, tmp_path, each=60) for task in tasks_in(path)]
    assert {task.package for task in tasks} == {"attr", "click", "h11"}
    assert any(task.package == "attr" for task in tasks)
    for task in tasks:
        if task.package == "attr" and not task.renamed:
            assert len(task.prompt) + len(task.canonical_solution) <= len(own)


@given(programs(), st.integers(0, 9))
def test_a_hole_is_a_part_of_its_kind(text: str, seed: int) -> None:
    page = page_of(text)
    assert page is not None
    for kind, cutter in CUTTERS.items():
        for holes in cutter(page, Random(seed)):
            edges = [edge for hole in holes for edge in hole]
            assert edges == sorted(set(edges)), "holes are not empty and do not touch"
            for start, end in holes:
                check_hole(kind, text, start, end)


def check_hole(kind: str, text: str, start: int, end: int) -> None:
    hole, line_start = text[start:end], text.rfind("\n", 0, start) + 1
    left, right = text[line_start:start], text[end:].partition("\n")[0]
    assert "#" not in hole
    assert '"""' not in left + hole, "what a docstring says is not code"
    assert ("\n" in hole) == (kind == "block")
    match kind:
        case "line" | "block":
            assert (left.strip(), right) == ("", "")
            assert not hole[0].isspace()
        case "margin":
            assert (left, right) == ("", "")
            assert hole[0].isspace()
        case "rest":
            assert left.strip()
            assert right == ""
        case "expression":
            ast.parse(hole, mode="eval")
            assert left.strip() or right.strip()
            assert not re.match(r"[.(]|\s*=[^=]|\s*in\b", right), "it is no target, nor called"
        case "word":
            assert (left[-1] + hole).isidentifier()
            assert not (hole[-1] + right[:1]).isidentifier() or not right
        case _:
            assert kind == "several"


def test_what_is_no_python_has_no_page() -> None:
    assert page_of("def f(:\n") is None
    assert page_of("") is not None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--cut", "none.jsonl"], "needs --out FOLDER"),
        (["suite.jsonl", "--cut", "none.jsonl", "--out", "x"], "and no suite"),
        (["--cut", "none.jsonl", "--out", "x"], "there is no corpus none.jsonl"),
        ([], "needs a suite"),
    ],
)
def test_what_cannot_be_cut_is_said(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_a_corpus_that_holds_nothing_back_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"package": "p", "path": "p.py", "held_out": false, "text": "x = 1"}\n')
    assert run(["eval", "--cut", str(corpus), "--out", str(tmp_path)]) == 2
    assert "no file that is marked as held out" in capsys.readouterr().err
    corpus.write_text('{"package": "p"')
    assert run(["eval", "--cut", str(corpus), "--out", str(tmp_path)]) == 2
    assert "line 1" in capsys.readouterr().err


def test_several_holes_lie_where_their_spans_say() -> None:
    task = Task("several/p/0", "a = ", "\n", "1\nb = 2", spans=((0, 1), (6, 7)))
    assert task.wanted == ("1", "2")
    assert task.place == ("a = \nb = \n", (4, 9))
