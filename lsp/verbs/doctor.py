"""`infill-lsp doctor`: what works and what does not."""

from __future__ import annotations

import argparse

from lsp.verbs.options import Help, Verbs, described, settings_of, with_model

HELP = Help(
    """\
Says what is installed, which device and which model are used and where the model lies, loads every
grammar, looks whether private files are kept from the model, and fills a small hole to see that it
works. The exit status is 1 when something is broken; each broken line says what to do.""",
    """\
  infill-lsp doctor
  infill-lsp doctor --model ./my-weights
  infill-lsp doctor --json | jq '.checks[] | select(.ok == false)'""",
)


def add(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("doctor", help="say what works and what does not"), HELP)
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    with_model(verb)
    verb.set_defaults(verb=doctor)


def doctor(options: argparse.Namespace) -> int:
    from infill.verbs.doctor import examine

    return examine(settings_of(options), as_json=options.json)
