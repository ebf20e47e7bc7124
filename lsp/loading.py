"""The model of this window: loaded off the event loop, replaced when another is wanted. Knows no
editor; whoever asks for a load tells the user how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from model import Denoiser
from model.fallback import Load, Loaded, load_or_bundled
from model.load import Progress


@dataclass(frozen=True, slots=True)
class Wanted:
    """The model that settings ask for."""

    name: str
    keys: Mapping[str, Any]
    seed: int


class Resident:
    """At most one denoiser at a time: the former is closed before the next is loaded.

    Where one cannot be loaded the bundled model takes its place, and `failure` says so. `choice`
    says what "auto" was and why.

    Loading has a thread to itself, because the thread pool of asyncio is waited for at the end, and
    nothing but time ends the loading of a network.
    """

    def __init__(self, load: Load) -> None:
        self.denoiser: Denoiser | None = None
        self.failure: str | None = None
        self.choice: str | None = None
        self.loading = False
        self.busy = False  # a thread is inside a load, wanted or not
        self._load = load
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model-loader")
        self._turn = 0

    async def replace(
        self,
        wanted: Wanted,
        on_progress: Progress,
        on_choice: Callable[[str], None] | None = None,
    ) -> str | None:
        """Loads the model; returns what went wrong, in words for the user.

        A later call, or `close`, makes an earlier one pointless: that returns None and what it
        loaded is closed. What is passed in is called in the loader's thread.
        """
        former = self._taken()
        turn, self.loading = self._turn, True

        def chosen(sentence: str) -> None:
            if turn == self._turn:
                self.choice = sentence
                if on_choice:
                    on_choice(sentence)

        def in_thread() -> Loaded:
            close(former)  # here, because it may have a step to end
            self.busy = True
            try:
                return load_or_bundled(
                    self._load, wanted.name, keys=wanted.keys, seed=wanted.seed,
                    on_progress=on_progress, on_choice=chosen, wanted=lambda: turn == self._turn,
                )  # fmt: skip
            finally:
                self.busy = False

        loaded = await asyncio.get_running_loop().run_in_executor(self._thread, in_thread)
        if turn != self._turn:
            close(loaded.denoiser)
            return None
        self.loading = False
        self.denoiser, self.failure = loaded.denoiser, loaded.failure
        return loaded.failure

    def close(self) -> None:
        close(self._taken())
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _taken(self) -> Denoiser | None:
        """The denoiser, which is nobody's model from here on."""
        self._turn += 1
        former, self.denoiser = self.denoiser, None
        self.failure = self.choice = None
        self.loading = False
        return former


def close(loaded: Denoiser | None) -> None:
    if loaded is not None:
        loaded.close()
