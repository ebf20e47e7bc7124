"""The model of this window: loaded off the event loop, or asked of a server; replaced when another
is wanted. Knows no editor; whoever asks for a load tells the user how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from model import Denoiser
from model.fallback import Load, Loaded, load_or_bundled
from model.load import ELSEWHERE, Progress
from model.load import load as load_model

if TYPE_CHECKING:
    from model.serving.client import Shared
    from model.serving.watch import Seen

# The setting `server`, besides addresses.
SHARED = "shared"
INSIDE = "inside"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The model that settings ask for."""

    name: str
    keys: Mapping[str, Any]
    seed: int
    server: str = INSIDE
    unload_after: int = field(default=600, compare=False)  # nothing is loaded anew for it

    @property
    def is_inside(self) -> bool:
        """What needs no network here is quicker asked than a server of ours would be."""
        return self.server == INSIDE or self.name == ELSEWHERE or self.name.startswith("scripted:")

    @property
    def is_elsewhere(self) -> bool:
        """Somebody named where the code is sent."""
        return self.name == ELSEWHERE or self.server not in (SHARED, INSIDE)


class Resident:
    """At most one denoiser at a time: the former is closed before the next is loaded.

    Where one cannot be loaded the bundled model takes its place, and `failure` says so. `choice`
    says what "auto" was and why. `server` is what is seen of the server that has the model, None
    where it is in this process.

    Loading has a thread to itself, because the thread pool of asyncio is waited for at the end, and
    nothing but time ends the loading of a network.
    """

    def __init__(self, load: Load | None = None) -> None:
        """`load` loads every model in this process, whatever the settings say of a server."""
        self.denoiser: Denoiser | None = None
        self.editor = ""  # whose window this is, for who looks at the server
        self.choice: str | None = None
        self.loading = False
        self.busy = False  # a thread is inside a load, wanted or not
        self._failure: str | None = None
        self._shared: Shared | None = None
        self._load = load
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model-loader")
        self._turn = 0

    async def replace(
        self,
        wanted: Wanted,
        on_progress: Progress,
        on_choice: Callable[[str], None] | None = None,
        on_news: Callable[[str], None] | None = None,
        on_loaded: Callable[[str | None], None] | None = None,
    ) -> str | None:
        """Loads the model; returns what went wrong, in words for the user.

        A later call, or `close`, makes an earlier one pointless: that returns None and what it
        loaded is closed. What is passed in is called in another thread; at any time later, too,
        `on_news` when something happens to the server, `on_progress` and in the end `on_loaded`,
        with what went wrong, when that loads the model again.
        """
        former = self._taken()
        load = self._load or (load_model if wanted.is_inside else None)
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
                if load is None:
                    return asked_of_server(
                        wanted,
                        self.editor,
                        on_progress,
                        chosen,
                        on_news,
                        on_loaded,
                        still=lambda: turn == self._turn,
                    )
                return load_or_bundled(
                    load, wanted.name, keys=wanted.keys, seed=wanted.seed,
                    on_progress=on_progress, on_choice=chosen, wanted=lambda: turn == self._turn,
                )  # fmt: skip
            finally:
                self.busy = False

        loaded = await asyncio.get_running_loop().run_in_executor(self._thread, in_thread)
        if turn != self._turn:
            close(loaded.denoiser)
            return None
        self.loading = False
        self.denoiser, self._failure = loaded.denoiser, loaded.failure
        if load is None:
            self._shared = cast("Shared | None", loaded.denoiser)
        return loaded.failure

    @property
    def server(self) -> Seen | None:
        return self._shared.seen if self._shared else None

    @property
    def failure(self) -> str | None:
        return self.server.failure if self.server else self._failure

    @property
    def ready(self) -> bool:
        return self.denoiser is not None and (self.server is None or self.server.ready)

    def leave_server(self) -> bool:
        """Stops being a client of a server, which then may end; whether it was one."""
        if self._shared is None:
            return False
        close(self._taken())
        return True

    def close(self) -> None:
        close(self._taken())
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _taken(self) -> Denoiser | None:
        """The denoiser, which is nobody's model from here on."""
        self._turn += 1
        former, self.denoiser, self._shared = self.denoiser, None, None
        self._failure = self.choice = None
        self.loading = False
        return former


def asked_of_server(
    wanted: Wanted,
    editor: str,
    on_progress: Progress,
    on_choice: Callable[[str], None],
    on_news: Callable[[str], None] | None,
    on_loaded: Callable[[str | None], None] | None,
    *,
    still: Callable[[], bool],
) -> Loaded:
    from model.serving.client import connected  # only now: HTTP is a tenth of a window's memory
    from model.serving.supervise import Asked

    return connected(
        wanted.server, Asked(wanted.name, wanted.keys, wanted.seed, wanted.unload_after),
        name=editor,
        on_progress=on_progress, on_choice=on_choice, on_news=on_news or (lambda _: None),
        on_loaded=on_loaded or (lambda _: None), still=still,
    )  # fmt: skip


def close(loaded: Denoiser | None) -> None:
    if loaded is not None:
        loaded.close()
