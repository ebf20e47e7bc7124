"""Whether a fill makes the file parse worse, and its second chance: re-noising what offends.

Knows error ranges, not syntax trees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from infill.answer import Watch, answer_to
from infill.aside import aside
from infill.document import Document
from infill.reason import Reason
from infill.syntax import errors_in
from infill.tidy import tidy
from model.canvas import Canvas, Denoiser, Hole

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Repaired:
    """What came of it: a text that parses no worse, or the reason; and what it cost."""

    text: str | Reason
    score: float = 1.0  # of what was written anew
    steps: int = 0
    queue_ms: float = 0.0
    steps_ms: float = 0.0


async def repair(
    text: str,
    hole: Hole,
    document: Document,
    canvas: Canvas,
    *,
    denoiser: Denoiser,
    deadline: float,
    max_lines: int = 12,
    watch: Watch | None = None,
) -> Repaired:
    """`text` itself when it parses, else what the model makes of the offending stretch.

    The canvas is that of the one hole. First half of the stretch's tokens are re-noised, then all
    of them; after two attempts, or at the deadline, it is `BREAKS_SYNTAX`.
    """
    result = Repaired(text)
    strengths = (0.5, 1.0) if "re-noise" in denoiser.card.abilities else (1.0,)
    offending = offence(text, hole, document)
    for strength in strengths:
        if offending is None:
            return replace(result, text=text)
        again = renoised(canvas, text, offending, strength)
        answer = await answer_to(again, denoiser, deadline=deadline, watch=watch)
        result = replace(
            result,
            steps=result.steps + answer.steps,
            queue_ms=result.queue_ms + answer.queue_ms,
            steps_ms=result.steps_ms + answer.steps_ms,
        )
        if answer.draft is None or not answer.final:
            return replace(result, text=Reason.BREAKS_SYNTAX)
        pieces = answer.pieces(0)
        result = replace(
            result, score=sum(p.confidence for p in pieces) / len(pieces) if pieces else 1.0
        )
        written = text[: offending[0]] + answer.draft.texts[0] + text[offending[1] :]
        tidied = tidy(written, hole, document, max_lines=max_lines)
        if isinstance(tidied, Reason):
            continue
        text, offending = tidied, offence(tidied, hole, document)
    return replace(result, text=text if offending is None else Reason.BREAKS_SYNTAX)


def renoised(canvas: Canvas, text: str, stretch: Span, strength: float) -> Canvas:
    """The canvas with the good part of the fill as fixed text and the stretch as its hole."""
    (hole,), (before, after) = canvas.holes, canvas.texts
    start, end = stretch
    again = replace(hole, former=text[start:end], strength=strength)
    return Canvas((before + text[:start], text[end:] + after), (again,))


def offence(text: str, hole: Hole, document: Document) -> Span | None:
    """The stretch of the fill that makes the file parse worse; None when it does not.

    The file is compared with itself as it stands, placeholder included: while a line is being
    written it has errors of its own, and a fill need not mend them. Worse is more errors, or as
    many that cover more of the text the user wrote. None too where there is no grammar.
    """
    errors_before = errors_in(document.text, document.language)
    filled = document.text[: hole.start] + text + document.text[hole.end :]
    errors_after = errors_in(filled, document.language)
    if not errors_after or errors_before is None:
        return None
    end = hole.start + len(text)
    covered_before = sum(b - a for a, b in errors_before)
    covered_after = sum(b - a for a, b in errors_after)
    if len(errors_after) <= len(errors_before) and covered_after <= covered_before + len(text):
        return None
    inside = [(max(a, hole.start), min(b, end)) for a, b in errors_after]
    inside = [(a, b) for a, b in inside if a <= b]
    if not inside:
        return 0, len(text)
    first, last = min(a for a, _ in inside), max(b for _, b in inside)
    return widened(text, first - hole.start, last - hole.start)


def widened(text: str, start: int, end: int) -> Span:
    """A stretch of at least one whole word: what is missing has no width of its own."""
    while start > 0 and (start == end or _in_word(text, start)):
        start -= 1
    while end < len(text) and (start == end or _in_word(text, end)):
        end += 1
    return start, end


def _in_word(text: str, at: int) -> bool:
    return text[at - 1 : at].isidentifier() and text[at : at + 1].isidentifier()
