"""What property tests draw from: texts that break naive code, documents, cursors."""

from __future__ import annotations

from pathlib import PurePath

from hypothesis import strategies as st

from infill.code.languages import LANGUAGES
from infill.document import Document

LINE_ENDS = ("\n", "\r\n")
ODD = ("\r", "\f", "\u2028", "\x85", "\x0b", "é", "e\u0301", "𝒳", "👩‍💻", "\u200d", "\ufeff", "\t")
CODE = (
    *(
        "def f(x):",
        "class A(B):",
        "import os",
        "return x",
        "x = 1",
        "pass",
        "...",
        "if x:",
        "else:",
    ),
    *("fn f() {", "function f() {", "}", "{", "(", ")", "[", '"', "'", '"""', "# c", "// c", "/*"),
    *(
        "*/",
        "    ",
        "  ",
        "x",
        "y",
        " ",
        ",",
        ";",
        ":",
        ".",
        "+",
        "<a>",
        "</a>",
        "then",
        "end",
        "do",
    ),
)
SURROGATES = ("\ud83d", "\ude00")  # halves of characters, which an editor may send by mistake


def texts(*, surrogates: bool = False, max_size: int = 40) -> st.SearchStrategy[str]:
    """Code of no language in particular, with astral characters and every sort of line end."""
    pieces = [*CODE, *LINE_ENDS, *LINE_ENDS, *ODD, *(SURROGATES if surrogates else ())]
    return st.lists(st.sampled_from(pieces), max_size=max_size).map("".join)


def documents(*, surrogates: bool = False, max_size: int = 40) -> st.SearchStrategy[Document]:
    """Documents in every language there is a grammar for, and in one there is none for."""
    return st.builds(
        Document,
        path=st.sampled_from((None, PurePath("a.py"))),
        language=st.sampled_from((*LANGUAGES, "plaintext")),
        text=texts(surrogates=surrogates, max_size=max_size),
    )


@st.composite
def cursors(draw: st.DrawFn, *, surrogates: bool = False) -> tuple[Document, int]:
    """A document and a place in it."""
    document = draw(documents(surrogates=surrogates))
    return document, draw(st.integers(0, len(document.text)))
