"""Small changes with which a broken file may parse: a token put in, taken out or spelt as it should
be, near what does not parse or where brackets, quotes and spaces look odd. Likeliest first, as the
rest of the file is written (`Idiom`).

Knows texts and tokens; whether one parses is for others to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from infill.code.idiom import BLANKS, LINE, ORDER, Idiom, Token, tokens_of, told
from infill.code.syntax import literals_of
from infill.deeds.suspect import Row, rows_near
from infill.edit import Span

# They stand for a name and a string, or for all that a model may write there.
PLACEHOLDERS = ("x", '"x"')
BASIC = ("(", ")", "[", "]", "{", "}", ",", ":", ";", ".", "=", '"', "'")
USUAL = 40  # tokens that the file uses most are tried in each gap, beside the basic ones
LONGEST_STRING = 120  # characters, of one that a quote may be missing in
# What it costs, in nats, that a mistake is of this sort: tuned on files that no
# measurement is made on.
A_SIGN = 3.5  # any of some thirty
A_WORD = 2.5  # of what was written with some effort little is there by mistake
SORTS = {"out": 0.5, "char": 3.5, "in": 0.0, "spelt": 1.5, "joined": 1.0, "split": 1.0, "hole": 1.0}


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


def splices_near(
    text: str, language: str, errors: Sequence[Span], others: Sequence[str] = ()
) -> Iterator[list[Splice]]:
    """All that are worth trying: those of the likeliest rows first, and of these the likeliest
    first. `others` are texts that are written alike."""
    idiom = Idiom(text, language, others)
    tried: set[tuple[int, int, str]] = set()
    for rows in rows_near(text, language, errors):
        found: list[Splice] = []
        for row in rows:
            site = Site(text, row, idiom)
            with idiom.without(site.tokens, site.before):
                for splice in site.splices():
                    key = splice.start, splice.end, splice.text
                    if key not in tried:
                        tried.add(key)
                        found.append(splice)
        yield sorted(found, key=lambda it: it.cost)


@dataclass(frozen=True)
class Site:
    """One row, and what stands round it."""

    text: str
    row: Row
    idiom: Idiom

    def splices(self) -> Iterator[Splice]:
        row = self.row
        tokens = [it for it in self.tokens if it.text and it.end <= len(self.line)]
        for start, end, text, sort in (
            *self.taken_out(tokens), *self.put_in(tokens), *self.respelt(tokens),
        ):  # fmt: skip
            cost = self.change(start, end, text) + SORTS[sort]
            if sort == "out":  # then somebody has put just this in
                cost += next((self.stray(it) for it in tokens if it.start == start), 0.0)
            if sort == "hole":  # any name would do, and any string
                name = text.strip()
                kind = "w" if name == PLACEHOLDERS[0] else name[0]
                cost -= self.idiom.spelling(Token(kind, name, 0, len(name)))
            yield Splice(row.start + start, row.start + end, text, cost + row.cost, sort)

    def stray(self, token: Token) -> float:
        """What it costs that just this has got there by mistake."""
        cost = self.idiom.cost(token, ())
        return min(cost, A_SIGN) if len(token.text) == 1 else cost + A_WORD

    @property
    def line(self) -> str:
        return self.text[self.row.start : self.row.end]

    @cached_property
    def tokens(self) -> list[Token]:
        """Of the row, and the first few of what follows."""
        found = tokens_of(self.line + self.below, self.idiom.language, self.indent)
        end = len(self.line)
        behind = next((i for i, it in enumerate(found) if it.start > end), len(found))
        return found[: behind + ORDER - 1]

    @cached_property
    def costs(self) -> list[float]:
        """Of the tokens as they are."""
        kinds = [*self.before, *(token.kind for token in self.tokens)]
        first = len(self.before)
        return [
            self.idiom.cost(token, tuple(kinds[i + first - ORDER + 1 : i + first]))
            for i, token in enumerate(self.tokens)
        ]

    @cached_property
    def places(self) -> dict[tuple[int, str], int]:
        return {(token.start, token.kind): i for i, token in enumerate(self.tokens)}

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
        """The kinds of the tokens above, as many as count."""
        kinds = [token.kind for token in tokens_of(self.above, self.idiom.language)]
        return [*[LINE] * (ORDER - 1), *kinds][1 - ORDER :]

    @cached_property
    def indent(self) -> int:
        blanks = self.above[: len(self.above) - len(self.above.lstrip(" \t"))]
        return len(blanks.expandtabs(4))

    def change(self, start: int, end: int, text: str) -> float:
        """What the row costs more with the change in it; less than nothing where it is better."""
        old = self.tokens
        first = next((i for i, token in enumerate(old) if token.end >= start), len(old))
        while first and old[first - 1].kind.startswith(LINE):
            first -= 1
        at = old[first - 1].end if first else 0
        line, behind = self.line, start + len(text)
        moved = len(text) - (end - start)
        kinds = [*self.before, *(token.kind for token in old[:first])][1 - ORDER :]
        cost, same, beyond, last = 0.0, 0, 0, len(old)
        for token in told(
            line[:start] + text + line[end:] + self.below, self.idiom.language, self.indent, at,
            fresh=not first,
        ):  # fmt: skip
            beyond += token.start > len(line) + moved
            place = self.places.get((token.start - moved, token.kind))
            same = same + 1 if place is not None and token.start >= behind else 0
            if place is not None and same == ORDER:  # from here on all costs what it did
                last = place
                break
            if beyond == ORDER:
                break
            cost += self.idiom.cost(token, tuple(kinds))
            kinds = [*kinds[1:], token.kind]
        return cost - sum(self.costs[first:last])

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
            before, after = self.line[at - 1 : at] if at else "", self.line[at : at + 1]
            left, right = " " * before.isalnum(), " " * after.isalnum()
            for text in PLACEHOLDERS:
                yield at, at, left + text + right, "hole"
            for sign, spaced in self.alphabet:
                left = " " if spaced[0] and before.strip() else ""
                right = " " if spaced[1] and after.strip() else ""
                yield at, at, left + sign + right, "in"
                if (left or right) and not sign.isalpha():
                    yield at, at, sign, "in"

        for token in tokens:  # two strings may have become one
            if token.kind.strip() in "\"'`" and len(token.text) <= LONGEST_STRING:
                for found in re.finditer(r"\b", token.text[1:-1]):
                    at = token.start + 1 + found.start()
                    yield at, at, token.text[0], "in"

    def gaps(self, tokens: Sequence[Token]) -> list[int]:
        """Offsets in the row where a token may have been: at both ends of each, and between two
        spaces."""
        line = self.line
        blanks = len(line) - len(line.lstrip())
        found = {len(line), len(line.rstrip()), blanks, max(0, blanks - 1)}
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
                    for sign, _ in self.alphabet:
                        if not sign.isalpha():
                            yield token.start + at, token.start + at, sign, "in"
            for word in near(token.text, known):
                yield token.start, token.end, word, "spelt"
            for sign in self.signs:
                if len(sign) == len(token.text) + 1 and sign.endswith(token.text):
                    yield token.start, token.start, sign[0], "in"
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
