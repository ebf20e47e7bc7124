"""What the catalog lacks of a network, as a command line takes it: `--model-keys JSON`.

It knows JSON and options; what the keys mean, `catalog.py` says, and to users the help of
`models info`.
"""

from __future__ import annotations

import argparse
import json
from typing import Any, cast


def with_keys(to: argparse.ArgumentParser, default: object = None) -> None:
    to.add_argument(
        "--model-keys", type=keys_in, default=default, metavar="JSON",
        help='what the catalog lacks of it: {"mask": "<M>", "shift": true, "context": 2048}, and '
        "how it is to decode; see `models info --help`",
    )  # fmt: skip


def keys_in(text: str) -> dict[str, Any]:
    try:
        keys = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from error
    if not isinstance(keys, dict):
        raise argparse.ArgumentTypeError(f'{text!r} is no JSON object, such as {{"shift": true}}')
    return cast(dict[str, Any], keys)
