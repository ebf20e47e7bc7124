"""Where a document leaves text to be written: unwritten bodies, empty argument lists of calls that
want some, missing docstrings, and `__HOLE__`.

Knows text and syntax; does not know what will be written there, nor who asks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache

from infill.code.callables import callables_in, calls_in, means, without_namesakes
from infill.code.due import Place, indentation_at, place_at, text_round
from infill.code.syntax import Node, Tree, parse
from infill.deeds.docstring import TOLD, Room, missing_docstrings
from infill.deeds.unwritten import Unwritten, unwritten_in
from infill.document import Document
from infill.edit import Edit, line_end_of
from infill.hole import BLOCK_LIMIT, LINE_LIMIT, MARKER
from model.canvas import Hole

_MACRO = re.compile(r"\b(?:todo|unimplemented)\s*!\s*(?:\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\})")

_QUOTE = re.compile(r"\"\"\"|'''|[\"'`]")


class Kind(Enum):
    BODY = "body"
    MARKER = "marker"
    ARGUMENTS = "arguments"
    DOCSTRING = "docstring"
    PARAMETER = "parameter"
    CURSOR = "cursor"


@dataclass(frozen=True, slots=True)
class Gap:
    """A place where text is due: `start` to `end` becomes `lead`, what is written, and `tail`.

    `ends` is what would end the place that the text is written in, so that no text may hold it.
    """

    start: int
    end: int
    kind: Kind
    indent: str
    multiline: bool = False
    lead: str = ""
    tail: str = ""
    ends: str = ""

    @property
    def limit(self) -> int:
        return BLOCK_LIMIT if self.multiline else LINE_LIMIT

    def edit(self, text: str) -> Edit:
        return Edit(self.start, self.end, self.lead + text + self.tail)


@lru_cache(maxsize=4)  # an editor asks at every place of the cursor
def gaps_in(document: Document) -> tuple[Gap, ...]:
    """In file order, none over another. What a file means to leave empty is none."""
    tree = parse(document.text, document.language)
    is_stub_file = document.path is not None and document.path.suffix == ".pyi"
    markers = (it.span() for it in re.finditer(MARKER, document.text))
    gaps = [_within(document.text, tree, *it, Kind.MARKER) for it in markers]
    if tree is not None and not is_stub_file:
        end = line_end_of(document.text)
        definitions = tree.nodes_of(TOLD)
        bodies = [_body(tree, each) for each in unwritten_in(tree, definitions, end)]
        rooms = missing_docstrings(tree, definitions, end)
        gaps = [
            *bodies,
            *gaps,
            *_macros(tree),
            *_arguments(tree, definitions),
            *map(docstring_gap, rooms),
        ]
    return tuple(_apart(gaps))


def _apart(gaps: Sequence[Gap]) -> list[Gap]:
    """In file order; of two that overlap the first in `gaps`: a marker in a body belongs to it."""
    kept: list[tuple[int, Gap]] = []
    for rank, gap in sorted(enumerate(gaps), key=lambda it: (it[1].start, it[1].end)):
        if not kept or kept[-1][1].end <= gap.start:
            kept.append((rank, gap))
        elif rank < kept[-1][0]:
            kept[-1] = rank, gap
    return [gap for _, gap in kept]


def opened(document: Document, gaps: Sequence[Gap]) -> tuple[Document, tuple[Hole, ...]]:
    """The document as it is filled, with each lead and tail in place, and its holes there."""
    pieces: list[str] = []
    holes: list[Hole] = []
    at = length = 0
    for gap in gaps:
        stands = document.text[gap.start : gap.end] if not gap.lead + gap.tail else ""
        before = document.text[at : gap.start] + gap.lead
        start = length + len(before)
        end = start + len(stands)
        holes.append(Hole(start, end, gap.multiline, gap.limit, gap.indent))
        pieces += (before, stands, gap.tail)
        at, length = gap.end, end + len(gap.tail)
    return replace(document, text="".join(pieces) + document.text[at:]), tuple(holes)


def docstring_gap(room: Room) -> Gap:
    return Gap(room.at, room.at, Kind.DOCSTRING, "", False, room.lead, room.tail, room.ends)


def gaps_over(
    document: Document, spans: Sequence[tuple[int, int]], *, multiline: bool = True
) -> list[Gap]:
    """Gaps in place of what stands there, wherever somebody wants them."""
    tree = parse(document.text, document.language)
    gaps = [_within(document.text, tree, *span, Kind.CURSOR) for span in spans]
    return [replace(gap, multiline=gap.multiline and multiline) for gap in gaps]


def _within(text: str, tree: Tree | None, start: int, end: int, kind: Kind) -> Gap:
    gap = _over(text, start, end, kind)
    if tree is None or place_at(tree, start) is not Place.STRING:
        return gap
    return replace(gap, ends=_quote_round(tree, start))


def _quote_round(tree: Tree, offset: int) -> str:
    """What would end the string round the offset; it may well be one that nothing ends."""
    string = text_round(tree, offset)
    line = max(tree.text.rfind("\n", 0, offset), tree.text.rfind("\r", 0, offset)) + 1
    opened_by = _QUOTE.search(tree.text, string[0] if string else line)
    return opened_by[0] if opened_by and opened_by.end() <= offset else ""


def _over(text: str, start: int, end: int, kind: Kind) -> Gap:
    """A gap in place of what stands there: many lines where it stands on lines of its own."""
    line = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1
    rest = re.compile(r"[^\r\n]*").match(text, end)
    alone = not text[line:start].strip() and not (rest and rest[0].strip())
    return Gap(start, end, kind, indentation_at(text, start), alone)


def _body(tree: Tree, body: Unwritten) -> Gap:
    if body.lead:
        return Gap(body.start, body.end, Kind.BODY, body.indent, True, body.lead, body.tail)
    return _over(tree.text, body.start, body.end, Kind.BODY)


def _macros(tree: Tree) -> list[Gap]:
    """Rust's `todo!()` where a value stands, not a whole body."""
    if tree.name != "rust":
        return []
    found = _MACRO.finditer(tree.text)
    return [
        _over(tree.text, match.start(), match.end(), Kind.MARKER)
        for match in found
        if tree.leaf_at(match.start()).kind == "identifier"
    ]


def _arguments(tree: Tree, definitions: Sequence[Node]) -> list[Gap]:
    """`f()` where this file defines an f that wants something."""
    wanting = {
        each.called: each
        for each in without_namesakes(callables_in(tree, definitions))
        if each.wanted() and not each.is_wrapped
    }
    return [
        Gap(call.arguments.start + 1, call.arguments.end - 1, Kind.ARGUMENTS,
            indentation_at(tree.text, call.arguments.start))
        for call in calls_in(tree, empty=True)
        if call.name in wanting and means(call, wanting[call.name], tree)
    ]  # fmt: skip
