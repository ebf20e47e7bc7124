"""Python text without its comments and docstrings: what counts are taken of, and looked up for.

Prose says little about the code to come, and its words would drown those of the code. Knows no
tokens; a text cut off anywhere is taken as it is.
"""

from __future__ import annotations

import re

# Strings are matched so that a '#' in one begins no comment. A triple-quoted string that has a
# line to itself is a docstring, or as good as one. Nothing is ever tried twice (`*+`), and a string
# without its end goes on to the end: else time would grow with the square of an odd text's length.
PARTS = re.compile(
    r"""(?P<docstring>(?<=\n)[ \t]*+[rRbBuU]{0,2}
            (?>\"{3}(?:[^"\\]|\\.|"(?!""))*+\"{3}|'{3}(?:[^'\\]|\\.|'(?!''))*+'{3})
            (?=[ \t]*+(?:\#|\n|\Z)))
      |(?P<string>\"{3}(?:[^"\\]|\\.|"(?!""))*+(?:\"{3})?|'{3}(?:[^'\\]|\\.|'(?!''))*+(?:'{3})?
            |"(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?)
      |(?P<comment>(?:(?<![ \t])[ \t]++)?\#[^\n]*)""",
    re.DOTALL | re.VERBOSE,
)
BLANK_LINES = re.compile(r"\n(?:[ \t]*+\n)+")


def code_of(text: str) -> str:
    """`text` without comments, docstrings and blank lines; it must not begin inside a string."""
    kept = PARTS.sub(lambda part: part[0] if part.lastgroup == "string" else "", text)
    return BLANK_LINES.sub("\n", kept)
