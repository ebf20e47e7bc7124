"""A file that does not parse, mended where it is broken: the damage is masked, the rest stays.

Knows documents, trees and canvases. What it offers parses with fewer errors, and nothing outside
the masked stretch is touched.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from infill.answer import Watch, answer_to
from infill.code.strict import stops_at
from infill.code.syntax import Tree, errors_in, parse
from infill.context import compose, context_of, wide_of
from infill.deeds.splice import Splice, splices_near
from infill.deeds.suspect import misplaced
from infill.document import Document
from infill.edit import Edit, Span, applied, line_end_of
from infill.hole import BLOCK_LIMIT
from infill.judge.tidy import tidy
from infill.privacy import refusal
from infill.reason import Reason
from infill.settings import Settings
from model.canvas import Canvas, Denoiser, Hole, text_of

WHOLE = 200_000  # characters: a larger file is not parsed again and again
NEAR = 400  # characters from the cursor: an error further away is somebody else's
STRICTLY = 60_000  # characters: Python's own parser takes some 30 ms for them
SEARCH = 0.6  # of the time there is: for changes that need no model
PARTLY = 3.0  # seconds, after which fewer errors are enough: another mistake may stand elsewhere
LONGEST = 9.0  # seconds of search: it cannot be cancelled, and what is likely is tried first
ENOUGH = 24  # changes that parse; the right one is seldom further down
SURE = 1.0  # nats: what costs less is looked for no further away
HARDLY = 9.0  # nats behind the best: not worth another parse
DEPTH, REFUSED = 3.0, 20.0  # nats for a bracket that is not as deep as its match, for Python's no
ALIKE, MOST_ALIKE = 20_000, 4  # characters of other files, and files, that are counted
ERRORS = 4  # of the file's that are looked round
HOLES, HOLE_LIMIT = 3, 24  # places that a model is asked to fill, and tokens in each
MISSED = 40.0  # nats for a text that is written anew instead of mended


@dataclass(frozen=True, slots=True)
class Damage:
    """What does not parse: the error nearest to where it was asked for, an empty range where a
    token is missing; `errors` are all of the file's. The mistake itself may stand elsewhere."""

    start: int
    end: int
    errors: int = 1


@dataclass(frozen=True, slots=True)
class Mended:
    """Edits in file order, for the document as it was, all within `stretch`; or none, and why in
    words. `score` is how probable the mend is among those that were weighed."""

    edits: tuple[Edit, ...]
    score: float = 0.0
    stretch: Span = (0, 0)
    reason: str = ""


def broken_at(document: Document, start: int, end: int | None = None) -> Damage | None:
    """The syntax error at an offset or range that might be mended; None where there is none.

    A lone error of the file is found from anywhere: a bracket that is never closed is noticed far
    from where it stands.
    """
    end = start if end is None else end
    if len(document.text) > WHOLE:
        return None
    errors = errors_in(document.text, document.language)
    if not errors:
        at = _refused_by_python(document) if errors is not None else None
        return None if at is None or NEWER.match(_row_at(document.text, at)) else Damage(at, at)

    def distance(span: Span) -> int:
        return max(span[0] - end, start - span[1], 0)

    nearest = min(errors, key=distance)
    if distance(nearest) > NEAR and len(errors) > 1:
        return None
    return Damage(*nearest, len(errors))


async def mend(
    document: Document,
    damage: Damage,
    *,
    denoiser: Denoiser,
    settings: Settings,
    others: Sequence[Document] = (),
    root: Path | None = None,
    watch: Watch | None = None,
) -> Mended:
    """The likeliest small change with which the file parses with fewer errors.

    Where something is missing that only a model can tell, it is asked to write that; where no small
    change helps, to write what does not parse anew. Ends with the settings' deadline. Raises
    `ModelError`.
    """
    if len(document.text) > WHOLE:
        return _nothing(
            f"The file has {len(document.text):,} characters, and one of more than {WHOLE:,} is "
            "not parsed often enough to be mended."
        )
    tree = parse(document.text, document.language)
    if tree is None:
        return _nothing(f"There is no grammar for {document.language} to mend the file by.")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.deadline_ms / 1000
    until = time.monotonic() + min(LONGEST, SEARCH * settings.deadline_ms / 1000)
    alike = [it.text[:ALIKE] for it in others if it.language == document.language][:MOST_ALIKE]
    found = await asyncio.to_thread(search, document, tree, damage, until, alike)
    allowed = not refusal(document, root=root, settings=settings)
    ask = partial(_written, document, tree, denoiser, settings, deadline, watch)
    weighed = [it for it in found if not it.hole]
    best = min((it.cost for it in found), default=math.inf)
    if allowed:
        holes = [it for it in found if it.hole and it.cost < best + HARDLY][:HOLES]
        weighed += [it for hole in holes for it in await ask(hole)]
        if not weighed:
            for start, end in growing(document.text, damage):
                again = Splice(start, end, "", MISSED, "hole")
                weighed += await ask(again)
                if weighed:
                    break
    if not weighed:
        return _nothing("Nothing was found with which the file would parse better.")
    weighed.sort(key=lambda it: it.cost)
    chosen = weighed[0]
    total = sum(math.exp(chosen.cost - it.cost) for it in weighed)
    stretch = masked(document.text, chosen)
    return Mended((minimal(document.text, chosen),), 1 / total, stretch)


def _nothing(reason: str) -> Mended:
    return Mended((), reason=reason)


def search(
    document: Document, tree: Tree, damage: Damage, until: float, others: Sequence[str] = ()
) -> list[Splice]:
    """The changes with which the file parses, or else with fewer errors, likeliest first."""
    began = time.monotonic()
    errors = tree.errors or ((damage.start, damage.end),)
    close = sorted(errors, key=lambda it: max(it[0] - damage.end, damage.start - it[1], 0))
    at = _refused_by_python(document)
    if at is not None:  # Python says where it stops, which the tree's errors may be far from
        close.insert(0, (at, at))
    whole: list[Splice] = []
    better: list[tuple[int, Splice]] = []
    near = splices_near(document.text, document.language, close[:ERRORS], others)
    for splices in near:
        best = min((it.cost for it in whole), default=math.inf)
        partly = bool(better) and time.monotonic() - began > PARTLY
        if best < SURE or partly or time.monotonic() > until:
            break
        enough = len(whole) + ENOUGH
        for splice in splices:
            hopeless = splice.cost > best + HARDLY
            if time.monotonic() > until or len(whole) >= enough or hopeless:
                break
            edited = tree.edited(splice.start, splice.end, splice.text)
            if edited is None:
                continue
            if not edited.broken:
                whole.append(_judged(splice, document.text, edited.text, document.language))
                best = min(best, whole[-1].cost)
            elif len(edited.errors) < len(tree.errors) and len(better) < ENOUGH:
                better.append((len(edited.errors), splice))
    if not tree.errors:  # it is Python that refuses the file, and has to take it
        whole = [it for it in whole if it.cost < REFUSED]
    if whole:
        return sorted(whole, key=lambda it: it.cost)
    fewest = min((count for count, _ in better), default=0)
    return sorted((it for count, it in better if count == fewest), key=lambda it: it.cost)


def _judged(splice: Splice, text: str, edited: str, language: str) -> Splice:
    """At its cost once the file parses with it."""
    cost = splice.cost
    if BRACKET.search(splice.text + text[splice.start : splice.end]):
        cost += DEPTH * misplaced(edited, language)
    strictly = language == "python" and len(edited) <= STRICTLY
    if strictly and stops_at(edited) is not None:
        cost += REFUSED
    return replace(splice, cost=cost)


BRACKET = re.compile(r"[()\[\]{}\"'`]")


async def _written(
    document: Document,
    tree: Tree,
    denoiser: Denoiser,
    settings: Settings,
    deadline: float,
    watch: Watch | None,
    splice: Splice,
) -> list[Splice]:
    """What a model writes there that makes the file parse with fewer errors."""
    spaces = splice.text.partition(splice.text.strip()) if splice.text else ("", "", "")
    lead, tail = spaces[0], spaces[2]
    several = "\n" in document.text[splice.start : splice.end]
    limit = min(BLOCK_LIMIT if several else HOLE_LIMIT, denoiser.card.hole_limit)
    spaced = document
    if splice.text:  # the place is an empty one, between the spaces that it takes
        spaced = applied(document, Edit(splice.start, splice.end, lead + tail))
    at = splice.start + len(lead)
    hole = Hole(at, at if splice.text else splice.end, several, limit)
    canvas = await asyncio.to_thread(_canvas, spaced, hole, denoiser, settings)
    answer = await answer_to(canvas, denoiser, deadline=deadline, watch=watch)
    if answer.draft is None:
        return []
    texts = {it.text: it.probability for it in answer.rivals(0)}
    pieces = answer.draft.holes[0]
    own = text_of(pieces)
    texts.setdefault(own, math.prod(piece.confidence for piece in pieces))
    found: list[Splice] = []
    for text, probability in texts.items():
        shown = tidy(text, hole, spaced)
        if isinstance(shown, Reason):
            continue
        shown = lead + shown.replace("\n", line_end_of(document.text)) + tail
        edited = tree.edited(splice.start, splice.end, shown)
        if edited is None or len(edited.errors) >= max(1, len(tree.errors)):
            continue
        cost = splice.cost - math.log(max(probability, 1e-9))
        mended = replace(splice, text=shown, cost=cost)
        judged = _judged(mended, document.text, edited.text, document.language)
        found.append(judged)
    return found


def _canvas(document: Document, hole: Hole, denoiser: Denoiser, settings: Settings) -> Canvas:
    budget = min(settings.context_chars or denoiser.card.context, denoiser.card.context)
    canvas = compose(context_of(document, (hole,), budget=budget), (hole,))
    return replace(canvas, wide=wide_of(document, (hole,)))


def growing(text: str, damage: Damage) -> list[Span]:
    """The damage, its line, and that with the line above: each to be written anew."""
    spans = [(damage.start, damage.end)]
    for rows in (0, 1):
        start, end = damage.start, min(damage.end, damage.start + 400)
        for _ in range(rows + 1):
            start = text.rfind("\n", 0, max(0, start - 1 if rows else start)) + 1
        stop = text.find("\n", end)
        start += len(text[start:]) - len(text[start:].lstrip(" \t"))
        spans.append((start, len(text) if stop < 0 else stop))
    return [(a, b) for a, b in dict.fromkeys(spans) if a < b and b - a <= 400]


def masked(text: str, splice: Splice) -> Span:
    """The whole lines in which something was tried: no other is touched."""
    start = text.rfind("\n", 0, splice.start) + 1
    end = text.find("\n", splice.end)
    return start, len(text) if end < 0 else end


def minimal(text: str, splice: Splice) -> Edit:
    """The edit without what stands there already at both its ends."""
    start, end, new = splice.start, splice.end, splice.text
    while start < end and new and text[start] == new[0]:
        start, new = start + 1, new[1:]
    while start < end and new and text[end - 1] == new[-1]:
        end, new = end - 1, new[:-1]
    return Edit(start, end, new)


def _refused_by_python(document: Document) -> int | None:
    if document.language != "python" or len(document.text) > STRICTLY:
        return None
    return _stops_at(document.text)


# What the grammar takes, and a Python that is older than the file does not.
NEWER = re.compile(
    r"\s*(?:type\s+\w|(?:async\s+)?def\s+\w+\[|class\s+\w+\[|except\s[^(]*,)"
    r"|.*\b[fFrRtT]{1,2}[\"']"
)


def _row_at(text: str, at: int) -> str:
    end = text.find("\n", at)
    return text[text.rfind("\n", 0, at) + 1 : len(text) if end < 0 else end]


_stops_at = lru_cache(maxsize=4)(stops_at)  # an editor asks at every place of the cursor
