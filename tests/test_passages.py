"""A Python text that is read passage by passage."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infill.code.binding import Reader, State
from infill.code.passages import statements_of
from tests.strategies import texts

LINES = [
    *("def f(a, b=c):", "    def g(self):", "class A(B):", "    x = y", "return x", "@d", "pass"),
    *("f(a,", "b)", "x = [", "]", "'a", '"""', '    """Says', "r'''", "x = f'{y}' + f'''{", "# \\"),
    *(
        "x = 1 + \\",
        "import a as b",
        "with a as (",
        "for x in y:",
        "lambda a:",
        "if x: \\\r",
        "",
        "é",
    ),
]


def whole(text: str, state: State) -> tuple[list[object], State]:
    reader = Reader(state)
    return list(reader.statements(text)), reader.state


@settings(deadline=None)
@example(['"""', "def f(", '"""', "def g(x):"], State())
@example(["x = 1 + \\", "def f(a):"], State())
@example(["f(a,", "def f(a):", "    x = y"], State())
@given(
    st.lists(st.sampled_from(LINES), max_size=12),
    st.sampled_from([*LINES, '"""\n', "f(", ""]).map(lambda it: whole(it, State())[1]),
)
def test_a_text_read_by_passages_is_read_as_a_whole(lines: list[str], state: State) -> None:
    text = "\n".join(lines)
    assert statements_of(text, state) == whole(text, state)


@settings(deadline=None)
@given(texts(surrogates=True))
def test_any_text_read_by_passages_is_read_as_a_whole(text: str) -> None:
    assert statements_of(text) == whole(text, State())


@pytest.mark.parametrize("closed", ["", '"""\n'])
def test_a_string_full_of_definitions_takes_no_longer_than_other_text(closed: str) -> None:
    text = '"""\n' + "def f(x):\n" * 20_000 + closed  # would take minutes where it is read for each
    assert statements_of(text) == whole(text, State())
