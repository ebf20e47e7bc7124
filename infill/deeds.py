"""One thing done to a document at somebody's word: the edits for it, or why there are none.

Knows documents and models, no editors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from infill.aside import aside
from infill.document import Document
from infill.holes import Gap, Kind
from infill.joint import Outcome, Report, fill_gaps
from infill.offers import Deed, gaps_for, on_the_line
from infill.parameter import callee_at, fits, uses_of
from infill.privacy import refusal
from infill.reason import Reason
from infill.settings import Settings
from infill.syntax import parse
from model.canvas import Denoiser


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
) -> Outcome:
    """What `offers_at` offers from `start` to `end`, done. Raises `ModelError`; cancelling stops
    the model before its next step."""
    if reason := refused(document, root, settings):
        return Outcome((), reason.explanation)
    size = len(document.text)
    gaps = await aside(size, partial(gaps_for, deed, document, start, end, settings))
    if not gaps:
        return Outcome((), "There is nothing here any more that this could be done to.")
    outcome = await fill_gaps(
        document, gaps, denoiser=denoiser, settings=settings, others=others, root=root,
        report=report,
    )  # fmt: skip
    if deed is not Deed.ADD_PARAMETER:
        return outcome
    return await aside(size, partial(_all_or_nothing, document, start, gaps, outcome))


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
        f"in each of the {uses} uses ({len(outcome.edits)} of {holes} places were written).",
    )
