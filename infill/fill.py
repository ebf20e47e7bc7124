"""One request from the document to an edit worth showing, or the reason why there is none.

Knows neither the editor's protocol nor networks. Nothing of the user's is ever logged here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter

from infill.answer import Answer, Watch, answer_to
from infill.aside import aside
from infill.context import compose, context_of, wide_of
from infill.document import Document
from infill.edit import Edit, applied, worse_with
from infill.hole import hole_at
from infill.judge.together import held_together
from infill.judge.verdict import Fill, Further, Request, Timing, judged
from infill.memory import Known, Memory, made_with
from infill.privacy import refusal
from infill.project import project_of
from infill.reason import Reason
from infill.settings import Settings
from infill.several import beside_the_others, narrowed, stood_in, tidied
from model.canvas import Canvas, Claim, Denoiser, Draft, Hole, text_of

MOST_OTHERS = 8  # files that may have to be parsed for one request
PATIENT = 4  # times the deadline: nobody waits for what is speculative, but it is not kept for ever

__all__ = ["Edit", "Fill", "Timing", "Watch", "applied", "fill_at", "fill_holes"]


async def fill_at(
    document: Document,
    cursor: int,
    *,
    denoiser: Denoiser,
    settings: Settings,
    memory: Memory,
    others: Sequence[Document] = (),
    root: Path | None = None,
    invoked: bool = False,
    most: int = 1,
    pause: float = 0.0,
    patience: float = 1.0,
    watch: Watch | None = None,
    claim: Claim = Claim(),
) -> Fill:
    """What to write at the cursor. `invoked`: the user asked, so hole_at is less shy, and the best
    there is is shown however unsure; with at most so many texts where several were weighed. Of
    `others`, the files open beside it, the first few of the same language are looked at. Before the
    model is asked, and only then, so many seconds pass as a `pause`. The claim is whose and of
    which document this is; its deadline is that of the settings, `patience` times, and after the
    first of these it stands behind what others wait for.

    Raises `ModelError`. Cancelling stops the model before its next step.
    """
    wanted = replace(settings, min_confidence=0.0) if invoked else settings
    deadline = _deadline(settings, PATIENT if claim.speculative else patience)
    claim = replace(claim, behind_ms=(patience - 1) * settings.deadline_ms)
    request = Request(denoiser, wanted, deadline, root, watch, perf_counter(), claim, most)
    others = _of_the_same_kind(others, document, settings)
    question = made_with(denoiser.card, settings, others)
    known = memory.recall(document, cursor, question)
    if known is not None and known.others is None and most > 1:
        known = None  # it may be one of several, and all are wanted
    if reason := _refused(document, request, known):
        return request.nothing(reason)
    if known is not None:
        return _recalled(known, cursor, request)
    if not invoked and not _learnt(document.language, denoiser):
        return request.nothing(Reason.NOT_LEARNT)
    offered = settings if invoked else settings.unasked
    hole = await aside(
        len(document.text), partial(hole_at, document, cursor, offered, invoked=invoked)
    )
    if isinstance(hole, Reason):
        return request.nothing(hole)
    if pause:
        await asyncio.sleep(pause)
        request = replace(request, began=request.began + pause)
    (fill,) = await _filled(document, (hole,), others, request)
    fill = replace(fill, timing=replace(fill.timing, pause_ms=pause * 1000))
    if fill.edit is not None and fill.whole:
        memory.remember(document, cursor, question, _known(fill, fill.edit))
    return fill


async def drafted(
    document: Document,
    canvas: Canvas,
    draft: Draft,
    *,
    denoiser: Denoiser,
    settings: Settings,
    invoked: bool = False,
    most: int = 1,
    steps: int = 0,
    ms: float = 0.0,
) -> Fill:
    """What of a draft is worth showing, which after so many steps and milliseconds is the last that
    somebody can wait for. The canvas is that of one hole of the document; no model is asked."""
    wanted = replace(settings, min_confidence=0.0) if invoked else settings
    now = asyncio.get_running_loop().time()
    request = Request(denoiser, wanted, now, None, None, perf_counter(), most=most)
    answer = Answer(draft, steps, draft.queue_ms, max(0.0, ms - draft.queue_ms))
    return await judged(document, canvas, answer=answer, i=0, request=request, context_ms=0.0)


async def fill_holes(
    document: Document,
    holes: Sequence[Hole],
    *,
    denoiser: Denoiser,
    settings: Settings,
    others: Sequence[Document] = (),
    root: Path | None = None,
    watch: Watch | None = None,
) -> tuple[Fill, ...]:
    """One fill for each hole, all written jointly on one canvas where the model can do that.

    Each edit is meant for `document` as it is, and all of them together parse no worse than it
    does; a hole without an edit keeps its text. Raises `ModelError`.
    """
    request = Request(denoiser, settings, _deadline(settings), root, watch, perf_counter())
    if reason := _refused(document, request):
        return tuple(request.nothing(reason) for _ in holes)
    others = _of_the_same_kind(others, document, settings)
    if not holes or "several-holes" in denoiser.card.abilities:
        return await _filled(document, holes, others, request) if holes else ()
    return await _filled_one_by_one(document, holes, others, request)


def _known(fill: Fill, edit: Edit) -> Known:
    if fill.others is None:
        return Known(edit.text, fill.score, None)
    others = tuple(Known(it.edit.text, it.score) for it in fill.others)
    return Known(edit.text, fill.score, others)


def _recalled(known: Known, cursor: int, request: Request) -> Fill:
    further = (known.others or ())[: request.most - 1]
    return Fill(
        Edit(cursor, cursor, known.text), known.score, None, 0, Timing(request.elapsed_ms()),
        remembered=True,
        others=tuple(Further(Edit(cursor, cursor, it.text), it.score) for it in further),
    )  # fmt: skip


def _deadline(settings: Settings, times: float = 1) -> float:
    return asyncio.get_running_loop().time() + times * settings.deadline_ms / 1000


def _refused(document: Document, request: Request, known: Known | None = None) -> Reason | None:
    """Why the model must not see the file, asked before any work but a look into the memory.

    Where a fill is `known` the text was read when it was made, and only the fill has been typed
    since: then the file's name and the ignore files are all there is to judge.
    """
    if not request.settings.enabled:
        return Reason.DISABLED
    document = replace(document, text="") if known is not None else document
    return refusal(document, root=request.root, settings=request.settings)


def _learnt(language: str, denoiser: Denoiser) -> bool:
    return not denoiser.card.languages or language in denoiser.card.languages


def _of_the_same_kind(
    others: Sequence[Document], document: Document, settings: Settings
) -> tuple[Document, ...]:
    same = [other for other in others if other.language == document.language]
    return tuple(same[:MOST_OTHERS]) if settings.other_files else ()


async def _filled(
    document: Document, holes: Sequence[Hole], others: Sequence[Document], request: Request
) -> tuple[Fill, ...]:
    canvas = await asyncio.to_thread(_canvas, document, holes, others, request)
    context_ms = request.elapsed_ms()
    answer = await answer_to(
        canvas, request.denoiser, deadline=request.deadline, watch=request.watch,
        claim=request.claim,
    )  # fmt: skip
    judge = partial(judged, answer=answer, request=request, context_ms=context_ms)
    if len(holes) == 1:
        return (await judge(document, canvas, i=0),)
    written = [text_of(answer.pieces(i)) for i in range(len(holes))]
    most = request.settings.max_lines
    texts = await aside(
        len(document.text) * len(holes), partial(tidied, document, holes, written, most)
    )
    weighed = [(answer.rivals(i), answer.pieces(i)) for i in range(len(holes))]
    texts = await aside(
        len(document.text) * len(holes),
        partial(held_together, document, holes, weighed, texts, most),
    )
    fills: list[Fill] = []
    # Each is judged beside what the later ones have become and what is written in the earlier
    # ones: one alone may well break a file that they mend together.
    for i in reversed(range(len(holes))):
        beside, hole = beside_the_others(document, holes, texts, i)
        fill = await judge(beside, narrowed(canvas, hole, i, texts), i=i)
        if fill.edit:
            fill = replace(fill, edit=replace(fill.edit, start=holes[i].start, end=holes[i].end))
        texts[i] = fill.edit.text if fill.edit else stood_in(document, holes[i])
        fills.append(fill)
    together = partial(_no_worse_together, document, tuple(reversed(fills)))
    return await aside(len(document.text) * len(holes), together)


def _no_worse_together(document: Document, fills: tuple[Fill, ...]) -> tuple[Fill, ...]:
    """All of them where the file parses no worse with all; else those with which it does not,
    taken one by one from the last: so the ranges of those to come stay what they are."""
    if not worse_with([fill.edit for fill in fills if fill.edit], document):
        return fills
    kept: list[Fill] = []
    for fill in reversed(fills):
        if fill.edit is not None:
            if worse_with([fill.edit], document):
                fill = replace(fill, edit=None, reason=Reason.BREAKS_SYNTAX)
            else:
                document = applied(document, fill.edit)
        kept.append(fill)
    return tuple(reversed(kept))


async def _filled_one_by_one(
    document: Document, holes: Sequence[Hole], others: Sequence[Document], request: Request
) -> tuple[Fill, ...]:
    """For a model that sees one hole only: from the last to the first, each in what the later
    ones have become."""
    fills: list[Fill] = []
    for hole in reversed(holes):
        own = replace(request, began=perf_counter())
        (fill,) = await _filled(document, (hole,), others, own)
        document = applied(document, fill.edit) if fill.edit else document
        fills.append(fill)
    return tuple(reversed(fills))


def _canvas(
    document: Document, holes: Sequence[Hole], others: Sequence[Document], request: Request
) -> Canvas:
    """What is private among the other files stays so in every canvas."""
    card, settings = request.denoiser.card, request.settings
    budget = min(settings.context_chars or card.context, card.context)
    holes = [replace(hole, limit=min(hole.limit, card.hole_limit)) for hole in holes]
    readable = [it for it in others if not refusal(it, root=request.root, settings=settings)]
    canvas = compose(context_of(document, holes, budget=budget, others=readable), holes)
    texts = project_of(document, readable, root=request.root, settings=settings)
    return replace(canvas, wide=wide_of(document, holes), others=texts)
