"""A model, or where it cannot be loaded the bundled one in its place, and why, for the user.

It knows neither networks nor where one would be shown what it says; loading is `model/load.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from model.auto import BUNDLED
from model.canvas import Denoiser, ModelError
from model.load import Progress


class Load(Protocol):
    """What `model.load.load` is."""

    def __call__(
        self,
        name: str,
        *,
        keys: Mapping[str, Any],
        seed: int,
        on_progress: Progress | None,
        on_choice: Callable[[str], None] | None,
    ) -> Denoiser: ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """`failure` says why the denoiser is not the one that was asked for, or why there is none."""

    denoiser: Denoiser | None
    failure: str | None = None


def load_or_bundled(
    load: Load,
    name: str,
    *,
    keys: Mapping[str, Any],
    seed: int,
    on_progress: Progress | None = None,
    on_choice: Callable[[str], None] | None = None,
    wanted: Callable[[], bool] = lambda: True,
) -> Loaded:
    """Raises nothing but `KeyboardInterrupt`. Once it is no longer `wanted`, nothing is begun."""

    def attempt(name: str, keys: Mapping[str, Any]) -> Denoiser | str:
        try:
            return load(name, keys=keys, seed=seed, on_progress=on_progress, on_choice=on_choice)
        except ModelError as error:
            return str(error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a library's SystemExit must not end the editor's server
            return f"loading the model {name!r} failed: {type(error).__name__}: {error}"

    if not wanted():
        return Loaded(None)
    first = attempt(name, keys)
    if not isinstance(first, str):
        return Loaded(first)
    if name == BUNDLED or not wanted():
        return Loaded(None, first)
    other = attempt(BUNDLED, {})
    if isinstance(other, str):
        return Loaded(None, first)
    return Loaded(other, f"{first.rstrip('.')}. Until then the bundled model fills the holes.")
