"""What a draft and a diff look like in a terminal. Knows no files and asks no model.

Settled text is bright, a guess is dim, and what is still noise stands as one fixed glyph.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from infill.source import LINE_END
from model import Canvas, Draft, Piece

MASK = "░"
NOISE = 0.2  # a guess less sure than this is shown as noise; chosen by looking
PACE = 0.08  # seconds a frame stays at least; faster, the eye sees nothing resolve
FIRST = 0.4  # seconds for the canvas as it was before the first step, to find the holes in it,
# and for what it has become
SURROUNDINGS = 4  # lines of fixed text shown beside a hole, where the terminal has room

SETTLED, GUESS, NOISY = "bold bright_green", "dim", "cyan"
DIFF = {"+": "green", "-": "red", "@": "cyan"}


class Screen:
    """A place in the terminal where drafts replace one another.

    The model may be faster than the eye: drafts wait here, and `finish` returns when the last one
    was seen. Without a terminal each draft is one line.
    """

    def __init__(self, console: Console, title: str) -> None:
        self.console = console
        self.title = title
        self._waiting: asyncio.Queue[tuple[Canvas, Draft] | None] = asyncio.Queue()

    def put(self, canvas: Canvas, draft: Draft) -> None:
        """Never waits, so watching does not slow the model down."""
        self._waiting.put_nowait((canvas, draft))

    def finish(self) -> None:
        self._waiting.put_nowait(None)

    async def show(self) -> None:
        """Runs beside the fill, until `finish` was called and all was shown."""
        with self._live() as live:
            while (frame := await self._waiting.get()) is not None:
                if live is None:
                    self.console.print(line_of(*frame), soft_wrap=True)
                    continue
                for canvas, draft in unfolded(*frame):
                    live.update(view_of(canvas, draft, self.title, self.console), refresh=True)
                    await asyncio.sleep(seconds_of(draft))

    @contextmanager
    def _live(self) -> Generator[Live | None]:
        if not self.console.is_terminal:
            yield None
            return
        with Live(console=self.console, auto_refresh=False) as live:
            yield live


def seconds_of(draft: Draft) -> float:
    """How long it is there to be seen."""
    return FIRST if draft.step == 0 or draft.final else PACE


def unfolded(canvas: Canvas, draft: Draft) -> Iterator[tuple[Canvas, Draft]]:
    """The draft, and before the very first one the canvas as the model got it: all noise."""
    if draft.step == 1:
        yield canvas, Draft(0, tuple(tuple(map(as_noise, hole)) for hole in draft.holes), False)
    yield canvas, draft


def as_noise(piece: Piece) -> Piece:
    return Piece(piece.text, 0.0, settled=False)


def view_of(canvas: Canvas, draft: Draft, title: str, console: Console) -> Panel:
    """The holes in place, with as many lines round them as fit."""
    text = canvas_text(canvas, draft, lines := SURROUNDINGS)
    while lines and text.plain.count("\n") + 4 > console.height:
        text = canvas_text(canvas, draft, lines := lines - 1)
    return Panel(text, title=Text(title), subtitle=progress_of(draft), title_align="left",
                 subtitle_align="right", border_style="dim")  # fmt: skip


def canvas_text(canvas: Canvas, draft: Draft, lines: int) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(last_lines(canvas.texts[0], lines))
    for i, pieces in enumerate(draft.holes):
        for piece in pieces or (Piece("", 0.0, settled=draft.final),):
            text.append(*drawn(piece))
        after = canvas.texts[i + 1]
        last = i == len(draft.holes) - 1
        text.append(first_lines(after, lines) if last else shortened(after, lines))
    return text


def drawn(piece: Piece) -> tuple[str, str]:
    """A piece's text and style. Line ends are drawn as such, so that the lines stay in place."""
    if piece.settled:
        return piece.text, SETTLED
    if piece.text and piece.confidence >= NOISE:
        return piece.text, GUESS
    return "".join(c if c == "\n" else MASK for c in piece.text) or MASK, NOISY


def progress_of(draft: Draft) -> str:
    return "noise" if draft.step == 0 else f"step {draft.step} · {draft.settled_share:.0%} settled"


def line_of(canvas: Canvas, draft: Draft) -> Text:
    """One line for a log or a pipe."""
    holes = ["".join(drawn(piece)[0] for piece in pieces) for pieces in draft.holes]
    return Text(f"{progress_of(draft)}: " + " │ ".join(hole.replace("\n", "⏎") for hole in holes))


def last_lines(text: str, lines: int) -> str:
    """The last whole lines of the text and what stands on the line of the hole."""
    return "\n".join(text.split("\n")[-lines - 1 :])


def first_lines(text: str, lines: int) -> str:
    return "\n".join(text.split("\n")[: lines + 1]).rstrip("\n")


def shortened(text: str, lines: int) -> str:
    rows = text.split("\n")
    if len(rows) <= 2 * lines + 3:
        return text
    return "\n".join([*rows[: lines + 1], "  ⋯", *rows[-lines - 1 :]])


def coloured(diff: Iterable[str]) -> Text:
    text = Text()
    for line in diff:
        style = "bold" if line.startswith(("--- ", "+++ ")) else DIFF.get(line[0], "")
        text.append(LINE_END.sub("", line) + "\n", style)
    return text
