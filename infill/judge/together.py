"""Texts for several holes that go together: what one introduces another uses, as far as the texts
that a model weighed for each allow. Asks no model.

A model writes the holes of a canvas side by side and weighs the texts of each as if it were alone.
Here a few texts of each hole are tried with the likeliest answer of the next to each.
"""

from __future__ import annotations

from collections.abc import Sequence

from infill.document import Document
from infill.edit import line_end_of
from infill.judge.choose import FITTED, none_of, weighed_from, with_own
from infill.several import beside_the_others
from model.canvas import Hole, Piece, Rival

TRIED = 5  # texts of a hole, each with the next hole's answer to it
MOST_HOLES = 4  # each costs some ten readings of what is near

Weighed = tuple[Sequence[Rival], Sequence[Piece]]  # of one hole, and what was written in the end


def held_together(
    document: Document,
    holes: Sequence[Hole],
    weighed: Sequence[Weighed],
    texts: Sequence[str],
    max_lines: int,
) -> list[str]:
    """`texts`, or others of those weighed that are likelier together.

    Only for Python are names read; other languages keep their texts, and so do many holes.
    """
    texts = list(texts)
    if document.language != "python" or not 1 < len(holes) <= MOST_HOLES:
        return texts
    read: dict[tuple[int, tuple[str, ...]], dict[str, float]] = {}

    def shares(texts: Sequence[str], i: int) -> dict[str, float]:
        # Mostly the next hole has the same answer to several texts, so that the way back is one.
        asked = i, (*texts[:i], *texts[i + 1 :])
        if asked not in read:
            read[asked] = shares_of(document, holes, weighed, texts, i, max_lines)
        return read[asked]

    for i in range(len(holes) - 1):
        own = shares(texts, i)
        best = 0.0, texts
        for text in sorted(own, key=lambda it: -own[it])[:TRIED]:
            tried = [*texts[:i], text, *texts[i + 1 :]]
            answers = shares(tried, i + 1)
            if not answers:
                continue
            answer = max(answers, key=lambda it: answers[it])
            tried[i + 1] = answer
            back = shares(tried, i)
            best = max(best, (back.get(text, 0.0) * answers[answer], tried))
        texts = best[1]
    return texts


def shares_of(
    document: Document,
    holes: Sequence[Hole],
    weighed: Sequence[Weighed],
    texts: Sequence[str],
    i: int,
    max_lines: int,
) -> dict[str, float]:
    """How probable each text of a hole is beside the others' texts, as it may be shown."""
    beside, hole = beside_the_others(document, holes, texts, i)
    rivals, pieces = weighed[i]
    rivals = with_own(rivals, pieces)
    end = line_end_of(document.text)
    odds = {
        it.text.replace("\n", end): FITTED.of(it)
        for it in weighed_from(rivals, hole, beside, max_lines)
    }
    total = sum(odds.values()) + FITTED.of(none_of(rivals, hole, beside))
    return {text: odd / total for text, odd in odds.items()} if total else {}
