"""What edits do to a text, as a unified diff that `patch` takes. Knows no files and no holes.

The edits are known, so nothing has to be guessed: a general comparison of two large files is slow,
and where many lines are alike it finds changes that nobody made.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from infill.fill import Edit
from infill.source import LINE_END, line_starts

AROUND = 3  # unchanged lines on each side, as everywhere


def diff_of(name: str, text: str, edits: Sequence[Edit]) -> list[str]:
    """The lines of the diff, each with its own line end; none where the edits change nothing.

    The edits are in order and do not overlap.
    """
    hunks: list[str] = []
    grown = 0  # lines by which the new text is ahead of the old one
    for stretch in stretches_of(text, edits):
        hunks += hunk_of(stretch, grown)
        grown += len(stretch.new) - len(stretch.old)
    return [f"--- {name}\n", f"+++ {name}\n", *hunks] if hunks else []


@dataclass(frozen=True, slots=True)
class Stretch:
    """Whole lines that hold one edit or several near ones, before and after, and their number."""

    first: int
    old: list[str]
    new: list[str]


def stretches_of(text: str, edits: Sequence[Edit]) -> Iterator[Stretch]:
    starts = [*line_starts(text), len(text)]
    group: list[Edit] = []
    for edit in edits:
        if group and line_at(starts, edit.start) - line_at(starts, group[-1].end) > 2 * AROUND:
            yield stretch_of(text, starts, group)
            group = []
        group.append(edit)
    if group:
        yield stretch_of(text, starts, group)


def line_at(starts: list[int], offset: int) -> int:
    return min(bisect_right(starts, offset), len(starts) - 1) - 1


def stretch_of(text: str, starts: list[int], edits: Sequence[Edit]) -> Stretch:
    first = max(0, line_at(starts, edits[0].start) - AROUND)
    last = min(len(starts) - 1, line_at(starts, edits[-1].end) + 1 + AROUND)
    new, done = "", starts[first]
    for edit in edits:
        new += text[done : edit.start] + edit.text
        done = edit.end
    new += text[done : starts[last]]
    return Stretch(first, lines_of(text[starts[first] : starts[last]]), lines_of(new))


def hunk_of(stretch: Stretch, grown: int) -> Iterator[str]:
    old, new = stretch.old, stretch.new
    if old == new:
        return
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    yield f"@@ -{span(stretch.first, old)} +{span(stretch.first + grown, new)} @@\n"
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            yield from (ended(f" {line}") for line in old[old_start:old_end])
            continue
        yield from (ended(f"-{line}") for line in old[old_start:old_end])
        yield from (ended(f"+{line}") for line in new[new_start:new_end])


def span(first: int, lines: list[str]) -> str:
    """An empty range is named by the line before it."""
    return f"{first + bool(lines)},{len(lines)}"


def ended(line: str) -> str:
    return line if LINE_END.search(line) else f"{line}\n\\ No newline at end of file\n"


def lines_of(text: str) -> list[str]:
    """Split where editors split, and nowhere else, each line with its end."""
    starts = [*line_starts(text), len(text)]
    return [text[start:end] for start, end in pairwise(starts) if start < end]
