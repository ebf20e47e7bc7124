"""`infill-lsp top`: what the servers are doing."""

from __future__ import annotations

import argparse

from lsp.verbs.options import Help, Verbs, at_least_one, described

HELP = Help(
    """\
Shows what your servers are doing, anew each second: the model and its memory, who asks it, how many
fills are in work and waiting, how long a step takes, how fills ended, and why windows showed
nothing. q or ctrl-c ends it. Where standard output is no terminal it is shown once.

Below stands what became of fills: how many were shown, accepted, accepted in part (by word or
line), and still there a minute later, or when the file was closed. Editors that tell when ghost
text is accepted are believed; for the rest it is told by what appears in the text at once. Each
window counts that by day and language in one file on this machine, which holds no code and no
names of files and is sent nowhere; the setting `statistics` switches it off, and to delete the file
is to forget: infill-lsp/statistics.json in your folder for state (on Linux ~/.local/state), or in
the one that INFILL_STATE_DIR names.

The exit status is 1 when no server answers. A server that was named with a token is sent the one in
INFILL_TOKEN.""",
    """\
  infill-lsp top
  infill-lsp top --once --days 7               the last week, too
  infill-lsp top --json | jq '.servers[].state.clients'
  infill-lsp top --server https://gpu.example:8500""",
)


def add(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("top", help="see what the servers are doing"), HELP)
    verb.add_argument(
        "--server", metavar="ADDRESS",
        help="unix:PATH or https://HOST:PORT (default: all of yours on this machine)",
    )  # fmt: skip
    verb.add_argument(
        "--days", type=at_least_one, metavar="N", help="what became of fills, day by day, too"
    )
    verb.add_argument("--once", action="store_true", help="show it once and end")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(verb=top)


def top(options: argparse.Namespace) -> int:
    from lsp.top import show

    return show(
        server=options.server, days=options.days, once=options.once, as_json=options.json
    )  # fmt: skip
