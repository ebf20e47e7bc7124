"""What of an answer is worth showing for a hole: an edit and its score, or the reason why none is.

Knows no protocol and no networks, and not how a canvas comes to be; a model is asked only where its
text does not parse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from infill.answer import Answer, Watch
from infill.aside import aside
from infill.document import Document
from infill.edit import Edit, line_end_of
from infill.judge.choose import Choice, choices_from, nearby
from infill.judge.repair import Repaired, offence, repair
from infill.judge.trim import trimmed
from infill.reason import Reason
from infill.settings import Settings
from model.canvas import Canvas, Claim, Denoiser, Hole, Piece


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time went. `queue_ms` is how long the canvas waited for the model, `wire_ms` what
    went by between here and the server that has it, `pause_ms` how long another key was waited
    for."""

    context_ms: float = 0.0
    queue_ms: float = 0.0
    steps_ms: float = 0.0
    tidy_ms: float = 0.0
    wire_ms: float = 0.0
    pause_ms: float = 0.0

    @property
    def total(self) -> float:
        return sum(getattr(self, name) for name in self.__slots__)


@dataclass(frozen=True, slots=True)
class Further:
    """Another edit that is worth showing in the place of the first, and its score."""

    edit: Edit
    score: float


@dataclass(frozen=True, slots=True)
class Fill:
    """An edit worth showing and its score, or no edit and the reason; never neither.

    `score` is how probable it is that exactly this belongs there, where the model weighed several
    texts, else the mean confidence of the pieces shown. `steps` counts the model's steps, those of
    a repair included; holes that were filled jointly share theirs. `others` are further texts for
    the same hole, the best first; None where there may be some that nobody has looked for. It is
    `whole` unless the deadline came before the model's last draft.
    """

    edit: Edit | None
    score: float
    reason: Reason | None
    steps: int
    timing: Timing
    remembered: bool = False
    others: tuple[Further, ...] | None = ()
    whole: bool = True

    def __post_init__(self) -> None:
        if (self.edit is None) == (self.reason is None):
            raise ValueError("a fill has either an edit or a reason why there is none")


@dataclass(frozen=True, slots=True)
class Request:
    """What stays the same from the question to the fill."""

    denoiser: Denoiser
    settings: Settings
    deadline: float  # in the event loop's time
    root: Path | None
    watch: Watch | None
    began: float
    claim: Claim = Claim()
    most: int = 1  # texts for a hole

    def elapsed_ms(self) -> float:
        return (perf_counter() - self.began) * 1000

    def nothing(self, reason: Reason) -> Fill:
        return Fill(None, 0.0, reason, 0, Timing(self.elapsed_ms()))


async def judged(
    document: Document,
    canvas: Canvas,
    *,
    answer: Answer,
    i: int,
    request: Request,
    context_ms: float,
) -> Fill:
    """What of the answer for hole `i` is worth showing; `canvas` is that of this hole alone."""
    began = perf_counter()
    hole, pieces = canvas.holes[0], answer.pieces(i)
    settings, most = request.settings, request.settings.max_lines
    size = len(document.text)
    rivals = answer.rivals(i)
    choose = partial(
        choices_from, rivals, pieces, hole, document, most=request.most, max_lines=most
    )
    choices = await aside(size, choose) if rivals else ()
    choice = choices[0] if choices else None
    trim = partial(trimmed, pieces, settings.gate, hole, document, max_lines=most)
    shown = choice.text if choice else await aside(size, trim)
    repaired = Repaired(shown)
    if not isinstance(shown, Reason) and not _parsed_with(choice, hole, document):
        repaired = await repair(
            shown, hole, document, canvas, denoiser=request.denoiser, deadline=request.deadline,
            max_lines=most, watch=request.watch, claim=request.claim,
        )  # fmt: skip
    text, steps = repaired.text, answer.steps + sum(it.steps for it in repaired.answers)
    score = 0.0
    if not isinstance(shown, Reason):
        score = choice.probability if choice else _score(pieces, shown)
        score = min(score, repaired.score)
    timing = _timing(context_ms, answer, repaired.answers, (perf_counter() - began) * 1000)
    if isinstance(text, Reason):
        # Half an answer is dropped for want of time, whatever it lacks.
        reason = text if answer.final else Reason.DEADLINE
        return Fill(None, score, reason, steps, timing)
    if score < settings.gate:
        return Fill(None, score, Reason.LOW_CONFIDENCE, steps, timing)
    further = partial(_further, [it for it in choices[1:] if it.text != text], hole, document)
    return Fill(
        _edit(text, hole, document), score, None, steps, timing,
        others=await aside(size, further) if request.most > 1 else None if rivals else (),
        whole=answer.final,
    )  # fmt: skip


def _edit(text: str, hole: Hole, document: Document) -> Edit:
    return Edit(hole.start, hole.end, text.replace("\n", line_end_of(document.text)))


def _further(choices: Sequence[Choice], hole: Hole, document: Document) -> tuple[Further, ...]:
    """Without those that parse worse where all of the document is looked at."""
    return tuple(
        Further(_edit(it.text, hole, document), it.probability)
        for it in choices
        if _parsed_with(it, hole, document) or offence(it.text, hole, document) is None
    )


def _parsed_with(choice: Choice | None, hole: Hole, document: Document) -> bool:
    """Whether all of the document was parsed with the choice when it was made."""
    return choice is not None and nearby(document, hole)[0].text == document.text


def _timing(
    context_ms: float, answer: Answer, repairs: Sequence[Answer], judged_ms: float
) -> Timing:
    """`judged_ms` is what came after the answer, the repairs with their own steps included."""
    repairing_ms = sum(it.queue_ms + it.steps_ms + it.wire_ms for it in repairs)
    queue_ms = sum(it.queue_ms for it in (answer, *repairs))
    steps_ms = sum(it.steps_ms for it in (answer, *repairs))
    wire_ms = sum(it.wire_ms for it in (answer, *repairs))
    return Timing(context_ms, queue_ms, steps_ms, judged_ms - repairing_ms, wire_ms)


def _score(pieces: Sequence[Piece], shown: str) -> float:
    """The mean confidence of the pieces that what is shown was made of."""
    confidences: list[float] = []
    covered = 0
    for piece in pieces:
        if covered < len(shown):
            confidences.append(piece.confidence)
        covered += len(piece.text)
    return sum(confidences) / len(confidences) if confidences else 0.0
