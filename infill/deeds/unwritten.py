"""Function bodies that say of themselves that they are not written yet, in any language.

Knows syntax and what people put in for the time being; knows no holes. `infill/code/stub.py` has
what Python and Rust have words of their own for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infill.code.due import indentation_at
from infill.code.stub import is_docstring, is_meant_empty, stubs_in
from infill.code.syntax import Node, Tree
from infill.hole import indent_unit

_SAID = re.compile(
    r"not[\s_-]*(?:yet[\s_-]*)?implemented|not supported yet|unimplemented|implement me|"
    r"\bto[\s-]?do\b|\bfixme\b|\bNotImplemented(?:Exception|Error)\b",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"(?:throw\b|panic\s*\(|assert\s*\(|(?:std::)?abort\s*\().*(?:" + _SAID.pattern + ")",
    re.IGNORECASE | re.DOTALL,
)
_EMPTY = re.compile(r"\{\s*\}")
_BODIES = ("block", "statement_block", "compound_statement", "constructor_body")
_FUNCTIONS = re.compile(r".*(?:function|method|constructor|func_literal|lambda)")
_NOTHING = re.compile(
    r"(?:void|never|undefined|any|unknown|\(\)|:\s*(?:void|never|undefined|any|unknown)|"
    r":\s*Promise<(?:void|any)>)\Z"
)


@dataclass(frozen=True, slots=True)
class Unwritten:
    """What stands from `start` to `end` becomes `lead`, the body, and `tail`."""

    start: int
    end: int
    indent: str
    lead: str = ""
    tail: str = ""


def unwritten_in(tree: Tree, definitions: Sequence[Node], line_end: str) -> list[Unwritten]:
    """Placeholders to be replaced, and bodies in which nothing or only a TODO stands; in file
    order. A comment that says what is to be done stays: it says what to write."""
    found = [
        Unwritten(start, end, indentation_at(tree.text, start)) for start, end in stubs_in(tree)
    ]
    if tree.name == "python":
        found += _headers_alone(tree, definitions, line_end)
        found += _told_under_docstrings(tree, definitions, line_end)
    else:
        found += _bodies(tree, line_end)
    return sorted(found, key=lambda each: each.start)


def _headers_alone(tree: Tree, definitions: Sequence[Node], line_end: str) -> Iterator[Unwritten]:
    """Python: `def f():` and nothing more, or only comments."""
    unit = indent_unit(tree.text, "    ")
    for node in definitions:
        body = node.field("body") if node.kind == "function_definition" else None
        if body is None or body.statements or body.broken or not node.text.rstrip().endswith(":"):
            continue
        outer, end = indentation_at(tree.text, node.start), node.end
        own = re.compile(r"[ \t]*(?:\r\n|\r|\n)(?:[ \t]*(?:\r\n|\r|\n))*([ \t]+)#[^\r\n]*")
        indent = outer + unit
        while (comment := own.match(tree.text, end)) and len(comment[1]) > len(outer):
            end, indent = comment.end(), comment[1]
        yield Unwritten(end, end, indent, line_end + indent)


def _told_under_docstrings(
    tree: Tree, definitions: Sequence[Node], line_end: str
) -> Iterator[Unwritten]:
    """Python: a docstring, and under it only comments that say that something is to be done."""
    for node in definitions:
        body = node.field("body") if node.kind == "function_definition" else None
        if body is None or len(body.statements) != 1 or not is_docstring(body.statements[0]):
            continue
        after = [child for child in body.children if child.start >= body.statements[0].end]
        told = any(_SAID.search(comment.text) for comment in after if comment.kind == "comment")
        indent = indentation_at(tree.text, body.start)
        has_room = indent != indentation_at(tree.text, node.start)  # for a line below the docstring
        if told and has_room and not body.broken and not is_meant_empty(node):
            yield Unwritten(body.end, body.end, indent, line_end + indent)


def _bodies(tree: Tree, line_end: str) -> Iterator[Unwritten]:
    unit = indent_unit(tree.text, tree.language.unit)
    seen: set[int] = set()
    for pattern in (_SAID, _EMPTY):
        for match in pattern.finditer(tree.text):
            body = _body_round(tree.leaf_at(match.start()))
            if body is None or body.start in seen:
                continue
            seen.add(body.start)
            found = _unwritten(tree, body, unit, line_end)
            if found is not None:
                yield found


def _body_round(leaf: Node) -> Node | None:
    for node in leaf.chain():
        parent = node.parent
        if node.kind in _BODIES and parent is not None:
            return node if _FUNCTIONS.match(parent.kind) else None
    return None


def _unwritten(tree: Tree, body: Node, unit: str, line_end: str) -> Unwritten | None:
    statements = _statements_of(body)
    outer = indentation_at(tree.text, body.start)
    if len(statements) == 1:
        only = statements[0]
        if only.broken or not _PLACEHOLDER.match(only.text):
            return None
        after = re.compile(r"[ \t]*;").match(tree.text, only.end)
        end = after.end() if after and tree.name != "go" else only.end
        return Unwritten(only.start, end, indentation_at(tree.text, only.start))
    if statements or body.children[-1].kind != "}" or body.children[0].kind != "{":
        return None
    comments = [child for child in body.children if "comment" in child.kind]
    told = any(_SAID.search(comment.text) for comment in comments)
    if not told and (comments or not _gives_something(body)):
        return None
    start = comments[-1].end if comments else body.children[0].end
    start -= len(tree.text[:start]) - len(tree.text[:start].rstrip("\r\n"))
    indent = outer + unit
    return Unwritten(start, body.children[-1].start, indent, line_end + indent, line_end + outer)


def _statements_of(body: Node) -> list[Node]:
    statements = body.statements
    lists = [each for each in statements if each.kind == "statement_list"]  # Go
    return lists[0].statements if len(lists) == len(statements) == 1 else statements


def _gives_something(body: Node) -> bool:
    """Whether the function says that it returns something: then an empty body cannot stay."""
    function = body.parent
    if function is None or function.kind.startswith("constructor"):
        return False
    names = ("return_type", "result") if function.field("declarator") is None else ("type",)
    if function.kind == "method_declaration":
        names = (*names, "type")  # Java
    told = next((node for name in names if (node := function.field(name))), None)
    name = function.field("name") or function.field("declarator")
    main = name is not None and name.text.partition("(")[0] == "main"
    return told is not None and not main and _NOTHING.match(told.text) is None
