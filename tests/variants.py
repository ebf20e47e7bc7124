"""A server whose model writes something else for each seed, so that a rewrite has variants."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

MODEL = "scripted:variants"
LOOP = """\
def total(prices, tax):
    found = 0.0
    for price in prices:
        found += price * (1 + tax)
    return found
"""
LOOPS = ["for it in prices:\n        found += it * (1 + tax)", "found = sum(prices) * (1 + tax)"]

PROGRAM = """#!{python}
import sys

import infill_lsp
from model import load
from model.scripted import Scripted

texts = {texts!r}


def script(canvas):
    return (texts[(canvas.seed or 0) % len(texts)],) * len(canvas.holes)


load.scripted_from = lambda name: Scripted(script, **{more!r})
sys.exit(infill_lsp.main())
"""


def server(folder: Path, texts: Sequence[str], **more: float) -> Path:
    """The program; `more` is told to the script, `seconds_a_step` for instance."""
    program = folder / "varied"
    program.write_text(PROGRAM.format(python=sys.executable, texts=[*texts], more=more))
    program.chmod(0o755)
    return program
