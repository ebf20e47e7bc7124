"""Of the requests for one document only the newest is worked on. Knows nothing of what is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """Runs one coroutine a key; a newer one, or `supersede`, ends it and answers it with None."""

    def __init__(self) -> None:
        self._answers: dict[str, asyncio.Future[T | None]] = {}

    async def run(self, key: str, work: Coroutine[Any, Any, T]) -> T | None:
        """What `work` returns, or None as soon as it is superseded.

        When the caller is cancelled, that takes effect at once: a step that cannot be broken off
        ends by itself, and nothing waits for it.
        """
        self.supersede(key)
        task = asyncio.create_task(work)
        answer: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._answers[key] = answer
        task.add_done_callback(lambda done: settle(answer, done))
        try:
            return await answer
        finally:
            task.cancel()
            if self._answers.get(key) is answer:
                del self._answers[key]

    @property
    def busy(self) -> bool:
        return bool(self._answers)

    def supersede(self, key: str) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None and not answer.done():
            answer.set_result(None)

    def supersede_all(self) -> None:
        for key in list(self._answers):
            self.supersede(key)


def settle(answer: asyncio.Future[T | None], done: asyncio.Task[T]) -> None:
    error = None if done.cancelled() else done.exception()  # asked for, or asyncio would log it
    if answer.done():
        return
    if done.cancelled():
        answer.set_result(None)
    elif error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(done.result())
