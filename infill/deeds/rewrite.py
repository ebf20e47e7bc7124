"""Other ways to write what is selected: it is re-noised, more or less, and refined again.

Knows documents and canvases. What it offers parses no worse; the selection itself is no variant.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from infill.answer import Answer, Watch, answer_to
from infill.aside import aside
from infill.context import compose, context_of, wide_of
from infill.document import Document
from infill.edit import Edit, line_end_of
from infill.judge.repair import offence, repair
from infill.judge.tidy import tidy
from infill.privacy import refusal
from infill.project import project_of
from infill.reason import Reason
from infill.settings import Settings
from model.canvas import Canvas, Denoiser, Hole

GENTLY, MODERATELY, FREELY = 0.3, 0.6, 0.9  # shares of the tokens that are written anew
MOST_BLOCKS = 8  # holes on one canvas, as for holes that are filled together
CHARS_A_TOKEN = 3  # fewer than any tokenizer's mean of a long word, so that no end is cut off
MORE_LINES = 4  # than were selected may be written


@dataclass(frozen=True, slots=True)
class Variant:
    """One other way to write the selection, and the mean confidence of what is new in it."""

    edit: Edit
    score: float


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The variants, best first; where there is none, why, in words."""

    variants: tuple[Variant, ...]
    reason: str = ""


async def rewrite(
    document: Document,
    start: int,
    end: int,
    strength: float,
    *,
    denoiser: Denoiser,
    settings: Settings,
    variants: int = 3,
    others: Sequence[Document] = (),
    root: Path | None = None,
    watch: Watch | None = None,
) -> Rewritten:
    """At most `variants` ways to write `document.text[start:end]`, widened to whole words or lines.

    Each comes from another choice of the tokens that are written anew. No step starts after the
    settings' deadline: then there are those that were ready. Raises `ModelError`.
    """
    if reason := refusal(document, root=root, settings=settings):
        return Rewritten((), reason.explanation)
    if "re-noise" not in denoiser.card.abilities:
        return Rewritten((), f"{denoiser.card.name} cannot re-noise text, only write it anew.")
    start, end = widened(document.text, start, end)
    if start == end:
        return Rewritten((), "Nothing is selected that could be written otherwise.")
    holes = blocks_of(document, start, end, strength, denoiser.card.hole_limit)
    if len(holes) > (MOST_BLOCKS if "several-holes" in denoiser.card.abilities else 1):
        lines = document.text.count("\n", start, end) + 1
        return Rewritten(
            (), f"The selection of {lines} lines is longer than {denoiser.card.name} rewrites at "
            "once: select less.",
        )  # fmt: skip
    deadline = asyncio.get_running_loop().time() + settings.deadline_ms / 1000
    request = partial(_canvas, document, holes, others, denoiser, root, settings)
    canvas = await asyncio.to_thread(request)
    # Some choices come to the same text: so one or two more are asked than are wanted.
    asked = [
        answer_to(replace(canvas, seed=seed), denoiser, deadline=deadline, watch=watch)
        for seed in range(variants + 2)
    ]
    answers = await asyncio.gather(*asked)
    whole = _whole(document, start, end, holes)
    found: dict[str, float] = {}
    reasons: list[Reason] = []
    for answer in answers:
        text, score = await _shown(answer, whole, canvas, document, denoiser, deadline, watch)
        if isinstance(text, Reason):
            reasons.append(text)
        else:
            found[text] = max(score, found.get(text, 0.0))
    best = sorted(found, key=lambda text: -found[text])[:variants]
    if not best:
        return Rewritten((), _why(reasons))
    line_end = line_end_of(document.text)
    edits = (Edit(start, end, text.replace("\n", line_end)) for text in best)
    return Rewritten(
        tuple(Variant(edit, found[text]) for edit, text in zip(edits, best, strict=True))
    )


def widened(text: str, start: int, end: int) -> tuple[int, int]:
    """Whole words of one line, or from the first character to the last of whole lines; blanks at
    both ends are left out, so that what is rewritten keeps its indentation."""
    inner = text[start:end]
    start, end = start + len(inner) - len(inner.lstrip()), end - len(inner) + len(inner.rstrip())
    if start >= end:
        return start, start
    if LINE_END.search(text, start, end):
        start = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1
        found = LINE_END.search(text, end)
        end = found.start() if found else len(text)
        inner = text[start:end]
        return start + len(inner) - len(inner.lstrip()), end - len(inner) + len(inner.rstrip())
    while start > 0 and IN_WORD.fullmatch(text, start - 1, start + 1):
        start -= 1
    while end < len(text) and IN_WORD.fullmatch(text, end - 1, end + 1):
        end += 1
    return start, end


LINE_END = re.compile(r"\r\n|\r|\n")
IN_WORD = re.compile(r"\w\w")
TOKEN = re.compile(r"\w+|[^\w\s]|\s+")


def blocks_of(
    document: Document, start: int, end: int, strength: float, limit: int
) -> tuple[Hole, ...]:
    """The selection as holes that each hold no more than `limit` tokens, as far as can be told
    without the model's own; more than one only where it must be, and then of whole lines."""
    lines = list(_lines(document.text, start, end))
    blocks: list[tuple[int, int]] = []
    for a, b in lines:
        first = blocks[-1][0] if blocks else a
        if blocks and tokens_in(document.text[first:b]) <= limit * 3 // 4:
            blocks[-1] = first, b
        else:
            blocks.append((a, b))
    depth = min((_indent(document.text, a) for a, _ in lines), key=len)
    return tuple(
        Hole(
            a, b, "\n" in document.text[a:b] or len(blocks) > 1, limit, depth,
            document.text[a:b], min(strength, 0.99),
        )
        for a, b in blocks
    )  # fmt: skip


def tokens_in(text: str) -> int:
    """At least as many as any tokenizer of code makes of it."""
    return sum(-(-len(it) // CHARS_A_TOKEN) for it in TOKEN.findall(text))


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Each line of the selection without blanks at both ends; blank ones are no line."""
    for found in re.compile(r"[^\r\n]*\S").finditer(text, start, end):
        blanks = len(found[0]) - len(found[0].lstrip())
        yield found.start() + blanks, found.end()


def _indent(text: str, at: int) -> str:
    line = text[max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1 : at]
    return line[: len(line) - len(line.lstrip())]


def _whole(document: Document, start: int, end: int, holes: Sequence[Hole]) -> Hole:
    lines = bool(LINE_END.search(document.text, start, end))
    limit = sum(hole.limit for hole in holes)
    return replace(holes[0], start=start, end=end, multiline=lines, limit=limit)


def _canvas(
    document: Document,
    holes: Sequence[Hole],
    others: Sequence[Document],
    denoiser: Denoiser,
    root: Path | None,
    settings: Settings,
) -> Canvas:
    budget = min(settings.context_chars or denoiser.card.context, denoiser.card.context)
    allowed = settings.other_files
    same = [it for it in others if it.language == document.language] if allowed else []
    readable = [it for it in same if not refusal(it, root=root, settings=settings)]
    canvas = compose(context_of(document, holes, budget=budget, others=readable), holes)
    texts = project_of(document, readable, root=root, settings=settings)
    return replace(canvas, wide=wide_of(document, holes), others=texts)


async def _shown(
    answer: Answer,
    hole: Hole,
    canvas: Canvas,
    document: Document,
    denoiser: Denoiser,
    deadline: float,
    watch: Watch | None,
) -> tuple[str | Reason, float]:
    """What of an answer is worth showing, and its score. `hole` is all of the selection."""
    if answer.draft is None or not answer.final:
        return Reason.DEADLINE, 0.0
    pieces = [piece for held in answer.draft.holes for piece in held]
    score = sum(piece.confidence for piece in pieces) / len(pieces) if pieces else 0.0
    stood = document.text[hole.start : hole.end]
    written = canvas.filled(answer.draft.texts)
    written = written[len(canvas.texts[0]) : len(written) - len(canvas.texts[-1])]
    most = stood.count("\n") + 1 + MORE_LINES
    text = tidy(written, hole, document, max_lines=most)
    if isinstance(text, Reason):
        return text, 0.0
    if text.count("\n") < written.rstrip().count("\n"):
        return Reason.UNBALANCED, 0.0  # only its beginning fits: the rest would be lost
    work = partial(offence, text, hole, document)
    if await aside(len(document.text), work) is None:
        return text, score
    if len(canvas.holes) > 1:
        return Reason.BREAKS_SYNTAX, 0.0
    mended = await repair(
        text, hole, document, canvas, denoiser=denoiser, deadline=deadline, max_lines=most,
        watch=watch,
    )  # fmt: skip
    if isinstance(mended.text, Reason):
        return mended.text, 0.0
    if mended.text.strip() == stood.strip():
        return Reason.NO_CHANGE, 0.0
    return mended.text, min(score, mended.score)


def _why(reasons: Sequence[Reason]) -> str:
    """The reason of most variants."""
    most = max(reasons, key=reasons.count, default=Reason.NO_CHANGE)
    return f"nothing was rewritten. {most.explanation}"
