"""Trees of real and of broken text, with offsets in code points whatever the text holds."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infill.code import syntax
from infill.code.languages import LANGUAGES
from infill.code.syntax import WINDOW, errors_in, language_of, parse, window_round
from infill.document import Document
from tests.strategies import documents, texts

WHOLE = {
    "python": "def f(x: int) -> str:\n    return f'{x}'\n",
    "javascript": "const f = async (x) => { await g(`${x}`); };\n",
    "javascriptreact": "const a = <p className='b'>{x}</p>;\n",
    "typescript": "interface A<T> { f(x: T): Promise<void>; }\n",
    "typescriptreact": "const a = (x: number) => <p>{x}</p>;\n",
    "rust": "impl<'a> A<'a> { fn f(&self) -> Option<&'a str> { None } }\n",
    "go": 'package a\n\nfunc f(x int) (string, error) { return "", nil }\n',
    "c": "#include <a.h>\nint *f(struct s *x) { return x->y; }\n",
    "cpp": "template <class T> class A : public B { T f() const { return T{}; } };\n",
    "java": "class A { @Override int f(List<String> x) { return x.size(); } }\n",
    "lua": "local function f(a, ...) return a and #a or nil end\n",
    "shellscript": 'f() { local x="$1"; [[ -n $x ]] && echo "${x%%.*}"; }\n',
    "json": '{"a": [1, true, null]}\n',
    "jsonc": '{"a": 1}  // why\n',
    "html": "<p class='a'>b<br></p>\n",
    "css": "@media (min-width: 1px) { .a > b { color: #fff; } }\n",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_parses_its_own(language: str) -> None:
    assert errors_in(WHOLE[language], language) == ()


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_notices_what_is_none_of_it(language: str) -> None:
    broken = "<p <\n" if language == "html" else "} ) ((( ' \n"
    assert errors_in(broken + WHOLE[language], language)


def test_an_unknown_language_has_no_tree_and_no_errors() -> None:
    assert parse("x", "klingon") is None
    assert errors_in("x", "klingon") is None


@pytest.mark.parametrize(
    "before", ["", "# é\n", "# 𝒳👩‍💻\r\n", "# \f\u2028\x85\n", "# \ud83d\n", "\ufeff"]
)
def test_errors_are_counted_in_code_points(before: str) -> None:
    text = before + "x = 'é𝒳\ud83d' + )\ny = 1\n"
    errors = errors_in(text, "python")
    assert errors is not None
    assert any(text[start:end].strip() == ")" for start, end in errors), errors


def test_a_missing_token_is_an_empty_range() -> None:
    text = "int f() { int é = 1 }"
    assert errors_in(text, "c") == ((text.index(" }"),) * 2,)


@pytest.mark.parametrize(
    ("name", "language"),
    [
        *(("a.py", "python"), ("a.pyi", "python"), ("a.js", "javascript")),
        *(("A.JSX", "javascriptreact"), (".bashrc", "shellscript"), ("a.json", "json")),
        *(("a.ts", "typescript"), ("a.d.ts", "typescript"), ("a.tsx", "typescriptreact")),
        *(("a/b.rs", "rust"), ("a.go", "go"), ("a.h", "c"), ("a.hpp", "cpp"), ("a.java", "java")),
        *(("a.lua", "lua"), ("a.sh", "shellscript")),
        *(("a.html", "html"), ("a.css", "css"), ("a.txt", "plaintext"), ("py", "plaintext")),
        *(("Makefile", "plaintext"), ("", "plaintext")),
    ],
)  # fmt: skip
def test_a_file_name_tells_the_language(name: str, language: str) -> None:
    assert language_of(name) == language


def test_the_outline_has_imports_and_definitions_in_file_order() -> None:
    text = "# é\nimport os\nclass A:\n    @b\n    def f(self): pass\nif x:\n    from a import b\n"
    tree = parse(text, "python")
    assert tree is not None
    assert [text[slice(*it)] for it in tree.outline.imports] == ["import os", "from a import b"]
    assert [it.name for it in tree.outline.definitions] == ["A", "f"]
    assert text[tree.outline.definitions[1].body :].startswith("pass")


def test_the_same_text_is_parsed_once() -> None:
    text = "x = 1  # for the cache\n"
    assert parse(text, "python") is parse("".join(text), "python")
    large = "x = 1\n" * (syntax.KEPT_WHOLE // 6 + 1)
    assert parse(large, "python") is parse(large, "python")


def test_a_text_that_takes_too_long_has_no_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "PATIENCE", 0.0)
    assert parse("<a>" * 20_000, "html") is None


def test_a_grammar_is_loaded_when_its_language_is_first_met() -> None:
    code = (
        "import sys\nfrom infill.code.syntax import parse\n"
        "loaded = lambda: sorted(m for m in sys.modules if m.startswith('tree_sitter_'))\n"
        "first = loaded()\nparse('x', 'lua')\nprint(first, loaded())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() in (
        "[] ['tree_sitter_lua']",
        "[] ['tree_sitter_lua', 'tree_sitter_lua._binding']",
    )


def test_the_window_of_a_large_text_is_whole_lines_from_an_unindented_one() -> None:
    text = "def f():\n    return 1\n\n\n" * 20_000
    start, end = window_round(text, 300_000)
    assert start <= 300_000 <= end
    assert text[start:].startswith("def f")
    assert text[end - 1] == "\n"
    assert end - start <= WINDOW + 100


@given(texts(surrogates=True, max_size=80), st.data())
def test_a_window_holds_its_offset(text: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text)))
    start, end = window_round(text, offset, size=data.draw(st.integers(4, 40)))
    assert 0 <= start <= offset <= end <= len(text)


@given(documents(surrogates=True), st.data())
def test_every_node_lies_in_its_parent_and_every_character_in_a_leaf(
    document: Document, data: st.DataObject
) -> None:
    tree = parse(document.text, document.language)
    if tree is None or not document.text:
        return
    offset = data.draw(st.integers(0, len(document.text) - 1))
    chain = list(tree.leaf_at(offset).chain())
    assert chain[-1].parent is None
    for inner, outer in pairwise(chain):
        assert outer.start <= inner.start <= inner.end <= outer.end <= len(document.text)


@given(texts(), st.sampled_from(("python", "shellscript")))
def test_a_text_of_ascii_has_the_errors_it_has_beside_other_characters(
    text: str, language: str
) -> None:
    """ASCII takes a shorter way from bytes to code points; it must lead to the same place."""
    plain = "".join(char if char.isascii() else "?" for char in text) + "\n# "
    assert errors_in(plain + "xy", language) == errors_in(plain + "é𝒳", language)


def test_a_text_that_was_parsed_is_let_go() -> None:
    """py-tree-sitter keeps for good each object that it was given to read from."""
    process = psutil.Process()
    before = process.memory_info().rss
    for number in range(1000):
        parse(f"# {number} {'a' * 100_000}\n", "python")
    assert process.memory_info().rss - before < 30_000_000  # of 100 MB that were parsed
