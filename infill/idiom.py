"""How a file is written: the odds of its tokens in a row, with their spaces, by counting them.

Tells which of several ways to write a line is like the rest of the file. Knows what a language's
grammar spells out, no syntax trees and no networks; works for a language no network has learnt.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from infill.brackets import WITH_CHARACTERS
from infill.languages import language_named
from infill.syntax import literals_of

ORDER = 4  # tokens in a row that are counted
KINDS = 300  # of tokens that there might be: what was never seen has its share of one
KNOWN, NEVER = 0.8, 1.1  # share of names seen before; nats a character of those that were not
LONGEST = 8  # characters that count of a new name
LINE, BLANKS = "\n", " $"


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is its text where the grammar spells it out, else a letter for its sort; a space
    before it belongs to it. A line end is the change of indentation that comes with it."""

    kind: str
    text: str
    start: int
    end: int


class Idiom:
    """Counted from `text`."""

    def __init__(self, text: str, language: str) -> None:
        self.language = language
        tokens = tokens_of(text, language)
        self.words = Counter(token.text for token in tokens if token.kind.strip() == "w")
        self.total = sum(self.words.values())
        self.kinds = Counter(token.kind for token in tokens)
        self.following: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        self.sizes: Counter[tuple[str, ...]] = Counter()
        kinds = [LINE] * (ORDER - 1) + [token.kind for token in tokens]
        for at in range(ORDER - 1, len(kinds)):
            for size in range(ORDER):
                history = tuple(kinds[at - size : at])
                self.following[history][kinds[at]] += 1
                self.sizes[history] += 1

    def cost(self, tokens: Sequence[Token], before: Sequence[str]) -> float:
        """In nats, of tokens that follow tokens of the kinds `before`."""
        kinds = [*before[-(ORDER - 1) :], *(token.kind for token in tokens)]
        cost, first = 0.0, len(kinds) - len(tokens)
        for at, token in enumerate(tokens, first):
            cost -= math.log(self.share(tuple(kinds[max(0, at - ORDER + 1) : at]), token.kind))
            cost += self.spelling(token)
        return cost

    def share(self, history: tuple[str, ...], kind: str) -> float:
        """Of a kind after others, Witten and Bell's estimate."""
        shares = 1 / KINDS
        for size in range(len(history) + 1):
            known = self.following.get(history[len(history) - size :])
            if known is None:
                break
            total, kinds = self.sizes[history[len(history) - size :]], len(known)
            shares = (known.get(kind, 0) + kinds * shares) / (total + kinds)
        return shares

    def spelling(self, token: Token) -> float:
        """What it costs that the name is this one."""
        sort = token.kind.strip()
        if sort == "0":
            return 0.5 * len(token.text)
        if sort != "w":
            return 0.0
        new = math.exp(-NEVER * min(len(token.text), LONGEST))
        seen = self.words.get(token.text, 0) / (self.total or 1)
        return -math.log(KNOWN * seen + (1 - KNOWN) * new)


def tokens_of(text: str, language: str, indent: int = 0) -> list[Token]:
    """The tokens of whole lines; `indent` is how deep the line above them stands."""
    found: list[Token] = []
    words = _words(language)
    blanks, fresh = 0, True
    for match in _pattern(language).finditer(text):
        sort, told = match.lastgroup, match[0]
        if sort == "blanks":
            blanks = len(told.expandtabs(4))
            continue
        if sort == "line":
            if blanks:
                found.append(Token(BLANKS, told, match.start() - blanks, match.start()))
            fresh, blanks = True, 0
            continue
        if fresh:
            change = "+" if blanks > indent else "-" if blanks < indent else ""
            found.append(Token(LINE + change, "", match.start(), match.start()))
            indent, fresh, blanks = blanks, False, 0
        space = " " * min(blanks, 1 if sort == "comment" else 2)
        found.append(Token(space + _kind(sort, told, words), told, *match.span()))
        blanks = 0
    if blanks:
        found.append(Token(BLANKS, "", len(text), len(text)))
    return found


def _kind(sort: str | None, told: str, words: frozenset[str]) -> str:
    if sort == "word":
        return told if told in words else "w"
    if sort in ("string", "comment"):
        return told[0]
    return "0" if sort == "number" else told


@cache
def _words(language: str) -> frozenset[str]:
    return frozenset(it for it in literals_of(language) if it[0].isalpha())


@cache
def _pattern(language: str) -> re.Pattern[str]:
    row = language_named(language)
    comment = re.escape(row.comment) if row else "#"
    ends = re.escape(row.comment_end.strip()) if row and row.comment_end else ""
    remark = rf"{comment}.*?{ends}" if ends else rf"{comment}[^\r\n]*"
    if comment == "//":
        remark += r"|/\*.*?\*/"
    marks = [it for it in literals_of(language) if not it[0].isalnum() and it not in ("//", "/*")]
    marks += ["//"] if language in ("python", "lua") else []
    marks = [it for it in marks if not re.search(r"[\"'`\w]", it)]
    signs = "|".join(map(re.escape, sorted(marks, key=len, reverse=True)))
    quote = r"'(?:\\.|[^'\\\r\n])*'"
    if language in WITH_CHARACTERS:
        quote = r"'(?:\\[^'\r\n]{1,8}|\\'|[^'\\\r\n])'"
    thrice = r'"""(?:\\.|[^\\])*?"""|' + r"'''(?:\\.|[^\\])*?'''|" if language == "python" else ""
    return re.compile(
        rf"(?P<line>\r\n|\r|\n)|(?P<blanks>[ \t\f]+)|(?P<comment>{remark})"
        rf'|(?P<string>{thrice}"(?:\\.|[^"\\\r\n])*"|{quote}|`[^`\r\n]*`)'
        rf"|(?P<number>\d[\w.]*)|(?P<word>[^\W\d]\w*)|(?P<sign>{signs or '(?!)'})|(?P<other>.)",
        re.DOTALL,
    )
