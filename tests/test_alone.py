"""Lines cut out of a text, with less round them."""

from __future__ import annotations

import ast
import inspect
import textwrap

import pytest

from model.alone import SURROUNDINGS, Cut, in_definition, in_function

CLASS = """import os


class A:
    x = 1

    def f(self, path):
        def g():
            pass

        # here
    # or here
        return os.stat(
            path
        )

    y = 2


def h():
    return 3
"""


def cut_at(text: str, line: str) -> Cut:
    at = text.index(line)
    return Cut(text[:at], line, text[at + len(line) :])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("        return os.stat(", ("def f(self, path):\n", "    )\n\n")),
        ("return os.stat(", ("def f(self, path):\n", "    )\n\n")),
        ("            pass", ("def g():\n", "# or here\n")),
        ("    return 3", ("def h():\n", "\n\n")),
    ],
)
def test_a_line_stands_alone_in_its_function(line: str, expected: tuple[str, str]) -> None:
    cut = in_function(cut_at(CLASS, line))
    text = cut.before + cut.line + cut.after
    assert (text[: len(expected[0])], text[-len(expected[1]) :]) == expected
    assert cut.line.strip() == line.strip()
    ast.parse(text)


@pytest.mark.parametrize("line", ["    x = 1", "    y = 2", "import os"])
def test_what_is_in_no_function_stays_as_it_is(line: str) -> None:
    assert in_function(cut_at(CLASS, line)) == cut_at(CLASS, line)


def test_a_line_stands_alone_in_its_definition() -> None:
    cut = in_definition(cut_at(CLASS, "            pass"))
    assert cut.before.startswith("class A:")
    assert cut.after.endswith("    y = 2\n\n\n")


@pytest.mark.parametrize("module", [ast, inspect, textwrap])
def test_what_is_left_of_real_code_can_be_read(module: object) -> None:
    source = inspect.getsource(module)  # type: ignore[arg-type]
    functions = 0
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Return) and source.splitlines()[node.lineno - 1].strip():
            lines = source.splitlines(keepends=True)
            before, after = "".join(lines[: node.lineno - 1]), "".join(lines[node.lineno :])
            line = lines[node.lineno - 1].removesuffix("\n")
            for less in SURROUNDINGS:
                cut = less(Cut(before, line, "\n" + after))
                ast.parse(cut.before + cut.line + cut.after)
                assert cut.line.strip() == line.strip()
            functions += 1
    assert functions > 10
