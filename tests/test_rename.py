"""Other names for all that a file defines: the same program, and the way back."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infill.measure.names import WORD, own_names
from infill.measure.rename import renamed, renamed_task, unrenamed
from infill.measure.sandbox import outcome_of
from infill.measure.suite import Task, tasks_in
from tests.programs import programs

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [
    path for layer in ("infill", "lsp", "model") for path in sorted(ROOT.glob(f"{layer}/*.py"))
]


def check(text: str, seed: int = 0) -> dict[str, str]:
    made = renamed(text, seed)
    assert made is not None
    assert unrenamed(made.text, made.names) == text
    assert not set(made.names.values()) & set(WORD.findall(text)), "no new name stood there"
    assert shape(made.text) == shape(text)
    assert len(set(made.names.values())) == len(made.names)
    return made.names


def shape(text: str) -> str:
    """The tree without names and without remarks: docstrings speak of names, too."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for field in ("id", "name", "arg", "attr"):
            if isinstance(getattr(node, field, None), str):
                setattr(node, field, "_")
        if isinstance(node, ast.Global | ast.Nonlocal):
            node.names = ["_"]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant("remark")
    return ast.dump(tree)


@given(programs(), st.integers(0, 3))
def test_a_renamed_program_parses_and_can_be_named_back(text: str, seed: int) -> None:
    check(text, seed)


@pytest.mark.parametrize("path", SOURCES[::7], ids=lambda path: path.name)
def test_a_renamed_file_of_ours_parses_and_can_be_named_back(path: Path) -> None:
    check(path.read_text("utf-8"))


@given(programs())
def test_what_the_file_does_not_define_keeps_its_name(text: str) -> None:
    names = check(text)
    for name in ("paths", "dumps", "len", "range", "self", "append", "join", "key", "__init__"):
        assert name not in names
    assert {"helper", "Holder", "last", "LIMIT_OF_ALL"} <= names.keys()


@given(programs(), st.data())
def test_a_place_moves_with_the_text_round_it(text: str, data: st.DataObject) -> None:
    made = renamed(text)
    assert made is not None
    assert (made.moved(0), made.moved(len(text))) == (0, len(made.text))
    first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    assert made.moved(first) <= made.moved(second)
    # Half a word may look like another name.
    if not re.fullmatch(r"\w\w", text[max(0, first - 1) : first + 1]):
        assert unrenamed(made.text[: made.moved(first)], made.names) == text[:first]


@pytest.mark.parametrize(
    ("text", "kept", "changed"),
    [
        ("def f(a): return sorted(a, key=a)", ["key"], ["f", "a"]),
        ("def f(key): return f(key=1), sorted(key, key=key)", [], ["f", "key"]),
        ("class A:\n def m(self, b): self.c = b\n def n(self): return self.m(b=1)", [], ["m", "b"]),
        ("class A:\n def m(self): pass\nx = y.m()", ["m", "y"], ["A", "x"]),
        ("from b import B\nclass A(B):\n def run(self): self.d = 1", ["B", "run"], ["A", "d"]),
        ("import a.b\nfor a in a.b: print(a)", ["a", "b"], []),
        ("list = 1\n_ = list\n__all__ = [_]", ["list", "_", "__all__"], []),
        ("def g(x):\n match x:\n  case P(x=y, z=3): return y", ["P", "z"], ["g", "x", "y"]),
        ("def f(a):\n return f'{a} a {a!r:{a}}'", [], ["f", "a"]),
    ],
)
def test_whose_a_name_is_decides(text: str, kept: list[str], changed: list[str]) -> None:
    names = check(text)
    assert [name for name in kept if name in names] == []
    assert [name for name in changed if name not in names] == []


def test_strings_stay_and_remarks_speak_of_the_new_names() -> None:
    text = 'def so_far(count):\n    """Not so_far(`count`), count."""\n    return "so_far", count\n'
    made = renamed(text)
    assert made is not None
    function, count = made.names["so_far"], made.names["count"]
    assert f'"""Not {function}(`{count}`), count."""' in made.text
    assert 'return "so_far",' in made.text


def test_a_name_keeps_its_style() -> None:
    text = "MAX_SIZE = 1\nclass BigThing: pass\ndef _small_one(aB, i): pass\n"
    names = check(text)
    assert names["MAX_SIZE"].isupper()
    assert names["BigThing"][0].isupper()
    assert names["_small_one"].startswith("_")
    assert names["_small_one"].count("_") == 2
    assert names["aB"][0].islower()
    assert len(names["i"]) == 1


def test_the_same_seed_gives_the_same_names_and_another_one_others() -> None:
    text = "def some_function(some_value): return some_value\n"
    assert renamed(text, 1) == renamed(text, 1)
    assert renamed(text, 1) != renamed(text, 2)


def test_what_is_no_python_is_not_renamed() -> None:
    assert renamed("def f(:") is None
    assert renamed_task(Task("t/0", "def f(", ":", "")) is None


def test_a_hole_that_begins_within_a_name_does_so_afterwards() -> None:
    task = Task("word/p/0", "amount = 1\nprint(amo", ")\n", "unt", kind="word")
    made = renamed_task(task)
    assert made is not None
    ((old, new),) = check(task.file).items()
    assert old == "amount"
    assert made.file == f"{new} = 1\nprint({new})\n"
    assert made.prompt.endswith(f"print({new[0]}") or new.startswith(made.prompt.split("(")[1])
    assert made.canonical_solution
    assert new.endswith(made.canonical_solution)


def test_a_test_calls_things_by_their_new_names() -> None:
    task = Task(
        "tiny/0", "def double(n):\n    return ", "\n\ndef twice(n): return double(n)\n", "2 * n",
        "def check(candidate):\n    n = 2\n    assert candidate(n) == double(n) == 4\n", "twice",
    )  # fmt: skip
    made = renamed_task(task)
    assert made is not None
    assert made.renamed
    assert made.entry_point not in ("twice", "double")
    assert outcome_of(made.program(made.file)).passed
    assert " n = 2" in made.test


@pytest.mark.parametrize("suite", ["INFILL_EVAL_SINGLE_LINE", "INFILL_EVAL_RANDOM_SPAN"])
def test_renamed_solutions_of_the_real_suites_pass(suite: str) -> None:
    if suite not in os.environ:
        pytest.skip(f"{suite} names no suite")
    for task in tasks_in(Path(os.environ[suite]))[::60]:
        made = renamed_task(task)
        assert made is not None
        assert made.entry_point != task.entry_point
        assert outcome_of(made.program(made.file)).passed, task.task_id


def test_own_names_are_found_in_every_place_that_can_define_one() -> None:
    text = (
        "def f(a, /, b, *c, d, **e):\n    global g\n    g, (h, *i) = j = a\n    for k in b: pass\n"
        "    with c as m: pass\n    try: pass\n    except E as n: pass\n    (o := d)\n"
        "    [p for p in e]\n    q: int = 1\n    lambda r: r\n    async def s(): pass\n"
    )
    assert own_names(ast.parse(text)).all == set("fabcdeghijkmnopqrs")
