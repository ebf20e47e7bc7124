"""What can be done at a stretch of a document, and which gaps each of these things fills.

Decided by syntax alone, in the tens of milliseconds that an editor waits whenever the cursor moves;
knows neither editors nor models.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from infill.code.callables import DEFINITIONS
from infill.code.syntax import Node, Tree, parse
from infill.deeds.docstring import TOLD, room_for_docstring
from infill.deeds.holes import Gap, Kind, docstring_gap, gaps_in
from infill.deeds.mend import broken_at
from infill.deeds.parameter import callee_at, parameter_gaps, uses_of
from infill.deeds.rewrite import FREELY, GENTLY, MODERATELY
from infill.document import Document
from infill.edit import line_end_of
from infill.hole import hole_at
from infill.settings import Settings
from model.canvas import Hole

LOOKED_AT = 100_000  # characters, some 2,500 lines: a larger file takes too long at each key
MOST_LINES = 200  # of a selection; a model says itself how much of that it can rewrite
_FUNCTIONS = (*DEFINITIONS, "arrow_function", "function_expression", "func_literal")
_BLANKS = re.compile(r"[ \t]*")


class Deed(StrEnum):
    """What can be done; the value is its name in commands."""

    FILL_HOLE = "fill-hole"
    FILL_FUNCTION = "fill-function"
    FILL_FILE = "fill-file"
    WRITE_DOCSTRING = "write-docstring"
    ADD_PARAMETER = "add-parameter"
    REPAIR = "repair"
    REWRITE_GENTLY = "rewrite-gently"
    REWRITE_MODERATELY = "rewrite-moderately"
    REWRITE_FREELY = "rewrite-freely"


DOING = {  # what is being done, in words
    Deed.FILL_HOLE: "filling a hole",
    Deed.FILL_FUNCTION: "filling the holes of a function",
    Deed.FILL_FILE: "filling all holes",
    Deed.WRITE_DOCSTRING: "writing a docstring",
    Deed.ADD_PARAMETER: "adding a parameter",
    Deed.REPAIR: "repairing the syntax",
    Deed.REWRITE_GENTLY: "rewriting the selection",
    Deed.REWRITE_MODERATELY: "rewriting the selection",
    Deed.REWRITE_FREELY: "rewriting the selection",
}
STRENGTHS = {
    Deed.REWRITE_GENTLY: GENTLY,
    Deed.REWRITE_MODERATELY: MODERATELY,
    Deed.REWRITE_FREELY: FREELY,
}


@dataclass(frozen=True, slots=True)
class Offer:
    deed: Deed
    title: str


def offers_at(
    document: Document, start: int, end: int, settings: Settings, abilities: Set[str] = frozenset()
) -> tuple[Offer, ...]:
    """What applies from `start` to `end`, the most particular first; nothing in a huge file.
    `abilities` are the model's."""
    if len(document.text) > LOOKED_AT:
        return ()
    gaps = gaps_in(document)
    here = gaps_for(Deed.FILL_HOLE, document, start, end, settings, gaps)
    inside = gaps_for(Deed.FILL_FUNCTION, document, start, end, settings, gaps)
    offers: list[Offer] = []
    if here:
        title = "Fill this hole" if len(here) == 1 else f"Fill these holes ({len(here)})"
        offers.append(Offer(Deed.FILL_HOLE, title))
    if inside and tuple(inside) != tuple(here):
        title = f"Fill all holes in this function ({len(inside)})"
        title = title if len(inside) > 1 else "Fill the hole in this function"
        offers.append(Offer(Deed.FILL_FUNCTION, title))
    if gaps and gaps not in (tuple(here), tuple(inside)):
        title = f"Fill all holes in this file ({len(gaps)})"
        title = title if len(gaps) > 1 else "Fill the hole in this file"
        offers.append(Offer(Deed.FILL_FILE, title))
    tree = parse(document.text, document.language)
    if tree is None:
        return tuple(offers)
    if _docstring_at(tree, start):
        offers.append(Offer(Deed.WRITE_DOCSTRING, "Write docstring"))
    callee = callee_at(tree, on_the_line(document.text, start))
    if callee is not None and uses_of(tree, callee):
        title = "Add a parameter and update its uses in this file"
        offers.append(Offer(Deed.ADD_PARAMETER, title))
    if broken_at(document, start, end) is not None:
        offers.append(Offer(Deed.REPAIR, "Repair syntax here"))
    if "re-noise" in abilities and _is_selection(document.text[start:end]):
        offers += [
            Offer(deed, f"Rewrite selection {deed.value.removeprefix('rewrite-')}")
            for deed in STRENGTHS
        ]
    return tuple(offers)


def gaps_for(
    deed: Deed, document: Document, start: int, end: int, settings: Settings,
    gaps: Sequence[Gap] | None = None,
) -> Sequence[Gap]:  # fmt: skip
    """What this deed fills, in file order; nothing where it does not apply (any more).

    `gaps` are those of the whole file, where they are known.
    """
    tree = parse(document.text, document.language)
    if deed in (Deed.FILL_HOLE, Deed.FILL_FUNCTION, Deed.FILL_FILE):
        gaps = gaps_in(document) if gaps is None else gaps
        if deed is Deed.FILL_HOLE:
            return _touched(document, gaps, start, end) or _due_at(document, start, end, settings)
        if deed is Deed.FILL_FUNCTION:
            function = _function_round(tree, start)
            if function is None:
                return ()
            return [it for it in gaps if function.start <= it.start and it.end <= function.end]
        return gaps
    if tree is None:
        return ()
    if deed is Deed.WRITE_DOCSTRING:
        return _docstring_at(tree, start)
    callee = callee_at(tree, on_the_line(document.text, start))
    return () if callee is None else parameter_gaps(tree, callee)


def _is_selection(text: str) -> bool:
    """A cursor that covers the character under it selects nothing."""
    return len(text.strip()) > 1 and text.count("\n") < MOST_LINES


def _touched(document: Document, gaps: Sequence[Gap], start: int, end: int) -> Sequence[Gap]:
    """The gaps that the stretch touches; else those that begin on a line of it."""
    touched = [gap for gap in gaps if gap.start <= end and start <= gap.end]
    if touched:
        return touched
    first, last = _line_of(document.text, start)[0], _line_of(document.text, end)[1]
    return [gap for gap in gaps if first <= gap.start <= last]


def _due_at(document: Document, start: int, end: int, settings: Settings) -> Sequence[Gap]:
    """Where the syntax asks for text at the cursor, or behind it where the line then ends: in
    blanks nobody means the place between two, and a cursor may stand on the last character."""
    line_end = _line_of(document.text, end)[1]
    places = [start, end] if end - start <= 1 else []
    if not document.text[start:line_end].strip():
        places.insert(0, line_end)
    for place in dict.fromkeys(places):
        hole = hole_at(document, place, settings)
        if isinstance(hole, Hole):
            return [Gap(hole.start, hole.end, Kind.CURSOR, hole.indent, hole.multiline)]
    return ()


def _docstring_at(tree: Tree, start: int) -> Sequence[Gap]:
    """For the definition whose header the line belongs to."""
    at = on_the_line(tree.text, start)
    node = next((node for node in tree.leaf_at(at).chain() if node.kind in TOLD), None)
    if node is None or not _in_header(tree, node, at):
        return ()
    room = room_for_docstring(tree, node, line_end_of(tree.text))
    return () if room is None else [docstring_gap(room)]


def _in_header(tree: Tree, node: Node, at: int) -> bool:
    body = node.field("body")
    if body is None:
        return True
    header = tree.text[node.start : body.start].rstrip()
    return at <= _line_of(tree.text, node.start + len(header))[1]


def _function_round(tree: Tree | None, start: int) -> Node | None:
    if tree is None:
        return None
    leaf = tree.leaf_at(on_the_line(tree.text, start))
    return next((node for node in leaf.chain() if node.kind in _FUNCTIONS), None)


def on_the_line(text: str, offset: int) -> int:
    """The offset, or where the code on its line begins if it stands in front of that."""
    first, _ = _line_of(text, offset)
    blanks = _BLANKS.match(text, first)
    return max(offset, blanks.end()) if blanks else offset


def _line_of(text: str, offset: int) -> tuple[int, int]:
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    ends = [at for mark in "\r\n" if (at := text.find(mark, offset)) >= 0]
    return start, min(ends, default=len(text))
