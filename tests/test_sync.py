"""Text sync against an independent applier that thinks in the client's code units."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import types

from lsp import convert
from lsp.sync import Documents, Place, Snapshot, lines_of, opened

ENCODINGS = [types.PositionEncodingKind.Utf8, types.PositionEncodingKind.Utf16,
             types.PositionEncodingKind.Utf32]  # fmt: skip
CODECS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}

# What editors disagree about: line ends, and characters that `str.splitlines` takes for such.
texts = st.text(
    st.sampled_from("ab \t\n\n\r\r\f\v\x1c\x1d\x1e\x85\u2028\u2029\ufeffé日😀🏳\u200d"), max_size=24
)


@dataclass(frozen=True)
class Units:
    """The reference: a text as a list of the client's code units. Shares no code with lsp/."""

    units: tuple[bytes, ...]
    width: int

    @staticmethod
    def of(text: str, encoding: str) -> Units:
        codec, width = CODECS[encoding]
        data = text.encode(codec)
        return Units(tuple(data[i : i + width] for i in range(0, len(data), width)), width)

    def text(self, encoding: str) -> str:
        return b"".join(self.units).decode(CODECS[encoding][0])

    def line_bounds(self) -> list[tuple[int, int]]:
        """Start and end (before its line end) of each line, in units."""
        cr, lf = (code.to_bytes(self.width, "little") for code in (13, 10))
        bounds, start, i = [], 0, 0
        while i < len(self.units):
            if self.units[i] in (cr, lf):
                bounds.append((start, i))
                i += self.units[i : i + 2] == (cr, lf)
                start = i + 1
            i += 1
        return [*bounds, (start, len(self.units))]

    def index_of(self, line: int, character: int) -> int:
        bounds = self.line_bounds()
        if line >= len(bounds):
            return len(self.units)
        start, end = bounds[line]
        return min(start + character, end)

    def replaced(self, start: int, end: int, text: Units) -> Units:
        return Units(self.units[:start] + text.units + self.units[end:], self.width)


@st.composite
def positions(draw: st.DrawFn, text: str, encoding: str) -> types.Position:
    """Between two characters of the text, or outside of it."""
    if draw(st.integers(0, 5)) == 0:
        return types.Position(draw(st.integers(0, 40)), draw(st.integers(0, 2**31 - 1)) | 1 << 20)
    offset = draw(st.integers(0, len(text)))
    if text[:offset].endswith("\r") and text[offset:].startswith("\n"):
        offset -= 1
    whole, before = Units.of(text, encoding), len(Units.of(text[:offset], encoding).units)
    bounds = whole.line_bounds()
    line = max(i for i, (start, _) in enumerate(bounds) if start <= before)
    return types.Position(line, before - bounds[line][0])


@settings(max_examples=2000, deadline=None)
@given(st.data(), st.sampled_from(ENCODINGS), texts)
def test_edits_give_the_text_that_the_editor_has(
    data: st.DataObject, encoding: types.PositionEncodingKind, text: str
) -> None:
    snapshot = opened("file:///a.py", "python", 1, text)
    reference = Units.of(text, encoding)
    for version in range(2, data.draw(st.integers(2, 5)) + 1):
        changes: list[convert.Change] = []
        for _ in range(data.draw(st.integers(1, 3))):
            current, new = reference.text(encoding), data.draw(texts)
            if data.draw(st.integers(0, 7)) == 0:
                changes.append(types.TextDocumentContentChangeWholeDocument(new))
                reference = Units.of(new, encoding)
                continue
            ends = [data.draw(positions(current, encoding)) for _ in range(2)]
            ends.sort(key=lambda p: reference.index_of(p.line, p.character))
            start, end = (reference.index_of(p.line, p.character) for p in ends)
            reference = reference.replaced(start, end, Units.of(new, encoding))
            changes.append(types.TextDocumentContentChangePartial(types.Range(*ends), new))
        snapshot = convert.changed(snapshot, changes, version, encoding)
        assert snapshot.text == reference.text(encoding)
        assert snapshot.lines == lines_of(snapshot.text)
        assert snapshot.version == version


@settings(deadline=None)
@given(texts)
def test_lines_end_where_the_protocol_says_and_nowhere_else(text: str) -> None:
    lines = lines_of(text)
    assert "".join(lines) == text
    bounds = Units.of(text, "utf-32").line_bounds()
    assert [line.rstrip("\r\n") for line in lines] == [text[start:end] for start, end in bounds]


@settings(deadline=None)
@given(texts, st.integers(0, 24))
def test_an_offset_and_its_place_are_the_same_spot(text: str, offset: int) -> None:
    snapshot = opened("file:///a.py", "python", 1, text)
    offset = min(offset, len(text))
    between = text[:offset].endswith("\r") and text[offset:].startswith("\n")
    assert snapshot.offset_at(snapshot.place_at(offset)) == offset - between


def check(before: str, start: Place, end: Place, new: str, after: str) -> None:
    assert opened("u", "python", 1, before).replaced(start, end, new).text == after


def test_a_form_feed_is_part_of_its_line() -> None:
    text = "import a\n\x0c\ndef f():\n    pass\n"
    check(text, Place(3, 4), Place(3, 8), "return", text.replace("pass", "return"))


def test_a_long_line_that_nothing_ends_is_no_more_work_than_many_short_ones() -> None:
    minified = "f(x);" * 800_000
    document = opened("file:///w/a.min.js", "javascript", 1, f"\n{minified}")
    assert document.lines == ("\n", minified)


def test_a_line_end_can_be_made_of_two_edits() -> None:
    snapshot = opened("u", "python", 1, "a\rx\nb").replaced(Place(1, 0), Place(1, 1), "")
    assert snapshot.lines == ("a\r\n", "b")


def test_reversed_ranges_mean_the_same_stretch() -> None:
    check("abcdef", Place(0, 4), Place(0, 2), "-", "ab-ef")


def test_places_outside_the_text_are_moved_to_its_edge() -> None:
    check("a\nb", Place(9, 9), Place(99, 0), "!", "a\nb!")
    check("a\nb", Place(0, 99), Place(0, 99), "!", "a!\nb")
    check("a\nb", Place(-1, 5), Place(-1, 5), "!", "!a\nb")


def test_the_halves_of_a_character_sent_apart_become_one() -> None:
    snapshot = opened("u", "python", 1, "x\ud83d").replaced(Place(0, 2), Place(0, 2), "\ude00")
    assert snapshot.text == "x😀"


def test_a_snapshot_never_changes() -> None:
    first = opened("u", "python", 1, "abc")
    second = first.replaced(Place(0, 1), Place(0, 2), "-")
    assert (first.text, second.text) == ("abc", "a-c")


def test_a_byte_order_mark_stays() -> None:
    assert opened("u", "python", 1, "\ufeffimport a\n").text == "\ufeffimport a\n"


@pytest.fixture
def documents() -> Documents:
    documents = Documents()
    for name in "abc":
        documents.put(opened(name, "python", 1, name))
    documents.put(opened("d", "lua", 1, "d"))
    return documents


def test_the_most_recently_changed_file_comes_first(documents: Documents) -> None:
    a = documents.get("a")
    assert isinstance(a, Snapshot)
    documents.put(a.replaced(Place(0, 0), Place(0, 0), "!"))
    c = documents.get("c")
    assert c
    assert [other.uri for other in documents.beside(c)] == ["a", "b"]


def test_a_closed_document_is_forgotten(documents: Documents) -> None:
    documents.forget("a")
    documents.forget("never open")
    assert documents.get("a") is None
    assert len(documents) == 3
