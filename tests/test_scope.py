"""What the names round a hole say about a text for it."""

from __future__ import annotations

import random
import re
from io import StringIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infill.code.binding import Reader, State
from infill.code.scope import BUILT_IN, NEARBY, Sense, Surroundings, sense_of, surroundings_of
from tests.strategies import texts

CURSOR = "‸"
LONG = 100_000


def around(source: str) -> Surroundings:
    at = source.index(CURSOR)
    return surroundings_of(source.replace(CURSOR, ""), at, at)


def sense(source: str, fill: str) -> Sense:
    at = source.index(CURSOR)
    line = source[source.rfind("\n", 0, at) + 1 : at]
    line = line if line.strip() else line + fill
    return sense_of(fill, len(line) - len(line.lstrip()), around(source))


def names(text: str) -> tuple[set[str], set[str]]:
    """What a text binds in any way, and what it uses."""
    statements = list(Reader().statements(text))
    binds = {name for it in statements for name in it.known}
    return binds, {name for it in statements for name in it.uses}


@pytest.mark.parametrize(
    ("text", "binds", "uses"),
    [
        ("x = y\n", "x", "y"),
        ("x: int = y\n", "x", "int y"),
        ("x: int\n", "x", "int"),
        ("a, (b, *c) = d\n", "a b c", "d"),
        ("a = b = c\n", "a b", "c"),
        ("x += y\n", "", "x y"),
        ("x == y\n", "", "x y"),
        ("self.x = y\n", "", "self y"),
        ("x[i] = y\n", "", "x i y"),
        ("x = (\n    a,\n    b\n)\n", "x", "a b"),
        ("def f(a, *b, c: T = d, **e) -> R:\n", "f a b c e", "T d R"),
        ("def f(\n    a,\n    b=g(k=1),\n):\n", "f a b", "g"),
        ("async def f(a): return a\n", "f a", "a"),
        ("def f[T](a: T): ...\n", "f T a", "T"),
        ("def f(a: dict[K, V]) -> list[R]:\n", "f a", "dict K V list R"),
        ("def f(a) -> Callable[[A], B | tuple[C]]:\n", "f a", "Callable A B tuple C"),
        ("class A(B, metaclass=M):\n", "A", "B M"),
        ("class A[T](B[T]):\n", "A T", "B T"),
        ("class A:\n    x = 1\n    y: int\n", "A x y", "int"),
        ("f(a, k=b, *c, **d)\n", "", "f a b c d"),
        ("f(\n    k=a,\n    l=b,\n)\n", "", "f a b"),
        ("a.b.c(d).e\n", "", "a d"),
        ("for i, (j, *k) in l:\n", "i j k", "l"),
        ("for a.b in c: d\n", "", "a c d"),
        ("async for i in j: pass\n", "i", "j"),
        ("[a for b, c in d if e]\n", "b c", "a d e"),
        ("{k: v for k, v in d.items()}\n", "k v", "k v d"),
        ("with a(b) as c, d as (e, f):\n", "c e f", "a b d"),
        ("with (a as b, c as d):\n", "b d", "a c"),
        ("with a as b.c: pass\n", "", "a b"),
        ("import a, b.c, d.e as f\n", "a b f", ""),
        ("from a.b import c, d as e\n", "c e", ""),
        ("from . import (\n    a,\n    b as c,\n)\n", "a c", ""),
        ("from a import *\n", "", ""),
        ("raise A from b\nyield from c\n", "", "A b c"),
        ("if (n := f()) > m: n\n", "n", "f m n"),
        ("g = lambda a, *b, c=d: a + e\n", "g a b c", "d a e"),
        ("@a.b(c)\ndef f(): pass\n", "f", "a c"),
        ("try: pass\nexcept (A, B) as e: pass\n", "e", "A B"),
        ("global a\nnonlocal b, c\n", "a b c", ""),
        ("del a, b[c]\n", "", "a b c"),
        ("a = 'b c'  # d e\n", "a", ""),
        ("a = '''b\nc'''\nd\n", "a", "d"),
        ("a = rb'b' + u'c' + Rb'''d'''\n", "a", ""),
        ("f'{a!r:>{b}} {{c}} {d[\"e\"]} {f.g:x} {h=}'\n", "", "a b d f h"),
        ("f'{[x for x in y]}'\n", "x", "x y"),
        ("a = 'b\nc = d\n", "a c", "d"),
        ("match a:\n    case B(c=1, d=e) if f: g\n", "e", "a B f g"),
        ("match a:\n    case {'h': i, **j} | k.l: pass\n", "i j", "a k"),
        ("match = case = 1\nmatch.a(case)\n", "match case", "match case"),
        ("type A = B\ntype(c)\n", "A", "B type c"),
        ("a = 1; b = c\n", "a b", "c"),
        ("if a: b = c\nelse: d = e\n", "b d", "a c e"),
        ("a = b if c else d\n", "a", "b c d"),
        ("x = \\\n    y\n", "x", "y"),
        ("x = f(\n    a,\ndef g(b): pass\n", "x g b", "f a"),
        ("été = naïve\n", "été", "naïve"),
        ("1e5 + 0xff + 1_000j + a\n", "", "a"),
        ("a = ...\na.b\n", "a", "a"),
    ],
)
def test_what_a_text_binds_and_uses(text: str, binds: str, uses: str) -> None:
    assert names(text) == (set(binds.split()), set(uses.split()))


@pytest.mark.parametrize(
    ("source", "bound", "missing"),
    [
        ("def f(a):\n    ‸\n    return b\n", "f a", "b"),
        ("def f(a):\n    ‸\n    b = 1\n    return b\n", "f a", ""),
        ("def f(a):\n    ‸\n    b = b + 1\n", "f a", "b"),
        ("def f():\n    ‸\n\n\ndef g(x):\n    return y\n", "f g", ""),
        ("def f():\n    ‸\n    g()\n\n\ndef g(x): ...\n", "f g", ""),
        ("def f():\n    ‸\n    g(x)\n\n\nimport g\nx = 1\n", "f g x", ""),
        ("def f():\n    def g(a):\n        b\n    ‸\n    return a, g, c\n", "f g a", "c"),
        ("import ‸\n\nnp.zeros(1)\n", "", "np"),
        ("from a import (\n    b,\n    ‸\n)\nb(c)\n", "b", "c"),
        ("for ‸ in a:\n    print(b)\n", "", "a b"),
        ("x = [y(i) for ‸ in z]\n", "", "y i z"),
        ("def f(a, ‸):\n    return a + b\n", "f a", "b"),
        ("x = ab‸cd + e\n", "", "e"),
        ("x = ‸  # a note\n'a string'\n", "", ""),
        ("def f(a):\n    a()\n    ‸\n\n\ndef g(x):\n    return y\n", "f g", ""),
        ("def f(a):\n    a()\n‸\n\n\ndef g(x):\n    return y\n", "f g", ""),
        ("def f(a):\n‸\n\n\ndef g(x):\n    return y\n", "f g", ""),
        ("import a\n‸\n\n\ndef g(x):\n    return y\n", "a g", "y"),
        ("class A:\n    ‸\n\n    def f(self):\n        self.b(k=1)\n", "A", ""),
    ],
)
def test_what_is_bound_round_a_hole_and_what_is_missing(
    source: str, bound: str, missing: str
) -> None:
    found = around(source)
    assert set(bound.split()) <= found.bound
    assert not set(missing.split()) & found.bound
    assert found.missing == set(missing.split())


@pytest.mark.parametrize(
    ("source", "fill", "expected"),
    [
        ("def f(a):\n    ‸\n", "return a", Sense()),
        ("def f(a):\n    ‸\n", "return b + c", Sense(unknown=2)),
        ("def f(a):\n    ‸\n", "return len([b for b in a])", Sense()),
        ("def f(a):\n    ‸\n", "return a.b(c=1)", Sense()),
        ("def f(a):\n    ‸\n", "a('b', f'{a}')  # c", Sense()),
        ("def f(a):\n    ‸\n    return b\n", "b = a", Sense(binds_missing=1)),
        ("def f(a):\n    ‸\n    return b\n", "c = a", Sense(unused=1)),
        ("def f(a):\n    ‸\n    return b\n", "for b in a:", Sense(binds_missing=1)),
        ("def f(a):\n    ‸\n    return b\n", "return b", Sense(1, cuts_off=1)),
        ("def f(a):\n    if a:\n        ‸\n    a()\n", "return a", Sense()),
        ("def f(a):\n    ‸\n", "b = a", Sense(unused=1)),
        ("def f(a):\n    ‸\n    return b.c\n", "b: int = a", Sense(binds_missing=1)),
        ("for ‸ in [1]:\n    print(b)\n", "b", Sense(binds_missing=1)),
        ("def f(‸):\n    return b\n", "a, b", Sense(binds_missing=1)),
        ("def f(alpha):\n    return al‸\n", "pha", Sense()),
        ("def f(alpha):\n    return al‸\n", "l", Sense()),
        ("def f(alpha):\n    return al‸\n", "most", Sense(unknown=1)),
        ("print('‸')\n", "any words at all", Sense()),
        ("print(f'{‸}')\n", "word", Sense(unknown=1)),
        ("print(f'‸')\n", "{word} and more", Sense(unknown=1)),
        ("x = 1  # ‸\n", "any words at all", Sense()),
        ("'''A note\n‸\n'''\n", "any words at all", Sense()),
        ("f = print(\n    ‸\n)\n", "sep=1", Sense()),
        ("from a import ‸\n", "b", Sense()),
        ("import sys\n\nx = sys.‸\n", "argv", Sense()),
        ("import b as c\r\ndef f():\r\n    x = ‸\r\n", "c.d", Sense()),
    ],
)
def test_the_sense_of_a_fill(source: str, fill: str, expected: Sense) -> None:
    assert sense(source, fill) == expected


@pytest.mark.parametrize(
    ("source", "fill"),
    [
        ("def f(alpha):\n    return al‸\n\n\ndef g(x):\n    return y\n", "pha"),
        ("def f(a):\n    b = a\n    ‸\n\n\ndef g(x):\n    return y\n", "return b"),
        ("def f(a):\n    ‸\n    return b\n", "b = a"),
        ('x = """\n  ‸\n"""\n', "any words"),
    ],
)
def test_a_fill_alone_makes_the_sense_of_its_whole_line(source: str, fill: str) -> None:
    """Whoever asks may take the line for the hole, and the line with the fill for the fill."""
    at = source.index(CURSOR)
    text = source.replace(CURSOR, "")
    start, end = text.rfind("\n", 0, at) + 1, text.index("\n", at)
    line = text[start:at] + fill + text[at:end]
    of_line = sense_of(line, len(line) - len(line.lstrip()), surroundings_of(text, start, end))
    assert of_line == sense(source, fill)


def test_names_of_a_large_file_s_head_and_of_far_definitions_are_known() -> None:
    far = "    # a line that says nothing\n" * 1500
    head, tail = "from a import (\n    b,\n)\n\n\ndef c():\n", "\n\ndef d(): ...\n"
    found = around(f"{head}{far}\n\ndef f():\n{far}    ‸\n{far}{tail}")
    assert {"b", "c", "d"} <= found.bound


@settings(deadline=None)
@given(texts(surrogates=True), st.data(), texts(surrogates=True, max_size=8))
def test_any_text_makes_some_sense(text: str, data: st.DataObject, fill: str) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    found = surroundings_of(text, start, end)
    assert found.bound >= BUILT_IN
    assert not found.missing & found.bound
    made = sense_of(fill, 0, found)
    assert made.binds_missing <= bool(found.missing)


LINES = (
    *("import a", "def f(b, *c):", "    d = a(b)", "    for e, g in d: h(e)", "    return h"),
    *("class A(f):", "    x: a = [i for i in c]", "    with h(k=a) as j:", "        j.y = (", "a)"),
)


@given(st.lists(st.sampled_from(LINES)), st.data())
def test_comments_and_docstrings_change_nothing(lines: list[str], data: st.DataObject) -> None:
    remarks = st.sampled_from(("", "  # z = w", "  # it's", '  # """'))
    notes = st.sampled_from(("", "# v = u\n", '"""Says: t = s."""\n', "'''q'\n\"p\" r\n'''\n"))
    noted = (data.draw(notes) + line + data.draw(remarks) + "\n" for line in lines)
    assert names("".join(noted)) == names("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("source", "fill", "idle"),
    [
        ("a = 1\n‸\n", "a", 1),
        ("a = 1\n    ‸\n", "a.b", 1),
        ("a = 1\n‸\n", "1", 1),
        ("a = 1\n‸\n", "pass", 0),
        ("a = 1\n‸\n", "a()", 0),
        ("a = 1\nreturn ‸\n", "a", 0),
        ("f(\n    ‸\n)\n", "a", 0),
        ("x = \\\n    ‸\n", "a", 0),
        ("for a in b:\n    ‸()\n", "a", 0),
    ],
)
def test_a_statement_of_one_name_does_nothing(source: str, fill: str, idle: int) -> None:
    assert sense(source, fill).idle == idle


def test_a_star_import_may_bind_any_name() -> None:
    assert around("from a import *\n‸\nb(c)\n").missing == set()
    assert sense("from a import *\n‸\n", "b(c)").unknown == 0
    assert sense("from a import d\n‸\n", "b(c)").unknown == 2


def test_a_docstring_far_above_is_not_read_as_code() -> None:
    method = '    def g(self):\n        """Says {}this is it."""\n        return self\n\n'
    lengths = random.Random(0)
    words = ("that " * lengths.randrange(9) for _ in range(400))
    source = "class A:\n" + "".join(method.format(it) for it in words)
    assert len(source) > NEARBY
    for at in (match.end() for match in re.finditer("return self\n", source)):
        assert surroundings_of(source, at, at).missing == set()


@settings(deadline=None)
@example("fn f() {\n\n\n\ndef f(x):", 4)
@given(texts(surrogates=True), st.integers(0, 40))
def test_a_text_read_in_two_parts_is_read_as_in_one(text: str, row: int) -> None:
    text = text.replace("\r", "")
    first = "".join(StringIO(text, newline="\n").readlines()[:row])  # at line feeds alone
    reader = Reader()
    list(reader.statements(first))
    state: State = reader.state
    whole = Reader()
    list(whole.statements(text))
    rest = Reader(state)
    list(rest.statements(text[len(first) :]))
    assert (rest.state.frames, rest.state.string) == (whole.state.frames, whole.state.string)


@pytest.mark.parametrize(
    "unit",
    ["(", "[", "(\n", '"', "'", '"""', "\"'\\", " ", " \n", "\t\n", "a", "a ", "a,", "a:", "= ",
     "for ", "for a,", "for (", "def f(", "lambda a,", "import a, ", "f'{", "f'{[", "{", "#\n",
     "\\", "\\\n", "é", "1", "a = ", "*", ".", "\x00", "async def ", "case ", "'''a\n"],
)  # fmt: skip
def test_an_odd_text_takes_no_longer_than_another(unit: str) -> None:
    text = unit * (LONG // len(unit))  # would take minutes where anything is tried twice
    for at in (0, len(text) // 2, len(text)):
        sense_of("x = y", 0, surroundings_of(text, at, at))
    sense_of(text, 0, surroundings_of("x = \n", 4, 4))
