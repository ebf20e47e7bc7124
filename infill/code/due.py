"""What the syntax asks for at a place: a block, more of a statement, or nothing. Knows no holes.

The text at the cursor is usually half a statement, so each question looks at few nodes round it
and trusts tokens more than the shape of the tree.
"""

from __future__ import annotations

import re
from enum import Enum

from infill.code.syntax import Node, Tree

_COMMENTS = frozenset(("comment", "line_comment", "block_comment", "doc_comment"))
_STRINGS = frozenset(
    (
        *("string", "string_literal", "raw_string_literal", "interpreted_string_literal"),
        *("char_literal", "character_literal", "rune_literal", "template_string", "text_block"),
        *("ansi_c_string", "raw_string", "heredoc_body", "string_value", "regex", "regex_literal"),
        *("quoted_attribute_value", "system_lib_string"),
    )
)
_CODE_IN_STRINGS = frozenset(
    ("interpolation", "template_substitution", "expansion", "command_substitution")
)
_BLOCKS = ("block", "body", "declaration_list", "compound_statement", "do_group", "variant_list")
_NO_BLOCK_AFTER = frozenset(("return", "import", "export", "from", "const", "in", "of"))
_COMPLETE_WORDS = frozenset(
    (
        *("pass", "break", "continue", "end", "fi", "done", "esac"),
        *("fallthrough", "then", "do"),
    )
)
_STATEMENTS = ("statement", "declaration", "definition", "_item", "specifier", "element", "pair")
_NAMES = frozenset(
    (
        *("identifier", "attribute", "subscript", "member_expression", "subscript_expression"),
        *("field_expression", "field_access", "selector_expression", "index_expression"),
    )
)
_LEADS_ON = frozenset(  # words that may be names to the grammar as long as nothing follows them
    (
        *("and", "as", "assert", "await", "case", "class", "const", "def", "defer", "del", "elif"),
        *("else", "except", "extends", "fn", "for", "from", "func", "function", "go", "if", "impl"),
        *("implements", "import", "in", "instanceof", "is", "lambda", "let", "local", "new", "not"),
        *("or", "raise", "return", "static", "struct", "throw", "type", "typeof", "use", "var"),
        *("while", "with", "yield"),
    )
)
_WANTS_MORE = frozenset("=+-*/%<>!&|^~?:,.([{@\\$")
_LINE_COMMENT = re.compile(r"//|#|--|;")
_SPACE = re.compile(r"\s*")


class Place(Enum):
    CODE = "code"
    STRING = "string"
    COMMENT = "comment"


def place_at(tree: Tree, cursor: int) -> Place:
    """Whether text written at the cursor would be code. What an f-string interpolates is code."""
    if cursor == 0:
        return Place.CODE
    for node in tree.leaf_at(cursor - 1).chain():
        if node.kind in _CODE_IN_STRINGS and cursor < node.end:
            return Place.CODE
        if node.kind in _COMMENTS and (cursor < node.end or _LINE_COMMENT.match(node.text)):
            return Place.COMMENT
        if node.kind in _STRINGS and cursor < node.end:
            return Place.STRING
    return Place.STRING if _in_open_string(tree, cursor) else Place.CODE


def text_round(tree: Tree, offset: int) -> tuple[int, int] | None:
    """The range of the string or comment that the offset stands within."""
    for node in tree.leaf_at(offset).chain():
        if (node.kind in _STRINGS or node.kind in _COMMENTS) and node.start < offset < node.end:
            return node.start, node.end
    return None


def _in_open_string(tree: Tree, cursor: int) -> bool:
    # A string that is never closed is no string to the grammar, only an error from its quote on.
    line = tree.text.rfind("\n", 0, cursor) + 1
    if not any(start <= cursor and end >= line for start, end in tree.errors):
        return False
    quotes = [at for at in range(line, cursor) if tree.text[at] in "\"'`"]
    return any(_opens_string(tree.leaf_at(at)) for at in quotes)


def _opens_string(quote: Node) -> bool:
    parent = quote.parent
    if parent is None or (quote.kind != "string_start" and quote.text not in ('"', "'", "`")):
        return False
    unclosed = not any(sibling.kind == "string_end" for sibling in parent.children)
    return unclosed and (parent.kind == "ERROR" or (parent.broken and parent.kind in _STRINGS))


def token_before(tree: Tree, offset: int) -> Node | None:
    """The last token before the offset that is not part of a comment."""
    while (end := len(tree.text[:offset].rstrip())) > 0:
        leaf = tree.leaf_at(end - 1)
        comment = next((node for node in leaf.chain() if node.kind in _COMMENTS), None)
        if comment is None:
            return leaf
        offset = min(comment.start, end - 1)
    return None


def token_after(tree: Tree, offset: int) -> Node | None:
    """The first token from the offset on that is not part of a comment."""
    while (start := _skip_space(tree.text, offset)) < len(tree.text):
        leaf = tree.leaf_at(start)
        comment = next((node for node in leaf.chain() if node.kind in _COMMENTS), None)
        if comment is None:
            return leaf
        offset = max(comment.end, start + 1)
    return None


def _skip_space(text: str, offset: int) -> int:
    found = _SPACE.match(text, offset)
    return found.end() if found else offset


def splits_token(tree: Tree, cursor: int) -> bool:
    """Whether the cursor stands within an operator, as in `!‸=`."""
    leaf = tree.leaf_at(cursor)
    return not leaf.named and leaf.start < cursor < leaf.end


def opens_block(tree: Tree, token: Node) -> bool:
    """Whether a block begins after the token: a header's colon, a brace that is no literal's."""
    if token.kind not in tree.language.openers:
        return False
    parent = token.parent
    if parent is None:
        return False
    if parent.kind == "ERROR":
        return _opens_in_error(tree, token, parent)
    if token.kind == ":":
        return parent.kind.endswith(("_statement", "_clause", "_definition"))
    if token.kind == ")":
        return parent.kind == "parameters"
    return token.kind != "{" or parent.kind.endswith((*_BLOCKS, "switch_statement"))


def _opens_in_error(tree: Tree, token: Node, error: Node) -> bool:
    if token.kind == ":":
        return _header_before(tree, token)
    if token.kind == "{":
        before = token_before(tree, token.start)
        return before is not None and _may_head_block(before)
    return token.kind != ")"


def _header_before(tree: Tree, colon: Node) -> bool:
    line = tree.text[tree.text.rfind("\n", 0, colon.start) + 1 : colon.start]
    header = re.match(
        r"\s*(async|class|def|elif|else|except|finally|for|if|try|while|with|case)\b", line
    )
    return header is not None and all(line.count(a) <= line.count(b) for a, b in ("()", "[]", "{}"))


def _may_head_block(token: Node) -> bool:
    text = token.text
    return text == ")" or (text[-1:].isalnum() and text not in _NO_BLOCK_AFTER)


def header_of_due_block(tree: Tree, cursor: int) -> int | None:
    """The offset of the token after which a block must stand and does not, if it is this place."""
    token = token_before(tree, cursor)
    if token is None:
        return None
    if opens_block(tree, token):
        return token.start if _ends_here(tree, cursor, token.start) else None
    header = _header_of_docstring(token) if "\n" in tree.text[token.end : cursor] else None
    return header if header is not None and _ends_here(tree, cursor, header) else None


def _header_of_docstring(token: Node) -> int | None:
    # A function of which only the docstring is written: its body is due as well.
    block = next((node for node in token.chain() if node.kind == "block"), None)
    if token.kind != "string_end" or block is None or block.parent is None:
        return None
    alone = len(block.statements) == 1 and block.statements[0].end == token.end
    is_definition = block.parent.kind in ("function_definition", "class_definition")
    return block.parent.start if alone and is_definition else None


def _ends_here(tree: Tree, cursor: int, header: int) -> bool:
    """Whether nothing of a block follows the cursor: it is closed, or the indentation ends."""
    token = token_after(tree, cursor)
    if token is None or token.kind in tree.language.closers:
        return True
    on_later_line = "\n" in tree.text[cursor : token.start]
    return on_later_line and _depth(tree.text, token.start) <= _depth(tree.text, header)


def _depth(text: str, offset: int) -> int:
    return len(indentation_at(text, offset).expandtabs())


def indentation_at(text: str, offset: int) -> str:
    """The blanks that the offset's line begins with."""
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    found = re.compile(r"[ \t]*").match(text, start)
    return found[0] if found else ""


def wants_more(tree: Tree, cursor: int) -> bool:
    """Whether the code cannot end at the cursor: an operator, an open bracket, `return`."""
    token = token_before(tree, cursor)
    if token is None or opens_block(tree, token):
        return False
    if token.text in _LEADS_ON and cursor > token.end:
        return True
    if not token.named and token.text.isalpha():
        return token.text not in _COMPLETE_WORDS
    if token.kind == ";":
        return any(_inside_header(node) for node in token.chain() if node.end == token.end)
    spelled_out = not token.named or token.kind == "ERROR"
    return spelled_out and token.text[-1:] in _WANTS_MORE and not _ends_element(token)


def _ends_element(token: Node) -> bool:
    ends = ("end_tag", "self_closing_tag", "jsx_closing_element", "jsx_self_closing_element")
    return token.parent is not None and token.parent.kind in ends


def complete_before(tree: Tree, cursor: int) -> bool:
    """Whether the code before the cursor is a whole statement, so that nothing need follow it."""
    token = token_before(tree, cursor)
    if token is None:
        return False
    if token.kind == "system_lib_string":
        return True  # the grammar counts the line end as part of an include
    ending = (node for node in token.chain() if node.end == token.end)
    statement = next((node for node in ending if node.kind.endswith(_STATEMENTS)), None)
    return statement is not None and _is_complete(statement)


def _is_complete(statement: Node) -> bool:
    if statement.broken or _inside_header(statement):
        return False
    # A bare name is a statement to most grammars, but nobody means to write just that.
    parts = [part for part in statement.statements if part.end == statement.end]
    if not parts:
        return True
    undefined = parts[-1].kind == "variable_declarator" and parts[-1].field("value") is None
    return not undefined and (parts[-1].kind not in _NAMES or parts[-1].start > statement.start)


def is_complete_word(token: Node) -> bool:
    """Whether it is a keyword that says all there is to say: `pass`, `break`, `end`."""
    return token.text in _COMPLETE_WORDS and not token.named


def _inside_header(node: Node) -> bool:
    return node.parent is not None and node.parent.kind.startswith("for_")
