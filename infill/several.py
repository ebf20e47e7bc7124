"""Several holes of one document: each of them beside what is written in the others.

Knows documents, canvases and texts; does not know how good a text is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from infill.document import Document
from infill.edit import line_end_of
from infill.judge.tidy import tidy
from infill.reason import Reason
from model.canvas import Canvas, Hole


def stood_in(document: Document, hole: Hole) -> str:
    return document.text[hole.start : hole.end]


def beside_the_others(
    document: Document, holes: Sequence[Hole], texts: Sequence[str], i: int
) -> tuple[Document, Hole]:
    """The document with `texts` in all holes but the one, and where that hole is then."""
    pieces: list[str] = []
    at = 0
    for hole, text in zip(holes[:i], texts[:i], strict=True):
        pieces += (document.text[at : hole.start], text)
        at = hole.end
    before = "".join(pieces) + document.text[at : holes[i].start]
    pieces, at = [], holes[i].end
    for hole, text in zip(holes[i + 1 :], texts[i + 1 :], strict=True):
        pieces += (document.text[at : hole.start], text)
        at = hole.end
    after = "".join(pieces) + document.text[at:]
    stood = stood_in(document, holes[i])
    moved = replace(holes[i], start=len(before), end=len(before) + len(stood))
    return replace(document, text=before + stood + after), moved


def tidied(
    document: Document, holes: Sequence[Hole], written: Sequence[str], max_lines: int
) -> list[str]:
    """What may stand in each hole beside what is written in the others, in the document's line
    ends; what stands there already where nothing may."""
    end = line_end_of(document.text)
    texts: list[str] = []
    for i, hole in enumerate(holes):
        beside, moved = beside_the_others(document, holes, written, i)
        text = tidy(written[i], moved, beside, max_lines=max_lines)
        stood = stood_in(document, hole)
        texts.append(stood if isinstance(text, Reason) else text.replace("\n", end))
    return texts


def narrowed(canvas: Canvas, hole: Hole, i: int, texts: Sequence[str]) -> Canvas:
    """The canvas of the hole `i` alone, at `hole`'s place, the others filled with `texts`."""
    texts = [text.replace("\r\n", "\n").replace("\r", "\n") for text in texts]
    pairs = zip(canvas.texts[:i], texts[:i], strict=True)
    before = "".join(part for pair in pairs for part in pair) + canvas.texts[i]
    pairs = zip(texts[i + 1 :], canvas.texts[i + 2 :], strict=True)
    after = canvas.texts[i + 1] + "".join(part for pair in pairs for part in pair)
    wide_before, wide_after = canvas.wide
    inner_before = before[len(canvas.texts[0]) :]
    inner_after = after[: len(after) - len(canvas.texts[-1])]
    wide = wide_before + inner_before, inner_after + wide_after
    alone = replace(canvas.holes[i], start=hole.start, end=hole.end)
    return Canvas((before, after), (alone,), wide, canvas.others)
