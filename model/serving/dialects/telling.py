"""What of drafts is told: the text of a hole without what the file says anyway, and of a draft on
the way only what no later draft can take back. Knows no dialect.

A diffusion model revises, a stream cannot. So of a draft that is not final only the pieces that
have settled count, from the left up to the first that has not; and of those all is held back that
may still turn out to be the beginning of a stop, or of what follows the cursor. Where a model
weighs whole texts, too, nothing is told before the choice among them.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from model.canvas import Canvas, Card, Draft, Piece, text_of
from model.serving.dialects.asked import Asked

OVERLAP = 400  # characters; a longer repetition of what follows is met line by line
NEAR = 4000  # characters before the cursor in which a bracket may have been opened
CLOSERS = {")": "(", "]": "[", "}": "{"}
CLOSING = re.compile(r"[)\]}\"'`;,:\s]+")
WORD = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class Part:
    """The next stretch of a choice's text, in `pieces`, and where it stands in that text.

    `ended` is "stop" or "length" with the last part. `draft` is the one that it is of.
    """

    text: str = ""
    pieces: tuple[Piece, ...] = ()
    at: int = 0
    choice: int = 0
    ended: str = ""
    stop: str = ""  # the client's own, where the text ended by it
    draft: Draft | None = None


# Which of the texts that a model of that card weighed for the canvas's one hole is the answer.
Choose = Callable[[Draft, Canvas, Card], Awaitable[str]]


async def chosen_here(draft: Draft, canvas: Canvas, card: Card) -> str:
    """The likeliest that closes no bracket too much; what was written in the end if none does."""
    weighed = draft.rivals[0] if draft.rivals else ()
    fitting = (it.text for it in weighed if not closes_too_much(it.text, canvas.wide[0]))
    return next(fitting, draft.texts[0])


async def parts(
    drafts: AsyncIterator[Draft],
    asked: Asked,
    limit: int,
    choose: Callable[[Draft], Awaitable[str]] | None = None,
) -> AsyncGenerator[Part, None]:
    """The parts as they become certain, the last one `ended`; of a stream they add up to the text.

    Where drafts end early, the last one is the best there is. One that contradicts what has been
    told ends the answer there, cut short.
    """
    told, last = "", None
    async for draft in drafts:
        last = draft
        if draft.final:
            break
        if draft.rivals and not told:
            continue
        pieces = tuple(takewhile(lambda piece: piece.settled, draft.holes[0]))
        kept = kept_of(text_of(pieces), asked, final=False)
        if kept.sure:
            last = replace(draft, holes=(pieces,))
            break
        if asked.stream and len(kept.text) > len(told) and kept.text.startswith(told):
            yield part_of(kept, pieces, len(told), draft)
            told = kept.text
    if told or (asked.stream and not (last and last.rivals)):
        choose = None  # of what was written some has been told, or might have been
    text, pieces = await chosen_of(last, choose) if last is not None else ("", ())
    kept = kept_of(text, asked, final=True)
    written = len(last.holes[0]) if last is not None else 0
    full = last is None or not (last.final or kept.sure) or written >= limit > 0
    if not kept.text.startswith(told):
        yield Part(at=len(told), ended="length", draft=last)
        return
    ended = "length" if full and not kept.sure else "stop"
    yield replace(part_of(kept, pieces, len(told), last), ended=ended)
    for number, text in enumerate(rivals_of(last, kept.text, asked), start=1):
        yield Part(text, choice=number, ended="stop", draft=last)


async def chosen_of(
    draft: Draft, choose: Callable[[Draft], Awaitable[str]] | None
) -> tuple[str, tuple[Piece, ...]]:
    """What is chosen, and its pieces: a text that was weighed is one, as probable as it is; one
    that was made of it has none."""
    text = await choose(draft) if choose else draft.texts[0]
    if text == draft.texts[0]:
        return text, draft.holes[0]
    weighed = draft.rivals[0] if draft.rivals else ()
    probable = {rival.text: rival.probability for rival in weighed}
    return text, (Piece(text, probable[text]),) if text in probable else ()


def part_of(kept: Kept, pieces: Sequence[Piece], start: int, draft: Draft | None) -> Part:
    text = kept.text[start:]
    return Part(text, cut(pieces, start, len(kept.text)), start, stop=kept.stop, draft=draft)


def rivals_of(draft: Draft | None, first: str, asked: Asked) -> list[str]:
    """The next best texts of those that were weighed, as many as are asked for and there are: to
    ask this model once more would bring the same."""
    weighed = draft.rivals[0] if draft is not None and draft.rivals else ()
    texts = (kept_of(rival.text, asked, final=True).text for rival in weighed)
    return [text for text in dict.fromkeys(texts) if text != first][: asked.choices - 1]


def cut(pieces: Iterable[Piece], start: int, end: int) -> tuple[Piece, ...]:
    """The pieces of a stretch of their text."""
    found: list[Piece] = []
    at = 0
    for piece in pieces:
        text = piece.text[max(0, start - at) : max(0, end - at)]
        at += len(piece.text)
        if text:
            found.append(replace(piece, text=text))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Kept:
    text: str
    stop: str = ""  # of the client's, where one was met
    sure: bool = False  # whatever comes later, the text ends here


def kept_of(text: str, asked: Asked, *, final: bool) -> Kept:
    """What of a hole's text is worth telling; of a beginning, what is in any case.

    The text of a beginning is a beginning of the text that is kept of any way to go on with it.
    """
    text, stop, sure = before_stop(text, asked, final=final)
    final = final or sure
    if asked.several:
        text, repeats = before_the_next_line(text, asked, final=final)
        sure = sure or repeats
        final = final or repeats
    return Kept(without_what_follows(text, asked, final=final), stop, sure)


def before_stop(text: str, asked: Asked, *, final: bool) -> tuple[str, str, bool]:
    ends = asked.stops if asked.several else (*asked.stops, "\n")
    met = [(at + len(end), at, end) for end in ends if (at := text.find(end)) >= 0]
    if met:  # that which is complete first, as where text is written from left to right
        _, at, end = min(met)
        return text[:at], end if end in asked.stops else "", True
    if not final:
        text = text[: len(text) - max(longest_begun(text, end) for end in (*ends, ""))]
    return text, "", False


def longest_begun(text: str, end: str) -> int:
    """How much of a text's end is a beginning of `end`, but not all of it."""
    most = min(len(text), len(end) - 1)
    return next((n for n in range(most, 0, -1) if text.endswith(end[:n])), 0)


def before_the_next_line(text: str, asked: Asked, *, final: bool) -> tuple[str, bool]:
    """Ends where it would write the line that follows the cursor anyway."""
    lines = asked.after.split("\n")[1:]
    due = next((line.rstrip() for line in lines if line.strip()), "")
    if not WORD.search(due):
        return text, False
    at = text.find("\n")
    while at >= 0:
        line, end, _ = text[at + 1 :].partition("\n")
        if (end or final) and line.rstrip() == due:
            return text[:at], True
        if not (end or final) and due.startswith(line.rstrip()):
            return text[:at], False
        at = text.find("\n", at + 1)
    return text, False


def without_what_follows(text: str, asked: Asked, *, final: bool) -> str:
    """Without blanks at the end, and without an end that the text after the cursor begins with."""
    blanks = "\n" if asked.rest.strip() else " \t\n\r\f\v"
    text = text.rstrip(blanks)
    after = asked.after[:OVERLAP]
    for length in range(min(len(text), len(after)), 0, -1):
        if text.endswith(after[:length]) and not (final and is_needed(text, length, asked)):
            return text[:-length].rstrip(blanks)
    return text


def closes_too_much(text: str, before: str) -> bool:
    """Whether brackets are closed that nothing near has opened."""
    near = before[-NEAR:]
    for closer, opener in CLOSERS.items():
        depth = max(0, near.count(opener) - near.count(closer))
        if text.count(closer) > text.count(opener) + depth:
            return True
    return False


def is_needed(text: str, length: int, asked: Asked) -> bool:
    """Whether an end that equals what follows may well belong there twice."""
    end, rest = text[-length:], text[:-length]
    if CLOSING.fullmatch(end):
        line = asked.line + text + asked.rest
        mark = end.lstrip()[:1]
        if mark in CLOSERS:
            return line.count(mark) <= line.count(CLOSERS[mark])
        return mark not in "\"'`" or not mark or line.count(mark) % 2 == 0
    cuts_a_word = WORD.match(rest[-1:]) and WORD.match(end)
    return bool(cuts_a_word) or len(WORD.findall(end)) < 3
