"""Small changes with which a broken file may parse: a token put in, taken out or spelt as it should
be, near what does not parse or where brackets, quotes and spaces look odd. Likeliest first, as the
rest of the file is written (`Idiom`).

Knows texts and tokens; whether one parses is for others to say.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from infill.brackets import CLOSERS
from infill.edit import Span
from infill.idiom import BLANKS, Idiom, Token, tokens_of
from infill.syntax import literals_of

PLACEHOLDER = "x"  # stands for a name, or for all that a model may write there
BASIC = ("(", ")", "[", "]", "{", "}", ",", ":", ";", ".", "=", '"', "'")
USUAL = 24  # tokens that the file uses most are tried in each gap, beside the basic ones
ROUND = 8  # rows above and below an error that are looked at
ODD_ROWS = 24  # rows that look odd, anywhere
LONG_ROW = 400  # characters: a longer row is not code that anyone wrote by hand
# What it costs, in nats, that a mistake is of this sort or stands there: tuned on files that no
# measurement is made on.
FAR, A_ROW, PER_ODD = 1.0, 0.25, 1.0
SORTS = {"out": 0.5, "char": 0.5, "in": 0.0, "spelt": 0.5, "joined": 0.0, "split": 0.0, "hole": 1.5}


@dataclass(frozen=True, slots=True)
class Splice:
    """`text` instead of what stands from `start` to `end`. `cost` is in nats. A `hole` is where
    something is missing that no grammar spells out; `text` then only stands in for it."""

    start: int
    end: int
    text: str
    cost: float
    sort: str

    @property
    def hole(self) -> bool:
        return self.sort == "hole"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the file without its end, and what it costs that the mistake is in it."""

    start: int
    end: int
    cost: float
    number: int


def splices_near(text: str, language: str, errors: Sequence[Span]) -> list[Splice]:
    """All that are worth trying, likeliest first."""
    idiom = Idiom(text, language)
    rows = rows_near(text, language, errors)
    found: dict[tuple[int, int, str], Splice] = {}
    for row in rows:
        site = Site(text, row, idiom)
        for splice in site.splices():
            key = splice.start, splice.end, splice.text
            if key not in found or found[key].cost > splice.cost:
                found[key] = splice
    return sorted(found.values(), key=lambda it: it.cost)


def rows_near(text: str, language: str, errors: Sequence[Span]) -> list[Row]:
    """Those round the errors, and those where brackets, quotes or spaces look odd."""
    starts = [0, *(m.end() for m in re.finditer(r"\r\n|\r|\n", text))]
    ends = [*(m.start() for m in re.finditer(r"\r\n|\r|\n", text)), len(text)]
    costs: dict[int, float] = {}

    def suspect(row: int, cost: float) -> None:
        if 0 <= row < len(starts) and ends[row] - starts[row] <= LONG_ROW:
            costs[row] = min(cost, costs.get(row, cost))

    for start, end in errors:
        first, last = bisect_right(starts, start) - 1, bisect_right(starts, end) - 1
        for away in range(-ROUND, ROUND + 1):
            for row in {first, last}:
                suspect(row + away, 0.0 if away == 0 else FAR + A_ROW * abs(away))
    for row in odd_rows(text, language, starts, ends)[:ODD_ROWS]:
        suspect(row, PER_ODD)
    rows = [Row(starts[row], ends[row], cost, row) for row, cost in costs.items()]
    return sorted(rows, key=lambda it: it.cost)


def odd_rows(text: str, language: str, starts: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Rows with a quote that stands alone, a bracket without its match, or strange spaces."""
    odd: list[int] = []
    stack: list[tuple[str, int]] = []
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        line = text[start:end]
        strange = any(line.count(quote) % 2 for quote in "\"'`")
        strange |= (
            language == "python" and re.search(r'(?<!")""(?!")|(?<!\')\'\'(?!\')', line) is not None
        )
        strange |= line.endswith((" ", "\t")) or re.search(r"\S {2,}[^\s#/]", line) is not None
        for token in tokens_of(line, language):
            sign = token.kind.strip()
            if sign in ("(", "[", "{"):
                stack.append((sign, row))
            elif sign in CLOSERS:
                if stack and stack[-1][0] == CLOSERS[sign]:
                    stack.pop()
                else:
                    strange = True
                    if stack:
                        odd.append(stack[-1][1])
        if strange:
            odd.append(row)
    return [row for _, row in stack] + odd


@dataclass(frozen=True)
class Site:
    """One row, and what stands round it."""

    text: str
    row: Row
    idiom: Idiom

    def splices(self) -> Iterator[Splice]:
        row, tokens = self.row, [it for it in self.tokens if it.text]
        for start, end, text, sort in (
            *self.taken_out(tokens), *self.put_in(tokens), *self.respelt(tokens),
        ):  # fmt: skip
            cost = self.cost(start, end, text) + SORTS[sort]
            if sort == "hole":  # any name would do
                cost -= self.idiom.spelling(Token("w", PLACEHOLDER, 0, 1))
            yield Splice(row.start + start, row.start + end, text, cost - self.now + row.cost, sort)

    @property
    def line(self) -> str:
        return self.text[self.row.start : self.row.end]

    @cached_property
    def tokens(self) -> list[Token]:
        return tokens_of(self.line, self.idiom.language, self.indent)

    @cached_property
    def above(self) -> str:
        """The nearest line above that is not blank."""
        return self.text[: self.row.start].rstrip().rpartition("\n")[2]

    @cached_property
    def below(self) -> str:
        """The next two lines, to the first that is not blank."""
        found = re.compile(r"(?:[ \t]*(?:\r\n|\r|\n))*[^\r\n]*").match(self.text, self.row.end)
        return found[0] if found else ""

    @cached_property
    def before(self) -> list[str]:
        return [token.kind for token in tokens_of(self.above, self.idiom.language)]

    @cached_property
    def indent(self) -> int:
        blanks = self.above[: len(self.above) - len(self.above.lstrip(" \t"))]
        return len(blanks.expandtabs(4))

    @cached_property
    def now(self) -> float:
        return self.cost(0, 0, "")

    def cost(self, start: int, end: int, text: str) -> float:
        """Of the row and the beginning of what follows, with the change in it."""
        line = self.line[:start] + text + self.line[end:]
        tokens = tokens_of(line + self.below, self.idiom.language, self.indent)
        length = len(line)
        behind = next((i for i, it in enumerate(tokens) if it.start > length), len(tokens))
        return self.idiom.cost(tokens[: behind + 3], self.before)

    def taken_out(self, tokens: Sequence[Token]) -> Iterator[tuple[int, int, str, str]]:
        line = self.line
        for token in tokens:
            if token.kind == BLANKS:
                continue
            yield token.start, token.end, "", "out"
            if token.end < len(line) and line[token.end] == " ":
                yield token.start, token.end + 1, "", "out"
            if len(token.text) > 1 and token.kind.strip() != "w":
                written = token.kind.strip() not in ("#", "/", '"', "'", "`")
                for at in range(token.start, token.end):
                    if written or line[at] in "\"'`\\*/":
                        yield at, at + 1, "", "char"

    def put_in(self, tokens: Sequence[Token]) -> Iterator[tuple[int, int, str, str]]:
        for at in self.gaps(tokens):
            yield at, at, PLACEHOLDER, "hole"
            before, after = self.line[at - 1 : at] if at else "", self.line[at : at + 1]
            for sign, spaced in self.alphabet:
                left = " " if spaced[0] and before.strip() else ""
                right = " " if spaced[1] and after.strip() else ""
                yield at, at, left + sign + right, "in"
                if (left or right) and not sign.isalpha():
                    yield at, at, sign, "in"

    def gaps(self, tokens: Sequence[Token]) -> list[int]:
        """Offsets in the row where a token may have been: at both ends of each, and between two
        spaces."""
        line = self.line
        found = {len(line), len(line.rstrip()), len(line) - len(line.lstrip())}
        for token in tokens:
            found |= {token.start, token.end}
        found |= {m.start() + 1 for m in re.finditer(r"(?<=\S)  (?=\S)", line)}
        return sorted(found)

    @cached_property
    def alphabet(self) -> list[tuple[str, tuple[bool, bool]]]:
        return alphabet_of(self.idiom)

    def respelt(self, tokens: Sequence[Token]) -> Iterator[tuple[int, int, str, str]]:
        line, known = self.line, known_words(self.idiom)
        words = [token for token in tokens if token.text[0].isalnum() or token.text[0] == "_"]
        for token in words:
            for at in range(1, len(token.text)):
                parts = token.text[:at], token.text[at:]
                if any(part in known for part in parts):
                    yield token.start + at, token.start + at, " ", "split"
            for word in near(token.text, known):
                yield token.start, token.end, word, "spelt"
        for first, second in pairwise(tokens):
            gap = line[first.end : second.start]
            if gap and not gap.strip() and first.text + second.text in known | self.signs:
                yield first.end, second.start, "", "joined"
            if not gap and first.text + second.text in known:
                yield first.start, second.end, first.text + second.text, "joined"

    @property
    def signs(self) -> frozenset[str]:
        return literals_of(self.idiom.language)


def alphabet_of(idiom: Idiom) -> list[tuple[str, tuple[bool, bool]]]:
    """What may be put in, and whether a space stands before and after it as a rule."""
    literals = literals_of(idiom.language)
    counts: dict[str, int] = {}
    for kind, count in idiom.kinds.items():
        counts[kind.strip()] = counts.get(kind.strip(), 0) + count
    used = [it for it in sorted(counts, key=lambda it: -counts[it]) if it in literals]
    basic = [it for it in BASIC if it in literals or it in "\"'"]
    spaced: list[tuple[str, tuple[bool, bool]]] = []
    for sign in dict.fromkeys((*basic, *used[:USUAL])):
        before = idiom.kinds.get(" " + sign, 0) * 2 > counts.get(sign, 0)
        after = sign[0].isalpha() or (before and sign not in "([{\"'`.")
        after |= sign in (",", ":")
        spaced.append((sign, (before or sign[0].isalpha(), after)))
    return spaced


def known_words(idiom: Idiom) -> frozenset[str]:
    """Keywords, and the names that the file uses more than once."""
    words = (it for it in literals_of(idiom.language) if it[0].isalpha())
    return frozenset((*words, *(word for word, count in idiom.words.items() if count > 1)))


def near(word: str, known: frozenset[str]) -> Iterator[str]:
    """The known words that are one character away, or two neighbours swapped."""
    for other in known:
        if other != word and abs(len(other) - len(word)) <= 1 and is_near(word, other):
            yield other


def is_near(a: str, b: str) -> bool:
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    if start is None:
        return abs(len(a) - len(b)) == 1
    if len(a) == len(b):
        swapped = a[:start] + a[start : start + 2][::-1] + a[start + 2 :]
        return a[start + 1 :] == b[start + 1 :] or swapped == b
    longer, shorter = (a, b) if len(a) > len(b) else (b, a)
    return longer[start + 1 :] == shorter[start:]


def misplaced(text: str, language: str) -> int:
    """How many brackets at the beginning of a line are not as deep as the line with their match."""
    stack: list[tuple[str, int]] = []
    count = depth = 0
    at_start = True
    for token in tokens_of(text, language):
        sign = token.kind.strip()
        if token.kind.startswith("\n"):
            line = text[text.rfind("\n", 0, token.start) + 1 : token.start]
            depth, at_start = len(line.expandtabs(4)), True
            continue
        if sign in CLOSERS.values():
            stack.append((sign, depth))
        elif sign in CLOSERS and stack:
            opener, opened_at = stack.pop()
            count += opener != CLOSERS[sign] or (at_start and opened_at != depth)
        at_start = False
    return count + len(stack)
