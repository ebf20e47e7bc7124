"""Counts what brackets and quotes leave open or close too often. Knows tokens, not syntax trees.

Good enough to compare two versions of the same lines, which is all it is used for: whatever it
misreads (a regular expression, a string cut in the middle) it misreads in both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache

CLOSERS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Surplus:
    """Brackets never closed, closers without an opener, strings that the line ends in."""

    opened: int
    closed: int
    unterminated: int

    def worse_than(self, other: Surplus) -> bool:
        return (
            self.opened > other.opened
            or self.closed > other.closed
            or self.unterminated > other.unterminated
        )


@lru_cache(maxsize=16)  # the rules of one fill ask about the same few texts
def surplus_of(text: str, language: str) -> Surplus:
    """What is not in balance in the text, strings and comments left out."""
    stack: list[str] = []
    opened = closed = unterminated = 0
    for token in _tokens(language).finditer(text):
        kind = token.lastgroup
        if kind == "open":
            stack.append(token[kind])
        elif kind == "cut":
            unterminated += 1
        elif kind == "close" and (opener := CLOSERS[token[kind]]) in stack:
            # Openers in between were never closed: `{ ( }` has one opener too many.
            while stack.pop() != opener:
                opened += 1
        elif kind == "close":
            closed += 1
    return Surplus(opened + len(stack), closed, unterminated)


SLASHES = r"//[^\n]*|/\*(?s:.*?)(?:\*/|\Z)"
HASH = r"\#[^\n]*"
COMMENTS = {
    "python": HASH,
    "shellscript": r"(?<!\S)\#[^\n]*",  # `$#` and `${#x}` are none
    "lua": r"--\[\[(?s:.*?)(?:\]\]|\Z)|--[^\n]*",
    "html": r"<!--(?s:.*?)(?:-->|\Z)",
    "css": r"/\*(?s:.*?)(?:\*/|\Z)",
    "json": r"(?!)",
    "plaintext": r"(?!)",
    "markdown": r"(?!)",
}
WITH_CHARACTERS = {"c", "cpp", "java", "rust", "go", "csharp", "kotlin", "swift", "zig"}
WITH_BACKTICKS = {
    "javascript", "javascriptreact", "typescript", "typescriptreact", "go", "shellscript",
}  # fmt: skip
# What none of the patterns begins with: passed over at once it takes a fifth of the time.
BETWEEN = r"[^()\[\]{}\"'`\#/<-]*+"
PROSE = {"plaintext", "markdown", "latex", "restructuredtext"}


@cache
def _tokens(language: str) -> re.Pattern[str]:
    """Whatever may hide a bracket, and the brackets; `cut` is a string without its end."""
    brackets = r"\[|\{", r"\]|\}"
    if language != "shellscript":  # where `a)` begins a case
        brackets = brackets[0] + r"|\(", brackets[1] + r"|\)"
    whole, cut = _strings(language)
    return re.compile(
        rf"{BETWEEN}(?:(?P<skip>{COMMENTS.get(language, SLASHES)}|{whole})|(?P<cut>{cut})"
        rf"|(?P<open>{brackets[0]})|(?P<close>{brackets[1]})|(?s:.)|\Z)"
    )


def _strings(language: str) -> tuple[str, str]:
    """Patterns for a whole string, and for one that its line (or the text) ends too early."""
    if language in PROSE:  # an apostrophe opens nothing
        return r"(?!)", r"(?!)"
    whole, cut = [r'"(?:\\(?s:.)|[^"\\\n])*"'], [r'"[^\n]*']
    if language == "python":
        # A backslash may be read in one way only: with two, text that ends in no quotes takes twice
        # as long for each more.
        whole.insert(0, r'"""(?s:\\.|[^\\])*?"""|' + r"'''(?s:\\.|[^\\])*?'''")
        cut.insert(0, r'(?:"""|' + r"''')(?s:.*)")
    if language in WITH_CHARACTERS:  # a lone quote may be a lifetime or a digit separator
        whole.append(r"'(?:\\[^\n']{1,10}|\\'|[^'\\\n])'")
    elif language not in {"json", "html"}:
        whole.append(r"'(?:\\(?s:.)|[^'\\\n])*'")
        cut.append(r"'[^\n]*")
    if language in WITH_BACKTICKS:
        whole.append(r"`(?s:\\.|[^`\\])*`")
        cut.append(r"`(?s:.*)")
    return "|".join(whole), "|".join(cut)
