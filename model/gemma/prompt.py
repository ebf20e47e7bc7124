"""What the encoder reads before a canvas: an instruction, what follows the hole, what is before it.

The order is that of what changes least: while one types, a prompt only grows at its end, so what
was computed of it stays. It knows text and ids, neither networks nor canvases' rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from model.canvas import ModelError
from model.fence import fence_for
from model.gemma.vocabulary import Vocabulary

# The reply is to be the whole file, so that what is before the hole can begin it, and what follows
# on the canvas goes on with it: nothing that the network would not write by itself is clamped.
INSTRUCTION = (
    "A source file has a gap. You get what follows the gap; you have written what is before it. "
    "Reply with the whole file in one code block, unchanged, with code in the gap that fits both "
    "sides."
)
TAIL = 8  # tokens before a hole that stand on its canvas: what is typed there leaves the prompt be
LEAST = 32  # tokens of the file that a prompt must have room for, or it says nothing
WIDE = 20_000  # characters: a `wide` of so many may have been cut, at another place with each key
STEPS = 8  # a side that is too long loses eighths of its room at once, not a token a keystroke


@dataclass(frozen=True, slots=True)
class Prompt:
    """`tail` comes after `ids`, on the canvas."""

    ids: tuple[int, ...]
    tail: tuple[int, ...]
    fence: str


def prompt_of(
    before: str, after: str, vocabulary: Vocabulary, room: int, *, elsewhere: str = ""
) -> Prompt:
    """The prompt in at most `room` tokens; what is dropped is far from the hole. `elsewhere` is
    what is known of other files and other places. Raises `ModelError` where nothing has room."""
    fence = fence_for(before, after, elsewhere)
    opening, between, closing = frame(vocabulary, fence, known=bool(elsewhere))
    left = room - len(opening) - len(between) - len(closing)
    if left < LEAST:
        raise no_room(room, room - left)
    far = 16 * room  # characters: no tokenizer makes fewer tokens than that of code
    first, last = vocabulary.encode(before[-far:]), vocabulary.encode(after[:far])
    extra = vocabulary.encode(elsewhere[:far])[: left // 4]
    left -= len(extra)
    most_first = max(left * 3 // 5, left - len(last))
    first = last_of(first, most_first + TAIL, vocabulary)
    tail = tuple(first[max(0, len(first) - TAIL) :])
    first = first[: len(first) - len(tail)]
    step = max(1, left // STEPS)  # what follows must not give way to each letter that is typed
    last = last[: max(0, left - min(most_first, -(-len(first) // step) * step))]
    ids = chain(opening, extra, between, last, closing, first)
    return Prompt(tuple(ids), tail, fence)


def check_room(vocabulary: Vocabulary, room: int) -> None:
    """Whether prompts of so many tokens can be made at all. Raises `ModelError`."""
    taken = sum(map(len, frame(vocabulary, "```", known=True)))
    if room - taken < LEAST:
        raise no_room(room, taken)


def no_room(room: int, taken: int) -> ModelError:
    return ModelError(
        f"a prompt of {room} tokens has no room for the file: its instruction alone takes {taken}, "
        f"and {LEAST} more are the least that say something. Give the keys `context` and `prompt` "
        "larger numbers, or leave them away"
    )


def frame(
    vocabulary: Vocabulary, fence: str, *, known: bool
) -> tuple[list[int], list[int], list[int]]:
    """What is around other places, what follows the gap, and what is before it."""
    enc = vocabulary.encode
    opening = [vocabulary.bos, vocabulary.turn, *enc(f"user\n{INSTRUCTION}\n\n")]
    if known:
        opening += enc(f"Elsewhere in the project:\n{fence}\n")
    closed = f"\n{fence}\n\n" if known else ""
    between = enc(f"{closed}After the gap:\n{fence}\n")
    closing = [
        *enc(f"\n{fence}"), vocabulary.turn_end, *enc("\n"),
        vocabulary.turn, *enc(f"model\n{fence}\n"),
    ]  # fmt: skip
    return opening, between, closing


def last_of(ids: Sequence[int], room: int, vocabulary: Vocabulary) -> list[int]:
    """The last tokens, at most `room`. Where some are dropped it is a whole step of them, and from
    there to the next line: so the first of them stays the same while one types."""
    if len(ids) <= room:
        return list(ids)
    step = max(1, room // STEPS)
    start = -(-(len(ids) - room) // step) * step
    newlines = vocabulary.newlines
    line = next((i + 1 for i in range(start, min(start + step, len(ids))) if ids[i] in newlines), 0)
    return list(ids[line if 0 < line < len(ids) else start :])


def apart(text: str, wide: str) -> tuple[str, str]:
    """Splits the text before a hole into what stands elsewhere (headers from afar, signatures of
    other files) and what really stands before it, of which `wide` is the last part as in the file.
    Where `wide` does not tell, all of it stands before the hole."""
    common = alike(text[::-1], wide[::-1])
    start = len(text) - common
    if common in (0, len(text)) or common == len(wide) > WIDE:
        return "", text
    if text[start - 1] != "\n":
        start = text.find("\n", start) + 1 or start
    return text[:start], text[start:]


def alike(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
