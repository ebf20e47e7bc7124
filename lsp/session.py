"""What one editor window has: its documents, settings, model, and the requests being worked on.
Knows no message and no position of the protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infill.document import Document
from infill.fill import Fill, fill_at
from infill.joint import Outcome
from infill.memory import Memory
from infill.reason import Reason
from infill.settings import Settings
from lsp.loading import Resident, Wanted
from lsp.newest import Newest
from lsp.sync import Documents, Snapshot
from model import Canvas, Draft, ModelError
from model.fallback import Load
from model.load import Progress

if TYPE_CHECKING:
    from model.serving.watch import Seen


@dataclass(frozen=True, slots=True)
class Question:
    """One request as it was when it came."""

    snapshot: Snapshot  # what the editor has; an answer counts only while it is current
    document: Document  # what to fill: the same text, or with the popup's entry put in
    cursor: int
    invoked: bool
    others: Sequence[Document] = ()
    root: Path | None = None


class Session:
    def __init__(self, settings: Settings, load: Load | None = None) -> None:
        self.base = settings  # what options are laid over
        self.settings = settings
        self.documents = Documents()
        self.resident = Resident(load)
        self.steps = 0  # drafts seen, over all requests
        self._memory = Memory()
        self.deeds: Newest[Outcome] = Newest()  # what code actions do, one at a time a document
        self._newest: Newest[Fill] = Newest()
        self._last: dict[str, Fill | Reason] = {}
        self._trouble: str | None = None  # what went wrong with the last request

    async def fill(self, question: Question) -> Fill | None:
        """The fill, or None where there is none any more: superseded, or the text has moved on.

        Raises `ModelError`.
        """
        uri = question.snapshot.uri
        denoiser = self.resident.denoiser
        if denoiser is None:
            self._last[uri] = Reason.DISABLED if not self.settings.enabled else Reason.NO_MODEL
            return None
        work = fill_at(
            question.document,
            question.cursor,
            denoiser=denoiser,
            settings=self.settings,
            memory=self._memory,
            others=question.others,
            root=question.root,
            invoked=question.invoked,
            watch=self._saw,
        )
        try:
            fill = await self._newest.run(uri, work)
        except ModelError as error:
            self._trouble = str(error)
            raise
        self._trouble = None
        if fill is None or self.documents.get(uri) is not question.snapshot:
            return None
        self._last[uri] = fill
        return fill

    @property
    def wanted(self) -> Wanted:
        settings = self.settings
        return Wanted(settings.model, settings.model_keys, settings.seed, settings.server)

    async def use_model(
        self,
        on_progress: Progress,
        on_choice: Callable[[str], None],
        on_news: Callable[[str], None],
    ) -> str | None:
        """Loads the model the settings name; returns what went wrong, in words for the user."""
        self._newest.supersede_all()
        self.deeds.supersede_all()
        self._trouble = None
        return await self.resident.replace(self.wanted, on_progress, on_choice, on_news)

    def moved_on(self, snapshot: Snapshot) -> None:
        """The document has a new version: what is being worked on for the last one is given up."""
        self._newest.supersede(snapshot.uri)
        self.documents.put(snapshot)
        self.deeds.supersede(snapshot.uri)

    def forget(self, uri: str) -> None:
        self._newest.supersede(uri)
        self.documents.forget(uri)
        self.deeds.supersede(uri)
        self._last.pop(uri, None)

    def close(self) -> None:
        self._newest.supersede_all()
        self.deeds.supersede_all()
        self.resident.close()

    def why(self, uri: str) -> dict[str, Any]:
        """How the last request for the document ended."""
        match self._last.get(uri):
            case None:
                return {"reason": None, "explanation": "Nothing was asked for this document yet."}
            case Reason() as reason:
                return explained(reason)
            case Fill() as fill:
                return explained(fill.reason) | {
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

    def _saw(self, canvas: Canvas, draft: Draft) -> None:
        self.steps += 1


def server_told(seen: Seen | None) -> dict[str, Any] | None:
    """None where the model is in this process."""
    if seen is None:
        return None
    return {"state": seen.state, "pid": seen.pid, "address": str(seen.reach or "")}


def explained(reason: Reason | None) -> dict[str, Any]:
    if reason is None:
        return {"reason": None, "explanation": "A fill was offered."}
    return {"reason": reason.value, "explanation": reason.explanation}
