"""From a model's name to a Denoiser. torch is imported only when a network is really loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from model import folder
from model.canvas import Card, Denoiser, ModelError
from model.scripted import Scripted

Progress = Callable[[str, float], None]  # what is being done, the share of it done (0 to 1)

BUNDLED = Path(__file__).parent / "bundled"


def card_of(name: str) -> Card:
    """The card of a model that need not be loaded; quick, no torch. Raises `ModelError`."""
    if name.startswith("scripted:"):
        return scripted_from(name).card
    return folder.card_of(folder_of(name))


def load(name: str, *, seed: int = 0, on_progress: Progress | None = None) -> Denoiser:
    """Loads the model and warms it up. Blocks for seconds: call it off the event loop.

    `name` is "bundled", a folder with weights, or "scripted:…" (see `scripted_from`).
    Raises `ModelError` with what is wrong and what to do.
    """
    if name.startswith("scripted:"):
        return scripted_from(name)
    if on_progress:
        on_progress(f"loading {name}", 0.0)
    engine = folder.load_folder(folder_of(name), seed=seed)
    if on_progress:
        on_progress(f"warming up {name}", 0.8)
    engine.warm_up()
    return engine


def folder_of(name: str) -> Path:
    return BUNDLED if name == "bundled" else Path(name).expanduser()


def scripted_from(name: str) -> Scripted:
    """`scripted:TEXT` always answers TEXT; `scripted:{…}` takes Scripted's arguments as JSON.

    For authors of editor clients and for tests: a server that answers without any network. The
    JSON's keys are `text`, `seconds_a_step`, `confidence`, `steps_a_fill`, `error` and `rivals`,
    of which each text has its probability: `{"text": "a", "rivals": {"a": 0.6, "b": 0.3}}`.
    """
    script = name.removeprefix("scripted:")
    if not script.startswith("{"):
        return Scripted(script)
    try:
        options = json.loads(script)
        return Scripted(options.pop("text", ""), **options)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"cannot read the script of {name!r}: {error}") from error
