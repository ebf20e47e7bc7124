"""The seam: a canvas goes in, drafts come out. Knows neither documents, tokens nor torch.

Text on this seam is plain `str` with `\\n` line ends. No mask ids, no token layout: each family of
networks keeps those to itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch to be written.

    `start` and `end` are code points in the text that the canvas was cut from, so that the answer
    can become an edit; the model does not look at them. `limit` is the most tokens the hole may
    grow to. `former` is what stood there before: with `strength` 1 it is forgotten, with less only
    that share of its tokens is re-noised and the rest is kept.
    """

    start: int
    end: int
    multiline: bool = False
    limit: int = 64
    indent: str = ""
    former: str = ""
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"a hole from {self.start} to {self.end} ends before it starts")
        if self.limit < 1:
            raise ValueError(f"a hole's limit must be at least 1 token, not {self.limit}")
        if not 0 < self.strength <= 1:
            raise ValueError(
                f"a hole's strength must be above 0 and at most 1, not {self.strength}"
            )


@dataclass(frozen=True, slots=True)
class Canvas:
    """Fixed text and holes in order: `texts[0] holes[0] texts[1] … holes[-1] texts[-1]`.

    There is always one text more than there are holes; texts may be empty. A family that cannot
    see all of it drops text from the far ends, never the text nearest the holes.

    `wide` is all that stands before the first and after the last hole, as far as it is known, and
    `others` are other texts of the same project: more than is laid out, there to be counted. With
    another `seed` other tokens of a hole are re-noised.
    """

    texts: tuple[str, ...]
    holes: tuple[Hole, ...]
    wide: tuple[str, str] = ("", "")
    others: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.holes:
            raise ValueError("a canvas needs at least one hole")
        if len(self.texts) != len(self.holes) + 1:
            raise ValueError(
                f"a canvas with {len(self.holes)} holes needs {len(self.holes) + 1} texts, "
                f"not {len(self.texts)}"
            )

    @property
    def ends(self) -> tuple[str, str]:
        """The text before the first hole and the text after the last."""
        return self.texts[0], self.texts[-1]

    def filled(self, fills: tuple[str, ...]) -> str:
        """The whole text with each hole replaced by its fill."""
        pieces = [self.texts[0]]
        for fill, text in zip(fills, self.texts[1:], strict=True):
            pieces += (fill, text)
        return "".join(pieces)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a hole's draft: never a mask, never a special token, never half a character.

    `confidence` is the probability the model gives this piece. A piece that has not `settled` is
    the present best guess and may change at the next step.
    """

    text: str
    confidence: float
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Rival:
    """Another text for a hole, and how probable it is that exactly this belongs there."""

    text: str
    probability: float


def text_of(pieces: Iterable[Piece]) -> str:
    """What they say, side by side."""
    return "".join(piece.text for piece in pieces)


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of every hole after one step; usable whenever one stops asking.

    `rivals` are, of each hole and best first, the texts that were weighed for it; empty where a
    model weighs none.
    """

    step: int
    holes: tuple[tuple[Piece, ...], ...]
    final: bool
    rivals: tuple[tuple[Rival, ...], ...] = ()
    queue_ms: float = field(default=0.0, compare=False)  # how long the canvas waited to be stepped
    served_ms: float = field(default=0.0, compare=False)  # since a server was asked, by its clock

    @property
    def texts(self) -> tuple[str, ...]:
        """The full text of each hole, guesses included."""
        return tuple(map(text_of, self.holes))

    @property
    def settled_share(self) -> float:
        """The share of pieces that have settled, 1.0 for a draft without pieces."""
        pieces = [piece for hole in self.holes for piece in hole]
        return sum(piece.settled for piece in pieces) / len(pieces) if pieces else 1.0


@dataclass(frozen=True, slots=True)
class Claim:
    """What a canvas may ask of an engine that others ask, too.

    `asker` is one window or client: turns are shared fairly between askers. `document` is opaque; a
    newer canvas of the same asker and document ends the older, never where it is empty. What is
    `speculative` is stepped only while nobody waits for anything, and ends none that is not.
    `deadline_ms` counts from asking, 0 is none; for the last `behind_ms` before it nobody waits any
    more, and it stands behind those who do, as what is speculative. `trace` is hexadecimal, for
    logs and timings only.
    """

    asker: str = ""
    document: str = ""
    speculative: bool = False
    deadline_ms: float = 0.0
    behind_ms: float = 0.0
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """What a model is and can do, known before it is loaded.

    `context` is in characters: about what the model can see around the holes. `version` changes
    with the weights, so that remembered fills of other weights are not mistaken for its own.
    `languages` are the LSP language ids it has learnt, empty where it was not trained on a few.
    """

    name: str
    version: str
    context: int
    hole_limit: int  # tokens
    abilities: frozenset[str] = frozenset()  # of "several-holes", "grow", "re-noise", "drafts"
    languages: frozenset[str] = frozenset()


class ModelError(Exception):
    """The model cannot answer: it is missing, broken or out of memory. The message is for users."""


def lacking(error: ImportError) -> ModelError:
    """Why a network cannot be loaded in this process."""
    return ModelError(
        f"this model runs in this process and needs {error.name}, which is not installed: "
        "pip install 'infill-lsp[local]'"
    )


class Denoiser(Protocol):
    """Whatever can refine a canvas: the engine, a client of one, the scripted stand-in."""

    @property
    def card(self) -> Card: ...

    def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncIterator[Draft]:
        """Yields one draft a step, the last one `final`. Raises `ModelError`.

        To cancel is to stop asking: after `aclose()` of the iterator no further step starts. One
        that ends without a final draft was superseded or came to its deadline: the last draft is
        the best so far.
        """
        ...

    def close(self) -> None:
        """Gives back what it holds (a thread, weights); harmless when called twice."""
        ...
