"""`infill-lsp bench`: how fast fills are."""

from __future__ import annotations

import argparse

from lsp.verbs.options import Help, Verbs, at_least_one, described, settings_of, with_model

HELP = Help(
    """\
Measures on this machine: the time of a fill and where it goes (context, queue, steps, tidy), a fill
that is remembered while it is typed along, the server's answer to `initialize`, its memory with and
without the model, and whether any step starts after a cancel.""",
    """\
  infill-lsp bench
  infill-lsp bench --fills 200 --json""",
)


def add(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("bench", help="measure how fast fills are"), HELP)
    verb.add_argument(
        "--fills", type=at_least_one, metavar="N", default=40, help="so many (default: %(default)s)"
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    with_model(verb)
    verb.set_defaults(verb=bench)


def bench(options: argparse.Namespace) -> int:
    from lsp.benchmark import measure

    return measure(settings_of(options), fills=options.fills, as_json=options.json)
