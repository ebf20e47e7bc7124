"""What may be watched while a document is written into: its places, and the draft for each.

Knows documents, gaps and drafts; neither editors nor how often anybody looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infill.deeds.holes import Gap
from infill.document import Document
from infill.edit import Edit, Span
from model.canvas import Canvas, Draft, Hole, Piece, text_of


@dataclass(frozen=True, slots=True)
class Stretch:
    """`text` as the draft for what stands from `start` to `end` of the document; of it `settled`
    (starts and lengths) will hardly change any more. `number` stays a place's own."""

    number: int
    start: int
    end: int
    text: str
    settled: tuple[Span, ...]


Show = Callable[[tuple[Stretch, ...]], None]  # gets every place that has a draft, each time


class Places:
    """The drafts of a document's gaps, or of whatever holes of it a model is asked about; `opened`
    are the gaps' holes in the text that they are filled in. Each draft is shown with all others."""

    def __init__(
        self, show: Show, document: Document, gaps: Sequence[Gap] = (), opened: Sequence[Hole] = ()
    ) -> None:
        self._show = show
        self._document = document
        self._gaps = gaps
        self._numbers = {(hole.start, hole.end): n for n, hole in enumerate(opened)}
        self._drafts: dict[int, Stretch] = {}

    def saw(self, canvas: Canvas, draft: Draft) -> None:
        """A canvas that mends what is written already has no draft of a whole place, and of several
        rewrites at once the first is enough to watch."""
        if canvas.seed or not all(map(self._is_whole, canvas.holes)):
            return
        pairs = zip(canvas.holes, draft.holes, strict=True)
        if self._gaps:
            for hole, pieces in pairs:
                number = self._numbers[hole.start, hole.end]
                self._drafts[number] = _in_gap(number, self._gaps[number], pieces)
        else:
            self._drafts = {n: _stretch(n, hole, pieces) for n, (hole, pieces) in enumerate(pairs)}
        self._show(tuple(self._drafts[number] for number in sorted(self._drafts)))

    def _is_whole(self, hole: Hole) -> bool:
        if self._gaps:
            return (hole.start, hole.end) in self._numbers and not hole.former
        return hole.former in ("", self._document.text[hole.start : hole.end])


def settled_in(edits: Sequence[Edit], shown: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """The edits as drafts that nothing is left to be done to, under the numbers that their places
    were shown by; a place that was not shown has one of its own."""
    numbers: dict[Span, list[int]] = {}
    for each in reversed(shown):
        numbers.setdefault((each.start, each.end), []).append(each.number)
    fresh = max((each.number for each in shown), default=-1)
    stretches: list[Stretch] = []
    for edit in edits:
        known = numbers.get((edit.start, edit.end))
        if not known:
            fresh += 1
        number = known.pop() if known else fresh
        whole = ((0, len(edit.text)),) if edit.text else ()
        stretches.append(Stretch(number, edit.start, edit.end, edit.text, whole))
    return tuple(stretches)


def _in_gap(number: int, gap: Gap, pieces: Sequence[Piece]) -> Stretch:
    """With what stands round the hole once the gap is filled."""
    around = (Piece(gap.lead, 1.0), *pieces, Piece(gap.tail, 1.0))
    return Stretch(number, gap.start, gap.end, text_of(around), _settled(around))


def _stretch(number: int, hole: Hole, pieces: Sequence[Piece]) -> Stretch:
    return Stretch(number, hole.start, hole.end, text_of(pieces), _settled(pieces))


def _settled(pieces: Sequence[Piece]) -> tuple[Span, ...]:
    """The settled parts by start and length; those side by side are one."""
    spans: list[Span] = []
    at = 0
    for piece in pieces:
        length = len(piece.text)
        if piece.settled and length:
            start, before = spans[-1] if spans else (0, -1)
            if start + before == at:
                spans[-1] = start, before + length
            else:
                spans.append((at, length))
        at += length
    return tuple(spans)
