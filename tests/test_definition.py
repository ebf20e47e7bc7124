"""How a fill stands in the definition that it is in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infill.code.definition import LARGE, Definition, Standing, definition_round, standing_of
from infill.code.scope import surroundings_of
from tests.strategies import texts

CURSOR = "‸"


def definition(source: str, fill: str = "") -> Definition | None:
    at = source.index(CURSOR)
    line = source[source.rfind("\n", 0, at) + 1 : at] + fill
    indent = len(line) - len(line.lstrip())
    return definition_round(source.replace(CURSOR, ""), at, at, indent)


def standing(source: str, fill: str) -> Standing:
    at, text = source.index(CURSOR), source.replace(CURSOR, "")
    found = definition(source, fill)
    assert found is not None
    line = source[source.rfind("\n", 0, at) + 1 : source.index("\n", at)].replace(CURSOR, fill)
    return standing_of(fill, found, surroundings_of(text, at, at), found.falls_with(line))


@pytest.mark.parametrize(
    ("source", "above", "below"),
    [
        ("def f(a):\n    b = a\n    ‸\n    c\n\n\nd\n", "def f(a):\n    b = a\n", "    c\n\n\n"),
        ("def f(a):\n    ‸\n", "def f(a):\n", "\n"),
        ("x\n    async def f(a):\n        ‸\n    d\n", "    async def f(a):\n", ""),
        ("def f(a):\n    def g(b):\n        c\n    x = ‸\n    d\ne\n",
         "def f(a):\n    def g(b):\n        c\n", "    d\n"),
        ("def f(a):\n    def g():\n        a\n    if g:\n        ‸\n",
         "def f(a):\n    def g():\n        a\n    if g:\n", "\n"),
        ("def f(a):\n    if a:\n        x(\n#\n)\n    ‸\n    d\n",
         "def f(a):\n    if a:\n        x(\n#\n)\n", "    d\n\n"),
    ],
)  # fmt: skip
def test_the_innermost_definition_reaches_as_far_as_it_is_indented(
    source: str, above: str, below: str
) -> None:
    found = definition(source)
    assert found is not None
    assert (found.above, found.below) == (above, below)


@pytest.mark.parametrize(("fill", "head"), [("  x", "def f():"), ("    x", "  def g():")])
def test_the_fill_s_own_indentation_says_in_which_it_is(fill: str, head: str) -> None:
    found = definition("def f():\n  def g():\n    a\n‸\n", fill)
    assert found is not None
    assert found.above.startswith(head)


@pytest.mark.parametrize(
    "source",
    ["x = ‸\n", "def f():\n    a\n‸\n", "class A:\n    x = ‸\n", "‸", "def f(): ...\nx = ‸"],
)
def test_outside_of_definitions_there_is_none(source: str) -> None:
    assert definition(source) is None


@pytest.mark.parametrize(
    ("source", "waiting"),
    [
        ("def f(a, *b, c=d):\n    ‸\n", "a b c"),
        ("def f(a):\n    b = a\n    c = 1\n    ‸\n", "c b"),
        ("def f(a):\n    b = a\n    ‸\n    return b\n", ""),
        ("def f(a):\n    b = a\n    b = 1\n    ‸\n", "b"),
        ("def f(a):\n    b = a\n    b = b + 1\n    return b\n    ‸\n", ""),
        ("def f(self, _, cls):\n    ‸\n", ""),
        ("def f(a):\n    x = a + ‸\n", ""),
        ("def f():\n    for i in ‸:\n        print(j)\n", ""),
        ("def f():\n    for i in j:\n        ‸\n", "i"),
    ],
)
def test_a_name_waits_until_it_is_used(source: str, waiting: str) -> None:
    found = definition(source)
    assert found is not None
    assert found.waiting == tuple(waiting.split())


@pytest.mark.parametrize(
    ("source", "fill", "expected"),
    [
        ("def f(a):\n    ‸\n", "return a", Standing(1, 0, 0)),
        ("def f(a):\n    ‸\n", "return 1", Standing(0, 1, 0)),
        ("def f(a, b, c, d, e):\n    ‸\n", "return e", Standing(1, 3, 0)),
        ("def f(a):\n    ‸\n", "a = 1", Standing(0, 1, 0)),  # what waits is overwritten
        ("def f(a):\n    ‸\n", "a.b = 1", Standing(1, 0, 0)),
        ("def f():\n    ‸\n        g()\n", "if h:", Standing(0, 0, 0)),
        ("def f():\n    ‸\n        g()\n", "try:", Standing(0, 0, 1)),  # nothing is caught
        ("def f():\n    ‸\n        g()\n", "h()", Standing(0, 0, 1)),
        ("def f():\n    ‸\n    g()\n", "if h:", Standing(0, 0, 1)),
        ("class A:\n    def f():\n        ‸\n", "x = '", Standing(0, 0, 1)),
        ("class A:\n    def f():\n        ‸\n", "x = ''", Standing(0, 0, 0)),
    ],
)
def test_how_a_fill_stands(source: str, fill: str, expected: Standing) -> None:
    assert standing(source, fill) == expected


def test_a_large_definition_is_not_read_anew() -> None:
    for size, falls in ((LARGE // 16, True), (LARGE // 8, False)):
        found = definition("def f():\n" + "    g()\n" * size + "    ‸\n")
        assert found is not None
        assert found.falls_with("    h(") is falls


@settings(deadline=None)
@given(texts(surrogates=True), st.data(), texts(surrogates=True, max_size=8))
def test_any_text_may_stand_round_a_hole(text: str, data: st.DataObject, fill: str) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    found = definition_round(text, start, end, data.draw(st.integers(0, 5)))
    if found is not None:
        assert found.above.lstrip().startswith(("def", "async"))
        around = surroundings_of(text, start, end)
        made = standing_of(fill, found, around, found.falls_with(fill))
        assert made.leaves_waiting <= 3


@pytest.mark.parametrize("unit", ["def f(", "def f():\n ", "a = ", "#\n", "\n", " ", "a:\n", "("])
def test_an_odd_text_takes_no_longer_than_another(unit: str) -> None:
    text = unit * (100_000 // len(unit))  # would take minutes where anything is tried twice
    for at in (0, len(text) // 2, len(text)):
        definition_round(text, at, at, 1)
