"""Where in a Python file holes of each kind can be cut. Knows no suites, seeds nothing.

A kind is a function from a page and a source of chance to holes in an order of chance; more than
one hole at a time where they are to be filled jointly. Python only: it asks `ast` and `tokenize`.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from keyword import iskeyword
from random import Random
from typing import TypeVar

T = TypeVar("T")

REACH = 12  # lines that several holes lie within, so that a small model sees them all
MOST_LINES = 5  # of a block
LETTER = re.compile(r"[^\W\d_]")

Holes = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class CodeLine:
    """A line of a function's body that is all code: no remark, no string over several lines."""

    number: int  # from 0
    start: int  # behind the indentation
    end: int
    words: tuple[tuple[int, int], ...]  # where its tokens are


@dataclass(frozen=True, slots=True)
class Page:
    """A file with all that holes are cut by. Offsets are code points."""

    text: str
    offsets: tuple[int, ...]  # of each line's first character
    lines: tuple[CodeLine, ...]
    tree: ast.Module

    def line(self, number: int) -> str:
        end = self.text.find("\n", self.offsets[number])
        return self.text[self.offsets[number] : end if end >= 0 else len(self.text)]

    def line_at(self, offset: int) -> int:
        return bisect_right(self.offsets, offset) - 1

    def offset(self, line: int, column: int) -> int:
        """`ast` counts lines from 1 and columns in bytes."""
        start = self.offsets[line - 1]
        before = self.text[start : start + column].encode()[:column]
        return start + len(before.decode(errors="ignore"))

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self.offset(node.lineno, node.col_offset), self.offset(end_line, end_column)


Cutter = Callable[[Page, Random], Iterator[Holes]]


def page_of(text: str) -> Page | None:
    """None for what is no Python."""
    lines = text.split("\n")
    offsets = tuple(accumulate((len(line) + 1 for line in lines[:-1]), initial=0))
    try:
        with warnings.catch_warnings(action="ignore"):  # of doubtful escapes in strings
            tree = ast.parse(text)
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return None
    wanted = lines_of_bodies(tree) - lines_of_strings(tree)
    found: dict[int, list[tuple[int, int]]] = {}
    for token in tokens:
        (line, start), (last, end) = token.start, token.end
        if token.type == tokenize.COMMENT or last != line:
            wanted -= set(range(line, last + (token.type not in BLANK)))
        elif token.type not in BLANK:
            found.setdefault(line, []).append((offsets[line - 1] + start, offsets[line - 1] + end))
    code = (
        CodeLine(n - 1, found[n][0][0], offsets[n - 1] + len(lines[n - 1]), tuple(found[n]))
        for n in sorted(wanted & found.keys())
    )
    return Page(text, offsets, tuple(code), tree)


BLANK = (tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def lines_of_bodies(tree: ast.Module) -> set[int]:
    functions = (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS))
    return {n for it in functions for n in range(it.body[0].lineno, (it.end_lineno or 0) + 1)}


def lines_of_strings(tree: ast.Module) -> set[int]:
    """Those of docstrings, and of strings that stand alone as remarks do."""
    return {
        n
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and is_text(node.value)
        for n in range(node.lineno, (node.end_lineno or 0) + 1)
    }


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def whole_lines(page: Page, random: Random) -> Iterator[Holes]:
    """The cursor stands where the editor has put it, behind the indentation."""
    for line in shuffled(page.lines, random):
        if LETTER.search(page.text, line.start, line.end):
            yield ((line.start, line.end),)


def margin_lines(page: Page, random: Random) -> Iterator[Holes]:
    """The cursor stands at the margin of an empty line: the indentation is to be found, too."""
    for ((_, end),) in whole_lines(page, random):
        yield ((page.offsets[page.line_at(end)], end),)


def rests(page: Page, random: Random) -> Iterator[Holes]:
    """From a token of a line, not the first, to the line's end."""
    for line in shuffled(page.lines, random):
        starts = [start for start, _ in line.words[1:] if LETTER.search(page.text, start, line.end)]
        if starts:
            yield ((random.choice(starts), line.end),)


def expressions(page: Page, random: Random) -> Iterator[Holes]:
    """An expression within a line, one a line."""
    for _, holes in shuffled(expressions_of(page), random):
        yield (random.choice(holes),)


def expressions_of(page: Page) -> list[tuple[int, list[tuple[int, int]]]]:
    code = {line.number: line for line in page.lines}
    found: dict[int, list[tuple[int, int]]] = {}
    for node in expressions_in(page.tree):
        if node.lineno - 1 in code:
            line, (start, end) = code[node.lineno - 1], page.span(node)
            alone = (start, end) == (line.start, line.end)
            if end <= line.end and not alone and LETTER.search(page.text, start, end):
                found.setdefault(line.number, []).append((start, end))
    return sorted(found.items())


def expressions_in(tree: ast.Module) -> Iterator[ast.expr]:
    """Those that somebody may leave open: no targets, and nothing that is called or asked for an
    attribute. A slice and what is starred are expressions to `ast` alone."""
    waiting: list[tuple[ast.AST, ast.AST | None]] = [(tree, None)]
    while waiting:
        node, parent = waiting.pop()
        if isinstance(node, ast.JoinedStr):
            continue  # before Python 3.12 the places in it are wrong
        waiting += ((child, node) for child in ast.iter_child_nodes(node))
        leads_on = (isinstance(parent, ast.Call) and node is parent.func) or (
            isinstance(parent, ast.Attribute)
        )
        is_read = isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        if isinstance(node, ast.Slice | ast.Starred) or leads_on or not is_read:
            continue
        if isinstance(node, ast.expr):
            yield node


def words(page: Page, random: Random) -> Iterator[Holes]:
    """From the middle of a name to its end."""
    for line in shuffled(page.lines, random):
        names = [(a, b) for a, b in line.words if b - a > 3 and is_name(page.text[a:b])]
        if names:
            start, end = random.choice(names)
            yield ((random.randrange(start + 1, end - 1), end),)


def is_name(text: str) -> bool:
    return text.isidentifier() and not iskeyword(text)


def blocks(page: Page, random: Random) -> Iterator[Holes]:
    """Whole statements in a row, of two to five lines together."""
    code = {line.number: line for line in page.lines}
    runs: list[tuple[int, int]] = []
    for body in bodies_of(page.tree):
        for i, first in enumerate(body):
            for last in body[i:]:
                start, end = first.lineno - 1, (last.end_lineno or last.lineno) - 1
                if 1 <= end - start < MOST_LINES and all(n in code for n in range(start, end + 1)):
                    runs.append((code[start].start, code[end].end))
    for run in shuffled(runs, random):
        yield (run,)


def bodies_of(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            body: object = getattr(node, name, None)
            if isinstance(body, list):  # a lambda's and a conditional's are expressions
                yield body


def several(page: Page, random: Random) -> Iterator[Holes]:
    """Two to four holes on lines near each other: lines, rests of lines, expressions."""
    within = dict(expressions_of(page))
    for line in shuffled(page.lines, random):
        near = [it for it in page.lines if 0 <= it.number - line.number < REACH]
        near = [it for it in near if LETTER.search(page.text, it.start, it.end)]
        if len(near) >= 4:
            chosen = sorted(random.sample(near, random.randint(2, 4)), key=lambda it: it.number)
            yield tuple(part_of(page, it, within.get(it.number, []), random) for it in chosen)


def part_of(
    page: Page, line: CodeLine, expressions: list[tuple[int, int]], random: Random
) -> tuple[int, int]:
    starts = [start for start, _ in line.words if LETTER.search(page.text, start, line.end)]
    rest = random.choice(starts), line.end
    return random.choice([rest, random.choice(expressions)]) if expressions else rest


def shuffled(items: Sequence[T], random: Random) -> list[T]:
    return random.sample(items, len(items))


CUTTERS: dict[str, Cutter] = {
    "line": whole_lines,
    "margin": margin_lines,
    "rest": rests,
    "expression": expressions,
    "word": words,
    "block": blocks,
    "several": several,
}
