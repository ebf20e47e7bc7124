"""Which of the texts that a model weighed is shown: the likeliest that parses, seen by its names
and by the code round it.

A model knows tokens; whether the file still parses, whether the names in a text are known where it
stands, and which are due there, is known here. Knows neither editors nor networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from infill.code.definition import Definition, Standing, definition_round, standing_of
from infill.code.scope import Sense, Surroundings, sense_of, surroundings_of
from infill.code.syntax import window_round
from infill.document import Document
from infill.judge.likeness import Likeness, Neighbours, likeness_of, neighbours_of, shape_of
from infill.judge.repair import offence
from infill.judge.retell import Due, Retold, retellings
from infill.judge.tidy import tidy
from infill.reason import Reason
from model.canvas import Hole, Piece, Rival, text_of

WINDOW = 20_000  # characters round the hole that are parsed with each text: some 4 ms
PARSED = 8  # texts: the right one is seldom further down
RETOLD_OF, MOST_RETOLD = 4, 16  # of the likeliest few other names are tried, in so many texts
HARDLY = 1e-9


@dataclass(frozen=True, slots=True)
class Weights:
    """What a text's weight, exp(trust · log p + the rest · what is known of it), is made of; for
    none being right that is a `Doubt`. In the order of `Sense`, `Standing`, `Likeness`, `Retold`
    and `Doubt`; fitted on held-out code by `bench/choice.py`."""

    trust: float = 0.69
    unknown: float = -1.29
    binds_missing: float = 1.79
    unused: float = -0.80
    cuts_off: float = -0.46
    idle: float = -1.21
    uses_waiting: float = 2.65
    leaves_waiting: float = -0.56
    falls: float = -2.06
    copies: float = 0.96
    like: float = 0.37
    beside: float = 0.95
    again: float = -0.74
    familiar: float = 0.88
    words: float = -0.28
    retold: float = -1.80
    for_missing: float = -1.02
    none: float = -1.80
    begun: float = -2.00
    spread: float = 1.61

    def of(self, weighed: Weighed) -> float:
        return math.exp(sum(w * f for w, f in zip(values_of(self), weighed.features, strict=True)))


FITTED = Weights()


@dataclass(frozen=True, slots=True)
class Doubt:
    """What speaks for none of the texts being right."""

    none: int = 0  # 1 for that case
    begun: int = 0  # 1 where the hole's line is begun
    spread: float = 0.0  # of the rivals


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
    may."""
    choices = choices_from(rivals, written, hole, document, max_lines=max_lines, weights=weights)
    return choices[0] if choices else None


def choices_from(
    rivals: Sequence[Rival],
    written: Sequence[Piece],
    hole: Hole,
    document: Document,
    *,
    most: int = 1,
    max_lines: int = 12,
    weights: Weights | None = None,
) -> tuple[Choice, ...]:
    """Those that may be shown, the best first, at most so many; of some that differ in their spaces
    alone the best.

    That none of them is right has a weight, too; a text that does not parse leaves its share to the
    others and to that.
    """
    weights = weights or FITTED
    rivals = with_own(rivals, written)
    odds = {it.text: weights.of(it) for it in weighed_from(rivals, hole, document, max_lines)}
    none = weights.of(none_of(rivals, hole, document))
    near, moved = nearby(document, hole)
    kept: dict[str, str] = {}
    for text in sorted(odds, key=lambda it: -odds[it])[:PARSED]:
        if offence(text, moved, near) is not None:
            del odds[text]
            continue
        kept.setdefault("".join(text.split()), text)
        if len(kept) == most:
            break
    # Summed anew: what was taken away from a sum leaves its rounding behind.
    total = sum(odds.values()) + none
    return tuple(Choice(text, odds[text] / total if total else 0.0) for text in kept.values())


def with_own(rivals: Sequence[Rival], written: Sequence[Piece]) -> Sequence[Rival]:
    """The rivals, and what was written in the end if it is none of them."""
    own = text_of(written)
    if not own.strip() or own in {rival.text for rival in rivals}:
        return rivals
    surely = math.prod(piece.confidence for piece in written)
    return (*rivals, Rival(own, left_over(rivals) * surely))


def weighed_from(
    rivals: Sequence[Rival], hole: Hole, document: Document, max_lines: int
) -> Iterator[Weighed]:
    """Those that may be shown, as far as tidying can tell, and what is told again with the names
    that are due; what tidying makes the same is one."""
    shares: dict[str, float] = {}
    for rival in rivals:
        tidied = tidy(rival.text, hole, document, max_lines=max_lines)
        if not isinstance(tidied, Reason):
            shares[tidied] = shares.get(tidied, 0.0) + rival.probability
    site = site_of(hole, document) if document.language == "python" else None
    told = dict.fromkeys(shares, Retold())
    if site is not None:
        for text, (share, how) in told_again(shares, site).items():
            if tidy(text, hole, document, max_lines=max_lines) == text:
                shares[text], told[text] = share, how
    for text, share in shares.items():
        log = math.log(max(share, HARDLY))
        known = site.known_of(text) if site is not None else NOTHING
        yield Weighed(text, (log, *known, *values_of(told[text]), *values_of(Doubt())))


def told_again(shares: dict[str, float], site: Site) -> dict[str, tuple[float, Retold]]:
    """The likeliest texts with other names, each with the share of the text it is made from."""
    line = site.neighbours.left, site.neighbours.right
    told: dict[str, tuple[float, Retold]] = {}
    for old in sorted(shares, key=lambda text: -shares[text])[:RETOLD_OF]:
        for new, how in retellings(old, site.due(old), line):
            if new not in shares and new not in told and len(told) < MOST_RETOLD:
                told[new] = shares[old], how
    return told


def none_of(rivals: Sequence[Rival], hole: Hole, document: Document) -> Weighed:
    """That none of them is right, as if it were a text."""
    begun = document.text[document.text.rfind("\n", 0, hole.start) + 1 : hole.start].strip()
    doubt = Doubt(1, int(bool(begun)), spread_of(rivals))
    return Weighed("", (0.0, *NOTHING, *values_of(Retold()), *values_of(doubt)))


def spread_of(rivals: Sequence[Rival]) -> float:
    """The entropy of the rivals, in nats."""
    total = sum(rival.probability for rival in rivals) or 1.0
    shares = (rival.probability / total for rival in rivals)
    return -sum(share * math.log(share) for share in shares if share)


def left_over(rivals: Sequence[Rival]) -> float:
    return max(HARDLY, 1.0 - sum(rival.probability for rival in rivals))


@dataclass(frozen=True, slots=True)
class Site:
    """What is known of a hole in Python, whatever stands in it."""

    hole: Hole
    document: Document
    around: Surroundings
    neighbours: Neighbours
    definitions: dict[int, Definition | None]  # by the indentation of the line with the text
    fallen: dict[tuple[int, str], bool]  # lines of one shape are read alike

    def known_of(self, text: str) -> tuple[float, ...]:
        sense = sense_of(text, self.indent(text), self.around)
        likeness = likeness_of(text, self.neighbours)
        return *values_of(sense), *values_of(self.standing(text)), *values_of(likeness)

    def standing(self, text: str) -> Standing:
        definition = self.definition(text)
        if definition is None:
            return Standing()
        line = self.neighbours.left + text + self.neighbours.right
        like = self.indent(text), shape_of(line)
        if like not in self.fallen:
            self.fallen[like] = definition.falls_with(line)
        return standing_of(text, definition, self.around, self.fallen[like])

    def due(self, text: str) -> Due:
        definition = self.definition(text)
        return Due(definition.waiting if definition else (), sorted(self.around.missing))

    def definition(self, text: str) -> Definition | None:
        indent, hole = self.indent(text), self.hole
        if indent not in self.definitions:
            found = definition_round(self.document.text, hole.start, hole.end, indent)
            self.definitions[indent] = found
        return self.definitions[indent]

    def indent(self, text: str) -> int:
        """How deep the line stands that the text is written in."""
        left = self.neighbours.left
        line = left if left.strip() else left + text
        return len(line) - len(line.lstrip())


def site_of(hole: Hole, document: Document) -> Site:
    around = surroundings_of(document.text, hole.start, hole.end)
    neighbours = neighbours_of(document.text, hole.start, hole.end)
    return Site(hole, document, around, neighbours, {}, {})


def values_of(
    known: Weights | Sense | Standing | Likeness | Retold | Doubt,
) -> tuple[float, ...]:
    """As `astuple`, which copies each value and takes ten times as long."""
    return tuple(getattr(known, name) for name in known.__slots__)


NOTHING = *values_of(Sense()), *values_of(Standing()), *values_of(Likeness())


def nearby(document: Document, hole: Hole) -> tuple[Document, Hole]:
    """The document and the hole, cut to what is worth parsing again and again."""
    start, end = window_round(document.text, hole.start, WINDOW)
    if hole.end > end:
        return document, hole
    cut = replace(document, text=document.text[start:end])
    return cut, replace(hole, start=hole.start - start, end=hole.end - start)
