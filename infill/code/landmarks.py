"""Lines worth seeing from afar: imports, headers that enclose a place, signatures near it.

Knows a text's outline; does not know budgets or how a canvas is laid out. Lines come whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from infill.code.due import text_round
from infill.code.languages import language_named
from infill.code.syntax import WINDOW, Definition, Outline, parse, window_round
from infill.document import Document

HEAD = 20_000  # characters of a very large file that are searched for its imports
NEIGHBOURS = 100  # signatures: more of them fit into no budget
LONGEST = 400  # characters: a longer signature tells less than it takes

_WORD = re.compile(r"[^\W\d]\w+")
Lines = tuple[int, int]  # from the start of a line to behind a line end


@dataclass(frozen=True, slots=True)
class Landmarks:
    """What to keep of the distant text, the most useful first; `borders` are good places to cut."""

    lines: tuple[Lines, ...]
    borders: tuple[int, ...]


def landmarks_of(text: str, language: str, place: int, near: str) -> Landmarks:
    """The landmarks for a hole at `place`. Imports of names that `near` uses come first."""
    outline = _outline_round(text, language, place)
    enclosing = _enclosing(text, language, outline.definitions, place)
    siblings = _siblings(outline.definitions, enclosing)
    siblings = sorted(siblings, key=lambda it: abs(it.start - place))[:NEIGHBOURS]
    headers = [_header(text, it) for it in enclosing] or list(_headers_by_indent(text, place))
    used, unused = _imports(text, outline, set(_WORD.findall(near)))
    ranked = [*headers, *used, *(_header(text, it) for it in siblings), *unused]
    short = dict.fromkeys(it for it in ranked if it[1] - it[0] <= LONGEST)
    borders = sorted(_line_start(text, it.start) for it in (*enclosing, *siblings))
    return Landmarks(tuple(short), tuple(borders))


def _imports(text: str, outline: Outline, words: set[str]) -> tuple[list[Lines], list[Lines]]:
    """The imports that name one of the words, and the others."""
    used: list[Lines] = []
    unused: list[Lines] = []
    for start, end in outline.imports:
        named = not words.isdisjoint(_WORD.findall(text[start:end]))
        (used if named else unused).append(_whole_lines(text, start, end))
    return used, unused


def out_of_strings(text: str, language: str, place: int, cut: int) -> int:
    """The cut, moved towards the place where it would tear a string or a comment in two: half a
    docstring would turn code into text for whoever reads on."""
    start, end = window_round(text, place)
    tree = parse(text[start:end], language) if start < cut < end else None
    torn = text_round(tree, cut - start) if tree else None
    if torn is None:
        return cut
    if start + torn[1] <= place:
        line = text.find("\n", start + torn[1] - 1, place) + 1
        return line or cut
    return max(place, _line_start(text, start + torn[0])) if start + torn[0] >= place else cut


def signatures_of(others: Sequence[Document], near: str, room: int) -> str:
    """Headers of other files' definitions, those that `near` names first, in at most `room`."""
    words = set(_WORD.findall(near))
    groups = [group for other in others for group in _groups(other)]
    kept: dict[str, list[str]] = {}
    for group in sorted(groups, key=lambda it: it.name not in words):
        lines = [] if group.title in kept else [group.title]
        for line in (group.header, *group.members):
            if sum(map(len, lines)) + len(line) <= room:
                lines.append(line)
        if group.header in lines:
            kept.setdefault(group.title, []).extend(lines)
            room -= sum(map(len, lines))
    return "".join(line for lines in kept.values() for line in lines)


@dataclass(frozen=True, slots=True)
class _Group:
    """A definition at the top of another file and what it holds, by their headers."""

    title: str
    header: str
    members: tuple[str, ...]
    name: str


@lru_cache(maxsize=32)  # between two requests other files hardly ever change
def _groups(other: Document) -> tuple[_Group, ...]:
    return tuple(_groups_in(other))


def _groups_in(other: Document) -> Iterator[_Group]:
    text = other.text[:WINDOW].replace("\r\n", "\n")
    tree, language = parse(text, other.language), language_named(other.language)
    if tree is None or language is None:
        return
    name = other.path.name if other.path else "another file"
    title = f"{language.comment} {name}{language.comment_end}\n"
    definitions = list(tree.outline.definitions)
    while definitions:
        top = definitions.pop(0)
        inside = [it for it in definitions if it.start < top.end]
        definitions = definitions[len(inside) :]
        header, *members = (text[slice(*_header(text, it))] for it in (top, *_outermost(inside)))
        if header.endswith("\n") and len(header) <= LONGEST:
            short = tuple(it for it in members if it.endswith("\n") and len(it) <= LONGEST)
            yield _Group(title, header, short, top.name)


def _outermost(definitions: Sequence[Definition]) -> Iterator[Definition]:
    until = 0
    for definition in definitions:
        if definition.start >= until:
            yield definition
            until = definition.end


def _outline_round(text: str, language: str, place: int) -> Outline:
    start, end = window_round(text, place)
    tree = parse(text[start:end], language)
    if tree is None:
        return Outline((), ())
    if start == 0:
        return tree.outline
    head = parse(text[: min(HEAD, start)], language)
    return Outline(
        head.outline.imports if head else (),
        tuple(
            Definition(it.name, it.start + start, it.body + start, it.end + start)
            for it in tree.outline.definitions
        ),
    )


def _enclosing(
    text: str, language: str, definitions: Sequence[Definition], place: int
) -> list[Definition]:
    before = [it for it in definitions if it.start < place]
    row = language_named(language)
    if row is None or row.closers or not before:
        return [it for it in before if place <= it.end]
    # Where indentation alone ends a body, a new line at its end belongs to it, if far enough in.
    last = before[-1].start
    candidates = [it for it in before if it.start <= last < it.end]
    return [it for it in candidates if place <= it.end or _goes_on(text, it, place)]


def _goes_on(text: str, definition: Definition, place: int) -> bool:
    depth = definition.start - _line_start(text, definition.start)
    lines = text[definition.end : place].split("\n")[1:]
    written = [line for line in lines[:-1] if line.strip()] + lines[-1:]
    return all(_depth(line + ".") > depth for line in written)


def _siblings(
    definitions: Sequence[Definition], enclosing: Sequence[Definition]
) -> list[Definition]:
    """Those that stand directly in what encloses the place, or at the top."""
    return list(_outermost([it for it in definitions if it not in enclosing]))


def _headers_by_indent(text: str, place: int) -> Iterator[Lines]:
    """The lines above that are indented less and less: scopes where the syntax shows none."""
    end = _line_start(text, place)
    depth = _depth(text[end:place]) if text[end:place].strip() else len(text[end:place]) or 1000
    while end > 0 and depth > 0 and place - end < WINDOW:
        start = _line_start(text, end - 1)
        line = text[start:end]
        if line.strip() and _depth(line) < depth and line.strip()[0] not in ")]}":
            depth = _depth(line)
            yield start, end
        end = start


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _header(text: str, definition: Definition) -> Lines:
    start, end = _whole_lines(text, definition.start, definition.body)
    body_line = _line_start(text, definition.body)
    stands_alone = start < body_line and not text[body_line : definition.body].strip()
    return start, body_line if stands_alone else end


def _whole_lines(text: str, start: int, end: int) -> Lines:
    line_end = text.find("\n", max(start, end - 1))
    return _line_start(text, start), len(text) if line_end < 0 else line_end + 1


def _line_start(text: str, offset: int) -> int:
    return text.rfind("\n", 0, offset) + 1
