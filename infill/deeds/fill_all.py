"""Many holes of one document, filled jointly: on one canvas, or on several where there are more
than a model takes in. Knows documents and fills, neither files nor editors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from infill.document import Document
from infill.fill import Edit, Fill, Watch, applied, fill_at, fill_holes
from infill.memory import Memory
from infill.settings import Settings
from model.canvas import Canvas, Denoiser, Draft, Hole, Piece

PATIENCE_MS = 120_000  # nobody is typing meanwhile; a slow machine may take its time
TOGETHER = 8  # holes on one canvas; more would leave each too little of what the model can see


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of each hole, in file order, and the file's text with all of them."""

    holes: tuple[tuple[Hole, Fill], ...]
    text: str
    steps: int
    ms: float
    model: str

    @property
    def edits(self) -> list[Edit]:
        """In file order, for the file as it was."""
        return [fill.edit for _, fill in self.holes if fill.edit]


async def fill_document(
    document: Document,
    holes: Sequence[Hole],
    denoiser: Denoiser,
    settings: Settings,
    *,
    at: bool = False,
    others: Sequence[Document] = (),
    root: Path | None = None,
    watch: Watch | None = None,
    through: Callable[[int], None] | None = None,
) -> Filled:
    """`at`: the one hole is a cursor in the file, so what the hole is depends on the syntax there.
    `root` is the project's folder; without it, what looks like one round the file. At the end of
    each canvas `watch` sees what was chosen, too, where that is something else than the last draft
    said, and `through` hears how many holes there were.

    Raises `ModelError`.
    """
    began, root = perf_counter(), root or root_of(document)
    pairs: list[tuple[Hole, Fill]] = []
    steps = 0
    latest: list[tuple[Canvas, Draft]] = []

    def seen(canvas: Canvas, draft: Draft) -> None:
        latest[:] = [(canvas, draft)]
        if watch is not None:
            watch(canvas, draft)

    # From the last to the first: so the ranges of those to come stay what they are.
    for batch in reversed(batches_of(holes, denoiser.card.context // 2)):
        if at:
            fills = (
                await fill_at(
                    document, batch[0].start, denoiser=denoiser, settings=settings,
                    memory=Memory(), others=others, root=root, invoked=True, watch=seen,
                ),
            )  # fmt: skip
        else:
            fills = await fill_holes(
                document, batch, denoiser=denoiser, settings=settings,
                others=others, root=root, watch=seen,
            )  # fmt: skip
        pairs[:0] = zip(batch, fills, strict=True)
        steps += max(fill.steps for fill in fills)
        if watch is not None and latest:
            canvas, last = latest.pop()
            became = chosen(last, fills)
            if became.texts != last.texts and len(fills) == len(canvas.holes):
                watch(canvas, became)
        if through is not None:
            through(len(batch))
        for fill in reversed(fills):
            document = applied(document, fill.edit) if fill.edit else document
    ms = (perf_counter() - began) * 1000
    return Filled(tuple(pairs), document.text, steps, ms, denoiser.card.name)


def chosen(last: Draft, fills: Sequence[Fill]) -> Draft:
    """What the holes have become: of the texts that were weighed, another may stand there in the
    end than the last draft said."""
    holes = tuple(
        (Piece(fill.edit.text, fill.score) if fill.edit else Piece("", 0.0, settled=False),)
        for fill in fills
    )
    return Draft(last.step, holes, final=True)


def batches_of(holes: Sequence[Hole], reach: int) -> list[list[Hole]]:
    """Holes that one canvas can hold stand together: those at most `reach` characters apart."""
    batches: list[list[Hole]] = []
    for hole in holes:
        last = batches[-1] if batches else []
        if last and hole.end - last[0].start <= reach and len(last) < TOGETHER:
            last.append(hole)
        else:
            batches.append([hole])
    return batches


def root_of(document: Document) -> Path:
    """The project that the file belongs to, for its ignore files."""
    folders = Path(document.path or "unsaved").absolute().parents
    return next((folder for folder in folders if (folder / ".git").exists()), folders[0])
