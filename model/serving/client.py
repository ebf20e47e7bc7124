"""The Denoiser whose network is in another process of this machine, or a team's: drafts come as
lines over HTTP. Knows no torch and no process; `watch.py` sees to it that there is a server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from time import monotonic
from uuid import uuid4

import httpx

from model.canvas import Canvas, Card, Claim, Draft, ModelError
from model.fallback import Loaded
from model.load import Progress
from model.serving.reach import CONNECT, SESSION, Absent, Hung, Reach, checked, reach_from
from model.serving.supervise import Asked, found_or_started
from model.serving.watch import Find, Seen, Watch, loaded, told_in
from model.serving.wire import Ask, End, Refused, ask_to, news_from

REVIVAL = 60.0  # seconds, at most, for which a request waits for the next server
SHARED = "shared"  # the setting `server`: one server for all windows, found or started


class Broken(Exception):
    """The answer has no end: the server died, or was told to end."""


class Shared:
    """Asks the server that `watch` follows. What it has asked, it asks once more of the next
    server where one ends in between."""

    def __init__(self, watch: Watch, asker: str) -> None:
        self._watch = watch
        self.asker = asker

    @property
    def seen(self) -> Seen:
        return self._watch.seen

    @property
    def card(self) -> Card:
        """Raises `ModelError` where the server has not been there yet."""
        seen = self.seen
        if seen.card is None:
            raise ModelError(seen.failure or "the model's server is being looked for")
        return seen.card

    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        claim = replace(claim, asker=claim.asker or self.asker)
        until = monotonic() + claim.deadline_ms / 1000
        seen = await self._watch.asked()
        for is_last in (False, True):
            if claim.deadline_ms:
                left = max(1.0, (until - monotonic()) * 1000)
                claim = replace(claim, deadline_ms=left)
            was_final = False
            try:
                async with aclosing(asked(seen.reach or Reach(), canvas, claim)) as news:
                    async for draft in news:
                        was_final = draft.final
                        yield draft
                return
            except Broken as error:
                if was_final:
                    return
                if is_last:
                    raise ModelError(
                        f"the model's server at {seen.reach} broke off twice while it filled this "
                        "hole: try again"
                    ) from error
            self._watch.doubt(seen.turn)
            seen = await self._revived(seen)

    async def _revived(self, former: Seen) -> Seen:
        """What came in its place. Raises `ModelError` where nothing does."""
        try:
            async with asyncio.timeout(REVIVAL):
                return await self._watch.asked(after=former.turn)
        except TimeoutError:
            raise ModelError(
                self.seen.failure or f"the model's server at {former.reach} ended while it filled"
            ) from None

    def close(self) -> None:
        """The server sees one client less, and ends by itself once it has none."""
        self._watch.close()


async def asked(reach: Reach, canvas: Canvas, claim: Claim) -> AsyncGenerator[Draft, None]:
    """The drafts of one request, which ends at the server as soon as this is closed. Raises
    `ModelError`, and `Broken` where the answer has no end."""
    try:
        async with (
            reach.async_client(httpx.Timeout(None, connect=CONNECT)) as client,
            client.stream("POST", "/v1/fill", content=ask_to(Ask(canvas, claim)),
                          headers={"Content-Type": "application/json", SESSION: claim.asker},
                          ) as response,
        ):  # fmt: skip
            if not response.is_success:
                body = await response.aread()
                if is_ending(told_in(body)) or is_a_proxys(response.status_code, body):
                    raise Broken
                raise ModelError(refusal(reach, response.status_code, body))
            kept = b""
            async for chunk in response.aiter_raw():
                *lines, kept = (kept + chunk).split(b"\n")
                for line in lines:
                    news = news_from(line)
                    if isinstance(news, End):
                        return
                    yield news
    except ModelError as error:
        if is_ending(str(error)):
            raise Broken from error
        raise
    except httpx.TransportError as error:
        raise Broken from error
    except Refused as error:
        raise ModelError(f"the server at {reach} says what is not understood: {error}") from error
    raise Broken


def is_ending(told: str) -> bool:
    """Whether a server says that it has been told to end, so that the next one can answer."""
    return "server is ending" in told


def is_a_proxys(status: int, body: bytes) -> bool:
    """Whether what answers is not the server, which gives reasons, but a proxy whose server died
    before its first draft, or has been told to end (404)."""
    return (status >= 500 or status == 404) and loaded(body) is None


def refusal(reach: Reach, status: int, body: bytes) -> str:
    match status:
        case 401 | 403:
            return f"the server at {reach} refused the token in INFILL_TOKEN ({status})"
        case _:
            return f"the model's server refused ({status}): {told_in(body)}"


def connected(
    server: str,
    wanted: Asked,
    *,
    name: str = "infill-lsp",
    on_progress: Progress,
    on_choice: Callable[[str], None],
    on_news: Callable[[str], None],
    on_loaded: Callable[[str | None], None] = lambda _: None,
    still: Callable[[], bool],
) -> Loaded:
    """A denoiser that asks the server which the setting names, once that has loaded its model;
    "shared" finds or starts one. It hears the window's `name`. Blocks for as long as it loads, and
    `still` says whether anyone wants it. What happens to the server later is told to `on_news`; a
    load, this one and later ones, to `on_progress` and at its end, with what went wrong, to
    `on_loaded`; all from threads.

    Raises nothing: what goes wrong is in what it returns.
    """
    asker = uuid4().hex
    try:
        find, starts = finding(server, wanted, on_choice)
    except ModelError as error:
        return Loaded(None, str(error))
    is_loading = False

    def changed(seen: Seen) -> None:
        nonlocal is_loading
        was_loading, is_loading = is_loading, seen.state == "loading"
        if is_loading:
            on_progress(seen.what, seen.share)
        elif was_loading:
            on_loaded(seen.failure)

    watch = Watch(find, asker, name, starts=starts, on_news=on_news, on_change=changed)

    def settled(seen: Seen) -> bool:
        """One of ours that was lost while it loaded is started again; a named one is waited for."""
        return seen.ready or seen.over or seen.state == "failed" or is_away(seen)

    def is_away(seen: Seen) -> bool:
        return seen.state == "lost" and not starts

    seen = watch.wait(settled, still)
    if seen.ready and seen.choice and starts:
        on_choice(seen.choice)
    if seen.ready or is_away(seen):
        return Loaded(Shared(watch, asker), seen.failure)
    watch.close()
    return Loaded(None, seen.failure or "the model's server could not load it")


def finding(server: str, wanted: Asked, on_choice: Callable[[str], None]) -> tuple[Find, bool]:
    """How the server is found, and whether that may start it. Raises `ModelError`."""
    if server == SHARED:
        return partial(found_or_started, wanted), True
    reach = reach_from(server)
    if reach.leaves:
        on_choice(f"fills come from {reach}: the code around the cursor is sent there")
    return partial(answering, reach), False


def answering(reach: Reach, unwanted: Callable[[], bool]) -> tuple[Reach, int]:
    """The server there, which is never started. Raises `ModelError` where it does not answer."""
    try:
        return reach, checked(reach).pid
    except (Absent, Hung) as error:
        why = "says nothing" if isinstance(error, Hung) else f"is not there ({error})"
        raise ModelError(
            f"the server at {reach}, which the setting `server` names, {why}: it is tried again "
            "and again"
        ) from error
