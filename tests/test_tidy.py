"""What of an answer is kept, by source with a visible cursor; and laws for any answer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infill.document import Document
from infill.judge.tidy import CHARS_A_TOKEN, tidy
from infill.reason import Reason
from model.canvas import Hole
from tests.strategies import cursors, texts

CURSOR = "‸"


def tidied(
    source: str,
    answer: str,
    *,
    language: str = "python",
    multiline: bool = False,
    indent: str = "",
    max_lines: int = 12,
    limit: int = 64,
) -> str | Reason:
    """Between two cursor marks stands what the hole replaces; one mark is an empty hole."""
    start, end = source.index(CURSOR), source.rindex(CURSOR) - source.count(CURSOR) + 1
    hole = Hole(start, end, multiline=multiline, indent=indent, limit=limit)
    document = Document(None, language, source.replace(CURSOR, ""))
    return tidy(answer, hole, document, max_lines=max_lines)


@pytest.mark.parametrize(
    "answer",
    [
        "<|mask|>", "x<|endoftext|>", "<|fim_middle|>y", "[MASK]", "f([MASK])", "[expand]",
        "<mask>",
        "a <unk> b", "</s>", "<fim_suffix>", "<unused3>", "\ufffd", "x\x00",
        "\x1b[0m", "a\ud83d",
        "Ġx", "x = 1Ċ", "\u2028x",
    ],
)  # fmt: skip
def test_a_special_token_is_never_shown(answer: str) -> None:
    assert tidied("x = ‸\n", answer) is Reason.SPECIAL_TOKEN


@pytest.mark.parametrize("answer", ["a[MASK]", "f(x)[mask]", "a < mask > b", "x <| y", "a[expand]"])
def test_code_that_looks_like_a_special_token_is_code(answer: str) -> None:
    assert tidied("x = ‸\n", answer) == answer


def test_a_file_about_special_tokens_may_go_on_about_them() -> None:
    assert tidied('MASK = "<|mask|>"\nx = ‸\n', '"<|mask|>"') == '"<|mask|>"'


def test_markup_has_tags_that_look_like_special_tokens() -> None:
    assert tidied("<p>‸</p>\n", "<s>old</s>", language="html") == "<s>old</s>"
    assert tidied("x = ‸\n", "<s>old</s>") is Reason.SPECIAL_TOKEN


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_hole_of_one_line_gets_one_line(end: str) -> None:
    assert tidied("x = ‸\n", f"1{end}y = 2{end}") == "1"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("x = 1\n    return x\nprint(f())", "x = 1\n    return x"),
        ("x = 1\n    return x\n\n\ndef g():\n    pass", "x = 1\n    return x"),
        (
            "if a:\n        b()\n    else:\n        c()",
            "if a:\n        b()\n    else:\n        c()",
        ),
        ("return (\n        1\n    )", "return (\n        1\n    )"),
        ("x = {\n        1: 2,\n}\nprint()", "x = {\n        1: 2,\n}"),
        ("x = 1\n\n    return x\n\n  \n", "x = 1\n\n    return x"),
        ("x = 1   \n", "x = 1"),
    ],
)
def test_a_block_ends_where_the_indentation_leaves_it(answer: str, expected: str) -> None:
    assert tidied("def f():\n    ‸\n", answer, multiline=True, indent="    ") == expected


@pytest.mark.parametrize(
    ("source", "answer", "expected"),
    [  # lines that go on in an outer block, a block less deep than usual, and a run into the next
        ("def f():\n    if x:\n        a()\n‸\n", "    b()\n    c()", "    b()\n    c()"),
        ("def f():\n    if x:\n        a()\n‸\n", "\n    b()\n    c()", "\n    b()\n    c()"),
        ("def f():\n    if x:\n        a()\n‸\n", "    b()\n\ndef g():\n    c()", "    b()"),
        ("def f():\n    if x:\n        a()\n‸\n", "b()\n        c()", "        b()\n        c()"),
        ("def f():\n    if x:‸\n", "\n      a()\n      b()", "\n      a()\n      b()"),
        ("def f():\n    if x:‸\n", "\n    a()\n    b()", Reason.EMPTY),
        ("def f():\n    if x:\n‸\n", "    a()\n    b()", "        a()"),
    ],
)
def test_lines_that_begin_no_block_are_as_deep_as_they_are_written(
    source: str, answer: str, expected: str | Reason
) -> None:
    assert tidied(source, answer, multiline=True, indent="        ") == expected


@pytest.mark.parametrize(
    ("source", "answer", "expected"),
    [
        ("def f():\n‸    return x\n", "    a()\n", "    a()\n"),
        ("def f():\n    ‸return x\n", "a()\n    ", "a()\n    "),
        ("def f():\n    ‸return x\n", "a()\n", "a()"),
        ("def f():\n    return ‸x\n", "not\n", "not"),
        ("def f():\n    ‸\n", "a()\n", "a()"),
    ],
)
def test_whole_lines_in_front_of_another_end_in_a_line_end(
    source: str, answer: str, expected: str
) -> None:
    assert tidied(source, answer, multiline=True, indent="    ") == expected


def test_a_block_has_at_most_so_many_lines() -> None:
    source, answer = "def f():\n    ‸\n", "a()\n    b()\n    c()\n    d()"
    cut = tidied(source, answer, multiline=True, indent="    ", max_lines=2)
    assert cut == "a()\n    b()"


def test_a_block_cut_short_leaves_no_bracket_open() -> None:
    source, answer = "def f():\n    ‸\n", "a()\n    b(\n        1,\n        2,\n    )"
    cut = tidied(source, answer, multiline=True, indent="    ", max_lines=3)
    assert cut == "a()"


@pytest.mark.parametrize(
    ("source", "answer", "expected"),
    [
        ("def f():\n    ‸\n", "    return x", "return x"),
        ("def f():\n    ‸\n", "        return x", "return x"),
        ("def f():\n‸\n", "return x", "    return x"),
        ("def f():\n‸\n", "    return x", "    return x"),
        ("def f():\n  ‸\n", "  return x", "  return x"),
        ("def f():‸\n", "\n    return x", "\n    return x"),
    ],
)
def test_the_indentation_stands_there_once(source: str, answer: str, expected: str) -> None:
    assert tidied(source, answer, multiline=True, indent="    ") == expected


@pytest.mark.parametrize(
    ("source", "indent", "answer", "expected"),
    [
        ("if a {\n\t‸\n}\n", "\t", "if b {\n        c()\n    }", "if b {\n\t\tc()\n\t}"),
        ("if a {\n\t‸\n}\n", "\t", "if b {\n    c()\n  }", "if b {\n\t\tc()\n\t}"),
        ("if a {\n  ‸\n}\n", "  ", "if b {\n\t\tc()\n\t}", "if b {\n    c()\n  }"),
        ("if a {\n    ‸\n}\n", "    ", "if b {\n\t\tc()\n\t}", "if b {\n        c()\n    }"),
        ("if a {\n\t‸\n}\n", "\t", "if b {\n\t\tc()\n\t}", "if b {\n\t\tc()\n\t}"),
    ],
)
def test_a_block_is_indented_as_the_file_is(
    source: str, indent: str, answer: str, expected: str
) -> None:
    assert tidied(source, answer, language="go", multiline=True, indent=indent) == expected


@pytest.mark.parametrize(
    ("source", "answer", "expected"),
    [
        ("x = ‸ + 1\n", "a + 1", "a"),
        ("x = ‸+ 1\n", "a + 1", "a "),
        ("f(‸, x)\n", "a, x)", "a"),
        ("f(‸, x, y)\n", "a, x", "a"),
        ("x = f(‸)\n", "g()", "g()"),
        ("x = f(‸)\n", "a)", "a"),
        ("x = e(f(‸))\n", "a, g(b))", "a, g(b)"),
        ("if (a ‸) {\n}\n", "== b) {", "== b"),
        ("x‸.append(1)\n", "s.", "s"),
        ("x = y‸\nz = 1\n", "[0]\nz = 1", "[0]"),
        ('print(f"‸")\n', 'hello")', "hello"),
        ("x = ‸ab\n", "c + a", "c + a"),
        ("return a‸  # why\n", " + b  # why", " + b"),
        ("x = ‸;\n", ";", Reason.REPEATS_SUFFIX),
        ("x = a‸ + b\n", " + b", Reason.REPEATS_SUFFIX),
    ],
)
def test_what_follows_the_cursor_is_not_written_twice(
    source: str, answer: str, expected: str | Reason
) -> None:
    assert tidied(source, answer) == expected


@pytest.mark.parametrize(
    ("source", "answer", "expected"),
    [
        ("x = ‸\ny = 2\n", "y = 2", "y = 2"),
        ("‸\ny = 2\n", "y = 2", Reason.REPEATS_LINE),
        ("‸\n\n\ny = 2\n", "y = 2", Reason.REPEATS_LINE),
        ("y = 2\n‸\n", "y = 2", Reason.REPEATS_LINE),
        ("y = 2\n\ny ‸\n", "= 2", Reason.REPEATS_LINE),
        ("y = ‸2\ny = 12\n", "1", Reason.REPEATS_LINE),
        ("    0,\n    ‸\n", "0,", "0,"),
    ],
)
def test_a_neighbouring_line_is_not_written_again(
    source: str, answer: str, expected: str | Reason
) -> None:
    assert tidied(source, answer) == expected


def test_a_block_stops_before_the_line_that_is_there_already() -> None:
    source = "def f():\n    ‸\n    return x\n"
    stopped = tidied(source, "x = 1\n    return x\n    y = 2", multiline=True, indent="    ")
    assert stopped == "x = 1"


def test_a_line_of_the_same_words_in_another_block_is_no_repetition() -> None:
    source, answer = "def f():\n    ‸\n    return x\n", "if a:\n        return x"
    assert tidied(source, answer, multiline=True, indent="    ") == answer


@pytest.mark.parametrize(
    ("source", "answer", "expected"),
    [
        ("f(‸)\n", "a))", "a"),
        ("f(‸)\n", "a);", "a"),
        ("f(‸\n", "a)", "a)"),
        ("f(‸\n", "a))", "a)"),
        ("f(‸\n", "a", "a"),
        ("f(‸)\n", "g(a", Reason.UNBALANCED),
        ("f(‸)\n", "a) + (b", "a) + (b"),
        ("f(‸)\n", "a] + b", Reason.UNBALANCED),
        ("f(‸)\n", 'g(")")', 'g(")")'),
        ("f(‸)\n", '"a', Reason.UNBALANCED),
        ("x = ‸\n", '"a', Reason.UNBALANCED),
        ("f(‸)\n", "a  # and b", Reason.UNBALANCED),
        ('f("‸")\n', "a (", "a ("),
        ('f("‸")\n', 'a", "b', 'a", "b'),
        ("x = ‸\n", ")", Reason.UNBALANCED),
        ("def f():\n    return [‸\n\ndef g():\n    return [1]\n", "1]", "1]"),
        ("x = '''\n(\n'''\ny = ‸\n", "1)", "1"),
    ],
)
def test_brackets_and_quotes_match_the_text_around(
    source: str, answer: str, expected: str | Reason
) -> None:
    assert tidied(source, answer) == expected


@pytest.mark.parametrize("quotes", ['"""', "'''"])
def test_a_docstring_that_is_being_written_above_many_backslashes_holds_nothing_up(
    quotes: str,
) -> None:
    patterns = r"NAME = r'\w+\s*\(\d\)'" + "\n"
    source = f"def f():\n    {quotes}Say ‸\n\n" + 50 * patterns
    assert tidied(source, "it.") == "it."


@pytest.mark.parametrize(
    ("language", "source", "answer", "expected"),
    [
        ("rust", "fn f(x: ‸) {}\n", "&'a str", "&'a str"),
        ("c", "f(‸);\n", "')');", "')'"),
        ("c", "void f() { ‸ }\n", "g(a", Reason.UNBALANCED),
        ("javascript", "f(‸);\n", "`(`);", "`(`"),
        ("javascript", "f(‸);\n", "g(); // (", Reason.UNBALANCED),
        ("shellscript", "case x in\n‸\nesac\n", "a) echo;;", "a) echo;;"),
        ("lua", "f(‸)\n", "--[[ ( ]] a", "--[[ ( ]] a"),
        ("plaintext", "‸\n", "don't (really)", "don't (really)"),
        ("a-language-nobody-knows", "f(‸)\n", "x)", "x"),
    ],
)
def test_strings_and_comments_are_those_of_the_language(
    language: str, source: str, answer: str, expected: str | Reason
) -> None:
    assert tidied(source, answer, language=language) == expected


@pytest.mark.parametrize(
    "answer",
    [
        "a + a + a + a + a",
        "f(x, f(x, f(x, f(x,", "None, None, None, None, None", "x.y.x.y.x.y.x.y.x",
        "selfselfselfself", "0, 0, 0, 0, 0",
    ],
)  # fmt: skip
def test_a_fill_that_repeats_itself_is_dropped(answer: str) -> None:
    assert tidied("x = ‸\n", answer) is Reason.REPETITION


def test_the_same_line_thrice_is_a_repetition_and_twice_is_none() -> None:
    source, line = "def f():\n    ‸\n", "x.pop()\n    "
    assert tidied(source, line * 3, multiline=True, indent="    ") is Reason.REPETITION
    assert tidied(source, line * 2, multiline=True, indent="    ") == "x.pop()\n    x.pop()"


@pytest.mark.parametrize(
    "answer", ["'-' * 40", '"----------------"', "((((1))))", "[[0, 0], [1, 1]]"]
)
def test_what_merely_looks_monotonous_stays(answer: str) -> None:
    assert tidied("x = ‸\n", answer) == answer


@pytest.mark.parametrize("answer", ["", " ", "\n", "\t\n  \n"])
def test_nothing_is_no_fill(answer: str) -> None:
    assert tidied("x = ‸\n", answer) is Reason.EMPTY
    assert tidied("x = ‸\n", answer, multiline=True) is Reason.EMPTY


@pytest.mark.parametrize("answer", ["pass", "pass\n", "pass  "])
def test_what_stood_there_before_is_no_fill(answer: str) -> None:
    source = "def f():\n    ‸pass‸\n"
    assert tidied(source, answer, multiline=True, indent="    ") is Reason.NO_CHANGE


def test_a_runaway_fill_is_dropped() -> None:
    answer = "".join(f"a{i}+" for i in range(100)) + "b"
    assert tidied("x = ‸\n", answer, limit=100) == answer
    assert tidied("x = ‸\n", answer, limit=len(answer) // CHARS_A_TOKEN) is Reason.TOO_LONG


@st.composite
def questions(draw: st.DrawFn) -> tuple[Document, Hole, str]:
    document, start = draw(cursors(surrogates=True))
    end = draw(st.integers(start, min(len(document.text), start + 8)))
    multiline, indent = draw(st.booleans()), draw(st.sampled_from(("", "    ", "\t")))
    echo = document.text[end : end + draw(st.integers(0, 30))]
    answer = draw(texts(surrogates=True, max_size=12)) + draw(st.sampled_from(("", echo)))
    return document, Hole(start, end, multiline=multiline, indent=indent), answer


@settings(deadline=None)
@given(questions())
def test_what_is_tidy_stays_as_it_is(question: tuple[Document, Hole, str]) -> None:
    document, hole, answer = question
    once = tidy(answer, hole, document)
    if not isinstance(once, Reason):
        assert tidy(once, hole, document) == once


@settings(deadline=None)
@given(questions())
def test_a_tidied_text_is_a_reason_or_has_something_in_it(
    question: tuple[Document, Hole, str],
) -> None:
    document, hole, answer = question
    once = tidy(answer, hole, document)
    assert isinstance(once, Reason) or once.strip()


@settings(deadline=None)
@given(questions())
def test_a_tidied_line_has_no_line_end(question: tuple[Document, Hole, str]) -> None:
    document, hole, answer = question
    once = tidy(answer, Hole(hole.start, hole.end), document)
    assert isinstance(once, Reason) or not {"\n", "\r"} & set(once)


@settings(deadline=None)
@given(cursors(), texts(max_size=8))
def test_the_rest_of_the_line_is_never_doubled(question: tuple[Document, int], answer: str) -> None:
    document, cursor = question
    rest = document.text[cursor:].replace("\r", "\n").partition("\n")[0]
    once = tidy(answer + rest, Hole(cursor, cursor), document)
    if not isinstance(once, Reason) and any(char.isalpha() for char in rest) and "\r" not in rest:
        word_goes_on = once[: -len(rest)][-1:].isalnum() and rest[0].isalnum()
        needed = tidy(once[: -len(rest)], Hole(cursor, cursor), document)
        assert not once.endswith(rest) or word_goes_on or needed is Reason.UNBALANCED


@settings(deadline=None)
@given(questions(), st.integers(1, 4))
def test_a_block_never_has_more_lines_than_asked_for(
    question: tuple[Document, Hole, str], max_lines: int
) -> None:
    document, hole, answer = question
    once = tidy(answer, hole, document, max_lines=max_lines)
    assert isinstance(once, Reason) or once.count("\n") < max_lines
