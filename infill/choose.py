"""Which of the texts that a model weighed is shown: the likeliest that parses, seen by its names.

A model knows tokens; whether the file still parses, and whether the names in a text are known where
it stands, is known here. Knows neither editors nor networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from infill.document import Document
from infill.reason import Reason
from infill.repair import offence
from infill.scope import Sense, Surroundings, sense_of, surroundings_of
from infill.syntax import window_round
from infill.tidy import tidy
from model.canvas import Hole, Piece, Rival

WINDOW = 20_000  # characters round the hole that are parsed with each text: some 4 ms
PARSED = 8  # texts: the right one is seldom further down


@dataclass(frozen=True, slots=True)
class Weights:
    """What the sense of a text's names adds to its log-probability; fitted on held-out code."""

    unknown: float = -1.5
    binds_missing: float = 1.5
    leaves_missing: float = -0.5
    unused: float = -0.5
    cuts_off: float = -2.0

    def of(self, sense: Sense) -> float:
        return (
            self.unknown * sense.unknown
            + self.binds_missing * sense.binds_missing
            + self.leaves_missing * sense.leaves_missing
            + self.unused * sense.unused
            + self.cuts_off * sense.cuts_off
        )


FITTED = Weights()


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
) -> Choice | None:
    """The best of the rivals, or what the model has `written`, as it may be shown; None where none
    may.

    What the probabilities of the rivals lack to one is that none of them is right; one that does
    not parse leaves its share to the others.
    """
    none = max(1e-9, 1.0 - sum(rival.probability for rival in rivals))
    own = "".join(piece.text for piece in written)
    if own not in {rival.text for rival in rivals}:
        surely = math.prod(piece.confidence for piece in written)
        rivals = (*rivals, Rival(own, none * surely))
        none *= 1 - surely
    around = None
    if document.language == "python":
        around = surroundings_of(document.text, hole.start, hole.end)
    odds: dict[str, float] = {}
    for rival in rivals:
        tidied = tidy(rival.text, hole, document, max_lines=max_lines)
        if not isinstance(tidied, Reason):
            worth = rival.probability * math.exp(sense(rival.text, hole, document, around))
            odds[tidied] = odds.get(tidied, 0.0) + worth
    near, moved = nearby(document, hole)
    total = sum(odds.values())
    for text, worth in sorted(odds.items(), key=lambda it: -it[1])[:PARSED]:
        if offence(text, moved, near) is None:
            return Choice(text, worth / (total + none))
        total -= worth
    return None


def sense(text: str, hole: Hole, document: Document, around: Surroundings | None) -> float:
    if around is None:
        return 0.0
    begun = document.text[document.text.rfind("\n", 0, hole.start) + 1 : hole.start]
    line = begun + text if not begun.strip() else text
    indent = len(begun) - len(begun.lstrip()) if begun.strip() else len(line) - len(line.lstrip())
    return FITTED.of(sense_of(line, indent, around))


def nearby(document: Document, hole: Hole) -> tuple[Document, Hole]:
    """The document and the hole cut to what is worth parsing again and again."""
    start, end = window_round(document.text, hole.start, WINDOW)
    if hole.end > end:
        return document, hole
    cut = replace(document, text=document.text[start:end])
    return cut, replace(hole, start=hole.start - start, end=hole.end - start)
