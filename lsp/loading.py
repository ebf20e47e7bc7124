"""The model of this window: loaded off the event loop, replaced when another is wanted. Knows no
editor; whoever asks for a load tells the user how it went."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from model import Denoiser, ModelError
from model.load import Progress


class Load(Protocol):
    """What `model.load.load` is."""

    def __call__(self, name: str, *, seed: int, on_progress: Progress | None) -> Denoiser: ...


class Resident:
    """At most one denoiser at a time: the former is closed before the next is loaded.

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

    async def replace(self, name: str, seed: int, on_progress: Progress) -> str | None:
        """Loads the model; returns what went wrong, in words for the user.

        A later call, or `close`, makes an earlier one pointless: that returns None and what it
        loaded is closed.
        """
        former = self._taken()
        turn, self.loading = self._turn, True

        def in_thread() -> Denoiser | str | None:
            close(former)  # here, because it may have a step to end
            return self._attempt(name, seed, on_progress) if turn == self._turn else None

        loaded = await asyncio.get_running_loop().run_in_executor(self._thread, in_thread)
        if turn != self._turn:
            close(loaded)
            return None
        self.loading = False
        if isinstance(loaded, str):
            self.failure = loaded
        else:
            self.denoiser = loaded
        return self.failure

    def close(self) -> None:
        close(self._taken())
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _taken(self) -> Denoiser | None:
        """The denoiser, which is nobody's model from here on."""
        self._turn += 1
        former, self.denoiser = self.denoiser, None
        self.failure, self.loading = None, False
        return former

    def _attempt(self, name: str, seed: int, on_progress: Progress) -> Denoiser | str:
        self.busy = True
        try:
            return self._load(name, seed=seed, on_progress=on_progress)
        except ModelError as error:
            return str(error)
        except BaseException as error:  # a library's SystemExit must not end the editor's server
            return f"loading the model {name!r} failed: {type(error).__name__}: {error}"
        finally:
            self.busy = False


def close(loaded: Denoiser | str | None) -> None:
    if loaded is not None and not isinstance(loaded, str):
        loaded.close()
