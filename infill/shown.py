"""What becomes of fills that were shown: whether the document then holds them, wholly or in part,
and whether it still does after a minute.

Knows neither editors nor clocks: it is told what the text is, and when. Few editors say that
something was accepted, so most is read from the text: a key writes one character, or a line end and
its indentation; what comes at once and is more, and ends where a word or a line does, was accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from infill.edit import Edit

MINUTE = 60.0  # seconds after which what was accepted counts as kept
KEY = re.compile(r"(?:\r\n|\r|\n)[ \t]*|.")  # what one key writes
WORD = re.compile(r"\w\w")

Lines = Sequence[str]
Count = Callable[[str, str], None]  # shown, accepted, partly or kept; and the language
T = TypeVar("T", bound=Sequence[object])


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was accepted, and where it is now with all that was written into it since."""

    text: str
    start: int
    end: int

    def stands(self, document: str) -> bool:
        return self.text in document[self.start : self.end]


@dataclass(eq=False, slots=True)
class Offer:
    """A fill on the screen, for the document as it was then."""

    name: str
    language: str
    document: str
    edit: Edit
    choice: Sequence[Edit] = ()  # all that the user can choose from, where there are several
    written: int = 0  # so much of its text the document holds
    accepted: bool = False  # all that was still due of it
    begin: int | None = None  # where in its text the first part begins that was accepted
    since: float = 0.0  # when that was
    stretch: Stretch | None = None

    @property
    def is_whole(self) -> bool:
        return self.written == len(self.edit.text)

    def written_in(self, document: str) -> int | None:
        """How much of its text the document holds, and nothing else that is new; None where the
        document went another way. Of several texts it is from then on the one that is written."""
        for edit in (self.edit, *self.choice):
            written = written_of(edit, self.document, document)
            if written is not None:
                self.edit = edit
                return written
        return None

    def is_of(self, document: str, edit: Edit) -> bool:
        """Whether that edit leaves what this one does: then it is the same, typed along."""
        return written_with(self.document, self.edit) == written_with(document, edit)


class Shown:
    """The last fill that was shown in each document, and what was accepted in the last minute."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._offers: dict[str, Offer] = {}
        self._former: dict[str, Offer] = {}  # an editor may be late to say that one was accepted
        self._followed: dict[str, list[Offer]] = {}
        self._names = 0

    @property
    def follows(self) -> bool:
        """Whether something that was accepted has not been there for a minute."""
        return any(self._followed.values())

    def shown(
        self, key: str, document: str, edit: Edit, language: str, others: Sequence[Edit] = ()
    ) -> str:
        """The name by which an editor may say that it was accepted. `key` is whose text it is."""
        offer = self._offers.get(key)
        if offer is not None and offer.is_of(document, edit):
            return offer.name
        self._settle(key)
        self._names += 1
        offer = self._offers[key] = Offer(
            f"{self._names:x}", language, document, edit, (edit, *others)
        )
        self._count("shown", language)
        return offer.name

    def accepted(self, name: str, now: float) -> None:
        """The editor says so, before or after it says what the text is now."""
        for key, offer in (*self._offers.items(), *self._former.items()):
            if offer.name == name:
                self._accept(offer)
                if offer.is_whole and offer.document and offer.begin is None:
                    self._follow(key, offer, 0, now)

    def changed(
        self, key: str, before: Lines, after: Lines, text: Callable[[], str], now: float
    ) -> None:
        """The lines are now those `after`, which `text` joins."""
        if followed := self._followed.get(key):
            edit = edit_between(before, after)
            for offer in followed:
                assert offer.stretch is not None
                offer.stretch = moved(offer.stretch, edit)
        offer = self._offers.get(key)
        written = offer.written_in(text()) if offer is not None else None
        if offer is None or written is None:
            return  # it may come back: by undo, or where only a key was wrong
        former, offer.written = offer.written, written
        if came_at_once(offer.edit.text, former, written):
            if offer.is_whole:
                self._accept(offer)
            self._follow(key, offer, former, now)
        elif offer.is_whole and offer.accepted:
            self._follow(key, offer, former, now)
        elif offer.stretch is not None and offer.begin is not None and written > offer.begin:
            begin = offer.edit.start + offer.begin
            offer.stretch = replace(offer.stretch, start=begin, end=offer.edit.start + written)

    def passed(self, now: float, text: Callable[[str], str]) -> None:
        """Judges what was accepted a minute ago."""
        for key, followed in self._followed.items():
            due = [offer for offer in followed if now - offer.since >= MINUTE]
            if due:
                self._judge(key, due, text(key))

    def closed(self, key: str, document: str) -> None:
        """What was accepted less than a minute ago is judged now: there is no later."""
        self._settle(key)
        self._judge(key, list(self._followed.get(key, ())), document)
        self._former.pop(key, None)
        self._followed.pop(key, None)

    def _accept(self, offer: Offer) -> None:
        if not offer.accepted:
            offer.accepted = True
            self._count("accepted", offer.language)

    def _follow(self, key: str, offer: Offer, begin: int, now: float) -> None:
        """From where its first accepted part begins to where it is written to."""
        followed = self._followed.setdefault(key, [])
        if offer.begin is None:
            offer.begin, offer.since = begin, now
            followed.append(offer)
        start, text = offer.edit.start, offer.edit.text[offer.begin : offer.written]
        offer.stretch = Stretch(text, start + offer.begin, start + offer.written)

    def _judge(self, key: str, due: Sequence[Offer], document: str) -> None:
        for offer in due:
            self._followed[key].remove(offer)
            if offer.stretch and offer.stretch.stands(document):
                self._count("kept", offer.language)

    def _settle(self, key: str) -> None:
        """Whether it was accepted only in part is known once there is another, or none."""
        if offer := self._offers.pop(key, None):
            if offer.begin is not None and not offer.accepted:
                self._count("partly", offer.language)
            offer.document = ""  # it may be large
            self._former[key] = offer


def written_of(edit: Edit, before: str, document: str) -> int | None:
    """How much of the edit of the text `before` was made, where nothing else was."""
    start, end, text = edit.start, edit.end, edit.text
    length = len(document) - len(before) + end - start
    if not 0 <= length <= len(text):
        return None
    same = (
        document.startswith(text[:length], start)
        and document.startswith(before[:start])
        and document.endswith(before[end:])
    )
    return length if same else None


def written_with(document: str, edit: Edit) -> tuple[str, str]:
    """What the edit leaves, in two parts, of which the first ends where it does."""
    written = document[: edit.start] + edit.text
    return written, document[edit.end :]


def came_at_once(text: str, former: int, written: int) -> bool:
    """Whether what was written of the text since is more than a key writes, up to the end of a word
    or a line."""
    if written <= former or KEY.fullmatch(text[former:written]):
        return False
    return not WORD.fullmatch(text[written - 1 : written + 1])


def moved(stretch: Stretch, edit: Edit) -> Stretch:
    """Where it is after the edit, which is outside of it, or else in it from then on."""
    grown = len(edit.text) - (edit.end - edit.start)
    if edit.end <= stretch.start:
        return replace(stretch, start=stretch.start + grown, end=stretch.end + grown)
    if edit.start >= stretch.end:
        return stretch
    start, end = min(stretch.start, edit.start), max(stretch.end, edit.end)
    return replace(stretch, start=start, end=end + grown)


def edit_between(before: Lines, after: Lines) -> Edit:
    """An edit of the first lines that leaves the second, in as little text as its ends allow."""
    most = min(len(before), len(after))
    head = common(before[:most], after[:most])
    tail = common(before[head:][::-1], after[head:][::-1])
    old, new = (
        "".join(lines[head : len(lines) - tail]) for lines in (before, after)
    )  # fmt: skip
    first = common(old, new)
    last = common(old[first:][::-1], new[first:][::-1])
    start = sum(map(len, before[:head])) + first
    return Edit(start, start + len(old) - first - last, new[first : len(new) - last])


def common(one: T, other: T) -> int:
    """How many of their first are the same; by halves, which compares whole slices."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
