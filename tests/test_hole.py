"""Where a hole is offered, and where none is, by source with a visible cursor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infill.document import Document
from infill.hole import BLOCK_LIMIT, LINE_LIMIT, hole_at, indent_unit
from infill.reason import Reason
from infill.settings import Settings
from model.canvas import Hole
from tests.strategies import cursors

CURSOR = "‸"


def offered(
    source: str, language: str = "python", settings: Settings | None = None, invoked: bool = False
) -> Hole | Reason:
    cursor = source.index(CURSOR)
    document = Document(None, language, source.replace(CURSOR, ""))
    return hole_at(document, cursor, settings or Settings(), invoked=invoked)


def check(source: str, expected: Reason | str, language: str = "python") -> None:
    """`expected` is a reason, "line", or "block" with the indentation that is due."""
    found = offered(source, language)
    if isinstance(found, Hole):
        assert found.start == found.end == source.index(CURSOR)
        assert found.limit == (BLOCK_LIMIT if found.multiline else LINE_LIMIT)
        assert (f"block{found.indent}" if found.multiline else "line") == expected
    else:
        assert found == expected


@pytest.mark.parametrize(
    "source",
    [
        "x = ‸",
        "x = ‸\ny = 2\n",
        "retu‸",
        "os.‸",
        "os.pa‸\nx = 1\n",
        "return ‸",
        "f(‸)",
        "f(a, ‸)",
        "f(a, ‸",
        "f(a‸)",
        "x = ‸ + y",
        "x = [‸, 2]",
        "x = ‸ if a else b",
        "x = ‸  # the sum",
        "for ‸ in xs:\n    pass\n",
        "if (x‸) and y:\n    pass\n",
        "if x ‸",
        "def f(x)‸",
        "def f(‸):\n    pass\n",
        "x = {'a': ‸}",
        "x ‸\ny = 1\n",
        "self.x ‸",
        "def f(self):\n    self.x ‸\n\n\ny = 1\n",
        "import os as ‸",
        "x = 1\n‸\ny = 2\n",
        "def f():\n    x = 1\n    ‸\n    return x\n",
        "f(\n    a,\n    ‸\n)",
        "import ‸",
        "print(f'{‸}')",
        "@‸\ndef f(): pass\n",
    ],
)
def test_the_rest_of_the_line_is_offered_where_code_can_go_on(source: str) -> None:
    check(source, "line")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("wo‸rd = 1", Reason.WORD_FOLLOWS),
        ("x = ‸word", Reason.WORD_FOLLOWS),
        ("x = e‸\u0301", Reason.WORD_FOLLOWS),
        ("x = 'a‸b'", Reason.WORD_FOLLOWS),
        ("x = 'a ‸ b'", Reason.CURSOR_IN_STRING),
        ("x = 'a ‸", Reason.CURSOR_IN_STRING),
        ('x = """a\n‸\n"""', Reason.CURSOR_IN_STRING),
        ("# a ‸", Reason.CURSOR_IN_COMMENT),
        ("# a ‸ b", Reason.CURSOR_IN_COMMENT),
        ("x = 1  # a‸", Reason.CURSOR_IN_COMMENT),
        ("", Reason.NOTHING_DUE),
        ("\n\n", Reason.NOTHING_DUE),
        ("f('a'‸)", Reason.NOTHING_DUE),
        ("f(a ‸)", Reason.NOTHING_DUE),
        ("if‸ not x:\n    y = 1\n", Reason.NOTHING_DUE),
        ("x = (‸-y)", Reason.NOTHING_DUE),
        ("x -‸= y", Reason.NOTHING_DUE),
        ("return x  ‸", Reason.NOTHING_DUE),
        ("f(a)‸", Reason.NOTHING_DUE),
        ("f(a) ‸\nx = 1\n", Reason.NOTHING_DUE),
        ("x = 'a'‸", Reason.NOTHING_DUE),
        ("def f():\n    pass‸", Reason.NOTHING_DUE),
        ("if x:‸\n    y = 1\n", Reason.NOTHING_DUE),
        ("x = y‸ + 1", Reason.NOTHING_DUE),
        ("x = f(a) ‸ + 1", Reason.NOTHING_DUE),
        ("x = f(a, ‸ b)", Reason.NOTHING_DUE),
        ("‸    x = 1", Reason.NOTHING_DUE),
        ("x = 1  ‸# why", Reason.NOTHING_DUE),
        ("‸  # why\nx = 1\n", Reason.NOTHING_DUE),
        ("x = [\n    1, ‸  # one\n]", Reason.NOTHING_DUE),
        ("def f():\n    ‸    if x:\n        y = 1\n", Reason.NOTHING_DUE),
        ("def f():\n‸    # why\n\nx = 1\n", Reason.NOTHING_DUE),
        ("x = 1\r‸\n", Reason.WORD_FOLLOWS),
    ],
)
def test_nothing_is_offered_where_it_would_annoy(source: str, reason: Reason) -> None:
    check(source if CURSOR in source else CURSOR + source, reason)


@pytest.mark.parametrize(
    ("source", "indent"),
    [
        ("def f(x):\n    ‸", "    "),
        ("def f(x):\n    ‸\n\n\ny = 1\n", "    "),
        ("def f(x):\n‸", "    "),
        ("def f(x):‸\n", "    "),
        ("def f(\n    x,\n) -> int:\n    ‸\n", "    "),
        ("class A:\n\tdef f(self):\n\t\t‸\n\tdef g(self):\n\t\tpass\n", "\t\t"),
        ("class A:\n  def f(self):\n    pass\n  def g(self):\n‸", "    "),
        ("if x:\n    ‸\nelse:\n    y = 1\n", "    "),
        ("if x:\n    y = 1\nelse:\n    ‸\nz = 1\n", "    "),
        ("try:\n    ‸\nexcept E:\n    pass\n", "    "),
        ("match x:\n    case 1:\n        ‸\n", "        "),
        ("def f():\n    # what to do\n    ‸\n", "    "),
        ('def f():\n    """Docstring."""\n    ‸\n', "    "),
        ('class A:\n    def f(self):\n        """Doc."""\n        ‸\n\n    x = 1\n', "        "),
        ("for i in x: # all\n    ‸\n", "    "),
        ("def f():\r\n    ‸\r\n", "    "),
        ("async def f():\n    async with x:\n        ‸\n", "        "),
    ],
)
def test_a_python_block_is_due_after_a_header_without_a_body(source: str, indent: str) -> None:
    check(source, f"block{indent}")


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    ‸\n    return 1\n",
        "x = {a:\n    ‸",
        "x = {\n    'a':\n    ‸\n}",
        "f = lambda:\\\n    ‸",
        '"""Docstring of a file."""\n‸',
        'def f():\n    """Doc."""\n    x = 1\n    ‸\n',
        "x[1:\n‸\n]",
    ],
)
def test_no_block_is_due_where_one_stands_or_none_belongs(source: str) -> None:
    check(source, "line")


@pytest.mark.parametrize(
    ("language", "source", "expected"),
    [
        ("javascript", "function f(a) {\n  ‸\n}\n", "block  "),
        ("javascript", "function f(a) {‸}\n", "block  "),
        ("javascript", "function f(a) {\n‸", "block  "),
        ("javascript", "const f = (a) => {\n  ‸\n};\n", "block  "),
        ("javascript", "if (x) {\n  ‸\n\nfoo();\n", "block  "),
        ("javascript", "const x = {‸};\n", "line"),
        ("javascript", "return {\n  ‸\n};\n", "line"),
        ("javascript", "function f() {\n  ‸\n  g();\n}\n", "line"),
        ("javascript", "if (‸) {\n}\n", "line"),
        ("javascript", "if (x‸) {\n}\n", "line"),
        ("javascript", "for (let i = 0; ‸; i++) {\n}\n", "line"),
        ("javascript", "foo(); ‸", Reason.NOTHING_DUE),
        ("javascript", "function f() {\n  g();\n}‸", Reason.NOTHING_DUE),
        ("javascript", "`a ${‸}`", "line"),
        ("javascript", "`a ‸`", Reason.CURSOR_IN_STRING),
        ("javascript", "/* a ‸ */", Reason.CURSOR_IN_COMMENT),
        ("javascript", "/* a */ ‸", Reason.NOTHING_DUE),
        ("javascript", "f(/* a */ ‸", "line"),
        ("javascript", "return f(x)‸;", Reason.NOTHING_DUE),
        ("javascript", "return x‸;", "line"),
        ("javascript", "if (x !‸== null) {\n}\n", Reason.NOTHING_DUE),
        ("javascript", "if (‸!x && y) {\n}\n", Reason.NOTHING_DUE),
        ("javascript", "const x = await ‸\n", "line"),
        ("javascript", "x.y ‸\nf();\n", "line"),
        ("javascript", "const x ‸\nf();\n", "line"),
        ("javascript", "f({\n  a,\n ‸ })\n", Reason.NOTHING_DUE),
        ("c", "#include <a.h>‸\n", Reason.NOTHING_DUE),
        ("javascriptreact", "const a = <p>{‸}</p>;\n", "line"),
        ("typescript", "class A {\n  f(): number {\n    ‸\n  }\n}\n", "block    "),
        ("typescript", "interface A {\n  ‸\n}\n", "block  "),
        ("typescriptreact", "const a = <p>{x.‸}</p>;\n", "line"),
        ("rust", "fn f() -> i32 {\n    ‸\n}\n", "block    "),
        ("rust", "fn f() -> i32 {\n    ‸\n\nfn g() {}\n", "block    "),
        ("rust", "let x: Vec<‸> = y;\n", "line"),
        ("rust", "match x {\n    ‸\n}\n", "block    "),
        ("rust", 'println!("‸");\n', Reason.CURSOR_IN_STRING),
        ("go", "package a\n\nfunc f() error {\n\t‸\n}\n", "block\t"),
        ("go", "package a\n\nfunc f() error {\n\tif err != nil {‸}\n}\n", "block\t\t"),
        ("c", "int f(void) {\n    ‸\n}\n", "block    "),
        ("c", "int f(void)\n{\n    ‸\n}\n", "block    "),
        ("c", "int x = ‸;\n", "line"),
        ("c", "int x[] = {‸};\n", "line"),
        ("c", "int f(void) { return 1; ‸", Reason.NOTHING_DUE),
        ("cpp", "namespace n {\n    ‸\n}\n", "block    "),
        ("java", "class A {\n    int f(int a) {\n        ‸\n    }\n}\n", "block        "),
        ("lua", "function f(a)\n  ‸\nend\n", "block  "),
        ("lua", "if x then\n  ‸\nend\n", "block  "),
        ("lua", "f(a)\n‸\n", "line"),
        ("lua", "-- a ‸", Reason.CURSOR_IN_COMMENT),
        ("shellscript", "f() {\n  ‸\n}\n", "block  "),
        ("bash", "if x; then\n  ‸\nfi\n", "block  "),
        ("sh", "for i in a; do\n  ‸\n", "block  "),
        ("shellscript", "if x; then\n  y\nfi ‸", Reason.NOTHING_DUE),
        ("json", '{"a": ‸}', "line"),
        ("json", '{"a‸"}', Reason.CURSOR_IN_STRING),
        ("html", "<p>‸</p>", "line"),
        ("html", "<!-- a ‸ -->", Reason.CURSOR_IN_COMMENT),
        ("html", "<p>a</p>‸\n", Reason.NOTHING_DUE),
        ("css", "a {\n  ‸\n}\n", "block  "),
        ("css", "a {\n  color: ‸\n}\n", "line"),
        ("plaintext", "Dear reader, ‸", "line"),
        ("plaintext", "a ‸ b", Reason.NOTHING_DUE),
        ("plaintext", "‸", Reason.NOTHING_DUE),
        ("cobol", "MOVE (‸).", Reason.NOTHING_DUE),
        ("cobol", "MOVE (‸)", "line"),
    ],
)
def test_each_language_has_its_blocks_strings_and_comments(
    language: str, source: str, expected: Reason | str
) -> None:
    check(source, expected, language)


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("python", "x = 'a ‸ b'"),
        ("python", "# a ‸"),
        ("python", "return x  ‸"),
        ("python", "x = ‸word"),
        ("python", "x = y‸ + 1"),
        ("python", "‸"),
        ("plaintext", "a ‸ b"),
    ],
)
def test_a_user_who_asks_gets_a_hole_anyway(language: str, source: str) -> None:
    assert isinstance(offered(source, language), Reason)
    assert isinstance(offered(source, language, invoked=True), Hole)


def test_nobody_gets_a_hole_inside_a_word_or_when_filling_is_off() -> None:
    assert offered("wo‸rd", invoked=True) is Reason.WORD_FOLLOWS
    off = Settings(enabled=False)
    assert offered("x = ‸", settings=off, invoked=True) is Reason.DISABLED


def test_blocks_can_be_switched_off() -> None:
    hole = offered("def f():\n    ‸", settings=Settings(multiline=False))
    assert isinstance(hole, Hole)
    assert (hole.multiline, hole.limit, hole.indent) == (False, LINE_LIMIT, "    ")


def test_a_cursor_outside_the_text_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match="cursor 4 is outside the text of 3 characters"):
        hole_at(Document(None, "python", "abc"), 4, Settings())


def test_a_very_large_file_is_read_only_round_the_cursor() -> None:
    before = "def f(x):\n    return x\n\n\n" * 20_000
    source = before + "def g(x):\n    ‸\n\n\n" + before
    check(source, "block    ")


def test_the_step_of_indentation_is_the_one_the_file_uses() -> None:
    assert indent_unit("a\n  b\n    c\n  d\n      e\n", "\t") == "  "
    assert indent_unit("a\n\tb\n", "    ") == "\t"
    assert indent_unit("a\n", "   ") == "   "


@given(cursors(surrogates=True), st.booleans())
def test_a_hole_is_always_empty_and_at_the_cursor(
    place: tuple[Document, int], invoked: bool
) -> None:
    document, cursor = place
    found = hole_at(document, cursor, Settings(), invoked=invoked)
    if isinstance(found, Hole):
        assert (found.start, found.end, found.former) == (cursor, cursor, "")
        assert not found.indent.strip(" \t")
