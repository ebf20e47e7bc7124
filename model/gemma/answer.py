"""What rows of ids say in the holes that they were laid out for: never more than belongs there.

A free answer ends with the network's own end, with the code block's, or where it goes on with what
follows the hole anyway. It knows ids and text, and no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from model.canvas import Piece
from model.gemma.decode import Told
from model.gemma.layout import Layout
from model.gemma.prompt import alike
from model.gemma.vocabulary import Vocabulary

SAYS = 8  # characters: fewer, as a bracket, may stand anywhere


def pieces_of(
    layout: Layout, number: int, told: Told, vocabulary: Vocabulary, *, final: bool
) -> list[tuple[Piece, ...]]:
    """What a row's holes say: never a special token, of a prompted answer only what is the hole's.

    Until the end nothing but what was kept has settled: a token may leave the canvas again."""
    row = layout.rows[number]
    confidence: dict[int, float] = {}
    cells = (i for run in row.holes for i in run)
    for i, share in zip(cells, told.confidence, strict=True):
        confidence[i] = share
    holes: list[tuple[Piece, ...]] = []
    for place in layout.places[number]:
        ids = [told.ids[i] for i in place]
        if layout.mode == "prompted":
            ended = next((n for n, token in enumerate(ids) if token in vocabulary.enders), len(ids))
            ids = ids[:ended]
        texts = vocabulary.pieces(ids)
        pieces = tuple(
            Piece(text, confidence.get(place[n], 1.0), final or place[n] not in confidence)
            for n, text in enumerate(texts)
            if text
        )
        if layout.mode == "prompted":
            text = trimmed("".join(texts), layout.after, layout.prompt.fence)
            if not layout.hole.multiline:
                text = text[: len(text) - len(text.lstrip())] + text.lstrip().partition("\n")[0]
            pieces = cut(pieces[: layout.hole.limit], len(text))
        holes.append(pieces)
    return holes


def trimmed(text: str, after: str, fence: str) -> str:
    """What of a free answer belongs into the hole: all before the code block ends, or before the
    answer goes on with what follows the hole anyway.

    It goes on with it where both are the same up to the answer's end, or for whole lines that say
    something; of several such places where they are the same the longest. Failing that, the blank
    lines before may be others."""
    ended = text.find(f"\n{fence}")
    text = text[:ended] if ended >= 0 else text.removesuffix("\n")
    starts = range(len(text))
    if (start := meeting(text, after, starts)) is not None:
        return text[:start]
    lines = [i for i in starts if i == 0 or text[i - 1] == "\n"]
    if (start := meeting(text, after.lstrip("\n"), lines)) is not None:
        return text[:start].rstrip("\n")
    return text


def meeting(text: str, after: str, starts: Sequence[int]) -> int | None:
    wanted = telling(after)
    if not wanted:
        return None
    best: tuple[int, int] | None = None
    for start in starts:
        rest = text[start:]
        if not rest.strip():
            break
        if rest.startswith(wanted) or after.startswith(rest):
            same = alike(rest, after)
            if best is None or same > best[0]:
                best = same, start
    return best[1] if best else None


def telling(after: str) -> str:
    """The first lines of a text that say something; empty where it is blank."""
    end = said = 0
    while end < len(after) and said < SAYS:
        stop = after.find("\n", end) + 1 or len(after)
        said += len(after[end:stop].strip())
        end = stop
    return after[:end] if said else ""


def cut(pieces: Sequence[Piece], length: int) -> tuple[Piece, ...]:
    """The first `length` characters."""
    kept: list[Piece] = []
    for piece in pieces:
        text = piece.text[:length]
        if text:
            kept.append(replace(piece, text=text))
        length -= len(text)
    return tuple(kept)
