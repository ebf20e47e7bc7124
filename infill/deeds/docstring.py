"""Where a docstring goes that is not there yet, in the form that each language writes it in.

Knows syntax and the lines above a definition; does not know what will be said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from infill.code.callables import DEFINITIONS
from infill.code.due import indentation_at
from infill.code.syntax import Node, Tree

TOLD = (*DEFINITIONS, "class_definition", "class_declaration", "abstract_class_declaration",
        "interface_declaration", "record_declaration", "struct_item", "enum_item", "trait_item",
        "type_declaration", "class_specifier")  # fmt: skip
_FORMS = {  # what stands before and after the sentence
    "python": ('"""', '"""'),
    "rust": ("/// ", ""),
    "go": ("// ", ""),
} | dict.fromkeys(
    ("javascript", "javascriptreact", "typescript", "typescriptreact", "java", "c", "cpp"),
    ("/** ", " */"),
)
_WRAPPERS = ("decorated_definition", "export_statement", "template_declaration")
_ATTRIBUTE = re.compile(r"\s*(?:#!?\[|@)")
_COMMENT = re.compile(r"\s*(?://|/\*)|.*\*/\s*$")


@dataclass(frozen=True, slots=True)
class Room:
    """Where a docstring would be put in, with a line of its own, between `lead` and `tail`."""

    at: int
    lead: str
    tail: str
    ends: str  # what would end it, so that no sentence may hold it


def room_for_docstring(tree: Tree, definition: Node, line_end: str) -> Room | None:
    """None where one stands already, or where no room is without moving other code."""
    form = _FORMS.get(tree.name)
    if form is None or definition.kind not in TOLD or has_docstring(tree, definition):
        return None
    if tree.name == "python":
        return _inside(tree, definition, *form, line_end)
    return _above(tree, definition, *form, line_end)


def has_docstring(tree: Tree, definition: Node) -> bool:
    if tree.name == "python":
        body = definition.field("body")
        first = body.statements[0].text if body is not None and body.statements else ""
        return first.lstrip("rRbBuUfF").startswith(('"', "'"))
    line = _line_of(tree, definition)
    above = tree.text[_line_start(tree.text, line - 1) : line] if line else ""
    return _COMMENT.match(above) is not None


def _inside(tree: Tree, definition: Node, lead: str, tail: str, line_end: str) -> Room | None:
    body = definition.field("body")
    if body is None or not body.statements:
        return None
    first = body.statements[0]
    line = _line_start(tree.text, first.start)
    if tree.text[line : first.start].strip() or line <= definition.start:
        return None  # the body stands on the header's line
    return Room(first.start, lead, tail + line_end + indentation_at(tree.text, first.start), lead)


def _above(tree: Tree, definition: Node, lead: str, tail: str, line_end: str) -> Room | None:
    outer = _outermost(definition)
    if tree.text[_line_start(tree.text, outer.start) : outer.start].strip():
        return None  # something else stands on the line
    line = _line_of(tree, definition)
    indent = indentation_at(tree.text, line)
    return Room(line + len(indent), lead, tail + line_end + indent, tail.strip())


def _line_of(tree: Tree, definition: Node) -> int:
    """Where its first line starts: that of its attributes, if it has some."""
    line = _line_start(tree.text, _outermost(definition).start)
    while line:
        above = _line_start(tree.text, line - 1)
        if not _ATTRIBUTE.match(tree.text, above, line):
            break
        line = above
    return line


def _outermost(definition: Node) -> Node:
    parent = definition.parent
    wrapped = parent is not None and parent.kind in _WRAPPERS
    return _outermost(parent) if parent is not None and wrapped else definition


def _line_start(text: str, offset: int) -> int:
    """Where the line of the character at `offset` starts; a line's end belongs to it."""
    if text[offset - 1 : offset + 1] == "\r\n":
        offset -= 1
    return max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1


def missing_docstrings(tree: Tree, definitions: list[Node], line_end: str) -> list[Room]:
    """Where docstrings are missing: in a file in which most of what is defined has one."""
    public = [node for node in definitions if not _is_private(node)]
    told = sum(has_docstring(tree, node) for node in public)
    if told < 2 or 2 * told <= len(public):
        return []
    return [room for node in public if (room := room_for_docstring(tree, node, line_end))]


def _is_private(definition: Node) -> bool:
    name = definition.field("name")
    return name is None or name.text.startswith("_")
