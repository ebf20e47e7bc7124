"""Whose turn it is: canvases stand in lines, one for each asker, and turns are dealt in rounds over
these. Knows claims, but neither threads, clocks nor networks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Generic, Protocol, TypeVar

from model.canvas import Claim


class Claimed(Protocol):
    """Is hashed by what it is, not by what it holds."""

    @property
    def claim(self) -> Claim: ...


C = TypeVar("C", bound=Claimed)
T = TypeVar("T")


class Turns(Generic[C]):
    """All who are to be stepped.

    Both lines and who stands in them are in the order of their last turns, or of their coming, the
    longest ago first. So no asker gets two turns while another waits for one, however many canvases
    each has, and whoever is new has to wait for all who were there. An asker whose canvases have
    left keeps its place until it would have been its turn: whoever types asks anew again and again.

    A turn lasts for `steps`, or until the canvas that was stepped leaves. Where more at once takes
    longer, half-made fills help nobody: one after the other, each is there the sooner.
    """

    def __init__(self, steps: int = 1) -> None:
        self.steps = steps
        self._had: Counter[str | C] = Counter()  # steps of the present turn, of askers and canvases
        self._visible: dict[str, dict[C, None]] = {}
        self._speculative: dict[str, dict[C, None]] = {}

    def __iter__(self) -> Iterator[C]:
        for lines in (self._visible, self._speculative):
            for line in lines.values():
                yield from line

    def __bool__(self) -> bool:
        return any(True for _ in self)

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for one of them."""
        return any(self._visible.values())

    def add(self, one: C) -> None:
        self._lines_of(one).setdefault(one.claim.asker, {})[one] = None

    def remove(self, one: C) -> None:
        lines = self._lines_of(one)
        del lines[one.claim.asker][one]
        if self._had.pop(one, 0):
            self._end_turn(lines, one.claim.asker)
        if not self:
            self._had.clear()
            self._visible.clear()
            self._speculative.clear()

    def dealt(self) -> Iterator[C]:
        """In the order in which they are to be stepped, as many as there is room for: never a
        speculative one while there is another."""
        return rounds((self._visible if self.urgent else self._speculative).values())

    def stepped(self, some: Sequence[C]) -> None:
        """They were stepped, in this order. Those whose turn is over go to the back. That of one
        who has left since was its asker's, too."""
        for lines in (self._visible, self._speculative):
            served = [one for one in some if self._lines_of(one) is lines]
            askers = dict.fromkeys(one.claim.asker for one in served)
            forfeit(lines, set(askers))
            for one in served:
                line = lines.get(one.claim.asker, {})
                if one in line and self._is_over(one):
                    line[one] = line.pop(one)
            for asker in askers:
                if asker in lines and self._is_over(asker):
                    self._end_turn(lines, asker)

    def _is_over(self, whose: str | C) -> bool:
        self._had[whose] += 1
        if self._had[whose] < self.steps:
            return False
        del self._had[whose]
        return True

    def _end_turn(self, lines: dict[str, dict[C, None]], asker: str) -> None:
        self._had.pop(asker, None)
        if asker in lines:
            lines[asker] = lines.pop(asker)

    def _lines_of(self, one: C) -> dict[str, dict[C, None]]:
        return self._speculative if one.claim.speculative else self._visible


def forfeit(lines: dict[str, dict[C, None]], served: set[str]) -> None:
    """Drops the lines that would have had a turn before one of these, had there been anybody."""
    for asker in tuple(lines):
        if not served:
            return
        if asker in served:
            served.remove(asker)
        elif not lines[asker]:
            del lines[asker]


def rounds(lines: Iterable[Iterable[T]]) -> Iterator[T]:
    """The first of each line, then the second of each that has one, and so on."""
    for turn in zip_longest(*lines):
        yield from (one for one in turn if one is not None)


def ends(newer: Claim, older: Claim) -> bool:
    """Whether nobody needs the older one any more. A guess about what may be asked ends no question
    that was asked."""
    return (
        newer.document != ""
        and (newer.asker, newer.document) == (older.asker, older.document)
        and (older.speculative or not newer.speculative)
    )


@dataclass(frozen=True, slots=True)
class Traffic:
    """What an engine has done since it was made, and for whom it works now, by asker: `running`
    have been stepped, `waiting` have not.

    `tokens` were committed; one that was taken back and written anew counts again.
    """

    steps: int
    boards_stepped: int
    tokens: int
    seconds: Sequence[float]  # what the latest steps took, the newest last
    running: Mapping[str, int]
    waiting: Mapping[str, int]
