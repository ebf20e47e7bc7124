"""Functions whose whole body is a placeholder: `...`, `pass`, `todo!()`. Knows no holes.

What is meant to stay empty is left alone: abstract methods, overloads, protocols.
"""

from __future__ import annotations

import re

from infill.code.syntax import Node, Tree

_NOT_IMPLEMENTED = re.compile(r"raise\s+NotImplementedError\b")
_UNWRITTEN_MACRO = re.compile(r"(?:todo|unimplemented)\s*!")
_MEANT_EMPTY = re.compile(r"@\s*(?:\w+\.)*(?:overload|abstract\w+)\b")
_PROTOCOL = re.compile(r"(?:\w+\.)*Protocol\b(?!\s*\.)")


def stubs_in(tree: Tree) -> list[tuple[int, int]]:
    """The ranges of the placeholders, in file order."""
    if tree.name == "python":
        found = [_python_stub(node) for node in tree.nodes_of(("function_definition",))]
    elif tree.name == "rust":
        found = [_rust_stub(node) for node in tree.nodes_of(("function_item",))]
    else:
        found = []
    return [(node.start, node.end) for node in found if node is not None]


def _python_stub(function: Node) -> Node | None:
    body = function.field("body")
    if body is None or is_meant_empty(function):
        return None
    statements = body.statements
    if len(statements) > 1 and is_docstring(statements[0]):
        statements = statements[1:]
    alone = len(statements) == 1 and _is_placeholder(statements[0])
    return statements[0] if alone else None


def is_docstring(statement: Node) -> bool:
    return [child.kind for child in statement.children] == ["string"]


def _is_placeholder(statement: Node) -> bool:
    if statement.kind == "raise_statement":
        return _NOT_IMPLEMENTED.match(statement.text) is not None
    return statement.kind == "pass_statement" or statement.text == "..."


def is_meant_empty(function: Node) -> bool:
    outer = function.parent
    if outer is None:
        return False
    if outer.kind == "decorated_definition":
        decorators = [child for child in outer.children if child.kind == "decorator"]
        if any(_MEANT_EMPTY.match(child.text) for child in decorators):
            return True
        outer = outer.parent
    owner = outer.parent if outer else None
    return owner is not None and owner.kind == "class_definition" and _is_protocol(owner)


def _is_protocol(owner: Node) -> bool:
    bases = owner.field("superclasses")
    return bases is not None and any(_PROTOCOL.match(base.text) for base in bases.statements)


def _rust_stub(function: Node) -> Node | None:
    body = function.field("body")
    if body is None or len(body.statements) != 1:
        return None
    statement = body.statements[0]
    return statement if _UNWRITTEN_MACRO.match(statement.text) else None
