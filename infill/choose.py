"""Which of the texts that a model weighed is shown: the likeliest that parses, seen by its names.

A model knows tokens; whether the file still parses, and whether the names in a text are known where
it stands, is known here. Knows neither editors nor networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace

from infill.document import Document
from infill.reason import Reason
from infill.repair import offence
from infill.scope import Sense, Surroundings, sense_of, surroundings_of
from infill.syntax import window_round
from infill.tidy import tidy
from model.canvas import Hole, Piece, Rival

WINDOW = 20_000  # characters round the hole that are parsed with each text: some 4 ms
PARSED = 8  # texts: the right one is seldom further down
HARDLY = 1e-9


@dataclass(frozen=True, slots=True)
class Weights:
    """What a text's weight, exp(trust · log p + the rest · its `Sense`), is made of; that of none
    being right is exp(trust · log p + none). Fitted on held-out code by `bench/choice.py`."""

    trust: float = 0.77
    unknown: float = -1.64
    binds_missing: float = 2.11
    leaves_missing: float = -0.18
    unused: float = -1.22
    cuts_off: float = -0.68
    none: float = -0.81

    def of(self, weighed: Weighed) -> float:
        return math.exp(sum(w * f for w, f in zip(astuple(self), weighed.features, strict=True)))


FITTED = Weights()


@dataclass(frozen=True, slots=True)
class Weighed:
    """A tidied text and what its weight is made of, in the order of `Weights`."""

    text: str
    features: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A tidied text, and how probable it is that exactly this belongs there."""

    text: str
    probability: float


def chosen_from(
    rivals: Sequence[Rival],
    written: Sequence[Piece],
    hole: Hole,
    document: Document,
    *,
    max_lines: int = 12,
    weights: Weights | None = None,
) -> Choice | None:
    """The best of the rivals, or what the model has `written`, as it may be shown; None where none
    may.

    What the probabilities of the rivals lack to one is that none of them is right; one that does
    not parse leaves its share to the others.
    """
    weights = weights or FITTED
    rivals = with_own(rivals, written)
    odds = {it.text: weights.of(it) for it in weighed_from(rivals, hole, document, max_lines)}
    none = weights.of(none_of(rivals))
    near, moved = nearby(document, hole)
    for text in sorted(odds, key=lambda it: -odds[it])[:PARSED]:
        if offence(text, moved, near) is None:
            # Summed anew: what was taken away from a sum leaves its rounding behind.
            total = sum(odds.values()) + none
            return Choice(text, odds[text] / total if total else 0.0)
        del odds[text]
    return None


def with_own(rivals: Sequence[Rival], written: Sequence[Piece]) -> Sequence[Rival]:
    """The rivals, and what was written in the end if it is none of them."""
    own = "".join(piece.text for piece in written)
    if not own.strip() or own in {rival.text for rival in rivals}:
        return rivals
    surely = math.prod(piece.confidence for piece in written)
    return (*rivals, Rival(own, left_over(rivals) * surely))


def weighed_from(
    rivals: Sequence[Rival], hole: Hole, document: Document, max_lines: int
) -> Iterator[Weighed]:
    """Those that may be shown, as far as tidying can tell; what it makes the same is one."""
    around = None
    if document.language == "python":
        around = surroundings_of(document.text, hole.start, hole.end)
    shares: dict[str, float] = {}
    senses: dict[str, Sense] = {}
    for rival in rivals:
        tidied = tidy(rival.text, hole, document, max_lines=max_lines)
        if isinstance(tidied, Reason):
            continue
        if tidied not in senses:
            senses[tidied] = sense_at(tidied, hole, document, around) if around else Sense()
        shares[tidied] = shares.get(tidied, 0.0) + rival.probability
    for text, share in shares.items():
        yield Weighed(text, (math.log(max(share, HARDLY)), *astuple(senses[text]), 0.0))


def none_of(rivals: Sequence[Rival]) -> Weighed:
    """That none of them is right, as if it were a text."""
    return Weighed("", (math.log(left_over(rivals)), *astuple(Sense()), 1.0))


def left_over(rivals: Sequence[Rival]) -> float:
    return max(HARDLY, 1.0 - sum(rival.probability for rival in rivals))


def sense_at(text: str, hole: Hole, document: Document, around: Surroundings) -> Sense:
    begun = document.text[document.text.rfind("\n", 0, hole.start) + 1 : hole.start]
    line = begun if begun.strip() else begun + text
    return sense_of(text, len(line) - len(line.lstrip()), around)


def nearby(document: Document, hole: Hole) -> tuple[Document, Hole]:
    """The document and the hole, cut to what is worth parsing again and again."""
    start, end = window_round(document.text, hole.start, WINDOW)
    if hole.end > end:
        return document, hole
    cut = replace(document, text=document.text[start:end])
    return cut, replace(hole, start=hole.start - start, end=hole.end - start)
