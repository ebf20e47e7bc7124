"""A board: the token row of one canvas, with its holes, as it stands between two steps.

It is all that is carried from step to step. It knows ids, not networks; no torch.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from model.canvas import Canvas, Draft, Hole, Piece

Guesses = dict[tuple[int, int], tuple[int, float]]  # (hole, index) → (token, probability)


@dataclass(frozen=True, slots=True)
class Specials:
    """The ids that stand for no text. `expand` and `delete` are None where a network has none."""

    mask: int
    bos: int | None = None
    eos: int | None = None
    expand: int | None = None
    delete: int | None = None
    banned: tuple[int, ...] = ()  # never written into a hole; the mask is banned anyway
    always: bool = False  # bos and eos stand around every board, not only around a whole text


class Vocabulary(Protocol):
    """What a board asks of a tokenizer."""

    @property
    def specials(self) -> Specials: ...

    @property
    def newlines(self) -> Sequence[int]:
        """The ids whose text holds a line end."""
        ...

    def encode(self, text: str) -> list[int]: ...

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """One text an id, whole characters only."""
        ...


@dataclass(slots=True)
class Cell:
    """One token of a hole; `confidence` is that of its commitment, 0 while it is a mask. What stood
    there before and was to stay is `given`: no rule makes a mask of it."""

    token: int
    confidence: float = 0.0
    given: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """How many masks a hole begins with, and how much of the surroundings a board holds (tokens).

    Starting long and deleting is both best and cheapest (DreamOn, and an independent re-run of it).
    `budget` is how often a hole may grow by a mask, whatever was cut of it; 0: as often as its
    limit has tokens.
    """

    line: int = 16
    block: int = 48
    context: int = 256
    budget: int = 0


class Board:
    """`texts` are fixed tokens, `cells` the holes' tokens: texts[0] cells[0] texts[1] …"""

    def __init__(self, canvas: Canvas, vocabulary: Vocabulary, start: Start, seed: int = 0) -> None:
        self.canvas = canvas
        self.vocabulary = vocabulary
        self.step = 0
        self.turn = 0  # of a rule that goes by a plan, where it is in that (P2)
        self.texts = fixed_tokens(canvas, vocabulary, start.context)
        chance = random.Random(seed + canvas.seed)
        self.cells = [self.first_cells(hole, start, chance) for hole in canvas.holes]
        # An expansion adds a mask; without a budget a network in love with it would never end.
        self.budgets = [start.budget or hole.limit for hole in canvas.holes]

    def first_cells(self, hole: Hole, start: Start, chance: random.Random) -> list[Cell]:
        mask = self.vocabulary.specials.mask
        former = self.vocabulary.encode(hole.former)[: hole.limit]
        if hole.strength >= 1 or not former:
            count = min(start.block if hole.multiline else start.line, hole.limit)
            return [Cell(mask) for _ in range(count)]
        count = max(1, round(hole.strength * len(former)))
        noised = set(chance.sample(range(len(former)), count))
        return [
            Cell(mask) if i in noised else Cell(token, 1.0, given=True)
            for i, token in enumerate(former)
        ]

    @property
    def open(self) -> list[bool]:
        """Of each hole whether it may begin with any number of masks: nothing of it is kept."""
        mask = self.vocabulary.specials.mask
        return [all(cell.token == mask for cell in cells) for cells in self.cells]

    def resized(self, lengths: Sequence[int]) -> Board:
        """A fresh board of the same canvas, its open holes with so many masks, one at least."""
        board = copy.copy(self)
        board.budgets = list(self.budgets)
        board.cells = [
            [Cell(self.vocabulary.specials.mask) for _ in range(min(max(length, 1), hole.limit))]
            if free
            else [copy.copy(cell) for cell in cells]
            for length, hole, free, cells in zip(
                lengths, self.canvas.holes, self.open, self.cells, strict=True
            )
        ]
        return board

    def stretched(self, masks: Sequence[int]) -> Board:
        """A copy of which each hole ends with so many masks, behind what is written of it. A hole
        of which something was given stays as it is."""
        board, mask = copy.copy(self), self.vocabulary.specials.mask
        board.budgets = list(self.budgets)
        board.cells = [
            [copy.copy(cell) for cell in cells]
            if any(cell.given for cell in cells)
            else [copy.copy(cell) for cell in cells if cell.token != mask]
            + [Cell(mask) for _ in range(count)]
            for cells, count in zip(self.cells, masks, strict=True)
        ]
        return board

    @property
    def row(self) -> list[int]:
        """All tokens, left to right."""
        row = list(self.texts[0])
        for cells, text in zip(self.cells, self.texts[1:], strict=True):
            row += [cell.token for cell in cells]
            row += text
        return row

    def masks(self, block: int) -> list[tuple[int, int, int]]:
        """(position in the row, hole, index in the hole) of the masks now worked on.

        These are the first `block` masks of each hole: a longer hole is refined block by block,
        with all of the suffix in sight.
        """
        return self.placed([list(self.masked(n))[:block] for n in range(len(self.cells))])

    def masks_of_block(self, block: int) -> list[tuple[int, int, int]]:
        """The same, where blocks stand still: what is behind the first with masks in it waits."""
        found: list[list[int]] = []
        for number in range(len(self.cells)):
            masked = list(self.masked(number))
            end = (masked[0] // block + 1) * block if masked else 0
            found.append([i for i in masked if i < end])
        return self.placed(found)

    def written(self) -> list[tuple[int, int, int]]:
        """The same of all cells of the holes that were not given, masks or not any longer."""
        return self.placed(
            [[i for i, cell in enumerate(cells) if not cell.given] for cells in self.cells]
        )

    def placed(self, indices: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
        found: list[tuple[int, int, int]] = []
        position = len(self.texts[0])
        for number, cells in enumerate(self.cells):
            found += [(position + i, number, i) for i in indices[number]]
            position += len(cells) + len(self.texts[number + 1])
        return found

    def masked(self, number: int) -> Iterator[int]:
        mask = self.vocabulary.specials.mask
        return (i for i, cell in enumerate(self.cells[number]) if cell.token == mask)

    @property
    def done(self) -> bool:
        return not any(any(True for _ in self.masked(n)) for n in range(len(self.cells)))

    def may_expand(self, number: int) -> bool:
        return (
            self.budgets[number] > 0 and len(self.cells[number]) < self.canvas.holes[number].limit
        )

    def commit(self, number: int, index: int, token: int, confidence: float) -> None:
        """Writes a token into a mask; a length token changes the hole's length instead."""
        specials = self.vocabulary.specials
        cells = self.cells[number]
        if cells[index].token != specials.mask:
            raise ValueError(f"cell {index} of hole {number} is not a mask")
        if token == specials.delete:
            cells[index:] = [cell for cell in cells[index:] if cell.token != specials.mask]
        elif token == specials.expand:
            if not self.may_expand(number):
                raise ValueError(f"hole {number} is at its limit and may not grow")
            self.budgets[number] -= 1
            cells.insert(index, Cell(specials.mask))
        else:
            cells[index] = Cell(token, confidence)

    def mask_again(self, number: int, index: int) -> None:
        """Takes back what was written there."""
        self.cells[number][index] = Cell(self.vocabulary.specials.mask)

    def draft(self, guesses: Guesses, *, lasting: bool = True) -> Draft:
        """The holes as text; masks show their guess where there is one. What is written `lasting`
        will not be taken back."""
        lasting = lasting or self.done
        return Draft(
            self.step,
            tuple(tuple(self.pieces(n, guesses, lasting)) for n in range(len(self.cells))),
            final=self.done,
        )

    def pieces(self, number: int, guesses: Guesses, lasting: bool) -> Iterator[Piece]:
        specials = self.vocabulary.specials
        told: list[tuple[int, float, bool]] = []
        over = False  # once a mask is guessed to be past the end, so are the masks behind it
        for index, cell in enumerate(self.cells[number]):
            if cell.token != specials.mask:
                told.append((cell.token, cell.confidence, lasting or cell.given))
            elif (number, index) in guesses and not over:
                token, confidence = guesses[number, index]
                over = token == specials.delete
                if token not in (specials.delete, specials.expand):
                    told.append((token, confidence, False))
        texts = self.vocabulary.pieces([token for token, _, _ in told])
        for text, (_, confidence, settled) in zip(texts, told, strict=True):
            if text:
                yield Piece(text, confidence, settled)


def fixed_tokens(canvas: Canvas, vocabulary: Vocabulary, context: int) -> list[list[int]]:
    """The canvas's fixed texts as ids, the outer two cut so that all fit into `context` tokens.

    What lies between holes is never cut. Of the rest the text before gets three fifths, and what
    one side does not need the other may use.
    """
    specials = vocabulary.specials
    far = 16 * context  # characters: no tokenizer makes fewer tokens than that of code
    first, last = canvas.texts[0], canvas.texts[-1]
    before = vocabulary.encode(first[-far:])
    after = vocabulary.encode(last[:far])
    between = [vocabulary.encode(text) for text in canvas.texts[1:-1]]
    head = [] if specials.bos is None else [specials.bos]
    tail = [] if specials.eos is None else [specials.eos]
    room = max(2, context - sum(map(len, between)))
    if specials.always:
        room = max(2, room - len(head) - len(tail))
    else:
        before = [*(head if len(first) <= far else ()), *before]
        after += tail if len(last) <= far else ()
        head, tail = [], []
    room_before = max(room * 3 // 5, room - len(after))
    before = before[max(0, len(before) - room_before) :]
    return [head + before, *between, after[: room - len(before)] + tail]
