"""Films VS Code while the holes of a file are filled in it, as a moving picture for a page.

    python bench/film.py [FILE] [--model NAME] [--out PICTURE.gif]

A real VS Code with the packaged extension (`make vscode` brings both) and a real model; what is
filmed is what the window showed, at the speed at which it did.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from PIL import Image
from record import ROOT

sys.path.insert(0, str(ROOT))

from tests.vscode import MISSING, opened

SIZE = 860, 800
BEGINNING, LAST = 1.2, 3.0  # seconds, to see what there is to be filled, and what it has become
COLOURS = 64
LOOK = {
    "workbench.colorTheme": "Default Dark Modern",
    "editor.minimap.enabled": False,
    "workbench.activityBar.location": "hidden",
    "editor.lightbulb.enabled": "off",
    "editor.occurrencesHighlight": "off",
    "window.commandCenter": False,
    "breadcrumbs.enabled": False,
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?", default=ROOT / "examples" / "words.py")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "figures" / "vscode.gif")
    options = parser.parse_args(arguments)
    if MISSING:
        print(f"nothing was filmed: {MISSING}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        pictures, times = filmed(options.file, options.model, Path(folder))
    seconds = [BEGINNING, *(after - before for before, after in pairwise(times[1:])), LAST]
    last = pictures[-1].quantize(COLOURS)  # one palette for all, so that only what changes is kept
    first, *others = (it.quantize(palette=last, dither=Image.Dither.NONE) for it in pictures)
    first.save(
        options.out, save_all=True, append_images=others, loop=0, optimize=True,
        duration=[max(20, round(1000 * it)) for it in seconds],
    )  # fmt: skip
    print(f"{options.out}: {len(pictures)} frames, {options.out.stat().st_size / 1000:.0f} kB")
    return 0


def filmed(file: Path, model: str, folder: Path) -> tuple[list[Image.Image], list[float]]:
    """What was seen, and when each picture came."""
    text = file.read_text("utf-8")
    begins = text.index("import ")  # what stands above explains the file to other people
    with opened(folder, {file.name: text[begins:]}, more=LOOK, model=model) as code:
        code("open", file.name)
        code("waitStatus", "ready")
        code.press("Control+b")
        code("film", *map(str, SIZE))
        code("command", "Infill: Fill All Holes in This File")
        asked = time.time()
        code("waitStatus", "ready")
        pictures = folder / "film"
        pictures.mkdir()
        times = code("filmed", str(pictures))
        # The first one, and none on which the command is still being typed.
        kept = [0, *(i for i, at in enumerate(times) if at > asked)]
        images = [Image.open(pictures / f"{i}.png").convert("RGB") for i in kept]
        return images, [times[i] for i in kept]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
