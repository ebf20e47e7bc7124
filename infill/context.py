"""What the model gets to see: the text round the holes, cut to a budget along syntax.

Knows documents and lines; does not know what a token is. The text nearest the holes always stays;
what is left out is far away, and of it the imports, the enclosing headers and the signatures of
neighbours stay as well, in file order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from infill.code.landmarks import Landmarks, Lines, landmarks_of, out_of_strings, signatures_of
from infill.document import Document
from model.canvas import Canvas, Hole

# Shares that read well on real files; none of them has been measured against a model yet.
BEFORE_TO_AFTER = 2  # the text before says more than the text after
FAR_BEFORE = 3  # one part in three of the text before may come from afar
FAR_AFTER = 6  # one in six of the text after
COUNTED = 24_000  # characters on each side that a model may count without laying them out
FROM_OTHERS = 4  # one in four of all may come from other files, where there is room


@dataclass(frozen=True, slots=True)
class Context:
    """The texts before, between and after the holes, with `\\n` line ends."""

    before: str
    between: tuple[str, ...]
    after: str


def context_of(
    document: Document, holes: Sequence[Hole], *, budget: int, others: Sequence[Document] = ()
) -> Context:
    """The context of holes that are in file order, in at most `budget` characters.

    Signatures of `others`, which the caller has chosen, come first and only where there is room.
    """
    text, ranges = _with_plain_line_ends(document.text, holes)
    first, last = ranges[0][0], ranges[-1][1]
    gaps = [(a_end, b_start) for (_, a_end), (b_start, _) in pairwise(ranges)]
    outside = first + len(text) - last
    rooms = _fair(tuple(end - start for start, end in gaps), budget - min(outside, budget // 2))
    between = tuple(_elided(text, *gap, room) for gap, room in zip(gaps, rooms, strict=True))
    rest = budget - sum(map(len, between))
    after_room = max(rest // (BEFORE_TO_AFTER + 1), rest - first)
    after = _after(document, text, last, after_room)
    before = _before(document, text, first, rest - len(after), others, budget // FROM_OTHERS)
    return Context(before, between, after)


def wide_of(document: Document, holes: Sequence[Hole]) -> tuple[str, str]:
    """The text before the first and after the last hole, in `\\n` line ends: as much as is worth
    counting."""
    before = document.text[max(0, holes[0].start - COUNTED) : holes[0].start]
    after = document.text[holes[-1].end : holes[-1].end + COUNTED]
    if holes[0].start > COUNTED:
        before = before.partition("\n")[2]  # not from the middle of a line
    return _counted(before), _counted(after)


def _counted(text: str) -> str:
    return _whole_characters(text.replace("\r\n", "\n"))


def compose(context: Context, holes: Sequence[Hole]) -> Canvas:
    """The canvas of a context. The holes keep their offsets in the document as it is."""
    texts = (context.before, *context.between, context.after)
    return Canvas(tuple(map(_whole_characters, texts)), tuple(map(_composed, holes)))


def _composed(hole: Hole) -> Hole:
    return replace(hole, former=_whole_characters(hole.former.replace("\r\n", "\n")))


def _whole_characters(text: str) -> str:
    # Half of a surrogate pair has no bytes: neither a socket nor a tokenizer could take it.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _with_plain_line_ends(text: str, holes: Sequence[Hole]) -> tuple[str, list[Lines]]:
    plain = text.replace("\r\n", "\n")

    def moved(offset: int) -> int:
        return min(offset - text.count("\r\n", 0, offset), len(plain))

    return plain, [(moved(hole.start), moved(hole.end)) for hole in holes]


def _before(
    document: Document, text: str, end: int, room: int, others: Sequence[Document], most: int
) -> str:
    if end <= room:
        near = text[max(0, end - room) : end]
        return signatures_of(others, near, min(most, room - end)) + text[:end]
    start = _tail_start(text, 0, end, room - room // FAR_BEFORE)
    near = text[start : end + room]
    marks = landmarks_of(text, document.language, end, near)
    elsewhere = signatures_of(others, near, room // FAR_BEFORE // FROM_OTHERS)
    room -= len(elsewhere)
    start = _clean_start(document, text, marks, start, end)
    lines = _chosen(marks, 0, start, room - (end - start))
    left = room - sum(b - a for a, b in lines)
    wider = _tail_start(text, 0, end, left)
    start = min(start, _clean_start(document, text, marks, wider, end))
    return elsewhere + _joined(text, [it for it in lines if it[1] <= start]) + text[start:end]


def _after(document: Document, text: str, start: int, room: int) -> str:
    if len(text) - start <= room:
        return text[start:]
    end = _head_end(text, start, len(text), room - room // FAR_AFTER)
    if text[end - 1 : end] != "\n":
        return text[start:end]
    marks = landmarks_of(text, document.language, start, text[max(0, start - room) : end])
    lines = _chosen(marks, end, len(text), room // FAR_AFTER)
    end = _head_end(text, start, len(text), room - sum(b - a for a, b in lines))
    end = out_of_strings(text, document.language, start, end)
    return text[start:end] + _joined(text, [it for it in lines if it[0] >= end])


def _chosen(marks: Landmarks, start: int, end: int, room: int) -> list[Lines]:
    """The best landmarks between the offsets that fit, in file order."""
    chosen: list[Lines] = []
    for lines in marks.lines:
        if start <= lines[0] and lines[1] <= end and lines[1] - lines[0] <= room:
            chosen.append(lines)
            room -= lines[1] - lines[0]
    return sorted(chosen)


def _joined(text: str, chosen: Sequence[Lines]) -> str:
    at, pieces = 0, [""]
    for start, end in chosen:
        pieces.append(text[max(start, at) : end])  # headers may share a line
        at = max(at, end)
    return "".join(pieces)


def _clean_start(document: Document, text: str, marks: Landmarks, start: int, end: int) -> int:
    return out_of_strings(text, document.language, end, _at_border(marks, start, end))


def _at_border(marks: Landmarks, start: int, end: int) -> int:
    """The next border of a definition, unless that costs more than a third of the text."""
    near = (border for border in marks.borders if start <= border <= start + (end - start) // 3)
    return next(near, start)


def _tail_start(text: str, start: int, end: int, room: int) -> int:
    """Where the last `room` characters of a stretch begin, moved to where a line does."""
    if end - start <= room:
        return start
    cut = end - room
    line = cut if text[cut - 1] == "\n" else text.find("\n", cut, end) + 1
    return line if line and end - line >= room // 4 else cut  # else a line is absurdly long


def _head_end(text: str, start: int, end: int, room: int) -> int:
    """Where the first `room` characters of a stretch end, moved to where a line does."""
    if end - start <= room:
        return end
    cut = start + room
    line = text.rfind("\n", start, cut) + 1
    return line if line - start >= max(1, room // 4) else cut


def _elided(text: str, start: int, end: int, room: int) -> str:
    """A stretch between two holes, of which the middle is left out where it does not fit."""
    if end - start <= room:
        return text[start:end]
    head = text[start : _head_end(text, start, end, room // 2)]
    seam = "" if head.endswith("\n") or room < 2 else "\n"
    return head + seam + text[_tail_start(text, start, end, room - len(head) - len(seam)) : end]


def _fair(lengths: Sequence[int], room: int) -> list[int]:
    """The room of each: as long as it is, unless that takes more than an equal share."""
    rooms = dict.fromkeys(range(len(lengths)), 0)
    waiting = len(lengths)
    for index in sorted(rooms, key=lambda it: lengths[it]):
        rooms[index] = min(lengths[index], room // waiting)
        room -= rooms[index]
        waiting -= 1
    return list(rooms.values())
