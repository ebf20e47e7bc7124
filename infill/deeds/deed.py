"""One thing done to a document at somebody's word: the edits for it, or why there are none.

Knows documents and models, no editors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from infill.answer import Watch
from infill.aside import aside
from infill.code.syntax import parse
from infill.deeds.drafts import Places, Show
from infill.deeds.fill_all import PATIENCE_MS
from infill.deeds.holes import Gap, Kind
from infill.deeds.joint import Outcome, Report, fill_gaps
from infill.deeds.mend import broken_at, mend
from infill.deeds.offers import STRENGTHS, Deed, gaps_for, on_the_line
from infill.deeds.parameter import callee_at, fits, uses_of
from infill.deeds.rewrite import rewrite
from infill.document import Document
from infill.privacy import refusal
from infill.reason import Reason
from infill.settings import Settings
from model.canvas import Canvas, Denoiser, Draft

MISSING = {  # what is told where a deed finds nothing to do; a menu offers it only where it does
    Deed.FILL_HOLE: "There is no hole at the cursor. Holes are `...`, `pass`, `TODO`, empty bodies "
    "and the like.",
    Deed.FILL_FUNCTION: "There is no hole in a function at the cursor.",
    Deed.FILL_FILE: "There is no hole in this file. Holes are `...`, `pass`, `TODO`, empty bodies "
    "and the like.",
    Deed.WRITE_DOCSTRING: "No docstring is missing here: it is written for the function or class "
    "that begins in the cursor's line.",
    Deed.ADD_PARAMETER: "There is no function here to add a parameter to: it is added to the one "
    "that begins in the cursor's line, where this file tells which calls are its.",
}
REPAIR_MS = 30_000  # a third of it is searched in without the model; nobody waits longer for one


async def carry_out(
    deed: Deed,
    document: Document,
    start: int,
    end: int,
    *,
    denoiser: Denoiser,
    settings: Settings,
    others: Sequence[Document] = (),
    root: Path | None = None,
    report: Report | None = None,
    show: Show | None = None,
) -> Outcome:
    """What `offers_at` offers from `start` to `end`, done. Raises `ModelError`; cancelling stops
    the model before its next step."""
    if reason := refused(document, root, settings):
        return Outcome((), reason.explanation)
    size = len(document.text)
    if deed is Deed.REPAIR or deed in STRENGTHS:
        patient = replace(settings, deadline_ms=PATIENCE_MS, min_confidence=0.0)
        work = _repaired if deed is Deed.REPAIR else partial(_rewritten, STRENGTHS[deed])
        return await work(
            document, start, end, denoiser=denoiser, settings=patient, others=others, root=root,
            watch=_watching(report, Places(show, document) if show else None),
        )  # fmt: skip
    gaps = await aside(size, partial(gaps_for, deed, document, start, end, settings))
    if not gaps:
        return Outcome((), MISSING[deed])
    outcome = await fill_gaps(
        document, gaps, denoiser=denoiser, settings=settings, others=others, root=root,
        report=report, show=show,
    )  # fmt: skip
    if deed is not Deed.ADD_PARAMETER:
        return outcome
    return await aside(size, partial(_all_or_nothing, document, start, gaps, outcome))


async def _repaired(document: Document, start: int, end: int, **more: Any) -> Outcome:
    damage = await aside(len(document.text), partial(broken_at, document, start, end))
    if damage is None:
        return Outcome((), "There is no syntax error here.")
    settings, root = more["settings"], more["root"]
    more["settings"] = replace(settings, deadline_ms=REPAIR_MS)
    more["others"] = await asyncio.to_thread(_readable, more["others"], root, settings)
    mended = await mend(document, damage, **more)
    return Outcome(mended.edits, mended.reason)


def _readable(others: Sequence[Document], root: Path | None, settings: Settings) -> list[Document]:
    """How the rest of a project is written counts, but not what is private in it."""
    return [it for it in others if not refusal(it, root=root, settings=settings)]


async def _rewritten(
    strength: float, document: Document, start: int, end: int, **more: Any
) -> Outcome:
    found = await rewrite(document, start, end, strength, **more)
    first, *others = [variant.edit for variant in found.variants] or [None]
    if first is None:
        return Outcome((), found.reason)
    return Outcome((first,), others=tuple(it for it in others if it))


def _watching(report: Report | None, places: Places | None) -> Watch:
    def watch(canvas: Canvas, draft: Draft) -> None:
        if report is not None:
            report("", min(draft.settled_share, 0.99))
        if places is not None:
            places.saw(canvas, draft)

    return watch


def refused(document: Document, root: Path | None, settings: Settings) -> Reason | None:
    """Why nothing is done with this document, None if something may be."""
    if not settings.enabled:
        return Reason.DISABLED
    return refusal(document, root=root, settings=settings)


def _all_or_nothing(
    document: Document, start: int, gaps: Sequence[Gap], outcome: Outcome
) -> Outcome:
    """A parameter that some call does not give breaks the file in a way that nobody sees."""
    tree = parse(document.text, document.language)
    callee = callee_at(tree, on_the_line(document.text, start)) if tree else None
    if tree is not None and callee is not None and fits(tree, callee, outcome.edits):
        return Outcome(outcome.edits)
    uses = len(uses_of(tree, callee)) if tree is not None and callee is not None else 0
    holes = sum(gap.kind in (Kind.PARAMETER, Kind.ARGUMENTS) for gap in gaps)
    return Outcome(
        (),
        "Nothing was changed: the model did not write one more parameter and an argument for it "
        f"in each use (uses: {uses}; {len(outcome.edits)} of {holes} places were written).",
    )
