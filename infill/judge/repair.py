"""Whether a fill makes the file parse worse, and its second chance: re-noising what offends.

Knows ranges of errors, not syntax trees.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial

from infill.answer import Answer, Watch, answer_to
from infill.aside import aside
from infill.code.strict import refused_at
from infill.code.syntax import errors_in
from infill.document import Document
from infill.edit import Span, more_broken
from infill.judge.tidy import tidy
from infill.reason import Reason
from model.canvas import Canvas, Claim, Denoiser, Hole

HALF, ALL = 0.5, 1.0  # a light touch first: mostly one token is wrong


@dataclass(frozen=True, slots=True)
class Repaired:
    """A text that parses no worse, or `BREAKS_SYNTAX`; and the answers it took, mostly none."""

    text: str | Reason
    answers: tuple[Answer, ...] = ()

    @property
    def score(self) -> float:
        """The mean confidence of what was written last, 1.0 where nothing had to be."""
        pieces = self.answers[-1].pieces(0) if self.answers else ()
        return sum(piece.confidence for piece in pieces) / len(pieces) if pieces else 1.0


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
    claim: Claim = Claim(),
) -> Repaired:
    """`text` itself when it parses no worse, else what the model makes of the offending stretch.

    `canvas` is that of the one hole. At most two attempts, none after the deadline: the first
    keeps half of the stretch, the second forgets it and the tokens next to it.
    """
    answers: list[Answer] = []
    offending = await aside(len(document.text), partial(offence, text, hole, document))
    for strength in (HALF, ALL) if "re-noise" in denoiser.card.abilities else (ALL,):
        if offending is None:
            break
        stretch = offending if strength == HALF else _with_neighbours(text, *offending)
        if strength == ALL and stretch == (0, len(text)):
            break  # that is the canvas the model has answered already
        again = renoised(canvas, text, stretch, strength)
        answer = await answer_to(again, denoiser, deadline=deadline, watch=watch, claim=claim)
        answers.append(answer)
        if answer.draft is None or not answer.final:
            break
        written = text[: stretch[0]] + answer.draft.texts[0] + text[stretch[1] :]
        mended = tidy(written, hole, document, max_lines=max_lines)
        if not isinstance(mended, Reason):
            text = mended
            offending = await aside(len(document.text), partial(offence, text, hole, document))
    return Repaired(text if offending is None else Reason.BREAKS_SYNTAX, tuple(answers))


def renoised(canvas: Canvas, text: str, stretch: Span, strength: float) -> Canvas:
    """The canvas with the good part of the fill as fixed text and the stretch as its hole."""
    (hole,), (before, after) = canvas.holes, canvas.texts
    start, end = stretch
    again = replace(hole, former=text[start:end], strength=strength)
    wide = canvas.wide[0] + text[:start], text[end:] + canvas.wide[1]
    return Canvas((before + text[:start], text[end:] + after), (again,), wide, canvas.others)


def offence(text: str, hole: Hole, document: Document) -> Span | None:
    """The stretch of the fill that makes the file parse worse; None when it does not.

    The file is compared with itself as it stands, a placeholder in the hole included. While a
    line is being written it has errors of its own, which a fill need not mend: worse is one error
    more, errors that spread over more than the fill, or one that lies in the fill alone. None too
    where there is no grammar.
    """
    filled = document.text[: hole.start] + text + document.text[hole.end :]
    after, before = (errors_in(it, document.language) for it in (filled, document.text))
    end = hole.start + len(text)
    if after and before is not None and more_broken(after, before, [(hole.start, end)]):
        return _stretch(after, text, hole.start)
    if document.language == "python" and not before:
        at = refused_at(filled, document.text, hole.start, end)
        return None if at is None else _line_of(text, at - hole.start)
    return None


def _stretch(errors: tuple[Span, ...], text: str, start: int) -> Span:
    """From the first to the last error in the fill; all of it when they lie elsewhere."""
    clipped = [(max(a - start, 0), min(b - start, len(text))) for a, b in errors]
    inside = [(a, b) for a, b in clipped if a <= b]
    if not inside:
        return 0, len(text)
    return _widened(text, min(a for a, _ in inside), max(b for _, b in inside))


def _widened(text: str, start: int, end: int) -> Span:
    """A stretch of at least one whole word: what is missing has no width of its own."""
    while start > 0 and (start == end or _in_word(text, start)):
        start -= 1
    while end < len(text) and (start == end or _in_word(text, end)):
        end += 1
    return start, end


def _with_neighbours(text: str, start: int, end: int) -> Span:
    """The stretch and a token on each side: a parser often stops one token off the mistake."""
    before, after = TOKEN_BEFORE.search(text[:start]), TOKEN_AFTER.match(text[end:])
    return before.start() if before else start, end + after.end() if after else end


TOKEN_BEFORE = re.compile(r"(?:\w+|\S)\s*\Z")
TOKEN_AFTER = re.compile(r"\s*(?:\w+|\S)")


def _in_word(text: str, at: int) -> bool:
    return (text[at - 1] + text[at]).replace("_", "a").isalnum()


def _line_of(text: str, at: int) -> Span:
    """The line of the fill at an offset that may lie outside of the fill."""
    at = min(max(at, 0), len(text))
    end = text.find("\n", at)
    return text.rfind("\n", 0, at) + 1, len(text) if end < 0 else end
