"""How a file is written: the odds of its tokens in a row, with their spaces, by counting them.

Tells which of several ways to write a line is like the rest of the file. Knows what a language's
grammar spells out, no syntax trees and no networks; works for a language no network has learnt.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from infill.code.brackets import WITH_CHARACTERS
from infill.code.languages import language_named
from infill.code.syntax import literals_of

ORDER = 4  # tokens in a row that are counted
KINDS = 300  # of tokens that there might be: what was never seen has its share of one
KNOWN, NEVER = 0.8, 1.1  # share of names seen before; nats a character of those that were not
EMPTY = 7.0  # nats for a string with nothing in it
STRANGE = 1.5  # nats for two spaces where one does, beside what the file says to that
LONGEST = 8  # characters that count of a new name
QUOTED = ("#", "/", '"', "'", "`")  # first characters of comments and strings
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
    """Counted from `text`, and from `others` in the same language."""

    def __init__(self, text: str, language: str, others: Sequence[str] = ()) -> None:
        self.language = language
        self.words: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.following: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        self.sizes: Counter[tuple[str, ...]] = Counter()
        self.sorts: Counter[tuple[str, ...]] = Counter()  # how many kinds have followed
        self.total = 0
        self.costs: dict[tuple[str, ...], float] = {}  # of those asked for already
        for each in (text, *others):
            self.count(tokens_of(each, language), [LINE] * (ORDER - 1), 1)

    @contextmanager
    def without(
        self, tokens: Sequence[Token], before: Sequence[str]
    ) -> Generator[None, None, None]:
        """As if these had never stood there: what is broken is no example of how to write."""
        self.count(tokens, before, -1)
        yield
        self.count(tokens, before, 1)

    def count(self, tokens: Sequence[Token], before: Sequence[str], by: int) -> None:
        self.costs.clear()
        kinds = [*before[1 - ORDER :], *(token.kind for token in tokens)]
        for at, token in enumerate(tokens, len(kinds) - len(tokens)):
            for size in range(ORDER):
                history = tuple(kinds[at - size : at])
                known = self.following[history]
                known[token.kind] += by
                self.sizes[history] += by
                if known[token.kind] == max(by, 0):  # the first of them came, or the last went
                    self.sorts[history] += by
            self.kinds[token.kind] += by
            if token.kind.strip() == "w":
                self.words[token.text] += by
                self.total += by

    def cost(self, token: Token, before: tuple[str, ...]) -> float:
        """In nats, of a token behind tokens of the kinds `before`, ORDER - 1 at most."""
        key = (*before, token.kind)
        cost = self.costs.get(key)
        if cost is None:
            cost = -math.log(self.share(before, token.kind))
            if token.kind.startswith("  ") or token.kind.endswith(("?", BLANKS)):
                cost += STRANGE
            self.costs[key] = cost
        return cost + self.spelling(token)

    def share(self, history: tuple[str, ...], kind: str) -> float:
        """Of a kind after others, Witten and Bell's estimate."""
        shares = 1 / KINDS
        for size in range(len(history) + 1):
            known = self.following.get(history[len(history) - size :])
            if known is None:
                break
            # A row read by itself may have other tokens than in the whole text: then some are
            # taken away that were never counted.
            total = max(0, self.sizes[history[len(history) - size :]])
            sorts = max(0, self.sorts[history[len(history) - size :]])
            if not total or not sorts:
                break
            shares = (max(0, known[kind]) + sorts * shares) / (total + sorts)
        return shares

    def spelling(self, token: Token) -> float:
        """What it costs that the name is this one."""
        sort = token.kind.strip()
        if sort == "0":
            return 0.5 * len(token.text)
        if sort in QUOTED:  # about what its words would cost as code
            return EMPTY if len(token.text) == 2 else 1.0 + 0.7 * len(token.text)
        if sort != "w":
            return 0.0
        cost = self.costs.get((token.text,))
        if cost is None:
            new = math.exp(-NEVER * min(len(token.text), LONGEST))
            seen = max(0, self.words[token.text]) / max(1, self.total)
            cost = self.costs[(token.text,)] = -math.log(KNOWN * seen + (1 - KNOWN) * new)
        return cost


def tokens_of(text: str, language: str, indent: int = 0) -> list[Token]:
    """The tokens of whole lines; `indent` is how deep the line above them stands."""
    return list(told(text, language, indent))


def told(
    text: str, language: str, indent: int = 0, start: int = 0, *, fresh: bool = True
) -> Iterator[Token]:
    """The same, one after the other, from `start` on; not `fresh`: that is within a line."""
    words = _words(language)
    blanks = 0
    for match in _pattern(language).finditer(text, start):
        sort = match.lastgroup
        if sort == "blanks":
            blanks = len(match[0].expandtabs(4))
            continue
        if sort == "line":
            if blanks:
                yield Token(BLANKS, match[0], match.start(), match.start())
            fresh, blanks = True, 0
            continue
        at = match.start()
        if fresh:
            change = "+" if blanks > indent else "-" if blanks < indent else ""
            change += "?" if blanks % 2 else ""  # nobody indents by one space
            yield Token(LINE + change, "", at, at)
            indent, fresh, blanks = blanks, False, 0
        space = "  "[: min(blanks, 1 if sort == "comment" else 2)]
        yield Token(space + _kind(sort, match[0], words), match[0], at, match.end())
        blanks = 0
    if blanks:
        yield Token(BLANKS, "", len(text), len(text))


def _kind(sort: str | None, told: str, words: frozenset[str]) -> str:
    if sort == "word":
        return told if told in words else "w"
    if sort in ("string", "comment"):
        return told[0] if told[0] in QUOTED else "#"
    if told in QUOTED[2:]:
        return "?" + told  # a quote that nothing matches
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
