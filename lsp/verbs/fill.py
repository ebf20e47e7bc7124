"""`infill-lsp fill`: the holes of a file."""

from __future__ import annotations

import argparse

from lsp.verbs.options import Help, Verbs, described, settings_of, with_model

HELP = Help(
    """\
Fills the holes of a file jointly and prints the change as a diff. The file itself stays as it is
unless --write is given.

Holes are
  FILE:LINE:COL          the place given: line and column counted from 1, the column in characters
  FILE                   what the editors' action "Fill all holes in this file" fills: the marker
                         __HOLE__ wherever it stands; functions whose body is `...`, `pass`,
                         `raise NotImplementedError(...)`, `todo!()`, a TODO or nothing at all where
                         a value is due; `f()` where f is defined in the file and wants arguments;
                         and docstrings that are missing where most others are there

The diff goes to standard output, everything else to standard error. A hole that is not filled keeps
its text, and the reason is printed. The exit status is 0 when at least one hole was filled, 1 when
none was, 2 when the file or the place cannot be used.

--json prints
  {"file": …, "holes": [{"range": {"start": {"line", "character"}, "end": …}, "text": …,
   "confidence": …, "reason": …}], "steps": …, "ms": …, "model": …}
where lines and characters are counted from 0, as in LSP, and a character is a Unicode code point.
An unfilled hole has null for text and confidence, and the reason in words; ms leaves out the time
to load the model.""",
    """\
  infill-lsp fill game.py                      show what would change
  infill-lsp fill game.py:12:5                 fill at line 12, column 5
  infill-lsp fill game.py --write              change the file
  infill-lsp fill game.py --watch              watch the canvas resolve step by step
  infill-lsp fill game.py | patch -p0          the diff is one that `patch` takes
  infill-lsp fill game.py --json | jq .holes""",
)


def add(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("fill", help="fill the holes of a file"), HELP)
    verb.add_argument("place", metavar="FILE[:LINE:COL]", help="the file, or a place in it")
    verb.add_argument("--write", action="store_true", help="change the file")
    verb.add_argument("--watch", action="store_true", help="show the canvas resolving step by step")
    verb.add_argument("--json", action="store_true", help="print one JSON object and no diff")
    with_model(verb)
    verb.set_defaults(verb=fill)


def fill(options: argparse.Namespace) -> int:
    from infill.verbs.fill_file import fill_file

    return fill_file(
        options.place, settings_of(options), write=options.write, watch=options.watch,
        as_json=options.json,
    )  # fmt: skip
