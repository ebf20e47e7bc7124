"""The one file that knows both sides: the protocol's types and columns in UTF-8, UTF-16 or UTF-32
units here, places and offsets in code points there. It decides nothing about fills."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from lsprotocol import types
from pygls import uris

from infill.document import Document
from infill.edit import Edit
from infill.fill import Fill
from lsp.sync import Place, Snapshot, lines_of, opened

Encoding = types.PositionEncodingKind | str
Change = types.TextDocumentContentChangePartial | types.TextDocumentContentChangeWholeDocument

CONTINUATION = bytes(range(0x80, 0xC0))  # the bytes of UTF-8 that begin no character


def place_of(position: types.Position, snapshot: Snapshot, encoding: Encoding) -> Place:
    """The place in code points; behind the end of a line or of the text it is that end."""
    if position.line >= len(snapshot.lines):
        return snapshot.clamped(Place(position.line, 0))
    line = snapshot.lines[position.line]
    return snapshot.clamped(Place(position.line, points_in(line, position.character, encoding)))


def position_of(place: Place, snapshot: Snapshot, encoding: Encoding) -> types.Position:
    line, column = snapshot.clamped(place)
    return types.Position(line, units_in(snapshot.lines[line][:column], encoding))


def points_in(line: str, units: int, encoding: Encoding) -> int:
    """How many code points are wholly within the line's first `units`."""
    if encoding == types.PositionEncodingKind.Utf32 or line.isascii():
        return min(units, len(line))
    if encoding == types.PositionEncodingKind.Utf8:
        data = line.encode("utf-8", "surrogatepass")
        cut = units < len(data) and data[units] in CONTINUATION
        return len(data[:units].translate(None, CONTINUATION)) - cut
    data = line.encode("utf-16-le", "surrogatepass")
    points = len(data[: 2 * units].decode("utf-16-le", "replace"))
    cut = units_in(line[:points], encoding) > units
    return points - cut


def units_in(text: str, encoding: Encoding) -> int:
    if encoding == types.PositionEncodingKind.Utf32 or text.isascii():
        return len(text)
    if encoding == types.PositionEncodingKind.Utf8:
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def opened_from(item: types.TextDocumentItem) -> Snapshot:
    return opened(item.uri, str(item.language_id), item.version, item.text)


def changed(
    snapshot: Snapshot, changes: Iterable[Change], version: int, encoding: Encoding
) -> Snapshot:
    """The next version. Each change speaks of the text that the one before it left."""
    for change in changes:
        if isinstance(change, types.TextDocumentContentChangeWholeDocument):
            snapshot = replace(snapshot, lines=lines_of(change.text))
        else:
            start = place_of(change.range.start, snapshot, encoding)
            end = place_of(change.range.end, snapshot, encoding)
            snapshot = snapshot.replaced(start, end, change.text)
    return replace(snapshot, version=version)


def document_of(snapshot: Snapshot) -> Document:
    path = path_of(snapshot.uri)
    return Document(path, snapshot.language, snapshot.text, snapshot.version)


def with_selected(
    snapshot: Snapshot, position: types.Position, context: types.InlineCompletionContext,
    encoding: Encoding,
) -> tuple[Snapshot, Place, types.SelectedCompletionInfo | None]:  # fmt: skip
    """The text and cursor to fill at: as they are, or as the entry selected in the editor's popup
    would leave them. An editor shows only what goes on from that entry."""
    cursor = place_of(position, snapshot, encoding)
    selected = context.selected_completion_info
    if selected is None or place_of(selected.range.end, snapshot, encoding) != cursor:
        return snapshot, cursor, None
    start = place_of(selected.range.start, snapshot, encoding)
    offset = snapshot.offset_at(start) + len(selected.text)
    chosen = snapshot.replaced(start, cursor, selected.text)
    return chosen, chosen.place_at(offset), selected


def to_proto(
    fill: Fill | None, snapshot: Snapshot, encoding: Encoding,
    selected: types.SelectedCompletionInfo | None = None, told: types.Command | None = None,
) -> types.InlineCompletionList | None:  # fmt: skip
    """An item for each edit, the best first, whose range is empty at the cursor: editors replace
    what a range covers, and without a range some replace the rest of the line.

    No fill is null, which leaves the screen alone; a fill of nothing is an empty list, which takes
    away what is still shown for an earlier text. Line ends are \\n, which every client turns into
    its buffer's own. `told` is what an editor says once it has inserted one.
    """
    if fill is None:
        return None
    if fill.edit is None:
        return types.InlineCompletionList([])
    edits = (fill.edit, *(further.edit for further in fill.others or ()))
    items = [item_of(edit, snapshot, encoding, selected, told) for edit in edits]
    return types.InlineCompletionList(items)


def item_of(
    edit: Edit, snapshot: Snapshot, encoding: Encoding,
    selected: types.SelectedCompletionInfo | None, told: types.Command | None,
) -> types.InlineCompletionItem:  # fmt: skip
    text = with_plain_line_ends(edit.text)
    if selected is not None:
        text = selected.text + text
        return types.InlineCompletionItem(text, range=selected.range, command=told)
    start = position_of(snapshot.place_at(edit.start), snapshot, encoding)
    end = position_of(snapshot.place_at(edit.end), snapshot, encoding)
    return types.InlineCompletionItem(text, range=types.Range(start, end), command=told)


def with_plain_line_ends(text: str) -> str:
    return "\n".join(re.split(r"\r\n?", text))


def to_workspace_edit(
    edits: Iterable[Edit], snapshot: Snapshot, encoding: Encoding
) -> types.WorkspaceEdit:
    """The edits of the document at exactly this version, so that an editor can refuse a stale one;
    in the document's line ends, which not every editor puts in by itself."""
    document = types.OptionalVersionedTextDocumentIdentifier(snapshot.uri, snapshot.version)
    changes = to_edits(edits, snapshot, encoding)
    return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(document, [*changes])])


def to_edits(edits: Iterable[Edit], snapshot: Snapshot, encoding: Encoding) -> list[types.TextEdit]:
    return [
        types.TextEdit(
            types.Range(
                position_of(snapshot.place_at(edit.start), snapshot, encoding),
                position_of(snapshot.place_at(edit.end), snapshot, encoding),
            ),
            edit.text,
        )
        for edit in edits
    ]


def path_of(uri: str) -> Path | None:
    """The file a URI names; None for a buffer without one (`untitled:` and the like)."""
    try:
        path = uris.to_fs_path(uri)
    except ValueError:  # not a URI at all
        return None
    return Path(path) if path and "\0" not in path else None


def root_of(path: Path | None, folders: Sequence[str | None]) -> Path | None:
    """The innermost of the workspace's folders, given as URIs, that holds the file."""
    roots = [root for uri in folders if uri and (root := path_of(uri))]
    holding = [root for root in roots if path is not None and path.is_relative_to(root)]
    return max(holding, key=lambda root: len(root.parts), default=None)


def options_in(sent: object) -> Mapping[str, Any]:
    """Our options in what an editor sent as its configuration: all of it, or its part "infill"."""
    if not isinstance(sent, Mapping):
        return {}
    everything = cast(Mapping[str, Any], sent)
    own = everything.get("infill", everything)
    return cast(Mapping[str, Any], own) if isinstance(own, Mapping) else {}


def forgiven(message: dict[str, Any]) -> dict[str, Any]:
    """The message as the protocol has it, where editors in use are known to send otherwise.

    vscode-languageclient before 10 counts trigger kinds from 0; some clients write a missing range
    as null.
    """
    match message:
        case {
            "method": types.TEXT_DOCUMENT_INLINE_COMPLETION,
            "params": {"context": {"triggerKind": 0} as context},
        }:
            context["triggerKind"] = types.InlineCompletionTriggerKind.Invoked.value
        case {
            "method": types.TEXT_DOCUMENT_DID_CHANGE,
            "params": {"contentChanges": [*changes]},
        }:
            for change in changes:
                if isinstance(change, dict) and "range" in change and change["range"] is None:
                    del change["range"]
        case _:
            pass
    return message
