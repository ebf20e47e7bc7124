"""What the verbs share at a terminal: where they speak, and a model loaded while one looks on.

Results go to standard output; `console` is for everything else, so that results can be piped.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from infill.settings import Settings
from model import Denoiser, ModelError
from model.auto import AUTO
from model.fallback import load_or_bundled
from model.load import load


def console() -> Console:
    return Console(stderr=True, highlight=False, emoji=False)


@contextmanager
def loaded(settings: Settings, to: Console) -> Generator[Denoiser]:
    """The model of the settings, closed at the end. Raises `ModelError`.

    What was named is what is loaded, or nothing; where "auto" chose what cannot be loaded, the
    bundled model takes its place, as in an editor, and both are told.
    """

    def say(sentence: str) -> None:
        to.print(Text(sentence), soft_wrap=True)

    with to.status("loading the model") as status:

        def report(what: str, share: float) -> None:
            status.update(f"{what} ({share:.0%})")

        if settings.model == AUTO:
            outcome = load_or_bundled(
                load, AUTO, keys=settings.model_keys, seed=settings.seed,
                on_progress=report, on_choice=say,
            )  # fmt: skip
            if outcome.denoiser is None:
                raise ModelError(outcome.failure or f"no model was loaded for {AUTO!r}")
            if outcome.failure:
                say(outcome.failure)
            denoiser = outcome.denoiser
        else:
            denoiser = load(
                settings.model, seed=settings.seed, keys=settings.model_keys,
                on_progress=report, on_choice=say,
            )  # fmt: skip
    try:
        yield denoiser
    finally:
        denoiser.close()


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_bytes(text: str) -> None:
    """Text as it is in UTF-8, whatever the terminal's encoding and the platform's line ends."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def percentile(values: Iterable[float], percent: int) -> float | None:
    """The smallest value that at least so many percent of the values do not exceed."""
    ordered = sorted(values)
    if not ordered:
        return None
    return round(ordered[math.ceil(len(ordered) * percent / 100) - 1], 2)
