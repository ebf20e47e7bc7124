"""The sure beginning of a text whose end is a guess. Knows how sure each piece is, not why.

For networks that say so piece by piece. Where whole texts were weighed, as beside the counts, their
beginnings were tried, too, and were little more than a bare `return` (bench/RESULTS.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile

from infill.document import Document
from infill.judge.repair import offence
from infill.judge.tidy import tidy
from infill.reason import Reason
from model.canvas import Hole, Piece, text_of

TRIES = 4  # each takes a parse of the file
PART_OF_A_WORD = re.compile(r"\w+\Z")


def trimmed(
    pieces: Sequence[Piece], gate: float, hole: Hole, document: Document, *, max_lines: int
) -> str | Reason:
    """What of the pieces is to be shown, tidied: all, unless one of them is less sure than the
    gate and of what stands before it something can stand by itself."""
    for beginning in islice(sure_beginnings(pieces, gate), TRIES):
        cut = tidy(beginning, hole, document, max_lines=max_lines)
        if not isinstance(cut, Reason) and offence(cut, hole, document) is None:
            return cut
    return tidy(text_of(pieces), hole, document, max_lines=max_lines)


def sure_beginnings(pieces: Sequence[Piece], gate: float) -> Iterator[str]:
    """Whole words before the first piece that is less sure than the gate, the most first; none
    where no piece is, or nothing stands before it."""
    sure = sum(1 for _ in takewhile(lambda piece: piece.confidence >= gate, pieces))
    if sure == len(pieces):
        return
    former = ""
    for end in range(sure, 0, -1):
        text = text_of(pieces[:end])
        if re.match(r"\w", pieces[end].text):
            text = PART_OF_A_WORD.sub("", text)
        text = text.rstrip()
        if text.strip() and text != former:
            yield (former := text)
