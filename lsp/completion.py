"""Fills in the completion menu, for editors that show no ghost text: what an entry looks like and
when it is there. Knows nothing of how a fill is made.

A menu gathers the entries of several servers, and some editors open it only when the slowest has
answered. So the answer has what is known within a moment, and the fill goes on behind it: as the
list is said to be incomplete, the editor asks again at the next key, and finds it in the memory.
And as editors wait a little after a key before they ask, the fill is begun before they do.
"""

from __future__ import annotations

import asyncio
import logging
import re
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lsprotocol import types

from infill.fill import Fill
from lsp import convert
from lsp.session import Question
from lsp.sync import Place, Snapshot
from model.fence import fence_for

if TYPE_CHECKING:
    from lsp.handlers import Server

logger = logging.getLogger(__name__)

PATIENCE = 0.05  # seconds that the entries of other servers may have to wait for ours
PAUSE = 0.06  # seconds without a key: few people type as fast when they are in the middle of a word
MOST_UNASKED = 10  # fills begun ahead in a row, without one being asked for: then it is in vain
LONGEST_LABEL = 60  # characters
BEHIND_OTHERS = "~infill"  # servers sort by digits, letters and names; the tilde comes after those
WORD = re.compile(r"\w*\Z")
TYPED = re.compile(r".|\r?\n[ \t]*")  # what one key writes, so that the cursor is behind it


@dataclass(eq=False, slots=True)
class _Begun:
    question: Question
    asked: asyncio.Event  # at once where it was not begun ahead
    work: asyncio.Future[Fill | None]
    waiting: int = 0  # requests that have no answer yet


class Menu:
    """The fills that were begun for the menu, at most one a document. Each goes on when its request
    has been answered, until there is another question about the document."""

    def __init__(self, fill: Callable[[Question], Awaitable[Fill | None]]) -> None:
        self._fill = fill
        self._begun: dict[str, _Begun] = {}
        self._unasked = MOST_UNASKED  # begun ahead since the last request; none before the first

    async def fill(self, question: Question, patience: float | None) -> Fill | None:
        """The fill, or None where there is none within so many seconds (None: however long).

        A question about the same text and place joins the fill that is being made for it. When
        nobody who waits for a fill is left because they were cancelled, it is cancelled, too.
        """
        self._unasked = 0
        begun = self._begun.get(question.snapshot.uri)
        if begun is None or begun.work.done() or not _is_about(begun, question):
            begun = self._begin(question)
        begun.asked.set()
        fill = await _awaited(begun, patience)
        shy = question.invoked and not begun.question.invoked
        if shy and fill is not None and fill.edit is None:
            fill = await _awaited(self._begin(question), patience)
        return fill

    def was_asked(self, question: Question) -> bool:
        """Whether the last request for the document was about this text and place."""
        begun = self._begun.get(question.snapshot.uri)
        return begun is not None and begun.asked.is_set() and _is_about(begun, question)

    @property
    def is_used(self) -> bool:
        """Whether the editor asks of itself, so that it is worth while to begin ahead."""
        return self._unasked < MOST_UNASKED

    def begin_ahead(self, question: Question) -> None:
        """Begins what will probably be asked for, unless another key is pressed first."""
        self._begin(question, asked=False)

    def forget(self, uri: str) -> None:
        if (begun := self._begun.pop(uri, None)) is not None:
            begun.work.cancel()

    def _begin(self, question: Question, *, asked: bool = True) -> _Begun:
        self.forget(question.snapshot.uri)
        event = asyncio.Event()
        work = self._fill(question) if asked else self._after_a_pause(question, event)
        begun = _Begun(question, event, asyncio.ensure_future(work))
        begun.work.add_done_callback(_note_failure)
        self._begun[question.snapshot.uri] = begun
        return begun

    async def _after_a_pause(self, question: Question, asked: asyncio.Event) -> Fill | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE):
                await asked.wait()
        self._unasked += not asked.is_set()
        return await self._fill(question)


def _is_about(begun: _Begun, question: Question) -> bool:
    same_text = begun.question.snapshot is question.snapshot
    return same_text and begun.question.cursor == question.cursor


async def _awaited(begun: _Begun, patience: float | None) -> Fill | None:
    begun.waiting += 1
    try:
        await asyncio.wait({begun.work}, timeout=patience)  # leaves it at work when time is up
    except asyncio.CancelledError:
        if begun.waiting == 1:
            begun.work.cancel()
        raise
    finally:
        begun.waiting -= 1
    return begun.work.result() if begun.work.done() and not begun.work.cancelled() else None


def _note_failure(work: asyncio.Future[Fill | None]) -> None:
    """Without the error's words, which may quote code; asyncio would log those of an error that
    nobody waited for."""
    error = None if work.cancelled() else work.exception()
    if error is not None:
        logger.error("a fill for the menu failed: %s", type(error).__name__)


async def in_menu(server: Server, params: types.CompletionParams) -> types.CompletionList | None:
    snapshot, encoding = server.session.documents.get(params.text_document.uri), server.encoding
    if snapshot is None or not server.offers_menu:
        return None
    if server.session.settings.menu == "never":  # set since the editor was greeted
        return None
    cursor = convert.place_of(params.position, snapshot, encoding)
    question = server.question(snapshot, snapshot, cursor, invoked=False)
    word, again = word_before(snapshot, cursor), server.menu.was_asked(question)
    explicit = is_explicit(params.context, word, again=again)
    question = replace(question, invoked=explicit)
    fill = await server.menu.fill(question, None if explicit else PATIENCE)
    if server.session.documents.get(snapshot.uri) is not snapshot:  # it was typed on meanwhile
        fill = None
    server.session.counting.shown(snapshot, fill)
    return listed(fill, snapshot, cursor, encoding)


def look_ahead(server: Server, snapshot: Snapshot, changes: Sequence[convert.Change]) -> None:
    """After a key was typed, which led to this text; any other change says nothing of a cursor."""
    server.menu.forget(snapshot.uri)
    if not (server.offers_menu and server.menu.is_used) or server.session.settings.menu == "never":
        return
    match changes:
        case [types.TextDocumentContentChangePartial(range=at, text=text)] if TYPED.fullmatch(text):
            start = snapshot.offset_at(convert.place_of(at.start, snapshot, server.encoding))
            cursor = snapshot.place_at(start + len(text))
            server.menu.begin_ahead(server.question(snapshot, snapshot, cursor, invoked=False))
        case _:
            pass


def is_explicit(context: types.CompletionContext | None, word: str, *, again: bool) -> bool:
    """Whether the user called for the menu, who may then wait. The protocol has one kind for that
    and for a word being typed, so it is told by what typing does not do: ask where no word was
    begun, and ask `again` for the same text and place."""
    kind = types.CompletionTriggerKind.Invoked if context is None else context.trigger_kind
    if kind != types.CompletionTriggerKind.Invoked:
        return False
    return again or (context is not None and not word)


def word_before(snapshot: Snapshot, cursor: Place) -> str:
    found = WORD.search(snapshot.lines[cursor.line][: cursor.column])
    return found[0] if found else ""


def listed(
    fill: Fill | None, snapshot: Snapshot, cursor: Place, encoding: convert.Encoding
) -> types.CompletionList:
    """The fill as the one entry of a list that is to be asked for again."""
    if fill is None or fill.edit is None:
        return types.CompletionList(is_incomplete=True, items=[])
    item = entry(fill.edit.text, snapshot, cursor, encoding)
    return types.CompletionList(is_incomplete=True, items=[item])


def entry(
    text: str, snapshot: Snapshot, cursor: Place, encoding: convert.Encoding
) -> types.CompletionItem:
    """Editors keep an entry while it matches the word that is being typed, some by the text before
    the cursor and some by what the edit replaces. So the edit replaces that word by itself and the
    fill, and begins as the entry's name does. Line ends are the document's: Helix takes an entry's
    as they are."""
    word = word_before(snapshot, cursor)
    whole = word + text
    name, *more = convert.with_plain_line_ends(whole).strip().split("\n")
    start = Place(cursor.line, cursor.column - len(word))
    where = types.Range(
        convert.position_of(start, snapshot, encoding),
        convert.position_of(cursor, snapshot, encoding),
    )
    lines = len(more) + 1
    return types.CompletionItem(
        label=shortened(name, goes_on=bool(more)),
        label_details=types.CompletionItemLabelDetails(description="infill"),
        kind=types.CompletionItemKind.Text,
        detail=f"infill, {lines} lines" if more else "infill",
        documentation=shown_in_place(text, snapshot, cursor),
        sort_text=BEHIND_OTHERS,
        filter_text=name,
        insert_text_format=types.InsertTextFormat.PlainText,
        insert_text_mode=types.InsertTextMode.AsIs,
        text_edit=types.TextEdit(where, whole),
        commit_characters=[],
    )


def shortened(name: str, *, goes_on: bool) -> str:
    if len(name) > LONGEST_LABEL:
        return f"{name[: LONGEST_LABEL - 1]}…"
    return f"{name} …" if goes_on else name


def shown_in_place(text: str, snapshot: Snapshot, cursor: Place) -> types.MarkupContent:
    """All of what the lines at the cursor would be, which a menu itself has no room for."""
    line = snapshot.lines[cursor.line]
    lines = convert.with_plain_line_ends(line[: cursor.column] + text + line[cursor.column :])
    lines = textwrap.dedent(lines).removesuffix("\n")
    fence = fence_for(lines)
    code = f"{fence}{snapshot.language}\n{lines}\n{fence}"
    return types.MarkupContent(types.MarkupKind.Markdown, code)
