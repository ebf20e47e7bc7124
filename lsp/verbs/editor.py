"""`infill-lsp` without a verb: the language server that an editor starts, or the version."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from infill.settings import Settings
from lsp.verbs.options import Help, check_appendable, described, settings_of, with_model

HELP = Help(
    """\
Fills the hole at the cursor with a diffusion model that sees the code on both sides.

Without a verb it is a language server: it speaks LSP on standard input and output and waits for an
editor to start talking. The verbs are for the terminal; each has a --help of its own.""",
    """\
  infill-lsp                           what an editor starts
  infill-lsp fill game.py --watch      fill the holes of a file and watch it happen
  infill-lsp serve                     keep one model for many windows
  infill-lsp top                       see what it is doing, and what becomes of fills
  infill-lsp doctor                    is everything there that a fill needs?
  infill-lsp models list               which networks there are, and what fits here""",
)


def parser() -> argparse.ArgumentParser:
    made = described(argparse.ArgumentParser(prog="infill-lsp"), HELP)
    made.add_argument("--version", action="store_true", help="print the version and end")
    with_model(made, Settings().model, Settings().model_keys, Settings().seed)
    made.add_argument("--log-file", type=Path, metavar="FILE", help="append the log to FILE")
    made.add_argument(
        "--log-level", default="warning", choices=("debug", "info", "warning", "error"),
        help="how much is logged; never the code that is edited (default: warning)",
    )  # fmt: skip
    # Clients in the manner of VS Code add these two; stdio is what we speak anyway.
    made.add_argument("--stdio", action="store_true", help=argparse.SUPPRESS)
    made.add_argument("--clientProcessId", help=argparse.SUPPRESS)
    made.set_defaults(verb=no_verb)
    return made


def no_verb(options: argparse.Namespace) -> int:
    if options.version:
        print("infill-lsp", version())
        return 0
    return serve(options)


def serve(options: argparse.Namespace) -> int:
    if sys.stdin.isatty():
        print(
            "infill-lsp: waiting for an editor on standard input (ctrl-c ends it); "
            "`infill-lsp --help` shows what else there is",
            file=sys.stderr,
        )
    if options.log_file:
        check_appendable(options.log_file)
    from lsp.server import serve_stdio

    return serve_stdio(settings_of(options), log_file=options.log_file, log_level=options.log_level)


def version() -> str:
    from importlib import metadata  # slow to import; the server should not wait for it

    try:
        return metadata.version("infill-lsp")
    except metadata.PackageNotFoundError:
        return "(a checkout that is not installed)"
