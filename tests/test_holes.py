"""Where a file leaves text to be written: each case shows the file as it is opened to be filled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infill.deeds.holes import Gap, Kind, gaps_in, opened
from infill.deeds.offers import Deed, gaps_for
from infill.document import Document
from infill.hole import BLOCK_LIMIT, LINE_LIMIT, MARKER
from infill.settings import Settings
from tests.strategies import documents


def check(source: str, filled_in: str, language: str = "python", name: str | None = None) -> None:
    """`filled_in` has a ‸ wherever text would be written, scaffolding included."""
    document = Document(PurePath(name) if name else None, language, source)
    assert shown(document, gaps_in(document)) == filled_in


def shown(document: Document, gaps: tuple[Gap, ...]) -> str:
    opened_up, holes = opened(document, gaps)
    text = opened_up.text
    for hole in reversed(holes):
        text = f"{text[: hole.start]}‸{text[hole.end :]}"
    return text


def stays(source: str, language: str = "python", name: str | None = None) -> None:
    check(source, source, language, name)


@pytest.mark.parametrize(
    ("source", "filled_in"),
    [
        ("def f(x):\n    ...\n", "def f(x):\n    ‸\n"),
        ("def f(x):\n    pass\n", "def f(x):\n    ‸\n"),
        ("def f(x):\n    raise NotImplementedError('x')\n", "def f(x):\n    ‸\n"),
        ('def f(x):\n    """Doc."""\n    ...\n', 'def f(x):\n    """Doc."""\n    ‸\n'),
        ("def f(x): ...\n", "def f(x): ‸\n"),
        ("def f(x):\n    # TODO: sum\n    pass\n", "def f(x):\n    # TODO: sum\n    ‸\n"),
        (
            "def f(x):\n    # TODO: sum\n\n\ndef g():\n    return 1\n",
            "def f(x):\n    # TODO: sum\n    ‸\n\n\ndef g():\n    return 1\n",
        ),
        (
            'class A:\n    def f(self):\n        """Doc."""\n        # TODO: sum\n',
            'class A:\n    def f(self):\n        """Doc."""\n        # TODO: sum\n        ‸\n',
        ),
        ("def f(x):\n\ny = 1\n", "def f(x):\n    ‸\n\ny = 1\n"),
        ("class A:\n  def f(self):\n    ...\n", "class A:\n  def f(self):\n    ‸\n"),
        ("x = __HOLE__ + 1\n", "x = ‸ + 1\n"),
        ("x = 'a __HOLE__ b'\n", "x = 'a ‸ b'\n"),
        ("x = (1,\n__HOLE__\n", "x = (1,\n‸\n"),
        ("def f(x):\r\n    pass\r\n", "def f(x):\r\n    ‸\r\n"),
        ("s = '😀'\n\ndef f(x):\n    pass\n", "s = '😀'\n\ndef f(x):\n    ‸\n"),
    ],
)
def test_bodies_that_are_not_written_are_holes_in_python(source: str, filled_in: str) -> None:
    check(source, filled_in)


THROWS = 'throw new Error("not implemented");'


@pytest.mark.parametrize(
    ("language", "source", "filled_in"),
    [
        ("javascript", f"function f(a) {{\n  {THROWS}\n}}\n", "function f(a) {\n  ‸\n}\n"),
        ("javascript", f"const f = (a) => {{ {THROWS} }};\n", "const f = (a) => { ‸ };\n"),
        (
            "javascript",
            "const f = (a) => {\n  // TODO: add\n};\n",
            "const f = (a) => {\n  // TODO: add\n  ‸\n};\n",
        ),
        ("javascript", "x = { f() { /* TODO */ } };\n", "x = { f() { /* TODO */\n  ‸\n} };\n"),
        (
            "typescript",
            "class A {\n  f(): number {}\n}\n",
            "class A {\n  f(): number {\n    ‸\n  }\n}\n",
        ),
        (
            "typescript",
            "function f(a: number): number {\n  // FIXME\n}\n",
            "function f(a: number): number {\n  // FIXME\n  ‸\n}\n",
        ),
        ("rust", "fn f() -> u8 {\n    todo!()\n}\n", "fn f() -> u8 {\n    ‸\n}\n"),
        ("rust", 'fn f() {\n    unimplemented!("a");\n}\n', "fn f() {\n    ‸\n}\n"),
        (
            "rust",
            "fn f() -> u8 {\n    let x = todo!();\n    x\n}\n",
            "fn f() -> u8 {\n    let x = ‸;\n    x\n}\n",
        ),
        ("rust", "fn f() -> u8 {}\n", "fn f() -> u8 {\n    ‸\n}\n"),
        ("go", 'func f() int {\n\tpanic("TODO")\n}\n', "func f() int {\n\t‸\n}\n"),
        ("go", "func f() int {\n\t// TODO\n}\n", "func f() int {\n\t// TODO\n\t‸\n}\n"),
        ("go", "func f() int {}\n", "func f() int {\n\t‸\n}\n"),
        (
            "java",
            'class A {\n  int f() {\n    throw new X("Not implemented");\n  }\n}\n',
            "class A {\n  int f() {\n    ‸\n  }\n}\n",
        ),
        ("java", "class A {\n  int f() {}\n}\n", "class A {\n  int f() {\n    ‸\n  }\n}\n"),
        (
            "java",
            "class A {\n  void f() {\n    // TODO Auto-generated method stub\n  }\n}\n",
            "class A {\n  void f() {\n    // TODO Auto-generated method stub\n    ‸\n  }\n}\n",
        ),
        ("c", "int f(int a) {\n  /* TODO */\n}\n", "int f(int a) {\n  /* TODO */\n  ‸\n}\n"),
        ("c", "int f(int a) {}\n", "int f(int a) {\n    ‸\n}\n"),
        (
            "cpp",
            'int f() {\n  throw std::logic_error("not implemented");\n}\n',
            "int f() {\n  ‸\n}\n",
        ),
        ("plaintext", "a __HOLE__ b", "a ‸ b"),
    ],
)
def test_bodies_that_are_not_written_are_holes_in_other_languages(
    language: str, source: str, filled_in: str
) -> None:
    check(source, filled_in, language)


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("python", "class A(Protocol):\n    def f(self): ...\n"),
        ("python", "@abstractmethod\ndef f(self):\n    pass\n"),
        ("python", "try:\n    f()\nexcept E:\n    pass\n"),
        ("python", "class A:\n    pass\n"),
        ("python", "def f(x):\n    'Doc.'\n    # as in g\n"),
        ("python", "def f(x): 'Doc.'  # TODO: sum\n"),
        ("python", "@abstractmethod\ndef f(self):\n    'Doc.'\n    # TODO: tell of g\n"),
        ("python", "def f(x):\n    # TODO: quicker\n    return x\n"),
        ("javascript", "const nothing = () => {};\n"),
        ("javascript", "function f() {\n  // TODO: quicker\n  return 1;\n}\n"),
        ("javascript", 'function f() { throw new Error("wrong key"); }\n'),
        ("javascript", "// TODO\nconst x = {};\n"),
        ("typescript", "function f(): void {}\n"),
        ("java", "class A {\n  A() {}\n  void f() {}\n}\n"),
        ("java", "class A { int f() { throw new UnsupportedOperationException(); } }\n"),
        ("rust", "fn f() {}\n"),
        ("rust", '// todo!() is a macro\nfn f() -> &str {\n    "todo!()"\n}\n'),
        ("go", "func f() {}\n"),
        ("c", "void f(void) {}\nint main() {}\n"),
        ("c", "struct a {};\n"),
    ],
)
def test_what_is_meant_to_be_empty_is_no_hole(language: str, source: str) -> None:
    stays(source, language)


def test_a_stub_file_has_no_bodies_to_write() -> None:
    stays("def f(x): ...\n", name="a.pyi")


def placeholders(source: str, language: str = "python", name: str = "a.py") -> list[str]:
    document = Document(PurePath(name), language, source)
    return [source[gap.start : gap.end] for gap in gaps_in(document)]


@pytest.mark.parametrize(
    ("language", "source", "found"),
    [
        ("python", "def f():\n    ...\n", ["..."]),
        ("python", "def f():\n    pass\n", ["pass"]),
        ("python", "def f(): pass\n", ["pass"]),
        ("python", "def f():\n    '''Doc.'''\n    # soon\n    pass  # really\n", ["pass"]),
        ("python", "async def f():\n    raise NotImplementedError\n",
         ["raise NotImplementedError"]),
        ("python", "def f():\n    raise NotImplementedError('é')\n",
         ["raise NotImplementedError('é')"]),
        ("python", "class A:\n    def f(self):\n        ...\n    def g(self): pass\n",
         ["...", "pass"]),
        ("python", "def f():\n    def g():\n        pass\n    return g\n", ["pass"]),
        ("python", "if x:\n    def f():\n        pass\n", ["pass"]),
        ("python", "@cache\ndef f():\n    pass\n", ["pass"]),
        ("python", "class A:\n    pass\nclass B:\n    ...\n", []),
        ("python", "def f():\n    raise ValueError\n", []),
        ("python", "def f():\n    raise NotImplementedErrors\n", []),
        ("python", "def f():\n    x = 1\n    pass\n", []),
        ("python", "def f(x=...):\n    return ...\n", []),
        ("python", "def f():\n    '''Doc.'''\n", []),
        ("python", "if x:\n    pass\n", []),
        ("python", "class A:\n    @abstractmethod\n    def f(self): ...\n", []),
        ("python", "class A:\n    @abc.abstractmethod\n    def f(self): ...\n", []),
        ("python", "@overload\ndef f(x: int) -> int: ...\n", []),
        ("python", "@typing.overload\ndef f(x: int) -> int: ...\n", []),
        ("python", "class A(Protocol):\n    def f(self): ...\n", []),
        ("python", "class A(typing.Protocol[T]):\n    @property\n    def f(self): ...\n", []),
        ("rust", "fn f() { todo!() }", ["todo!()"]),
        ("rust", 'fn f() {\n    unimplemented!("x");\n}', ['unimplemented!("x");']),
        ("rust", "impl A { fn f(&self) { todo!() } }", ["todo!()"]),
        ("rust", "fn f() { let x = 1; todo!() }", ["todo!()"]),
        ("javascript", "function f() {\n  __HOLE__\n}", ["__HOLE__"]),
        ("python", "x = __HOLE__\ny = f(__HOLE__)\n", ["__HOLE__", "__HOLE__"]),
        ("python", "def f():\n    raise NotImplementedError('__HOLE__')\n",
         ["raise NotImplementedError('__HOLE__')"]),
        ("plaintext", "Dear __HOLE__,\n...\n", ["__HOLE__"]),
    ],
)  # fmt: skip
def test_placeholders_that_are_a_whole_body_and_markers_are_found(
    language: str, source: str, found: list[str]
) -> None:
    assert placeholders(source, language) == found


def test_a_python_stub_file_has_only_marked_holes() -> None:
    assert placeholders("def f(): ...\n__HOLE__\n", name="a.pyi") == ["__HOLE__"]


def test_a_placeholder_alone_on_its_line_makes_room_for_a_block() -> None:
    source = "class A:\n    def f(self):\n        pass\n\nx = __HOLE__\ndef g(): ...\n"
    block, marked, inline = gaps_in(Document(None, "python", source))
    assert (block.multiline, block.limit, block.indent) == (True, BLOCK_LIMIT, " " * 8)
    assert (marked.multiline, marked.limit, marked.indent) == (False, LINE_LIMIT, "")
    assert not inline.multiline  # the body stands on the header's line, where one line fits


@pytest.mark.parametrize(
    ("language", "source", "filled_in"),
    [
        ("python", "def f(a): return a\nx = f()\n", "def f(a): return a\nx = f(‸)\n"),
        ("python", "def f(a): return a\nx = f( )\n", "def f(a): return a\nx = f(‸)\n"),
        (
            "python",
            "class A:\n    def __init__(self, b):\n        self.b = b\n\na = A()\n",
            "class A:\n    def __init__(self, b):\n        self.b = b\n\na = A(‸)\n",
        ),
        (
            "python",
            "class A:\n  def f(self, b):\n    return b\n  def g(self):\n    self.f()\n",
            "class A:\n  def f(self, b):\n    return b\n  def g(self):\n    self.f(‸)\n",
        ),
        (
            "python",
            "@functools.cache\ndef f(a):\n    return a\n\nf()\n",
            "@functools.cache\ndef f(a):\n    return a\n\nf(‸)\n",
        ),
        ("javascript", "function f(a) { g(); }\nf();\n", "function f(a) { g(); }\nf(‸);\n"),
        (
            "typescript",
            "function f(a: number, b = 1) { return a; }\nf();\n",
            "function f(a: number, b = 1) { return a; }\nf(‸);\n",
        ),
        ("rust", "fn f(a: u8) {}\nfn g() { f(); }\n", "fn f(a: u8) {}\nfn g() { f(‸); }\n"),
        (
            "go",
            "func f(a, b int) {}\nfunc g() { f() }\n",
            "func f(a, b int) {}\nfunc g() { f(‸) }\n",
        ),
        (
            "java",
            "class A { void f(int a) {} void g() { f(); } }\n",
            "class A { void f(int a) {} void g() { f(‸); } }\n",
        ),
        (
            "c",
            "void f(int a) {}\nvoid g(void) { f(); }\n",
            "void f(int a) {}\nvoid g(void) { f(‸); }\n",
        ),
    ],
)
def test_an_empty_argument_list_is_a_hole_where_the_call_wants_something(
    language: str, source: str, filled_in: str
) -> None:
    check(source, filled_in, language)


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("python", "def f(a=1, *b, c=2, **d): return a\nx = f()\n"),
        ("python", "def f(a): return a\ndef f(): return 1\nx = f()\n"),  # which of them?
        ("python", "class A:\n    def f(self, b):\n        return b\n\nx.f()\n"),
        ("python", "class A:\n    def f(self):\n        self.f()\n"),
        ("python", "def f(a): return a\nx = 'f()'  # f()\n"),
        ("python", "x = unknown()\n"),
        (
            "python",
            "class A:\n    @staticmethod\n    def g():\n        return 1\n\n"
            "    def f(self):\n        return self.f()\n",
        ),
        ("python", "@click.command()\n@click.argument('a')\ndef f(a):\n    return a\n\nf()\n"),
        ("javascript", "function f(a = 1, ...b) {}\nf();\n"),
        ("typescript", "function f(a?: number) {}\nf();\n"),
        ("rust", "impl A { fn f(&self) { self.f(); } }\n"),
        ("go", "func f(a ...int) {}\nfunc g() { f() }\n"),
        ("c", "void f(void) {}\nvoid g(void) { f(); }\n"),
    ],
)
def test_an_empty_argument_list_is_none_where_nothing_need_be_given(
    language: str, source: str
) -> None:
    stays(source, language)


TOLD = '''def f(a):
    """Say f."""
    return a


def g(a):
    """Say g."""
    return a


'''


def test_a_docstring_is_missing_where_most_have_one() -> None:
    check(TOLD + "def h(a):\n    return a\n", TOLD + 'def h(a):\n    """‸"""\n    return a\n')
    stays("def f(a):\n    return a\n\n\ndef g(a):\n    return a\n")
    stays(TOLD + "def _h(a):\n    return a\n")


def test_each_hole_knows_what_it_is() -> None:
    source = TOLD + "def h(a):\n    pass\n\n\nx = h()\ny = __HOLE__\n"
    kinds = [gap.kind for gap in gaps_in(Document(None, "python", source))]
    assert kinds == [Kind.DOCSTRING, Kind.BODY, Kind.ARGUMENTS, Kind.MARKER]


@given(documents(), st.booleans())
def test_holes_never_overlap_and_the_text_round_them_stays(document: Document, crlf: bool) -> None:
    text = document.text.replace("x", MARKER)
    text = text.replace("\n", "\r\n") if crlf else text
    document = replace(document, text=text)
    gaps = gaps_in(document)
    opened_up, holes = opened(document, gaps)
    at = there = 0
    for gap, hole in zip(gaps, holes, strict=True):
        assert at <= gap.start <= gap.end
        between = opened_up.text[there : hole.start - len(gap.lead)]
        assert between == document.text[at : gap.start]
        at, there = gap.end, hole.end + len(gap.tail)
    assert opened_up.text[there:] == document.text[at:]


def check_parameter(source: str, filled_in: str, language: str = "python") -> None:
    """With the cursor at ‸ on a definition, one parameter more leaves these holes."""
    cursor = source.index("‸")
    document = Document(None, language, source.replace("‸", ""))
    gaps = gaps_for(Deed.ADD_PARAMETER, document, cursor, cursor, Settings())
    assert shown(document, tuple(gaps)) == filled_in


@pytest.mark.parametrize(
    ("language", "source", "filled_in"),
    [
        ("python", "def ‸f(a):\n    f(1)\nf(2)\n", "def f(a, ‸):\n    f(1, ‸)\nf(2, ‸)\n"),
        ("python", "def ‸f():\n    f()\n", "def f(‸):\n    f(‸)\n"),
        ("python", "def f(‸a, **b):\n    f(1, **b)\n", "def f(a, ‸, **b):\n    f(1, ‸, **b)\n"),
        (
            "python",
            "def ‸f(\n    a,\n    b,\n):\n    f(\n        1,\n        2,\n    )\n",
            "def f(\n    a,\n    b,\n    ‸,\n):\n    f(\n        1,\n        2,\n"
            "        ‸,\n    )\n",
        ),
        (
            "python",
            'def ‸f(a):\n    """Do.\n\n    Args:\n        a: One\n            thing.\n'
            '    """\nf(1)\n',
            'def f(a, ‸):\n    """Do.\n\n    Args:\n        a: One\n            thing.\n        ‸\n'
            '    """\nf(1, ‸)\n',
        ),
        (
            "python",
            'def ‸f(a):\n    """Do.\n\n    :param a: one\n    """\nf(1)\n',
            'def f(a, ‸):\n    """Do.\n\n    :param a: one\n    :param ‸\n    """\nf(1, ‸)\n',
        ),
        (
            "python",
            "class A:\n    def ‸__init__(self, a):\n        self.a = a\n\nx = A(1)\n",
            "class A:\n    def __init__(self, a, ‸):\n        self.a = a\n\nx = A(1, ‸)\n",
        ),
        (
            "python",
            "class A:\n    def ‸f(self):\n        self.f()\n        other.f()\n",
            "class A:\n    def f(self, ‸):\n        self.f(‸)\n        other.f()\n",
        ),
        (
            "javascript",
            "/**\n * Do.\n * @param a one\n */\nfunction ‸f(a) {}\nf(1);\n",
            "/**\n * Do.\n * @param a one\n * @param ‸\n */\nfunction f(a, ‸) {}\nf(1, ‸);\n",
        ),
        (
            "typescript",
            "function ‸f(a: A, ...b) {}\nf(1);\n",
            "function f(a: A, ‸, ...b) {}\nf(1, ‸);\n",
        ),
        ("rust", "fn ‸f(a: u8) {}\nfn g() { f(1); }\n", "fn f(a: u8, ‸) {}\nfn g() { f(1, ‸); }\n"),
        (
            "go",
            "func ‸f(a int) {}\nfunc g() { f(1) }\n",
            "func f(a int, ‸) {}\nfunc g() { f(1, ‸) }\n",
        ),
        ("c", "int ‸f(void) { return f(); }\n", "int f(‸) { return f(‸); }\n"),
        (
            "java",
            "class A { void ‸f(int a) { f(1); } }\n",
            "class A { void f(int a, ‸) { f(1, ‸); } }\n",
        ),
    ],
)
def test_one_parameter_more_leaves_a_hole_in_the_definition_and_in_each_use(
    language: str, source: str, filled_in: str
) -> None:
    check_parameter(source, filled_in, language)


@pytest.mark.parametrize(
    ("language", "source", "filled_in"),
    [
        ("python", "class A:\n    x = 1\n", 'class A:\n    """‸"""\n    x = 1\n'),
        (
            "python",
            "@a\ndef f():\n    # why\n    x()\n",
            '@a\ndef f():\n    # why\n    """‸"""\n    x()\n',
        ),
        ("javascript", "export function f(a) {}\n", "/** ‸ */\nexport function f(a) {}\n"),
        ("typescript", "class A {\n  f(a: A) {}\n}\n", "/** ‸ */\nclass A {\n  f(a: A) {}\n}\n"),
        ("rust", "#[inline]\nfn f() {}\n", "/// ‸\n#[inline]\nfn f() {}\n"),
        ("go", "func f() {}\n", "// ‸\nfunc f() {}\n"),
        ("java", "@Override\nclass A {}\n", "/** ‸ */\n@Override\nclass A {}\n"),
        ("c", "int f(void) { return 1; }\n", "/** ‸ */\nint f(void) { return 1; }\n"),
    ],
)
def test_a_docstring_goes_where_the_language_has_it(
    language: str, source: str, filled_in: str
) -> None:
    document = Document(None, language, source)
    cursor = source.index("A" if "class A" in source else "f(")
    gaps = gaps_for(Deed.WRITE_DOCSTRING, document, cursor, cursor, Settings())
    assert shown(document, tuple(gaps)) == filled_in


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("python", 'def f():\n    """Told."""\n'),
        ("python", "def f(): return 1\n"),
        ("javascript", "/** Told. */\nfunction f() {}\n"),
        ("rust", "/// Told.\n#[inline]\nfn f() {}\n"),
        ("go", "// f is told.\nfunc f() {}\n"),
        ("json", '{"f()": 1}\n'),
    ],
)
def test_a_docstring_that_is_there_or_has_no_room_is_not_offered(
    language: str, source: str
) -> None:
    document = Document(None, language, source)
    cursor = source.index("f(")
    assert not gaps_for(Deed.WRITE_DOCSTRING, document, cursor, cursor, Settings())
