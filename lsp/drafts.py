"""Drafts as a client watches them: `infill/canvas`, and `infill/start`, which asks for fills of any
holes and leaves it to the client what becomes of them.

A client says in `initialize` that it wants to watch; without that word nothing is ever sent that
the protocol does not know. Each notification tells all there is, so that one may be left out.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams

from infill.aside import aside
from infill.deeds.deed import refused
from infill.deeds.drafts import Show, Stretch, settled_in
from infill.deeds.holes import gaps_over
from infill.deeds.joint import MOST, Outcome, fill_gaps
from infill.document import Document
from infill.edit import Edit, Span
from infill.settings import Settings, settings_from
from lsp import convert
from lsp.greeting import CANVAS, START, part
from lsp.sync import Snapshot
from model import Denoiser, ModelError

if TYPE_CHECKING:
    from lsp.handlers import Server

PAUSE = 0.13  # seconds: so that with the last two there are never more than ten in a second
OPTIONS = ("context_chars", "max_lines", "multiline", "other_files")  # for one request alone

Name = str | int  # of a hole
Message = dict[str, Any]


class Drafts:
    """What is shown of one document while it is written into, from the first draft to the last.

    At most one notification a pause, always of the newest state; the last, and one that clears,
    come at once.
    """

    def __init__(
        self,
        name: str,
        snapshot: Snapshot,
        encoding: convert.Encoding,
        send: Callable[[Message], None] | None,
        holes: Sequence[Name] = (),
    ) -> None:
        """Without `send` nobody watches. `holes` are named by the client, else by their numbers."""
        self._name, self._snapshot, self._encoding = name, snapshot, encoding
        self._send, self._holes = send, holes
        self._shown: tuple[Stretch, ...] = ()
        self._step = 0
        self._due: asyncio.TimerHandle | None = None
        self._quiet_until = 0.0
        self._over = False
        self._ranges: dict[Span, Message] = {}

    @property
    def show(self) -> Show | None:
        """What takes the drafts; None where they would be made in vain."""
        return self._saw if self._send is not None else None

    def _saw(self, stretches: tuple[Stretch, ...]) -> None:
        if self._over:
            return
        self._shown = stretches
        self._step += 1
        loop = asyncio.get_running_loop()
        if self._due is None:
            wait = max(0.0, self._quiet_until - loop.time())
            self._due = loop.call_later(wait, self._tell_now)

    def _tell_now(self) -> None:
        self._due = None
        self._quiet_until = asyncio.get_running_loop().time() + PAUSE
        self._tell(self._shown)

    def clear(self) -> None:
        """Nothing is drawn any more, at once: the user has something else to look at there."""
        if self._due is not None:
            self._due.cancel()
        if self._shown:
            self._shown = ()
            self._step += 1
            self._tell_now()

    def settle(self, edits: Iterable[Edit]) -> None:
        """These are what the drafts have become."""
        self._end(settled_in(tuple(edits), self._shown), "final")

    def give_up(self) -> None:
        """Nothing comes of them; without effect once they have settled."""
        self._end((), "cancelled")

    def _end(self, stretches: Sequence[Stretch], how: str) -> None:
        if self._over:
            return
        self._over = True
        self._step += 1
        if self._due is not None:
            self._due.cancel()
        self._tell(stretches, **{how: True})

    def _tell(self, stretches: Sequence[Stretch], **more: bool) -> None:
        if self._send is None:
            return
        told = {
            "id": self._name,
            "uri": self._snapshot.uri,
            "version": self._snapshot.version,
            "step": self._step,
            "holes": [self._told(each) for each in stretches],
            **more,
        }
        self._send(told)

    def _told(self, stretch: Stretch) -> Message:
        text, number = stretch.text, stretch.number

        def units(until: int) -> int:
            return convert.units_in(convert.with_plain_line_ends(text[:until]), self._encoding)

        spans = ((units(start), units(start + length)) for start, length in stretch.settled)
        return {
            "id": self._holes[number] if number < len(self._holes) else number,
            "range": self.range_of(stretch.start, stretch.end),
            "text": convert.with_plain_line_ends(text),
            "frozen": [[start, end - start] for start, end in spans],
        }

    def range_of(self, start: int, end: int) -> Message:
        """Kept, because in a long file it takes a while to be counted."""
        if (start, end) not in self._ranges:
            self._ranges[start, end] = {
                "start": _told_of(start, self._snapshot, self._encoding),
                "end": _told_of(end, self._snapshot, self._encoding),
            }
        return self._ranges[start, end]


def _told_of(offset: int, snapshot: Snapshot, encoding: convert.Encoding) -> Message:
    at = convert.position_of(snapshot.place_at(offset), snapshot, encoding)
    return {"line": at.line, "character": at.character}


def drafts_of(server: Server, snapshot: Snapshot, name: str, holes: Sequence[Name] = ()) -> Drafts:
    watches = server.actions.client.watches
    send = partial(server.protocol.notify, CANVAS) if watches else None
    return Drafts(name, snapshot, server.encoding, send, holes)


@dataclass(frozen=True, slots=True)
class Start:
    """An `infill/start` that can be read; whether its holes are in the text is not known yet."""

    uri: str
    version: int
    holes: tuple[tuple[Name, types.Range], ...]
    options: Mapping[str, Any]
    name: str


async def start(server: Server, params: Any) -> Message:
    """The edits for the holes, of which none is applied here."""
    asked = _read(params)
    session = server.session
    snapshot = session.documents.get(asked.uri)
    if snapshot is None:
        raise JsonRpcInvalidParams(f"{asked.uri} is not open: send textDocument/didOpen first")
    if snapshot.version != asked.version:
        raise changed(
            f"the holes are those of version {asked.version}, and the document is at "
            f"{snapshot.version}: ask again with holes of that version"
        )
    settings = _settings_with(asked.options, session.settings)
    names, spans = _spans_of(asked, snapshot, server.encoding)
    document = convert.document_of(snapshot)
    root = convert.root_of(convert.path_of(snapshot.uri), server.folders)
    if reason := refused(document, root, settings):
        raise failed(reason.explanation)
    denoiser = session.resident.denoiser
    if denoiser is None:
        raise failed(server.actions.without_model())
    drafts = drafts_of(server, snapshot, asked.name, names)
    work = _filled(
        document, spans, denoiser, settings, drafts.show,
        others=server.others_beside(snapshot), root=root,
    )  # fmt: skip
    try:
        outcome = await session.deeds.run(snapshot.uri, work)
        if session.documents.get(snapshot.uri) is not snapshot:
            raise changed("the document changed meanwhile: ask again")
        if outcome is None:
            raise JsonRpcException(
                "given up: something else was begun in the document, infill.cancel was called, or "
                "the model is being changed",
                types.LSPErrorCodes.ServerCancelled.value,
            )
        drafts.settle(outcome.edits)
    except ModelError as error:
        raise failed(str(error)) from error
    finally:
        drafts.give_up()  # also where the client has cancelled its request
    edits = convert.to_edits(outcome.edits, snapshot, server.encoding)
    return {
        "id": asked.name,
        "version": snapshot.version,
        "edits": [
            {"range": _range_told(edit.range), "newText": edit.new_text} for edit in edits
        ],
        "told": outcome.told,
    }  # fmt: skip


async def _filled(
    document: Document, spans: Sequence[Span], denoiser: Denoiser, settings: Settings,
    show: Show | None, **more: Any,
) -> Outcome:  # fmt: skip
    gaps = await aside(
        len(document.text), partial(gaps_over, document, spans, multiline=settings.multiline)
    )
    return await fill_gaps(document, gaps, denoiser=denoiser, settings=settings, show=show, **more)


def changed(message: str) -> JsonRpcException:
    return JsonRpcException(message, types.LSPErrorCodes.ContentModified.value)


def failed(message: str) -> JsonRpcException:
    return JsonRpcException(message, types.LSPErrorCodes.RequestFailed.value)


def _read(params: Any) -> Start:
    document, holes = part(params, "textDocument"), part(params, "holes")
    uri, version = part(document, "uri"), part(document, "version")
    options: object = part(params, "options") or dict[str, object]()
    name = part(params, "id") or str(uuid.uuid4())
    if (
        isinstance(uri, str)
        and isinstance(version, int)
        and isinstance(holes, list)
        and 0 < len(cast(list[object], holes)) <= MOST
        and isinstance(options, dict)
        and isinstance(name, str)
    ):
        pairs = tuple(map(_hole_from, cast(list[object], holes)))
        if len({hole for hole, _ in pairs}) < len(pairs):
            raise JsonRpcInvalidParams("two holes have the same id: give each one of its own")
        return Start(uri, version, pairs, cast(Message, options), name)
    raise JsonRpcInvalidParams(
        f"{START} takes `textDocument` with `uri` and `version`, from 1 to {MOST} `holes`, each "
        "with `id` and `range`, and may be given `options`, an object, and a string as `id`"
    )


def _hole_from(hole: Any) -> tuple[Name, types.Range]:
    match hole:
        case {
            "id": str() | int() as name,
            "range": {
                "start": {"line": int(line), "character": int(character)},
                "end": {"line": int(end_line), "character": int(end_character)},
            },
        } if not isinstance(name, bool) and min(line, character, end_line, end_character) >= 0:
            begin, end = types.Position(line, character), types.Position(end_line, end_character)
            return name, types.Range(begin, end)
        case _:
            raise JsonRpcInvalidParams(
                "a hole is an object with `id`, a string or a number, and `range`, whose `start` "
                "and `end` each have a `line` and a `character` from 0"
            )


def _settings_with(options: Mapping[str, Any], settings: Settings) -> Settings:
    if strange := set(options) - set(OPTIONS):
        raise JsonRpcInvalidParams(
            f"unknown options {', '.join(sorted(strange))}; known are {', '.join(OPTIONS)}"
        )
    settings, complaints = settings_from(options, settings)
    if complaints:
        raise JsonRpcInvalidParams("; ".join(complaints))
    return settings


def _spans_of(
    asked: Start, snapshot: Snapshot, encoding: convert.Encoding
) -> tuple[tuple[Name, ...], tuple[Span, ...]]:
    """The names and places in file order. What would be clamped elsewhere is refused: here it is
    the client that says to the letter what may be overwritten."""
    held: list[tuple[Span, Name]] = []
    for name, at in asked.holes:
        places = [convert.place_of(each, snapshot, encoding) for each in (at.start, at.end)]
        there = [convert.position_of(each, snapshot, encoding) for each in places]
        if there != [at.start, at.end] or places[0] > places[1]:
            last = snapshot.place_at(len(snapshot.text))
            raise JsonRpcInvalidParams(
                f"hole {name!r} from {_words(at.start)} to {_words(at.end)} is not in the text, "
                f"which ends at {last.line}:{last.column}, or splits a character, or ends before "
                "it starts"
            )
        held.append(((snapshot.offset_at(places[0]), snapshot.offset_at(places[1])), name))
    held.sort(key=lambda it: it[0])
    for (one, name), (other, other_name) in pairwise(held):
        if other[0] < one[1] or other == one:
            raise JsonRpcInvalidParams(
                f"holes {name!r} and {other_name!r} overlap: make one of them"
            )
    return tuple(name for _, name in held), tuple(span for span, _ in held)


def _words(at: types.Position) -> str:
    return f"{at.line}:{at.character}"


def _range_told(at: types.Range) -> Message:
    return {
        name: {"line": each.line, "character": each.character}
        for name, each in (("start", at.start), ("end", at.end))
    }
