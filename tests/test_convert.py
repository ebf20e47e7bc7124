"""Positions in three encodings, URIs, options, and what an item looks like on the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from infill.fill import Edit, Fill, Timing
from infill.reason import Reason
from lsp import convert
from lsp.sync import Place, Snapshot, opened

UTF8, UTF16, UTF32 = types.PositionEncodingKind.Utf8, types.PositionEncodingKind.Utf16, types.PositionEncodingKind.Utf32  # fmt: skip  # noqa: E501
encodings = st.sampled_from([UTF8, UTF16, UTF32])
lines = st.text(st.characters(exclude_characters="\r\n", exclude_categories=()), max_size=12)


def snapshot_of(text: str) -> Snapshot:
    return opened("file:///a.py", "python", 1, text)


@given(lines, encodings, st.data())
def test_columns_survive_the_way_there_and_back(
    line: str, encoding: convert.Encoding, data: st.DataObject
) -> None:
    snapshot = snapshot_of(line)
    place = Place(0, data.draw(st.integers(0, len(snapshot.lines[0]))))
    position = convert.position_of(place, snapshot, encoding)
    assert convert.place_of(position, snapshot, encoding) == place


@given(lines, encodings, st.integers(0, 60))
def test_a_column_inside_a_character_is_before_it(
    line: str, encoding: convert.Encoding, units: int
) -> None:
    line = snapshot_of(line).lines[0]
    points = convert.points_in(line, units, encoding)
    assert convert.units_in(line[:points], encoding) <= units
    assert points == len(line) or convert.units_in(line[: points + 1], encoding) > units


@pytest.mark.parametrize(
    ("encoding", "units"),
    [(UTF8, [0, 1, 3, 7, 8]), (UTF16, [0, 1, 2, 4, 5]), (UTF32, [0, 1, 2, 3, 4])],
)
def test_columns_count_the_units_of_the_encoding(
    encoding: convert.Encoding, units: list[int]
) -> None:
    assert [convert.units_in("aé😀b"[:i], encoding) for i in range(5)] == units
    assert [convert.points_in("aé😀b", n, encoding) for n in units] == [0, 1, 2, 3, 4]


@given(encodings)
def test_a_position_outside_the_text_is_moved_to_its_edge(encoding: convert.Encoding) -> None:
    snapshot = snapshot_of("é😀\r\nb")
    assert convert.place_of(types.Position(0, 99), snapshot, encoding) == Place(0, 2)
    assert convert.place_of(types.Position(7, 0), snapshot, encoding) == Place(1, 1)


def fill(start: int, text: str) -> Fill:
    return Fill(Edit(start, start, text), 0.9, None, 3, Timing())


def test_an_item_has_an_empty_range_at_the_cursor_and_only_what_goes_in_there() -> None:
    found = convert.to_proto(fill(5, "x\r\n  y\rz"), snapshot_of("a\n😀 = \n"), UTF16)
    assert found is not None
    (item,) = found.items
    assert item.range == types.Range(types.Position(1, 4), types.Position(1, 4))
    assert item.insert_text == "x\n  y\nz"


def test_nothing_to_show_is_an_empty_list_and_a_request_that_is_void_gets_null() -> None:
    nothing = Fill(None, 0.0, Reason.EMPTY, 1, Timing())
    assert convert.to_proto(nothing, snapshot_of("a"), UTF16) == types.InlineCompletionList([])
    assert convert.to_proto(None, snapshot_of("a"), UTF16) is None


def context(start: int, end: int, text: str) -> types.InlineCompletionContext:
    where = types.Range(types.Position(0, start), types.Position(0, end))
    chosen = types.SelectedCompletionInfo(where, text)
    return types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic, chosen)


def test_an_item_goes_on_from_the_entry_selected_in_the_popup() -> None:
    before, at = snapshot_of("x = pri(1)\n"), types.Position(0, 7)
    seen, cursor, selected = convert.with_selected(before, at, context(4, 7, "print"), UTF16)
    assert (seen.text, cursor) == ("x = print(1)\n", Place(0, 9))
    found = convert.to_proto(fill(9, "_all"), seen, UTF16, selected)
    assert found is not None
    (item,) = found.items
    assert item.insert_text == "print_all"
    assert item.range == types.Range(types.Position(0, 4), types.Position(0, 7))


def test_a_selected_entry_that_does_not_end_at_the_cursor_is_left_out() -> None:
    before, at = snapshot_of("x = pri(1)\n"), types.Position(0, 5)
    assert convert.with_selected(before, at, context(4, 7, "print"), UTF16) == (before, Place(0, 5), None)  # fmt: skip  # noqa: E501


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///home/a/b.py", "/home/a/b.py"),
        ("file:///home/a%20b/%C3%A9%23.py", "/home/a b/é#.py"),
        ("file:///c%3A/Users/x.py", "c:/Users/x.py"),
        ("file:///C:/Users/x.py", "c:/Users/x.py"),
        ("file://server/share/x.py", "//server/share/x.py"),
        ("untitled:Untitled-1", None),
        ("vscode-notebook-cell:/a.ipynb#1", None),
        ("http://[", None),
        ("file:///a%00b", None),
        ("", None),
    ],
)
def test_a_uri_names_a_file_or_none(uri: str, path: str | None) -> None:
    assert convert.path_of(uri) == (None if path is None else Path(path))


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("/home/w/a.py", "/home/w"),
        ("/home/w/inner/a.py", "/home/w/inner"),
        ("/home/wider/a.py", None),
        (None, None),
    ],
)
def test_the_root_is_the_innermost_folder_that_holds_the_file(
    path: str | None, root: str | None
) -> None:
    folders = ["file:///home/w", None, "file:///home/w/inner", "untitled:x"]
    found = convert.root_of(Path(path) if path else None, folders)
    assert found == (Path(root) if root else None)


@pytest.mark.parametrize(
    ("sent", "options"),
    [
        ({"infill": {"seed": 1}, "other": {}}, {"seed": 1}),
        ({"seed": 1}, {"seed": 1}),
        ({"infill": None}, {}),
        (None, {}),
        ([1], {}),
        ("x", {}),
    ],
)
def test_options_come_flat_or_under_our_name(sent: object, options: dict[str, Any]) -> None:
    assert convert.options_in(sent) == options
