"""A canvas of text as rows of ids: which holes share one, what is clamped, what is written where.

Clamped: [tail of the prefix | hole | suffix], the hole in a few lengths of which one is chosen; the
join is right by construction. Prompted: [tail | everything else is open], the suffix in the prompt
only; the answer ends by itself. It knows ids and text, and no network.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from model.canvas import Canvas, Hole, ModelError
from model.gemma.decode import NOISE, Row
from model.gemma.lengths import lengths_of
from model.gemma.prompt import TAIL, Prompt, apart, prompt_of
from model.gemma.vocabulary import Vocabulary

Mode = Literal["clamped", "prompted"]
SUFFIX = 16  # tokens of what follows that a canvas keeps for itself, and that judge a length
OVERLAP = 48  # tokens that a prompted canvas may go on past the hole, to meet the suffix


@dataclass(frozen=True, slots=True)
class Room:
    """In tokens: a prompt's, and a canvas's."""

    prompt: int
    canvas: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Candidates for one group of holes, all behind the same prompt. `places[row][hole]` is where
    on its canvas a hole stands, what was kept in it included."""

    mode: Mode
    prompt: Prompt
    rows: tuple[Row, ...]
    places: tuple[tuple[range, ...], ...]
    after: str  # what follows the last hole
    hole: Hole  # the first, of a prompted canvas the only one
    banned: tuple[int, ...]


def groups_of(canvas: Canvas, vocabulary: Vocabulary, room: Room, mode: str) -> list[range]:
    """The holes in order, as many at once as one canvas holds with the texts between them. A
    prompted canvas holds one."""
    if mode == "prompted":
        return [range(i, i + 1) for i in range(len(canvas.holes))]
    between = [len(vocabulary.encode(text)) for text in canvas.texts[1:-1]]
    groups: list[range] = []
    start = 0
    for end in range(1, len(canvas.holes) + 1):
        if end == len(canvas.holes):
            groups.append(range(start, end))
            break
        more = range(start, end + 1)
        left = room.canvas - TAIL - SUFFIX - sum(between[start:end])
        holes = [canvas.holes[i] for i in more]
        wanted = [min(hole.limit, SUFFIX) for hole in holes]
        if any(cap < least for cap, least in zip(shares(holes, left), wanted, strict=True)):
            groups.append(range(start, end))
            start = end
    return groups


def shares(holes: Sequence[Hole], room: int) -> list[int]:
    """How many tokens each hole may have, in proportion to its limit where room is short."""
    wanted = sum(hole.limit for hole in holes)
    if wanted <= room:
        return [hole.limit for hole in holes]
    return [max(0, room * hole.limit // wanted) for hole in holes]


def mode_of(canvas: Canvas, group: range, mode: str) -> Mode:
    """By "auto" it is prompted where the network had better end by itself: nothing follows, or a
    block is due, whose length no few guesses meet. It is clamped where the join is what matters:
    within a line, or several holes at once. What is partly kept is always clamped."""
    holes = [canvas.holes[i] for i in group]
    if len(holes) > 1 or any(is_kept(hole) for hole in holes):
        return "clamped"
    if mode in ("clamped", "prompted"):
        return mode
    after = canvas.texts[group.stop]
    last = group.stop == len(canvas.holes)
    if last and not after.strip():
        return "prompted"
    within = bool(after.partition("\n")[0].strip())
    return "prompted" if holes[0].multiline and not within else "clamped"


def is_kept(hole: Hole) -> bool:
    """Whether some of what stood in the hole stays."""
    return bool(hole.former) and hole.strength < 1


def laid_out(
    canvas: Canvas,
    group: range,
    written: Sequence[str],
    vocabulary: Vocabulary,
    room: Room,
    mode: str,
    seed: int = 0,
) -> Layout:
    """The candidates for these holes. Holes before them are filled with what is `written`, those
    behind them with what stood there. Raises `ModelError` for what has no room."""
    fills = [*written[: group.start], *(hole.former for hole in canvas.holes[group.start :])]
    elsewhere, before = apart(canvas.texts[0], canvas.wide[0])
    for i in range(group.start):
        before += fills[i] + canvas.texts[i + 1]
    after = canvas.texts[group.stop]
    for i in range(group.stop, len(canvas.holes)):
        after += fills[i] + canvas.texts[i + 1]
    prompt = prompt_of(before, after, vocabulary, room.prompt, elsewhere=elsewhere)
    holes = tuple(canvas.holes[i] for i in group)
    chosen = mode_of(canvas, group, mode)
    if chosen == "prompted":
        free = min(room.canvas - len(prompt.tail), holes[0].limit + OVERLAP)
        place = range(len(prompt.tail), len(prompt.tail) + free)
        row = Row((*prompt.tail, *[NOISE] * free), (place,), seed=seed)
        banned = vocabulary.banned(ends=True, one_line=False)
        return Layout(chosen, prompt, (row,), ((place,),), after, holes[0], banned)
    between = [vocabulary.encode(canvas.texts[i + 1]) for i in group[:-1]]
    follows = ending(after, prompt.fence, vocabulary, room.canvas)
    rows, places = clamped(holes, between, follows, prompt, vocabulary, room.canvas, seed)
    banned = vocabulary.banned(ends=False, one_line=not any(hole.multiline for hole in holes))
    return Layout(chosen, prompt, rows, places, after, holes[0], banned)


def ending(after: str, fence: str, vocabulary: Vocabulary, room: int) -> list[int]:
    """What follows the last hole on the canvas: the suffix, and where all of it has room, the end
    of the code block and of the answer."""
    ids = vocabulary.encode(after[: 16 * room])
    if len(ids) >= room or len(after) > 16 * room:
        return ids
    line = "" if after.endswith("\n") else "\n"
    return [*ids, *vocabulary.encode(line + fence), vocabulary.turn_end, vocabulary.eos]


def clamped(
    holes: Sequence[Hole],
    between: Sequence[list[int]],
    follows: list[int],
    prompt: Prompt,
    vocabulary: Vocabulary,
    room: int,
    seed: int,
) -> tuple[tuple[Row, ...], tuple[tuple[range, ...], ...]]:
    """A row for each choice of lengths; in all of them equally much follows, to be judged by it."""
    left = room - len(prompt.tail) - sum(map(len, between)) - min(SUFFIX, len(follows))
    cells = [first_cells(hole, vocabulary, seed) for hole in holes]
    fixed = sum(len(each) for each in cells if each)
    if fixed > left:
        raise ModelError(
            f"a hole of {fixed} tokens that are partly kept has no room on a canvas of {room} "
            f"beside what stands around it, which leaves {max(left, 0)}: rewrite less at once"
        )
    open_ = [hole for hole, each in zip(holes, cells, strict=True) if not each]
    caps = iter(shares(open_, left - fixed))
    grids = [
        [len(each)] if each else lengths_of(hole, max(1, next(caps)))
        for hole, each in zip(holes, cells, strict=True)
    ]
    longest = sum(grid[-1] for grid in grids)
    follows = follows[: room - len(prompt.tail) - sum(map(len, between)) - longest]
    rows: dict[Row, tuple[range, ...]] = {}
    for rank in range(max(map(len, grids))):
        lengths = [grid[min(rank, len(grid) - 1)] for grid in grids]
        row, places = one_row(prompt.tail, lengths, cells, [*between, follows], seed)
        rows[row] = places
    return tuple(rows), tuple(rows.values())


def one_row(
    tail: Sequence[int],
    lengths: Sequence[int],
    cells: Sequence[list[int]],
    texts: Sequence[list[int]],
    seed: int,
) -> tuple[Row, tuple[range, ...]]:
    ids = list(tail)
    holes: list[range] = []
    scored: list[range] = []
    places: list[range] = []
    for length, kept, text in zip(lengths, cells, texts, strict=True):
        start = len(ids)
        ids += kept or [NOISE] * length
        places.append(range(start, len(ids)))
        holes += runs_of(ids, start)
        if text:
            scored.append(range(len(ids), len(ids) + min(SUFFIX, len(text))))
        ids += text
    return Row(tuple(ids), tuple(holes), tuple(scored), seed), tuple(places)


def runs_of(ids: Sequence[int], start: int) -> list[range]:
    """The stretches of noise from `start` on."""
    runs: list[range] = []
    for i in range(start, len(ids)):
        if ids[i] != NOISE:
            continue
        if runs and runs[-1].stop == i:
            runs[-1] = range(runs[-1].start, i + 1)
        else:
            runs.append(range(i, i + 1))
    return runs


def first_cells(hole: Hole, vocabulary: Vocabulary, seed: int) -> list[int]:
    """What is kept of the former text, and noise; nothing where the hole may have any length."""
    former = vocabulary.encode(hole.former)[: hole.limit] if is_kept(hole) else []
    if not former:
        return []
    count = max(1, round(hole.strength * len(former)))
    noised = set(random.Random(seed).sample(range(len(former)), count))
    return [NOISE if i in noised else token for i, token in enumerate(former)]
