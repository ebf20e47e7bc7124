"""Code actions: what is offered at a range, and one of them carried out.

Nothing is computed while an editor waits but the syntax that decides what is offered. The command
returns at once; the work goes on beside it, under a progress bar that can be cancelled, and ends in
one edit of the version of the document that it was made for. How text is written is told in
`infill/deeds/deed.py`.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams

from infill.aside import aside
from infill.deeds.deed import carry_out, refused
from infill.deeds.joint import Outcome
from infill.deeds.offers import DOING, Deed, offers_at
from infill.document import Document
from infill.edit import Edit
from lsp import convert
from lsp.drafts import Drafts, drafts_of
from lsp.greeting import ACT, ACTION_KINDS, Greeting
from lsp.progress import Bar
from lsp.sync import Snapshot
from model import Denoiser, ModelError

if TYPE_CHECKING:
    from lsp.handlers import Server

logger = logging.getLogger(__name__)

PATIENCE = 0.2  # seconds: what takes longer is ready when the editor asks again
APPLYING = 60.0  # seconds an editor may take to apply an edit; some ask their user first

# Editors cut long messages off, so what has become of the file stands first.
CHANGED = "Nothing was written: {name} changed meanwhile ({doing})."
NAMELESS = "This text has no name by which the editor could be told where to write: save it first."
OLD = "Nothing was written: {name} has changed since this was offered. Ask for the actions again."


@dataclass(frozen=True, slots=True)
class Wish:
    """One deed asked for, and the document as it was then."""

    deed: Deed
    snapshot: Snapshot
    document: Document
    start: int
    end: int


class Actions:
    """The deeds under way in one window, at most one for each document."""

    def __init__(self, server: Server) -> None:
        self.client = Greeting()
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()
        self._bars: dict[str, str] = {}  # the documents that bars are shown for, by their tokens
        self._cancelled: set[str] = set()  # documents
        self._questions: dict[str, str] = {}  # to the user, by document

    async def offered(
        self, params: types.CodeActionParams
    ) -> list[types.CodeAction | types.Command] | None:
        """None where nothing applies, and where that would take longer than an editor can wait."""
        server = self._server
        snapshot = server.session.documents.get(params.text_document.uri)
        only = params.context.only
        asked = any(_asks_for(kind, only) for kind in ACTION_KINDS)
        able = self.client.applies_edits and not _is_nameless(params.text_document.uri)
        if snapshot is None or not able or not asked:
            return None
        document = convert.document_of(snapshot)
        start, end = self._offsets(params.range, snapshot)
        settings = server.session.settings
        if refused(document, self._root_of(document), settings):
            return None
        denoiser = server.session.resident.denoiser
        abilities = denoiser.card.abilities if denoiser is not None else frozenset[str]()
        look = partial(offers_at, document, start, end, settings, abilities)
        try:
            async with asyncio.timeout(PATIENCE):
                offers = await aside(len(document.text), look)
        except TimeoutError:
            return None
        wanted = [it for it in offers if _asks_for(_kind_of(it.deed), params.context.only)]
        actions = [self._action(offer.deed, offer.title, snapshot, params) for offer in wanted]
        return actions or None

    def _action(
        self, deed: Deed, title: str, snapshot: Snapshot, params: types.CodeActionParams
    ) -> types.CodeAction | types.Command:
        place = {
            "deed": deed.value,
            "uri": snapshot.uri,
            "version": snapshot.version,
            "range": {
                name: {"line": at.line, "character": at.character}
                for name, at in (("start", params.range.start), ("end", params.range.end))
            },
        }
        command = types.Command(title, ACT, arguments=[place])
        if not self.client.takes_actions:
            return command
        return types.CodeAction(title, kind=_kind_of(deed), command=command)

    def act(self, *arguments: Any) -> None:
        """Begins what is wished for; how it goes is told by progress, messages and the edit."""
        deed, uri, version, at = _read(arguments)
        snapshot = self._server.session.documents.get(uri)
        if snapshot is None:
            return self._say(types.MessageType.Warning, f"{_name_of(uri)} is not open: open it.")
        if _is_nameless(uri):
            return self._say(types.MessageType.Warning, NAMELESS)
        if version is not None and version != snapshot.version:
            return self._say(types.MessageType.Warning, OLD.format(name=_name_of(uri)))
        start, end = self._offsets(at, snapshot)
        wish = Wish(deed, snapshot, convert.document_of(snapshot), start, end)
        denoiser = self._server.session.resident.denoiser
        reason = refused(wish.document, self._root_of(wish.document), self._server.session.settings)
        if reason is not None:
            return self._say(types.MessageType.Warning, reason.explanation)
        if not self.client.applies_edits:
            lacks = "This editor does not take edits from language servers."
            return self._say(types.MessageType.Warning, lacks)
        if denoiser is None:
            return self._say(types.MessageType.Warning, self.without_model())
        self._begin(self._carry_out(wish, denoiser))

    def cancel(self, *arguments: Any) -> None:
        """Gives up what is under way for a document, or everything."""
        uris = arguments or tuple(self._bars.values())
        for uri in uris:
            self._give_up(str(uri))

    def progress_cancelled(self, params: types.WorkDoneProgressCancelParams) -> None:
        uri = self._bars.get(str(params.token))
        if uri is not None:
            self._give_up(uri)

    def _give_up(self, uri: str) -> None:
        if uri in self._bars.values():
            self._cancelled.add(uri)
        if asked := self._questions.get(uri):
            self._server.cancel_request(types.CancelParams(asked))
        self._server.session.deeds.supersede(uri)

    async def _carry_out(self, wish: Wish, denoiser: Denoiser) -> None:
        uri, doing = wish.snapshot.uri, DOING[wish.deed]
        bar = Bar(self._server, f"infill-lsp: {doing}", cancellable=True)
        self._bars[bar.token] = uri
        drafts = drafts_of(self._server, wish.snapshot, bar.token)
        if self.client.shows_progress:
            self._begin(bar.open())
        ended = "nothing was changed"
        try:
            outcome = await self._server.session.deeds.run(
                uri, self._work(wish, denoiser, bar, drafts)
            )
            if outcome is not None and outcome.others and self.client.asks_users:
                bar.close(f"{len(outcome.others) + 1} variants")  # nobody knows when one is chosen
                drafts.clear()
                outcome = await self._chosen(wish, outcome, drafts)
                if outcome is None:
                    return  # by the user's word, or since the text changed, which the client tells
            ended = await self._conclude(wish, outcome, drafts)
        except ModelError as error:
            self._say(types.MessageType.Error, f"Nothing was changed: {error}")
        except Exception as error:
            # Without its words, which may quote the user's code.
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error("%s failed (%s)\n%s", wish.deed, type(error).__name__, frames)
            failed = f"This failed within infill-lsp ({type(error).__name__}); its log says where."
            self._say(types.MessageType.Error, f"Nothing was changed. {failed}")
        finally:
            del self._bars[bar.token]
            self._cancelled.discard(uri)
            drafts.give_up()
            bar.close(ended)

    def _work(
        self, wish: Wish, denoiser: Denoiser, bar: Bar, drafts: Drafts
    ) -> Coroutine[Any, Any, Outcome]:
        session = self._server.session
        return carry_out(
            wish.deed,
            wish.document,
            wish.start,
            wish.end,
            denoiser=denoiser,
            settings=session.settings,
            others=self._server.others_beside(wish.snapshot),
            root=self._root_of(wish.document),
            report=bar.report,
            show=drafts.show,
        )

    async def _conclude(self, wish: Wish, outcome: Outcome | None, drafts: Drafts) -> str:
        """Applies the edits, where the document still is what they were made for; in a few words
        how it ended."""
        name, doing = _name_of(wish.snapshot.uri), DOING[wish.deed]
        current = self._server.session.documents.get(wish.snapshot.uri)
        if outcome is None or not outcome.edits or current is not wish.snapshot:
            drafts.give_up()  # before anything is said, for which an editor may want a key pressed
        if wish.snapshot.uri in self._cancelled:
            return "cancelled, nothing was changed"
        if current is None:
            return "the file was closed, nothing was changed"
        if current is not wish.snapshot:
            self._say(types.MessageType.Warning, CHANGED.format(name=name, doing=doing))
            return "the file changed meanwhile, nothing was changed"
        if outcome is None:
            return "given up, nothing was changed"
        if not outcome.edits:
            self._say(types.MessageType.Warning, outcome.told)
            return "nothing was changed"
        drafts.settle(outcome.edits)
        if trouble := await self._apply(wish, outcome):
            said = f"Nothing was written: the editor did not change {name} ({trouble})."
            self._say(types.MessageType.Warning, said)
            return "the editor refused the edit"
        if outcome.told:
            self._say(types.MessageType.Info, outcome.told)
        places = len(outcome.edits)
        return f"written in {places} places" if places > 1 else "written"

    async def _chosen(self, wish: Wish, outcome: Outcome, drafts: Drafts) -> Outcome | None:
        """The outcome with the one of its variants that the user chooses; None for none.

        Each entry of the question has the edit that it stands for, where the client lets it: so it
        may be looked at in the text before it is chosen.
        """
        uri = wish.snapshot.uri
        variants = (*outcome.edits, *outcome.others)
        titles = {f"{n}: {_short(edit.text)}": edit for n, edit in enumerate(variants, start=1)}
        document = {"uri": uri, "version": wish.snapshot.version}

        def entry(title: str, edit: Edit) -> dict[str, Any]:
            if not self.client.keeps_more:
                return {"title": title}
            text = convert.with_plain_line_ends(edit.text)
            at = drafts.range_of(edit.start, edit.end)
            shown = {"textDocument": document, "range": at, "newText": text}
            return {"title": title, "edit": shown}

        question = {
            "type": types.MessageType.Info.value,
            "message": "infill-lsp: which of these shall stand in place of the selection in "
            f"{_name_of(uri)}?",
            "actions": [entry(title, edit) for title, edit in titles.items()],
        }
        name = self._questions[uri] = str(uuid4())
        asked = self._server.protocol.send_request_async(
            types.WINDOW_SHOW_MESSAGE_REQUEST, question, name
        )
        try:
            answer = await asyncio.shield(asked)
        except JsonRpcException:
            return outcome  # it cannot ask after all: the likeliest, which can be undone
        finally:
            if self._questions.get(uri) == name:
                del self._questions[uri]
        edit = titles.get(answer.title) if answer is not None else None
        return None if edit is None else replace(outcome, edits=(edit,))

    async def _apply(self, wish: Wish, outcome: Outcome) -> str | None:
        """What kept the editor from applying the edits, in words.

        Shielded, because pygls 2.1.1 trips over an answer to a request given up on (its #621).
        """
        edit = convert.to_workspace_edit(outcome.edits, wish.snapshot, self._server.encoding)
        params = types.ApplyWorkspaceEditParams(edit, f"infill: {wish.deed.value}")
        asked = self._server.workspace_apply_edit_async(params)
        try:
            answer = await asyncio.wait_for(asyncio.shield(asked), APPLYING)
        except JsonRpcException as error:
            return error.message
        except TimeoutError:
            return "it did not answer"
        return None if answer.applied else answer.failure_reason or "it gave no reason"

    def without_model(self) -> str:
        resident = self._server.session.resident
        if resident.loading:
            return "The model is still being loaded: ask again in a moment."
        why = f": {resident.failure}" if resident.failure else ""
        return f"No model is loaded{why}."

    def _offsets(self, at: types.Range, snapshot: Snapshot) -> tuple[int, int]:
        places = (
            convert.place_of(it, snapshot, self._server.encoding) for it in (at.start, at.end)
        )
        start, end = sorted(map(snapshot.offset_at, places))
        return start, end

    def _root_of(self, document: Document) -> Path | None:
        path = Path(document.path) if document.path is not None else None
        return convert.root_of(path, self._server.folders)

    def _say(self, kind: types.MessageType, message: str) -> None:
        """Each time anew: it answers something that the user asked for."""
        said = types.ShowMessageParams(kind, f"infill-lsp: {message}")
        self._server.window_show_message(said)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # asyncio itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)


def _kind_of(deed: Deed) -> str:
    return ACTION_KINDS[1] if deed is Deed.REPAIR else ACTION_KINDS[0]


def _asks_for(kind: str, only: Sequence[types.CodeActionKind | str] | None) -> bool:
    wanted = [it.value if isinstance(it, types.CodeActionKind) else it for it in only or ()]
    return not wanted or any(kind == each or kind.startswith(f"{each}.") for each in wanted)


def _read(arguments: tuple[Any, ...]) -> tuple[Deed, str, int | None, types.Range]:
    match arguments:
        case (
            {
                "deed": str(deed),
                "uri": str(uri),
                "range": {
                    "start": {"line": int(line), "character": int(character)},
                    "end": {"line": int(end_line), "character": int(end_character)},
                },
                **more,
            },
        ) if deed in set(Deed):
            version = more.get("version")
            start = types.Position(line, character)
            at = types.Range(start, types.Position(end_line, end_character))
            return Deed(deed), uri, version if isinstance(version, int) else None, at
        case _:
            deeds = ", ".join(Deed)
            raise JsonRpcInvalidParams(
                f"{ACT} takes one object with `deed` (one of {deeds}), `uri` and `range`, and may "
                "be given the document's `version`; an editor's menu of code actions fills it in"
            )


def _short(text: str, most: int = 60) -> str:
    """A text in one line, as an entry of a menu."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _is_nameless(uri: str) -> bool:
    """Neovim gives all its buffers without a name this one, and would write into any of them."""
    return uri.rstrip("/") == "file:"


def _name_of(uri: str) -> str:
    path = convert.path_of(uri)
    return path.name if path is not None else uri
