"""A handler for each thing an editor says.

A handler converts, makes one call and converts back. Over stdio only: there an async handler runs
up to its first await before the next message is read, so the snapshot it takes at its top is the
text that the request was made for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInternalError, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from infill.document import Document
from infill.fill import Fill
from infill.settings import Settings, settings_from
from lsp import completion, convert, drafts
from lsp.actions import Actions
from lsp.greeting import ACCEPTED, COMMANDS, START, Greeting, version
from lsp.loading import Wanted
from lsp.progress import Bars
from lsp.quiet import log_what_matters
from lsp.session import Question, Session
from lsp.stdio import Output
from lsp.sync import Place, Snapshot
from lsp.wire import Message, Wire, strict_converter
from model import ModelError
from model.fallback import Load

logger = logging.getLogger(__name__)

READY = "the model is ready"
OTHERS = 16  # so many other open files are looked at; what was touched before them rarely helps


def serve(
    settings: Settings, greeting: Greeting | None, read: Iterator[bytes], output: Output
) -> tuple[int, bool]:
    """Serves until the editor leaves; the exit status, and whether no thread is stuck."""
    server = Server(settings)
    if greeting is not None:
        server.begin(greeting)
    thread = ThreadPoolExecutor(1, thread_name_prefix="stdin")
    status = asyncio.run(server.serve(bodies(read, thread), output))
    thread.shutdown(wait=False)
    return status, server.has_left and not server.session.resident.busy


async def bodies(read: Iterator[bytes], thread: Executor) -> AsyncIterator[bytes]:
    """What is read, off the event loop. The wait for each lets the loop run, so a handler gets to
    its first await before the next message is looked at."""
    loop = asyncio.get_running_loop()
    while (body := await loop.run_in_executor(thread, next, read, None)) is not None:
        yield body


class Server(LanguageServer):
    """pygls' server with a session of ours. Its own text store stays empty: it damages texts."""

    protocol: Wire  # pyright: ignore[reportIncompatibleVariableOverride]  # as `protocol_cls` makes it

    def __init__(self, settings: Settings, load: Load | None = None) -> None:
        """`load`, where there is one, loads models in this process, whatever `server` says."""
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  # *args is untyped in pygls
            "infill-lsp", version(), protocol_cls=Wire, converter_factory=strict_converter
        )
        self.session = Session(settings, load)
        self.encoding: convert.Encoding = Greeting().encoding
        self.folders: list[str] = []
        self.menu = completion.Menu(self.fill_or_say)
        self.offers_ghost_text = self.offers_menu = True
        self.actions = Actions(self)
        self.has_left = False  # the editor said exit, or its end of the pipe is closed
        self._complaints: list[str] = []
        self._said: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._shows_progress = False
        self._loaded: Wanted | None = None
        self.protocol.on_greeting = self.begin
        self.protocol.on_unreadable = partial(lose_track, self)
        register(self)

    async def serve(self, read: AsyncIterator[bytes], output: Output) -> int:
        asyncio.get_running_loop().set_exception_handler(log_what_matters)
        self.protocol.set_writer(output)
        try:
            async for body in read:
                self.protocol.receive(body)
                if self.has_left or output.broken:
                    break
            else:
                self.has_left = True
        finally:
            self.session.close()
        return 0 if self.protocol.is_shut_down else 1

    def begin(self, greeting: Greeting) -> None:
        self.protocol.initialized = True
        self.encoding = greeting.encoding
        self.session.resident.editor = greeting.editor
        self.folders = list(greeting.folders)
        self.offers_ghost_text, self.offers_menu = greeting.ghost_text, greeting.menu
        self.actions.client = greeting
        self._shows_progress = greeting.shows_progress
        self.configure(greeting.options)
        self.session.base = self.session.settings

    def configure(self, sent: object) -> None:
        """Takes over what an editor sent as its configuration; complaints wait to be voiced."""
        # "canvas" is no setting: it was heard when the editor greeted.
        options = {name: it for name, it in convert.options_in(sent).items() if name != "canvas"}
        self.session.settings, complaints = settings_from(options, self.session.base)
        self._complaints += complaints

    def apply_settings(self) -> None:
        """Voices complaints, each once, and loads the model that is wanted now. A server that was
        given up is given another chance."""
        for complaint in self._complaints:
            self.say(types.MessageType.Warning, f"infill-lsp: {complaint}")
        self._complaints.clear()
        session, wanted = self.session, self.session.wanted
        seen = session.resident.server
        if not session.settings.enabled:
            if session.resident.leave_server():
                self._loaded = None
        elif wanted != self._loaded or (seen is not None and seen.over):
            self._loaded = wanted
            self._begin(self._load_model())

    async def _load_model(self) -> None:
        title, begin = "infill-lsp: loading the model", self._begin
        bars = Bars(self, title, begin if self._shows_progress else None)
        bars.report("", 0.0)
        loop = asyncio.get_running_loop()
        elsewhere = self.session.wanted.is_elsewhere

        def report(message: str, share: float) -> None:  # called in the loader's thread
            with suppress(RuntimeError):  # the editor has left
                loop.call_soon_threadsafe(bars.report, message, share)

        def loaded(failure: str | None) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(bars.close, failure or READY)

        def chosen(sentence: str) -> None:
            """For the editor's log, which stays; a popup at each start would be in the way. But
            that code is sent away is shown: settings may have come with somebody's repository."""
            sentence, info = f"infill-lsp: {sentence}", types.MessageType.Info
            if elsewhere:
                loop.call_soon_threadsafe(self.say, info, sentence)
            else:
                said = types.LogMessageParams(info, sentence)
                loop.call_soon_threadsafe(self.window_log_message, said)

        def happened(sentence: str) -> None:
            with suppress(RuntimeError):  # the editor has left
                warning = types.MessageType.Warning
                loop.call_soon_threadsafe(self.say, warning, f"infill-lsp: {sentence}")

        failure = await self.session.use_model(report, chosen, happened, loaded)
        bars.close(failure or READY)
        if failure is not None:
            self._said.discard(f"infill-lsp: {failure}")  # a new attempt deserves a new message
            self.say(types.MessageType.Error, f"infill-lsp: {failure}")

    def question(
        self, snapshot: Snapshot, seen: Snapshot, cursor: Place, *, invoked: bool
    ) -> Question:
        """About the cursor in the text `seen`, asked when the editor had `snapshot`."""
        return Question(
            snapshot=snapshot,
            document=convert.document_of(seen),
            cursor=seen.offset_at(cursor),
            invoked=invoked,
            others=self.others_beside(snapshot),
            root=convert.root_of(convert.path_of(snapshot.uri), self.folders),
        )

    def others_beside(self, snapshot: Snapshot) -> tuple[Document, ...]:
        """Other open files that may be looked at for this one; none where a setting says so."""
        if not self.session.settings.other_files:
            return ()
        others = islice(self.session.documents.beside(snapshot), OTHERS)
        return tuple(map(convert.document_of, others))

    async def fill_or_say(self, question: Question) -> Fill | None:
        """The fill, or None, where the model failed with a message to the user."""
        try:
            return await self.session.fill(question)
        except ModelError as error:
            return self.say(types.MessageType.Error, f"infill-lsp: {error}")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # asyncio itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    def say(self, kind: types.MessageType, message: str) -> None:
        """A message for the user, not twice the same."""
        if message not in self._said:
            self._said.add(message)
            self.window_show_message(types.ShowMessageParams(kind, message))

    def report_server_error(self, error: Exception, source: object) -> None:
        """To the log, not into a popup; and without its words, which may quote the user's code."""
        match error:
            case JsonRpcInternalError(data={"traceback": [*frames]}):
                logger.error("a handler failed\n%s", "".join(map(str, frames)))
            case _:
                logger.warning("%s", type(error).__name__)


async def inline_completion(
    server: Server, params: types.InlineCompletionParams
) -> types.InlineCompletionList | None:
    if not server.offers_ghost_text:
        return None
    server.offers_menu = False  # nothing is shown twice in an editor that knows both
    encoding = server.encoding
    snapshot = server.session.documents.get(params.text_document.uri)
    if snapshot is None:
        return None
    seen, cursor, selected = convert.with_selected(
        snapshot, params.position, params.context, encoding
    )
    invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
    fill = await server.fill_or_say(server.question(snapshot, seen, cursor, invoked=invoked))
    name = server.session.counting.shown(seen, fill)
    told = types.Command("infill: accepted", ACCEPTED, arguments=[name]) if name else None
    return convert.to_proto(fill, seen, encoding, selected, told)


async def completed(server: Server, params: types.CompletionParams) -> types.CompletionList | None:
    return await completion.in_menu(server, params)


def initialized(server: Server, params: types.InitializedParams) -> None:
    server.apply_settings()


def did_change_configuration(server: Server, params: types.DidChangeConfigurationParams) -> None:
    if params.settings is None:  # from clients that would rather be asked: it says nothing
        return
    server.configure(params.settings)
    server.apply_settings()


def did_open(server: Server, params: types.DidOpenTextDocumentParams) -> None:
    server.session.moved_on(convert.opened_from(params.text_document))


def did_change(server: Server, params: types.DidChangeTextDocumentParams) -> None:
    uri, version = params.text_document.uri, params.text_document.version
    snapshot = server.session.documents.get(uri)
    if snapshot is None:
        return logger.warning("ignored a change to a document that is not open")
    changed = convert.changed(snapshot, params.content_changes, version, server.encoding)
    server.session.moved_on(changed)
    completion.look_ahead(server, changed, params.content_changes)


def did_close(server: Server, params: types.DidCloseTextDocumentParams) -> None:
    server.session.forget(params.text_document.uri)
    server.menu.forget(params.text_document.uri)


def did_change_folders(server: Server, params: types.DidChangeWorkspaceFoldersParams) -> None:
    gone = {folder.uri for folder in params.event.removed}
    kept = [uri for uri in server.folders if uri not in gone]
    server.folders = [*kept, *(folder.uri for folder in params.event.added)]


def lose_track(server: Server, message: Message) -> None:
    """After a change nobody could read the text is not known, so no fill may be made for it."""
    match message:
        case {"params": {"textDocument": {"uri": str(uri)}}}:
            server.session.forget(uri)
        case _:
            pass


def shutdown(server: Server, params: None) -> None:
    server.session.close()


def leave_editor(server: Server, params: None) -> None:
    server.has_left = True


def why(server: Server, *arguments: Any) -> dict[str, Any]:
    if len(arguments) != 1 or not isinstance(arguments[0], str):
        raise JsonRpcInvalidParams("infill.why takes one argument, the document's URI")
    return server.session.why(arguments[0])


def status(server: Server, *arguments: Any) -> dict[str, Any]:
    return server.session.status()


def accepted(server: Server, *arguments: Any) -> None:
    """Editors say so by themselves, since it is the command of the item that they insert."""
    if len(arguments) != 1 or not isinstance(arguments[0], str):
        raise JsonRpcInvalidParams("infill.accepted takes one argument, the name of a fill")
    server.session.counting.accepted(arguments[0])


async def start(server: Server, params: object) -> Message:
    return await drafts.start(server, params)


async def code_action(
    server: Server, params: types.CodeActionParams
) -> list[types.CodeAction | types.Command] | None:
    return await server.actions.offered(params)


def resolve(server: Server, action: types.CodeAction) -> types.CodeAction:
    """Some editors ask although it is not offered; there is nothing to add."""
    return action


def act(server: Server, *arguments: Any) -> None:
    server.actions.act(*arguments)


def cancel(server: Server, *arguments: Any) -> None:
    server.actions.cancel(*arguments)


def cancel_progress(server: Server, params: types.WorkDoneProgressCancelParams) -> None:
    server.actions.progress_cancelled(params)


def register(server: Server) -> None:
    server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION)(inline_completion)
    server.feature(types.TEXT_DOCUMENT_COMPLETION)(completed)
    server.feature(types.TEXT_DOCUMENT_CODE_ACTION)(code_action)
    server.feature(types.CODE_ACTION_RESOLVE)(resolve)
    server.feature(START)(start)
    server.feature(types.INITIALIZED)(initialized)
    server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)(did_change_configuration)
    server.feature(types.SHUTDOWN)(shutdown)
    for name, command in zip(COMMANDS, (why, status, act, cancel, accepted), strict=True):
        server.command(name)(command)
    # These stand in for pygls' own, which keep its text store and end the process.
    handlers = server.protocol.handlers
    handlers[types.TEXT_DOCUMENT_DID_OPEN] = partial(did_open, server)
    handlers[types.TEXT_DOCUMENT_DID_CHANGE] = partial(did_change, server)
    handlers[types.TEXT_DOCUMENT_DID_CLOSE] = partial(did_close, server)
    handlers[types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS] = partial(did_change_folders, server)
    handlers[types.WINDOW_WORK_DONE_PROGRESS_CANCEL] = partial(cancel_progress, server)
    handlers[types.EXIT] = partial(leave_editor, server)
    del handlers[types.NOTEBOOK_DOCUMENT_DID_OPEN]
    del handlers[types.NOTEBOOK_DOCUMENT_DID_CHANGE]
    del handlers[types.NOTEBOOK_DOCUMENT_DID_CLOSE]
