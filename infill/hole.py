"""Where text is due at a cursor, or the reason why none is.

Knows the text and its syntax; does not know what will be written there, nor by whom.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from infill.code.due import (
    Place,
    complete_before,
    header_of_due_block,
    indentation_at,
    is_complete_word,
    opens_block,
    place_at,
    splits_token,
    token_before,
    wants_more,
)
from infill.code.languages import language_named
from infill.code.syntax import Tree, parse, window_round
from infill.document import Document
from infill.reason import Reason
from infill.settings import Settings
from model.canvas import Hole

LINE_LIMIT = 48  # tokens: the longest lines of code that people keep are about this long
BLOCK_LIMIT = 128  # tokens: a dozen lines, as many as anyone reads before accepting
MARKER = "__HOLE__"

_LINE_END = re.compile(r"\r\n|\n|\r")
_CLOSERS = re.compile(r"[\s)\]}>\"'`;,:]*")
_JOINS = re.compile(
    r"\s*(?:[)\]}%/=<>|^?,;:.]|!=|[-+*&](?=[\s=*&])|"
    r"(?:if|else|and|or|in|is|not\s+in|as|for|from|of|instanceof)\b)"
)  # what may stand behind an expression that is still to be written
_CLOSES = re.compile(r"[)\]};,:>\"'`]")


def hole_at(
    document: Document, cursor: int, settings: Settings, *, invoked: bool = False
) -> Hole | Reason:
    """The hole at the cursor, always an empty range there, or why none is offered.

    `invoked` means that the user asked for it: then it is offered wherever text can go.
    """
    text = document.text
    if not 0 <= cursor <= len(text):
        raise ValueError(f"the cursor {cursor} is outside the text of {len(text)} characters")
    if not settings.enabled:
        return Reason.DISABLED
    if _splits(text, cursor) or (_is_word(text[cursor : cursor + 1]) and not invoked):
        return Reason.WORD_FOLLOWS
    start, end = window_round(text, cursor)
    tree = parse(text[start:end], document.language)
    if tree is None:
        return _hole_in_plain_text(text, cursor, invoked)
    return _hole_in_code(document, tree, cursor, cursor - start, settings, invoked)


def _splits(text: str, cursor: int) -> bool:
    """Whether the cursor stands within a word, a character or a line end."""
    before, after = text[cursor - 1 : cursor] if cursor else "", text[cursor : cursor + 1]
    joined = after in ("\u200d", "\ufe0f") or (after and unicodedata.category(after)[0] == "M")
    return bool(joined) or before + after == "\r\n" or (_is_word(before) and _is_word(after))


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def _hole_in_plain_text(text: str, cursor: int, invoked: bool) -> Hole | Reason:
    left, right = _line_round(text, cursor)
    anything_before = left.strip() or text[:cursor].strip()
    if invoked or (anything_before and _CLOSERS.fullmatch(right)):
        return Hole(cursor, cursor, limit=LINE_LIMIT, indent=indentation_at(text, cursor))
    return Reason.NOTHING_DUE


def _hole_in_code(
    document: Document, tree: Tree, cursor: int, here: int, settings: Settings, invoked: bool
) -> Hole | Reason:
    place, right = place_at(tree, here), _line_round(tree.text, here)[1]
    has_room = place is Place.CODE and _CLOSERS.fullmatch(right) is not None
    header = header_of_due_block(tree, here) if has_room else None
    reason = None if invoked or header is not None else _reason_against(tree, here, place)
    if reason is not None:
        return reason
    multiline = settings.multiline and header is not None
    indent = (
        indentation_at(tree.text, here)
        if header is None
        else _indent_due(document, tree.text, header, here)
    )
    limit = BLOCK_LIMIT if multiline else LINE_LIMIT
    return Hole(cursor, cursor, multiline=multiline, limit=limit, indent=indent)


def _reason_against(tree: Tree, cursor: int, place: Place) -> Reason | None:
    """Why a suggestion that nobody asked for would annoy here."""
    if place is Place.STRING:
        return Reason.CURSOR_IN_STRING
    if place is Place.COMMENT:
        return Reason.CURSOR_IN_COMMENT
    left, right = _line_round(tree.text, cursor)
    if not right.strip():
        room = _room_at_line_end(tree, cursor, left)
    elif _is_remark(tree, cursor, right):
        room = wants_more(tree, cursor) and left.strip()[-1:] not in ("", ",")
    else:
        room = _room_within_line(tree, cursor, left, right)
    return None if room else Reason.NOTHING_DUE


def _is_remark(tree: Tree, cursor: int, right: str) -> bool:
    start = cursor + len(right) - len(right.lstrip())
    return place_at(tree, start + 1) is Place.COMMENT


def _room_at_line_end(tree: Tree, cursor: int, left: str) -> bool:
    if not left.strip():
        return bool(tree.text.strip())  # a new line; but an empty file says nothing to go by
    token = token_before(tree, cursor)
    if token is None or "\n" in tree.text[token.end : cursor]:
        return False  # only a comment stands on this line
    if opens_block(tree, token):
        return False  # the block is there already
    if _is_word(left[-1:]):
        return not is_complete_word(token)  # a word may always go on
    return wants_more(tree, cursor) or not complete_before(tree, cursor)


def _room_within_line(tree: Tree, cursor: int, left: str, right: str) -> bool:
    if splits_token(tree, cursor) or not (_CLOSERS.fullmatch(right) or _JOINS.match(right)):
        return False
    if not left.strip() and right[:1].isspace():
        return False  # the cursor is only on its way through the indentation
    at_word_before_closer = _is_word(left[-1:]) and _CLOSES.match(right) is not None
    return at_word_before_closer or wants_more(tree, cursor)


def _line_round(text: str, cursor: int) -> tuple[str, str]:
    """The cursor's line on its left and on its right, without the line ends."""
    start = max(text.rfind("\n", 0, cursor), text.rfind("\r", 0, cursor)) + 1
    end = _LINE_END.search(text, cursor)
    return text[start:cursor], text[cursor : end.start() if end else len(text)]


def _indent_due(document: Document, text: str, header: int, cursor: int) -> str:
    outer, here = indentation_at(text, header), indentation_at(text, cursor)
    left, _ = _line_round(text, cursor)
    if not left.strip() and here.startswith(outer) and len(here) > len(outer):
        return here  # the editor has indented already
    language = language_named(document.language)
    return outer + indent_unit(text, language.unit if language else "    ")


def indent_unit(text: str, default: str) -> str:
    """One step of indentation as this text makes it: the step it goes in by most often."""
    steps: Counter[str] = Counter()
    before = ""
    for line in text[:50_000].split("\n"):  # enough lines to tell
        if line.strip():
            blanks = line[: len(line) - len(line.lstrip(" \t"))]
            if blanks.startswith(before) and blanks != before:
                steps[blanks[len(before) :]] += 1
            before = blanks
    return steps.most_common(1)[0][0] if steps else default
