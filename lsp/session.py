"""What one editor window has: its documents, settings, model, and the requests being worked on.
Knows no message and no position of the protocol."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes, token_hex
from time import monotonic
from typing import TYPE_CHECKING, Any

from infill.ahead import Ahead, Guess
from infill.answer import Watch
from infill.deeds.joint import Outcome
from infill.document import Document
from infill.edit import Edit
from infill.fill import PATIENT, Fill, Timing, drafted, fill_at
from infill.memory import Memory
from infill.reason import Reason
from infill.settings import Settings
from infill.underway import Run, Underway
from lsp.counting import Counting
from lsp.loading import Resident, Wanted
from lsp.newest import Newest
from lsp.pace import Pace
from lsp.sync import Documents, Snapshot
from model import Canvas, Claim, Denoiser, Draft, ModelError
from model.fallback import Load
from model.load import ELSEWHERE, Progress

if TYPE_CHECKING:
    from model.serving.reach import Reach
    from model.serving.watch import Seen

logger = logging.getLogger(__name__)

MOST = 5  # texts to choose from, where somebody asked for a fill


@dataclass(frozen=True, slots=True)
class Question:
    """One request as it was when it came."""

    snapshot: Snapshot  # what the editor has; an answer counts only while it is current
    document: Document  # what to fill: the same text, or with the popup's entry put in
    cursor: int
    invoked: bool
    others: Sequence[Document] = ()
    root: Path | None = None

    @property
    def is_urgent(self) -> bool:
        """Whether somebody waits: who asked, and who has begun a line and thinks."""
        line = self.document.text[: self.cursor].rpartition("\n")[2]
        return self.invoked or not line.strip()


class Session:
    def __init__(self, settings: Settings, load: Load | None = None) -> None:
        self.base = settings  # what options are laid over
        self.settings = settings
        self.documents = Documents()
        self.resident = Resident(load)
        self.counting = Counting(self.documents, lambda: self.settings.statistics, self._server)
        self.steps = 0  # drafts seen, over all requests
        self._memory = Memory()
        self._ahead = Ahead()
        self._underway = Underway()
        self.pace = Pace()
        self._salt = token_bytes(16)
        self.deeds: Newest[Outcome] = Newest()  # what code actions do, one at a time a document
        self._newest: Newest[Fill] = Newest()
        self._last: dict[str, tuple[Fill | Reason, str]] = {}  # and the trace of its request
        self._trouble: str | None = None  # what went wrong with the last request

    async def fill(self, question: Question) -> Fill | None:
        """The fill, or None where there is none any more: superseded, or the text has moved on.

        Raises `ModelError`.
        """
        uri = question.snapshot.uri
        denoiser = self.resident.denoiser
        trace = token_hex(8)
        if denoiser is None:
            reason = Reason.DISABLED if not self.settings.enabled else Reason.NO_MODEL
            self._note(question, reason, trace)
            return None
        self._ahead.heed(uri, lambda: question.document.text)
        work = self._answered(question, denoiser, trace)
        try:
            fill = await self._newest.run(uri, work)
        except asyncio.CancelledError:  # by the editor; one that is superseded is None
            self._underway.give_up(uri)
            raise
        except ModelError as error:
            self._trouble = str(error)
            logger.debug("request %s: the model failed", trace)
            raise
        self._trouble = None
        if fill is None or self.documents.get(uri) is not question.snapshot:
            logger.debug("request %s: over before it was filled", trace)
            return None
        self._note(question, fill, trace)
        if not fill.remembered and fill.steps:
            self.pace.filled((fill.timing.total - fill.timing.pause_ms) / 1000)
        if fill.edit and fill.edit.text and self.speculates:
            guessed = dataclasses.replace(question, invoked=False)
            make = partial(self._fill_at, guessed, denoiser, speculative=True)
            self._ahead.begin(uri, Guess(question.document, fill.edit), make)
        return fill

    async def _answered(self, question: Question, denoiser: Denoiser, trace: str) -> Fill:
        """The fill, or at the deadline what there is of it; the rest is made all the same. What is
        being made for a place that was typed along from is waited for, too."""
        uri, document, cursor = question.snapshot.uri, question.document, question.cursor
        kind = denoiser, self.settings, question.others, question.root, question.invoked
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.settings.deadline_ms / 1000
        run = self._underway.joined(uri, document, cursor, kind)
        if run is not None:
            await asyncio.wait({run.task}, timeout=deadline - clock())
            if run.task.done() and document != run.document:
                run = None  # it is remembered; or it was another one in the end
        if run is None or run.task.cancelled():
            pause = 0.0 if question.is_urgent else self.pace.pause(monotonic())
            make = partial(
                self._fill_at, question, denoiser, document, cursor,
                pause=pause, patience=PATIENT, trace=trace,
            )  # fmt: skip
            run = self._underway.begin(uri, document, cursor, kind, make)
            await asyncio.wait({run.task}, timeout=deadline - clock())
        if run.task.done():
            return run.task.result()
        return await self._so_far(run, question, denoiser)

    async def _so_far(self, run: Run, question: Question, denoiser: Denoiser) -> Fill:
        nothing = Fill(None, 0.0, Reason.DEADLINE, run.steps, Timing(queue_ms=run.ms))
        if run.canvas is None or run.draft is None:
            return nothing
        fill = await drafted(
            run.document, run.canvas, run.draft, denoiser=denoiser, settings=self.settings,
            invoked=question.invoked, steps=run.steps, ms=run.ms,
        )  # fmt: skip
        typed = question.cursor - run.cursor
        if fill.edit is None or not typed:
            return fill
        along = question.document.text[run.cursor : question.cursor]
        rest = fill.edit.text[typed:]
        if not rest or not fill.edit.text.startswith(along):
            return nothing
        return dataclasses.replace(fill, edit=Edit(question.cursor, question.cursor, rest))

    def _fill_at(
        self,
        question: Question,
        denoiser: Denoiser,
        document: Document,
        cursor: int,
        watch: Watch | None = None,
        *,
        speculative: bool = False,
        pause: float = 0.0,
        patience: float = 1.0,
        trace: str = "",
    ) -> Coroutine[Any, Any, Fill]:
        def saw(canvas: Canvas, draft: Draft) -> None:
            self.steps += 1
            if watch is not None:
                watch(canvas, draft)

        return fill_at(
            document,
            cursor,
            denoiser=denoiser,
            settings=self.settings,
            memory=self._memory,
            others=question.others,
            root=question.root,
            invoked=question.invoked,
            most=MOST if question.invoked else 1,
            pause=pause,
            patience=patience,
            watch=saw,
            claim=Claim(
                document=self.named(question.snapshot.uri),
                speculative=speculative,
                trace=trace or token_hex(8),
            ),
        )

    def _note(self, question: Question, outcome: Fill | Reason, trace: str) -> None:
        """For `why`, the log and the counts."""
        self._last[question.snapshot.uri] = outcome, trace
        reason = outcome.reason if isinstance(outcome, Fill) else outcome
        if reason is not None:
            self.counting.silent(question.document.language, reason.value)
        logger.debug("request %s: %s", trace, told_of(outcome))

    def _server(self) -> Reach | None:
        """The one that this window asks, unless that is on another machine."""
        seen = self.resident.server
        if seen is None or seen.reach is None or not seen.there:
            return None
        return None if seen.reach.leaves else seen.reach

    def named(self, uri: str) -> str:
        """The document for those who need to know no more than whether it is the same."""
        told = uri.encode("utf-8", "surrogatepass")
        return blake2b(told, digest_size=8, key=self._salt).hexdigest()

    @property
    def speculates(self) -> bool:
        """Whether the next fill is to be made ahead, and nothing else is being worked on."""
        settings = self.settings
        allowed = settings.model != ELSEWHERE or settings.model_keys.get("speculate") is True
        return settings.speculate and allowed and not self._is_busy

    @property
    def works_behind(self) -> bool:
        """Whether a fill is being made, also where nobody waits for it any more."""
        return self._underway.busy

    @property
    def _is_busy(self) -> bool:
        return self._newest.busy or self.works_behind or self.deeds.busy

    @property
    def wanted(self) -> Wanted:
        settings = self.settings
        return Wanted(
            settings.model, settings.model_keys, settings.seed, settings.server,
            settings.unload_after,
        )  # fmt: skip

    async def use_model(
        self,
        on_progress: Progress,
        on_choice: Callable[[str], None],
        on_news: Callable[[str], None],
        on_loaded: Callable[[str | None], None],
    ) -> str | None:
        """Loads the model the settings name; returns what went wrong, in words for the user."""
        self._give_all_up()
        self._trouble = None
        return await self.resident.replace(self.wanted, on_progress, on_choice, on_news, on_loaded)

    def moved_on(self, snapshot: Snapshot) -> None:
        """The document has a new version: what is being worked on for the last one is given up."""
        self._newest.supersede(snapshot.uri)
        self._underway.heed(snapshot.uri, lambda: snapshot.text)
        self.pace.typed(snapshot.uri, monotonic())
        self._ahead.heed(snapshot.uri, lambda: snapshot.text)
        if former := self.documents.get(snapshot.uri):
            self.counting.changed(former, snapshot)
        self.documents.put(snapshot)
        self.deeds.supersede(snapshot.uri)

    def forget(self, uri: str) -> None:
        self._newest.supersede(uri)
        self._underway.give_up(uri)
        self._ahead.give_up()
        if snapshot := self.documents.get(uri):
            self.counting.closed(snapshot)
        self.documents.forget(uri)
        self.deeds.supersede(uri)
        self._last.pop(uri, None)

    def close(self) -> None:
        self._give_all_up()
        self.counting.close()
        self.resident.close()

    def _give_all_up(self) -> None:
        self._newest.supersede_all()
        self._underway.give_all_up()
        self.deeds.supersede_all()
        self._ahead.give_up()

    def why(self, uri: str) -> dict[str, Any]:
        """How the last request for the document ended."""
        match self._last.get(uri):
            case None:
                return {"reason": None, "explanation": "Nothing was asked for this document yet."}
            case (Reason() as reason, trace):
                return explained(reason) | {"trace": trace}
            case (fill, trace):
                return explained(fill.reason) | {
                    "trace": trace,
                    "score": fill.score,
                    "steps": fill.steps,
                    "remembered": fill.remembered,
                    "timing": dataclasses.asdict(fill.timing),
                }

    def status(self) -> dict[str, Any]:
        return {
            "model": self.settings.model,
            "choice": self.resident.choice,
            "enabled": self.settings.enabled,
            "loading": self.resident.loading,
            "ready": self.resident.ready,
            "failure": self._trouble or self.resident.failure,
            "documents": len(self.documents),
            "steps": self.steps,
            "server": server_told(self.resident.server),
        }


def server_told(seen: Seen | None) -> dict[str, Any] | None:
    """None where the model is in this process."""
    if seen is None:
        return None
    return {"state": seen.state, "pid": seen.pid, "address": str(seen.reach or "")}


def told_of(outcome: Fill | Reason) -> str:
    """How a request ended and where its time went, without any code."""
    if isinstance(outcome, Reason):
        return outcome.value
    how = outcome.reason or ("remembered" if outcome.remembered else "shown")
    times = (f"{name[:-3]} {ms:.1f}" for name, ms in dataclasses.asdict(outcome.timing).items())
    return f"{how} after {outcome.timing.total:.1f} ms ({', '.join(times)}), {outcome.steps} steps"


def explained(reason: Reason | None) -> dict[str, Any]:
    if reason is None:
        return {"reason": None, "explanation": "A fill was offered."}
    return {"reason": reason.value, "explanation": reason.explanation}
