"""An edit of a document, what becomes of the document, and whether it parses worse with several.

Knows no holes and no models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from infill.code.strict import refused_at
from infill.code.syntax import errors_in
from infill.document import Document

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Edit:
    """The text that replaces `document.text[start:end]`, in the document's own line ends."""

    start: int
    end: int
    text: str


def applied(document: Document, edit: Edit) -> Document:
    """The document after the edit; nothing outside its range changes."""
    text = document.text[: edit.start] + edit.text + document.text[edit.end :]
    return replace(document, text=text)


def worse_with(edits: Sequence[Edit], document: Document) -> bool:
    """Whether the file parses worse with all these edits, which are in file order, than as it
    stands: one error more, errors that spread over more than was written, or one in an edit alone.
    """
    if not edits:
        return False
    filled, ranges = document, list[tuple[int, int]]()
    moved = 0
    for edit in edits:
        at = replace(edit, start=edit.start + moved, end=edit.end + moved)
        filled = applied(filled, at)
        ranges.append((at.start, at.start + len(edit.text)))
        moved += len(edit.text) - (edit.end - edit.start)
    after, before = (errors_in(it.text, it.language) for it in (filled, document))
    if after and before is not None and more_broken(after, before, ranges):
        return True
    if document.language != "python" or before:
        return False
    return refused_at(filled.text, document.text, ranges[0][0], ranges[-1][1]) is not None


def more_broken(after: Sequence[Span], before: Sequence[Span], written: Sequence[Span]) -> bool:
    """Whether the errors `after` are worse than those `before`, with text written at `written`."""
    spread = sum(b - a for a, b in after) - sum(b - a for a, b in before)
    inside = any(start <= a < b <= end for start, end in written for a, b in after)
    return len(after) > len(before) or spread > sum(b - a for a, b in written) or inside


def line_end_of(text: str) -> str:
    """The line end that the document uses most."""
    pairs = text.count("\r\n")
    counts = {"\n": text.count("\n") - pairs, "\r\n": pairs, "\r": text.count("\r") - pairs}
    return max(counts, key=lambda end: counts[end])
