"""What of a model's answer is told to who has shown no file, only the text on both sides of a hole.

That is a plugin of other people's that asks a server in another protocol: neither a name nor a
language comes along. Where the model has learnt one language, the text is taken for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from infill.aside import aside
from infill.code.due import indentation_at
from infill.document import Document
from infill.hole import hole_at
from infill.judge.choose import chosen_from
from infill.judge.tidy import tidy
from infill.reason import Reason
from infill.settings import Settings
from model.canvas import Canvas, Card, Draft, Hole, Piece, Rival, text_of


async def chosen_between(draft: Draft, canvas: Canvas, card: Card) -> str:
    """The text for the canvas's one hole, nothing where none may stand there."""
    before, after = canvas.wide
    (language,) = card.languages if len(card.languages) == 1 else ("",)
    document = Document(None, language, before + after)
    rivals = draft.rivals[0] if draft.rivals else ()
    told = partial(told_from, rivals, draft.holes[0], canvas.holes[0], document, len(before))
    return await aside(len(document.text), told)


def told_from(
    rivals: Sequence[Rival], written: Sequence[Piece], hole: Hole, document: Document, cursor: int
) -> str:
    hole = replace(hole, start=cursor, end=cursor, indent=indent_due(document, cursor))
    choice = chosen_from(rivals, written, hole, document) if rivals else None
    if choice is not None:
        return choice.text
    tidied = tidy(text_of(written), hole, document)
    return "" if isinstance(tidied, Reason) else tidied


def indent_due(document: Document, cursor: int) -> str:
    """As deep as the block that is due at the cursor is, else as its line is."""
    due = hole_at(document, cursor, Settings(), invoked=True)
    return indentation_at(document.text, cursor) if isinstance(due, Reason) else due.indent
