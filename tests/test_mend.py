"""What is mended in broken files of several languages, and what is left alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infill.code.idiom import Idiom, tokens_of
from infill.code.strict import stops_at
from infill.code.syntax import errors_in, parse
from infill.deeds.mend import Damage, Mended, broken_at, mend
from infill.deeds.suspect import rows_near
from infill.document import Document
from infill.edit import applied
from infill.settings import Settings
from model.scripted import Scripted

PATIENT = replace(Settings(), deadline_ms=20_000)

PYTHON = '''\
import os


def total(prices, tax):
    """The sum of all prices, with tax."""
    found = 0.0
    for price in prices:
        found += price * (1 + tax)
    return found


def names(folder):
    found = []
    for name in os.listdir(folder):
        if name.endswith(".py"):
            found.append(name)


def first(prices, default=None):
    for price in prices:
        return price
    return default
'''
SCRIPT = """\
const fs = require('fs');

function total(prices, tax) {
  let found = 0;
  for (const price of prices) {
    found += price * (1 + tax);
  }
  return found;
}

function names(folder) {
  const found = [];
  for (const name of fs.readdirSync(folder)) {
    if (name.endsWith('.js')) {
      found.push(name);
    }
  }
  return found.sort();
}
"""
RUST = """\
fn total(prices: &[f64], tax: f64) -> f64 {
    let mut found = 0.0;
    for price in prices {
        found += price * (1.0 + tax);
    }
    found
}

fn first(prices: &[f64], default: f64) -> f64 {
    for price in prices {
        return *price;
    }
    default
}
"""
GO = """\
package prices

func total(prices []float64, tax float64) float64 {
\tfound := 0.0
\tfor _, price := range prices {
\t\tfound += price * (1 + tax)
\t}
\treturn found
}

func first(prices []float64, other float64) float64 {
\tfor _, price := range prices {
\t\treturn price
\t}
\treturn other
}
"""
C = """\
#include <stdio.h>

double total(const double *prices, int count, double tax) {
    double found = 0;
    for (int i = 0; i < count; i++) {
        found += prices[i] * (1 + tax);
    }
    return found;
}

int main(void) {
    double prices[] = {1.0, 2.5};
    printf("%f\\n", total(prices, 2, 0.2));
    return 0;
}
"""
JSON = """\
{
  "name": "prices",
  "version": "1.0.0",
  "files": ["total.js", "names.js"],
  "scripts": {
    "test": "node test.js",
    "lint": "node lint.js"
  }
}
"""
CSS = """\
body {
  color: #222;
  margin: 0;
}

.price {
  color: #a00;
  padding: 2px;
}
"""


BESIDE = {
    "python": """\
def rows(text, mark, least=2):
    if not text or text[0] == "#":
        return []
    cells = [cell.strip() for cell in text.split(mark)]
    if len(cells) < least:
        raise ValueError("too few", len(cells), text[0])
    names = {"one": 1, "two": (2, 3)}
    return [names.get(cell, cells[0]) for cell in cells if cell != ""]
""",
    "javascript": """\
function rows(text, mark, least) {
  if (text.length === 0 || text[0] === '#') {
    return [];
  }
  const cells = text.split(mark).map((cell) => cell.trim());
  let names = { one: 1, two: [2, 3] };
  return cells.filter((cell, i) => cell !== '' && names[cell] > least);
}
""",
    "c": """\
static int rows(const char *text, char mark, int *cells) {
    int found[2] = {0, 1};
    int count = 0;
    for (int i = 0; text[i]; i++) {
        cells[i] = text[i] == mark ? found[1] : (count + 1) * 2;
    }
    return cells[count - 1];
}
""",
    "json": """\
{
  "one": ["a", "b", "c"],
  "two": {"three": 3, "four": ["d", "e"]},
  "five": "f"
}
""",
}


def mended(document: Document, damage: Damage | None, script: str = "found") -> Mended:
    """Beside another file in the same language."""
    assert damage is not None
    others = [Document(None, document.language, BESIDE.get(document.language, ""))]
    return asyncio.run(
        mend(document, damage, denoiser=Scripted(script), settings=PATIENT, others=others)
    )


def check(language: str, whole: str, was: str, became: str) -> None:
    """The file with `was` broken to `became` is mended to what it was."""
    assert errors_in(whole, language) == ()
    at = whole.index(was)
    document = Document(None, language, whole[:at] + became + whole[at + len(was) :])
    result = mended(document, broken_at(document, at))
    for edit in reversed(result.edits):
        document = applied(document, edit)
    assert document.text == whole
    assert result.reason == ""


@pytest.mark.parametrize(
    ("was", "became"),
    [
        ("(prices, default=None)", "(prices, default=None"),
        ("(prices, tax)", "(prices, tax"),
        ("in prices:", "in prices"),
        ("return found", "retun found"),
        ("def names", "de f names"),
        ("found = 0.0", "found  0.0"),
        ('"""The sum', '""The sum'),
        ("for name in", "for name ) in"),
        ("import os", "imp]ort os"),
    ],
)
def test_a_slip_in_python_is_mended_to_what_it_was(was: str, became: str) -> None:
    check("python", PYTHON, was, became)


@pytest.mark.parametrize(
    ("language", "whole", "was", "became"),
    [
        ("javascript", SCRIPT, "tax) {", "tax {"),
        ("javascript", SCRIPT, "let found = 0", "let found  0"),
        ("javascript", SCRIPT, "folder) {", "folder) "),
        ("javascript", SCRIPT, "    }\n  }\n", "    \n  }\n"),
        ("typescript", SCRIPT, "(const price of", "(const price @ of"),
        ("rust", RUST, "let mut found = 0.0;", "let mut found = 0.0"),
        ("rust", RUST, "prices {\n        found", "prices \n        found"),
        ("go", GO, "range prices {", "rnge prices {"),
        ("c", C, "#include", "include"),
        ("c", C, "prices[i]", "prices[i"),
        ("c", C, "{1.0, 2.5}", "{1.0 2.5}"),
        ("json", JSON, '"version": "1.0.0"', '"version" "1.0.0"'),
        ("json", JSON, '"total.js", ', '"total.js" '),
        ("css", CSS, "margin: 0;", "margin 0;"),
    ],
)
def test_a_slip_in_other_languages_is_mended_to_what_it_was(
    language: str, whole: str, was: str, became: str
) -> None:
    check(language, whole, was, became)


@pytest.mark.parametrize(
    ("language", "whole", "was", "became"),
    [
        ("python", PYTHON, '(".py")', '(".py)'),
        ("python", PYTHON, 'tax."""', 'tax.""'),
        ("javascript", SCRIPT, "endsWith('.js')", "endsWith('.js)"),
        ("go", GO, "(1 + tax)", "(1 + tax"),
        ("json", JSON, '"version": "1.0.0"', '"version: "1.0.0"'),
        ("css", CSS, "}\n\n.price", "\n\n.price"),
    ],
)
def test_a_quote_or_bracket_that_swallows_what_follows_is_mended_so_that_all_parses(
    language: str, whole: str, was: str, became: str
) -> None:
    at = whole.index(was)
    document = Document(None, language, whole[:at] + became + whole[at + len(was) :])
    result = mended(document, broken_at(document, at))
    (edit,) = result.edits
    assert errors_in(applied(document, edit).text, language) == ()
    assert len(edit.text) + edit.end - edit.start <= 4


def test_what_only_a_model_can_tell_is_written_by_it() -> None:
    text = PYTHON.replace("for price in prices:\n        found", "for in prices:\n        found")
    document = Document(None, "python", text)
    result = mended(document, broken_at(document, text.index("for in")), "price")
    (edit,) = result.edits
    assert (edit.text.strip(), edit.start) == ("price", edit.end)
    assert errors_in(applied(document, edit).text, "python") == ()


def test_where_a_string_is_missing_the_model_is_asked_for_one() -> None:
    text = JSON.replace('"version": "1.0.0"', ': "1.0.0"')
    document = Document(None, "json", text)
    result = mended(document, broken_at(document, text.index(': "1.0.0"')), '"version"')
    (edit,) = result.edits
    assert edit.text.strip() == '"version"'
    assert errors_in(applied(document, edit).text, "json") == ()


def test_nothing_outside_the_stretch_changes_and_the_edit_is_as_small_as_can_be() -> None:
    text = PYTHON.replace("retun", "return").replace("return found", "retun found", 1)
    document = Document(None, "python", text)
    result = mended(document, broken_at(document, text.index("retun")))
    (edit,) = result.edits
    assert (text[edit.start : edit.end], edit.text) == ("", "r")
    start, end = result.stretch
    assert text[start:end] == "    retun found"
    assert start <= edit.start <= edit.end <= end


def test_a_file_that_parses_is_not_damaged_and_a_lone_error_is_found_from_anywhere() -> None:
    assert broken_at(Document(None, "python", PYTHON), 50) is None
    assert broken_at(Document(None, "plaintext", "(((("), 1) is None
    broken = SCRIPT + "// prices\n" * 100 + "\nfunction last(prices) {\n  return prices.pop();\n"
    assert broken_at(Document(None, "javascript", broken), 0) is not None


@pytest.mark.parametrize(
    "newer",
    ["def one[T](x: T) -> T:\n    return x\n", "class Two[T]:\n    pass\n", "type Three = int\n"],
)
def test_python_that_is_newer_than_the_server_s_is_not_damaged(newer: str) -> None:
    assert broken_at(Document(None, "python", PYTHON + "\n\n" + newer), 3) is None


def test_one_of_two_errors_is_mended_where_it_was_asked_for() -> None:
    text = PYTHON.replace("total(prices, tax)", "total(prices tax)") + PYTHON[10:]
    text = text.replace("in prices:", "in prices", 5).replace("in prices\n", "in prices:\n", 3)
    document = Document(None, "python", text)
    damage = broken_at(document, text.rindex("in prices\n"))
    result = mended(document, damage)
    assert len(result.edits) == 1
    after = applied(document, result.edits[0])
    assert len(errors_in(after.text, "python") or ()) < len(errors_in(text, "python") or ())


def test_python_s_own_parser_has_the_last_word() -> None:
    text = PYTHON.replace("        return price\n", "")
    assert errors_in(text, "python") == ()
    document = Document(None, "python", text)
    damage = broken_at(document, text.index("in prices:\n    return default"))
    result = mended(document, damage, "return price")
    for edit in result.edits:
        assert stops_at(applied(document, edit).text) is None


def test_a_huge_file_and_a_language_without_a_grammar_are_refused_in_words() -> None:
    huge = Document(None, "python", "x = (\n" + "a = 1\n" * 40_000)
    assert "240,006 characters" in mended(huge, Damage(0, 1)).reason
    plain = Document(None, "plaintext", "(")
    assert "grammar for plaintext" in mended(plain, Damage(0, 1)).reason


def test_without_time_nothing_is_offered_and_that_is_said() -> None:
    document = Document(None, "python", PYTHON.replace("tax):", "tax:"))
    damage = broken_at(document, 20)
    assert damage is not None
    hurried = replace(Settings(), deadline_ms=0)
    result = asyncio.run(mend(document, damage, denoiser=Scripted("x"), settings=hurried))
    assert result.edits == ()
    assert result.reason


def test_a_secret_file_is_mended_without_the_model() -> None:
    text = PYTHON.replace("(prices, tax)", "(prices, tax", 1)
    document = Document(Path("/p/.env.py"), "python", text)
    denoiser = Scripted("x")
    damage = broken_at(document, text.index("tax"))
    assert damage is not None
    asyncio.run(mend(document, damage, denoiser=denoiser, settings=replace(PATIENT, enabled=False)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_tree_that_is_edited_is_the_tree_of_the_edited_text(data: st.DataObject) -> None:
    text = data.draw(
        st.sampled_from([PYTHON, "x = 'é𝒳'\ny = (1,\n  'ü')\n", "a\r\nb = [\r\n1]\r\n"])
    )
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 5)))
    new = data.draw(st.sampled_from(["", "(", "'", "\n", " é\n  𝒳(", "x"]))
    tree = parse(text, "python")
    assert tree is not None
    edited, fresh = tree.edited(start, end, new), parse(text[:start] + new + text[end:], "python")
    assert edited is not None
    assert fresh is not None
    assert edited.text == fresh.text
    assert edited.broken == fresh.broken
    if not fresh.broken:
        assert [(n.kind, n.start, n.end) for n in edited.root.children] == [
            (n.kind, n.start, n.end) for n in fresh.root.children
        ]


@pytest.mark.parametrize(
    ("line", "odd"),
    [
        ('    ""', True),
        ('    """', True),
        ("    x = call(a]", True),
        ("    x  1", True),
        ("    x = 1 ", True),
        ("    x = 'y", True),
        ("    x = (1, '')", True),
        ("    x = {1: [2]}", False),
        ('    """Whole."""', False),
    ],
)
def test_rows_that_look_odd_are_looked_at_however_far_the_error_is(line: str, odd: bool) -> None:
    text = "def f():\n" + line + "\n" + "    y = 1\n" * 50
    rows = [
        row.number for some in rows_near(text, "python", [(len(text), len(text))]) for row in some
    ]
    assert (1 in rows) == odd


def test_a_line_like_the_rest_of_its_file_costs_less() -> None:
    idiom = Idiom(PYTHON, "python")

    def cost(line: str) -> float:
        tokens = tokens_of(line, "python", 4)
        kinds = ["\n", "\n", "\n", *(token.kind for token in tokens)]
        return sum(idiom.cost(it, tuple(kinds[i : i + 3])) for i, it in enumerate(tokens))

    assert cost("    for price in prices:\n") < cost("    for price in prices\n    ")
    assert cost("    found = price\n") < cost("    found  price\n") + 10
    with idiom.without(tokens_of(PYTHON, "python"), ["\n"] * 3):
        unknown = cost("    for price in prices:\n")
    assert unknown > cost("    for price in prices:\n")
