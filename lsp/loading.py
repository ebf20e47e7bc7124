"""The model of this window: loaded off the event loop, replaced when another is wanted. Knows no
editor; whoever asks for a load tells the user how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from model import Denoiser, ModelError
from model.auto import BUNDLED
from model.load import Progress


class Load(Protocol):
    """What `model.load.load` is."""

    def __call__(
        self, name: str, *, keys: Mapping[str, Any], seed: int, on_progress: Progress | None
    ) -> Denoiser: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """The model that settings ask for."""

    name: str
    keys: Mapping[str, Any]
    seed: int


class Resident:
    """At most one denoiser at a time: the former is closed before the next is loaded.

    Where one cannot be loaded the bundled model takes its place, and `failure` says so.

    Loading has a thread to itself, because the thread pool of asyncio is waited for at the end, and
    nothing but time ends the loading of a network.
    """

    def __init__(self, load: Load) -> None:
        self.denoiser: Denoiser | None = None
        self.failure: str | None = None
        self.loading = False
        self.busy = False  # a thread is inside a load, wanted or not
        self._load = load
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model-loader")
        self._turn = 0

    async def replace(self, wanted: Wanted, on_progress: Progress) -> str | None:
        """Loads the model; returns what went wrong, in words for the user.

        A later call, or `close`, makes an earlier one pointless: that returns None and what it
        loaded is closed.
        """
        former = self._taken()
        turn, self.loading = self._turn, True

        def in_thread() -> tuple[Denoiser | None, str | None]:
            close(former)  # here, because it may have a step to end
            loaded = self._attempt(wanted, on_progress) if turn == self._turn else None
            if not isinstance(loaded, str):
                return loaded, None
            other = None
            if wanted.name != BUNDLED and turn == self._turn:
                other = self._attempt(Wanted(BUNDLED, {}, wanted.seed), on_progress)
            if other is None or isinstance(other, str):
                return None, loaded
            return other, f"{loaded.rstrip('.')}. Until then the bundled model fills the holes."

        loaded, failure = await asyncio.get_running_loop().run_in_executor(self._thread, in_thread)
        if turn != self._turn:
            close(loaded)
            return None
        self.loading = False
        self.denoiser, self.failure = loaded, failure
        return failure

    def close(self) -> None:
        close(self._taken())
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _taken(self) -> Denoiser | None:
        """The denoiser, which is nobody's model from here on."""
        self._turn += 1
        former, self.denoiser = self.denoiser, None
        self.failure, self.loading = None, False
        return former

    def _attempt(self, wanted: Wanted, on_progress: Progress) -> Denoiser | str:
        self.busy = True
        try:
            return self._load(
                wanted.name, keys=wanted.keys, seed=wanted.seed, on_progress=on_progress
            )
        except ModelError as error:
            return str(error)
        except BaseException as error:  # a library's SystemExit must not end the editor's server
            return f"loading the model {wanted.name!r} failed: {type(error).__name__}: {error}"
        finally:
            self.busy = False


def close(loaded: Denoiser | None) -> None:
    if loaded is not None:
        loaded.close()
