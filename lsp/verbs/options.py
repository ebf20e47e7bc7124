"""What the options of several verbs have in common: how they are described, what they may hold, and
the settings that they make.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from infill.settings import Settings
from infill.source import InputError
from model.published.keys import with_keys


class Verbs(Protocol):
    """What `add_subparsers` returns; argparse has no public name for it."""

    def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser: ...


@dataclass(frozen=True, slots=True)
class Help:
    """What `--help` teaches about a verb."""

    what: str
    examples: str


def described(made: argparse.ArgumentParser, help: Help) -> argparse.ArgumentParser:
    made.description = help.what
    made.epilog = f"examples:\n{help.examples}"
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.allow_abbrev = False  # a script's `--mod` would change its meaning with a new option
    return made


def with_model(
    to: argparse.ArgumentParser,
    model: str = argparse.SUPPRESS,
    keys: object = argparse.SUPPRESS,
    seed: object = argparse.SUPPRESS,
) -> None:
    """The verbs' own have no default, or it would overrule `infill-lsp --model NAME fill FILE`."""
    to.add_argument(
        "--model",
        default=model,
        metavar="NAME",
        help='"bundled" (default), "auto", a folder of weights, or an id of `models list`',
    )
    with_keys(to, keys)
    to.add_argument(
        "--seed", type=int, default=seed, metavar="N", help="same seed, same fills (default: 0)"
    )


def settings_of(options: argparse.Namespace) -> Settings:
    return Settings(model=options.model, model_keys=options.model_keys, seed=options.seed)


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def at_least_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def check_appendable(path: Path) -> None:
    try:
        path.open("a").close()
    except OSError as error:
        raise InputError(f"cannot write the log to {path}: {error.strerror}") from error
