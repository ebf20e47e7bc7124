"""Whether holes are closed by what was written into them: a body that is only another TODO says as
little as before, and a call with too many arguments is as wrong as one without any.

Knows syntax; does not know who wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from infill.code.callables import call_of, callables_in, means, without_namesakes
from infill.code.syntax import Tree, parse
from infill.deeds.holes import Gap, Kind, gaps_in
from infill.document import Document
from infill.edit import Edit
from infill.reason import Reason

_ASKED_OF = (Kind.BODY, Kind.ARGUMENTS)


def left_open(document: Document, edits: Sequence[tuple[Gap, Edit]]) -> dict[Gap, Reason]:
    """The gaps that are no better off with their edits, and why. The edits are in file order, for
    the document as it is; it is parsed once with all of them."""
    if not any(gap.kind in _ASKED_OF for gap, _ in edits):
        return {}
    text, written = _with(document.text, edits)
    tree = parse(text, document.language)
    if tree is None:
        return {}
    bodies = {it.start for it in gaps_in(replace(document, text=text)) if it.kind is Kind.BODY}
    reasons: dict[Gap, Reason] = {}
    for gap, start, end in written:
        if gap.kind is Kind.BODY and not bodies.isdisjoint((start, end)):
            reasons[gap] = Reason.LEFT_OPEN
        elif gap.kind is Kind.ARGUMENTS and not _may_be_given(tree, start - 1):
            reasons[gap] = Reason.ARGUMENT_COUNT
    return reasons


def _with(text: str, edits: Sequence[tuple[Gap, Edit]]) -> tuple[str, list[tuple[Gap, int, int]]]:
    """The text with the edits, and where each stands in it, its scaffolding left out."""
    pieces: list[str] = []
    written: list[tuple[Gap, int, int]] = []
    at = length = 0
    for gap, edit in edits:
        before = text[at : edit.start]
        start = length + len(before)
        pieces += (before, edit.text)
        at, length = edit.end, start + len(edit.text)
        written.append((gap, start + len(gap.lead), length - len(gap.tail)))
    return "".join((*pieces, text[at:])), written


def _may_be_given(tree: Tree, bracket: int) -> bool:
    """Whether the function takes as many arguments as these brackets hold."""
    arguments = tree.leaf_at(bracket).parent
    node = arguments.parent if arguments is not None and arguments.start == bracket else None
    call = call_of(node, arguments) if node is not None and arguments is not None else None
    given = call.arguments.statements if call is not None else []
    if call is None or any("spread" in it.kind or "splat" in it.kind for it in given):
        return True
    same = without_namesakes(callables_in(tree))
    return all(callee.takes(len(given)) for callee in same if means(call, callee, tree))
