"""Records what `make demo` shows, as one animated picture for a page.

    python bench/demo.py [FILE] [--model NAME] [--out PICTURE.svg]

The holes of FILE are filled for real; each frame is what the terminal showed, for as long as it was
shown there. The picture moves by CSS alone, so that it does where pages allow pictures no scripts.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import re
import sys
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from record import ROOT
from rich.console import Console, Group, RenderableType
from rich.segment import Segment, SegmentLines
from rich.text import Text

sys.path.insert(0, str(ROOT))

from infill.code.syntax import language_of
from infill.deeds.fill_all import PATIENCE_MS
from infill.deeds.holes import gaps_in
from infill.deeds.joint import filled_gaps
from infill.document import Document
from infill.settings import Settings
from infill.verbs.show import seconds_of, unfolded, view_of
from model import Canvas, Draft
from model.load import load

WIDTH, HEIGHT = 80, 48  # of the terminal, in characters
LAST = 4.0  # seconds for the end to be read, before all begins anew
ROW = 24.4  # what rich makes of one, in units of the picture
# A film strip: all screens stand one below the other, behind a window of the height of one.
PICTURE = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
{{styles}}
.demo-matrix {{{{ font: {{char_height}}px Menlo, Consolas, monospace; animation: film {seconds}s step-end infinite }}}}
@keyframes film {{{{ {steps} }}}}
</style>
<rect width="100%" height="100%" rx="8" fill="#292929"/>
<svg x="10" y="10" width="{inner_width}" height="{inner_height}">
<g class="demo-matrix">
{{matrix}}
</g></svg></svg>
"""  # noqa: E501


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?", default=ROOT / "examples" / "words.py")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "figures" / "demo.svg")
    options = parser.parse_args(arguments)
    screens, seconds = seen(options.file, options.model)
    options.out.write_text(animated(screens, seconds))
    print(f"{options.out}: {len(screens)} frames, {sum(seconds):.1f} s")
    return 0


def seen(file: Path, model: str) -> tuple[list[RenderableType], list[float]]:
    """The screens of a fill, and for how long each is there."""
    document = Document(file.resolve(), language_of(file), file.read_text("utf-8"))
    drafts: list[tuple[Canvas, Draft]] = []
    denoiser = load(model)
    try:
        filled = asyncio.run(
            filled_gaps(
                document,
                gaps_in(document),
                denoiser=denoiser,
                settings=Settings(deadline_ms=PATIENCE_MS, min_confidence=0.0),
                watch=lambda canvas, draft: drafts.append((canvas, draft)),
            )
        )
    finally:
        denoiser.close()
    terminal = Console(width=WIDTH, height=HEIGHT, file=io.StringIO())
    frames = [frame for draft in drafts for frame in unfolded(*draft)]
    told = Text(
        f"{len(filled.edits)} of {len(filled.holes)} holes filled in {filled.steps} steps "
        f"and {filled.ms:.0f} ms by {filled.model}",
        "dim",
    )
    screens = [
        Group(view_of(*frame, file.name, terminal), told if frame is frames[-1] else Text())
        for frame in frames
    ]
    seconds = [seconds_of(draft) for _, draft in frames]
    return screens, [*seconds[:-1], LAST]


def animated(screens: Sequence[RenderableType], seconds: Sequence[float]) -> str:
    """One picture, in which each screen is there for so long."""
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True)
    each = [console.render_lines(screen, pad=False) for screen in screens]
    rows = max(map(len, each))
    for lines in each:
        blank: list[list[Segment]] = [[]] * (rows - len(lines))
        console.print(SegmentLines([*lines, *blank], new_lines=True))
    begins = [0.0, *accumulate(seconds)]
    width, height = WIDTH * ROW / 2, rows * ROW
    steps = " ".join(
        f"{100 * begin / begins[-1]:.2f}% {{{{ transform: translateY({-height * number:.1f}px) }}}}"
        for number, begin in enumerate(begins[:-1])
    )
    picture = console.export_svg(
        unique_id="demo",
        code_format=PICTURE.format(
            width=width + 20, height=height + 20, inner_width=width, inner_height=height,
            seconds=round(begins[-1], 2), steps=steps,
        ),
    )  # fmt: skip
    # The ends of lines, and a frame round each line: nothing is lost with them but half the bytes.
    return re.sub(r'<text [^>]*>\n</text>| clip-path="[^"]*"', "", picture)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
