"""One parameter more: the holes in a definition, in its docstring and in each call of it.

Knows syntax as `infill/code/callables.py` shows it; does not know what the parameter is to be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from infill.code.callables import (
    DEFINITIONS,
    Call,
    Callee,
    callables_in,
    calls_in,
    means,
    without_namesakes,
)
from infill.code.due import indentation_at
from infill.code.syntax import Node, Tree, parse
from infill.deeds.holes import Gap, Kind
from infill.edit import Edit, line_end_of

_LAST = re.compile(r"\*\*|\.\.\.")  # after these no other may follow
_NAME = re.compile(r"[^\W\d]\w*")


def callee_at(tree: Tree, start: int) -> Callee | None:
    """The definition whose header the offset stands in, where a file tells all its calls."""
    nodes = (node for node in tree.leaf_at(start).chain() if node.kind in DEFINITIONS)
    here = next(nodes, None)
    if here is None or here.broken:
        return None  # the other definitions need not be looked at
    for callee in without_namesakes(callables_in(tree)):
        if callee.node.start == here.start and start <= callee.parameters.end:
            return callee
    return None


def uses_of(tree: Tree, callee: Callee) -> list[Call]:
    found = calls_in(tree, callee.called)
    return [call for call in found if means(call, callee, tree)]


def parameter_gaps(tree: Tree, callee: Callee) -> tuple[Gap, ...]:
    """In file order; one of them, of its kind, is that in the definition."""
    end = line_end_of(tree.text)
    gaps = [_gap_in(tree, callee.parameters, Kind.PARAMETER, end)]
    gaps += [_gap_in(tree, call.arguments, Kind.ARGUMENTS, end) for call in uses_of(tree, callee)]
    told = _gap_in_docstring(tree, callee, end)
    return tuple(sorted([*gaps, *([told] if told else [])], key=lambda gap: gap.start))


def fits(tree: Tree, callee: Callee, edits: Sequence[Edit]) -> bool:
    """Whether with the edits the definition has one parameter more, and each call one argument
    more; a call may stay as it is where the parameter need not be given."""
    text = tree.text
    for edit in reversed(edits):
        text = text[: edit.start] + edit.text + text[edit.end :]
    new = parse(text, tree.name)
    same = [] if new is None else without_namesakes(callables_in(new))
    now = next((it for it in same if (it.owner, it.name) == (callee.owner, callee.name)), None)
    if new is None or now is None or _count(now.parameters) != _count(callee.parameters) + 1:
        return False
    need = len(now.wanted()) > len(callee.wanted())
    before, after = uses_of(tree, callee), uses_of(new, now)
    more = [
        _count(now_given.arguments) - _count(given.arguments)
        for given, now_given in zip(before, after, strict=False)
    ]
    return len(before) == len(after) and all(n == 1 or (n == 0 and not need) for n in more)


def _given(brackets: Node) -> list[Node]:
    return [each for each in brackets.statements if each.text != "void"]


def _count(brackets: Node) -> int:
    return len(_given(brackets))


def _gap_in(tree: Tree, brackets: Node, kind: Kind, line_end: str) -> Gap:
    """Room for one more between brackets: at the end, but before what takes all the rest."""
    given, indent = _given(brackets), indentation_at(tree.text, brackets.start)
    if not given:
        return Gap(brackets.start + 1, brackets.end - 1, kind, indent)
    last = given[-1]
    line = indentation_at(tree.text, last.start)
    at = max(tree.text.rfind("\n", 0, last.start), tree.text.rfind("\r", 0, last.start)) + 1
    own_line = at + len(line) == last.start and at > brackets.start
    between = "," + (line_end + line if own_line else " ")
    if _LAST.match(last.text):
        return Gap(last.start, last.start, kind, indent, tail=between)
    return Gap(last.end, last.end, kind, indent, lead=between)


def _gap_in_docstring(tree: Tree, callee: Callee, line_end: str) -> Gap | None:
    """Behind the last of the lines that tell a parameter, where there are such lines."""
    start, end = _docstring_of(tree, callee)
    names = [name for each in _given(callee.parameters) if (name := _name_in(tree, each))]
    if not names:
        return None
    named = "|".join(map(re.escape, names))
    entry = re.compile(
        rf"(?P<indent>[ \t]*)(?P<sign>:param[ \t]+|\*[ \t]*@param[ \t]+(?:\{{[^}}\n]*\}}[ \t]*)?)?"
        rf"(?:[\w\[\], ]+[ \t]+)??(?P<name>{named})\b(?:[ \t]*\([^)\n]*\))?"
    )
    found: tuple[int, str, str] | None = None
    at = start
    for line in re.split(r"(?<=\n)|(?<=\r)(?!\n)", tree.text[start:end]):
        content = line.rstrip("\r\n")
        match = entry.match(content)
        told = match and (match["sign"] or content[match.end() :].lstrip().startswith(":"))
        if match and told:
            found = at + len(content), match["indent"], match["sign"] or ""
        elif found and content.strip() and _goes_on(content, found[1]):
            found = at + len(content), found[1], found[2]
        at += len(line)
    if found is None or found[0] >= end:
        return None
    sign = re.sub(r"\{[^}\n]*\}[ \t]*", "", found[2])
    where, lead = found[0], line_end + found[1] + sign
    return Gap(where, where, Kind.DOCSTRING, found[1], lead=lead, ends='"""')


def _name_in(tree: Tree, parameter: Node) -> str:
    words: list[str] = _NAME.findall(parameter.text.partition("=")[0])
    type_first = tree.name in ("java", "c", "cpp")
    return words[-1 if type_first else 0] if words else ""


def _goes_on(content: str, indent: str) -> bool:
    return len(content) - len(content.lstrip(" \t")) > len(indent) and "@" not in content


def _docstring_of(tree: Tree, callee: Callee) -> tuple[int, int]:
    body = callee.node.field("body")
    if tree.name == "python":
        first = body.statements[0] if body is not None and body.statements else None
        told = first is not None and first.text.startswith(('"""', "'''", 'r"""'))
        return (first.start, first.end - 3) if first is not None and told else (0, 0)
    above = tree.text[: callee.node.start].rstrip()
    start = above.rfind("/**")
    return (start, len(above) - 2) if above.endswith("*/") and start >= 0 else (0, 0)
