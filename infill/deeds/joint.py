"""Gaps of a document, filled jointly: the edits for the document as it is, and what is told of it.

Knows documents and models, no editors. Nothing is edited outside the gaps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from infill.aside import aside
from infill.deeds.closed import left_open
from infill.deeds.drafts import Places, Show
from infill.deeds.fill_all import PATIENCE_MS, Filled, batches_of, fill_document
from infill.deeds.holes import Gap, Kind, opened
from infill.document import Document
from infill.edit import Edit, applied
from infill.fill import Fill, Watch
from infill.reason import Reason
from infill.settings import Settings
from model.canvas import Canvas, Denoiser, Draft

MOST = 256  # gaps filled in one go: each costs a parse or two of the file

Report = Callable[[str, float], None]  # in words, and the share that is done


@dataclass(frozen=True, slots=True)
class Outcome:
    """`edits` are in file order, for the document as it was; `told` says in a sentence what a user
    would otherwise miss, "" where everything went well. `others` are edits that may be had in place
    of the one that is likeliest."""

    edits: tuple[Edit, ...]
    told: str = ""
    others: tuple[Edit, ...] = ()


async def fill_gaps(
    document: Document,
    gaps: Sequence[Gap],
    *,
    denoiser: Denoiser,
    settings: Settings,
    others: Sequence[Document] = (),
    root: Path | None = None,
    report: Report | None = None,
    show: Show | None = None,
) -> Outcome:
    """What `filled_gaps` does, told as an editor needs it. Raises `ModelError`."""
    filled = await filled_gaps(
        document, gaps, denoiser=denoiser, settings=settings, others=others, root=root,
        report=report, show=show,
    )  # fmt: skip
    reasons = Counter(fill.reason for _, fill in filled.holes if fill.reason)
    return Outcome(tuple(filled.edits), _told(len(gaps), len(filled.edits), reasons))


async def filled_gaps(
    document: Document,
    gaps: Sequence[Gap],
    *,
    denoiser: Denoiser,
    settings: Settings,
    others: Sequence[Document] = (),
    root: Path | None = None,
    report: Report | None = None,
    show: Show | None = None,
    watch: Watch | None = None,
) -> Filled:
    """All on one canvas where the model takes that many, and from the last to the first on several
    where not. A gap for which nothing fit keeps its text; holes and edits are those of `document`,
    scaffolding included. Of more than `MOST` gaps the first are filled. `watch` sees each draft as
    the model made it, `show` where it will stand. Raises `ModelError`."""
    gaps = gaps[:MOST]
    opened_up, holes = await aside(len(document.text), partial(opened, document, gaps))
    settings = replace(settings, deadline_ms=PATIENCE_MS, min_confidence=0.0)
    canvases = len(batches_of(holes, denoiser.card.context // 2))
    places = Places(show, document, gaps, holes) if show else None
    watching = _Watch(report, len(holes), canvases, places, watch)
    filled = await fill_document(
        opened_up, holes, denoiser, settings, others=others, root=root,
        watch=watching.saw if report or show or watch else None, through=watching.through,
    )  # fmt: skip
    fills = [_in_gap(gap, fill) for gap, (_, fill) in zip(gaps, filled.holes, strict=True)]
    edits = [(gap, it.edit) for gap, it in zip(gaps, fills, strict=True) if it.edit is not None]
    reasons = await aside(len(document.text), partial(left_open, document, edits))
    told = tuple(
        (
            replace(hole, start=gap.start, end=gap.end),
            replace(fill, edit=None, reason=reasons[gap]) if gap in reasons else fill,
        )
        for gap, hole, fill in zip(gaps, holes, fills, strict=True)
    )
    for _, fill in reversed(told):
        document = applied(document, fill.edit) if fill.edit else document
    return replace(filled, holes=told, text=document.text)


def _in_gap(gap: Gap, fill: Fill) -> Fill:
    if fill.edit is None:
        return fill
    if reason := _reason_against(gap, fill.edit.text):
        return replace(fill, edit=None, reason=reason)
    return replace(fill, edit=gap.edit(fill.edit.text))


def _reason_against(gap: Gap, text: str) -> Reason | None:
    """Why the text may not stand in this gap, beyond what makes any fill unfit."""
    if gap.ends and (gap.ends in text or text.endswith((gap.ends[0], "\\"))):
        return Reason.BREAKS_SYNTAX  # it would end the string or comment that it is written in
    told = gap.kind is Kind.DOCSTRING and len(text.split()) < 2
    return Reason.ONE_WORD if told else None


def _told(asked: int, filled: int, reasons: Counter[Reason]) -> str:
    parts: list[str] = []
    if reasons:
        why = " ".join(
            f"{reason.explanation}"
            if n == 1 or len(reasons) == 1
            else f"{n} times: {reason.explanation}"
            for reason, n in reasons.most_common(3)
        )
        tried = min(asked, MOST)
        said = "nothing was filled" if not filled else f"{filled} of {tried} holes were filled"
        parts.append(f"{said}. {why}")
    if asked > MOST:
        parts.append(f"There are {asked} holes, of which the first {MOST} were tried: ask again.")
    return " ".join(parts)


class _Watch:
    """Makes of drafts a share that never falls, told in words where it takes several canvases;
    and hands them on to whoever shows them."""

    def __init__(
        self, report: Report | None, holes: int, canvases: int,
        places: Places | None, watch: Watch | None,
    ) -> None:  # fmt: skip
        self._report, self._holes, self._canvases = report, holes, canvases
        self._places, self._watch = places, watch
        self._done = 0
        self._share = 0.0

    def through(self, holes: int) -> None:
        """So many holes more are done with."""
        self._done += holes

    def saw(self, canvas: Canvas, draft: Draft) -> None:
        if self._watch is not None:
            self._watch(canvas, draft)
        if self._places is not None:
            self._places.saw(canvas, draft)
        if self._report is None:
            return
        share = (self._done + len(canvas.holes) * draft.settled_share) / self._holes
        self._share = max(self._share, min(share, 0.99))
        said = f"{self._done} of {self._holes} holes" if self._canvases > 1 else ""
        self._report(said, self._share)
