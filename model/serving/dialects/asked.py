"""What the client of another kind of server asks, in words that all kinds share, and the canvas of
it. Knows text, neither HTTP nor a language.

Whether a line or a block is wanted stands in none of these protocols. A block is meant where
nothing forbids it: no stop at a line end, room for more than a line, nothing but blanks behind the
cursor, and before it either nothing yet or what opens a block.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from model.canvas import Canvas, Card, Claim, Hole
from model.serving.wire import Refused

Json = dict[str, Any]

LINE = 48  # tokens: the longest lines of code that people keep are about this long
BLOCK = 128  # tokens: a dozen lines, as many as anyone reads before accepting
COUNTED = 24_000  # characters on each side that a model may count without laying them out
OPENS = re.compile(r"(?:[:{(\[]|=>|->|\b(?:then|do|else|begin))$")


class Amiss(Refused):
    """A field that cannot be used; `field` is its name."""

    def __init__(self, sentence: str, field: str) -> None:
        super().__init__(400, sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Asked:
    """`limit` is the most tokens, 0 for nothing at all, None where the client does not say.

    Text is in `\\n`; `returns` tells that the client's was in `\\r\\n`, so the answer is, too.
    """

    before: str
    after: str = ""
    limit: int | None = None
    stops: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    stream: bool = False
    choices: int = 1
    told: bool = False  # with the probability of each token
    returns: bool = False
    deadline_ms: float = 0.0  # of a block; a line is always finished
    fields: tuple[str, ...] = ()  # of the answer that are wanted; all where empty

    @property
    def line(self) -> str:
        """What stands before the cursor on its line."""
        return self.before.rpartition("\n")[2]

    @property
    def rest(self) -> str:
        """What stands behind the cursor on its line."""
        return self.after.partition("\n")[0]

    @property
    def several(self) -> bool:
        """Whether more than the rest of a line may be written."""
        begun = self.line.strip()
        return (
            not {"\n", "\r\n"}.intersection(self.stops)
            and (self.limit is None or self.limit > LINE)
            and not self.rest.strip()
            and (not begun or OPENS.search(begun) is not None)
        )

    def canvas(self, card: Card) -> Canvas:
        most = BLOCK if self.several else LINE
        limit = min(most, card.hole_limit, self.limit or most)
        texts = (tail(self.before, card.context), head(self.after, card.context))
        wide = (tail(self.before, COUNTED), head(self.after, COUNTED))
        hole = Hole(0, 0, multiline=self.several, limit=limit)
        return Canvas(texts, (hole,), wide, self.others)

    def claim(self, asker: str) -> Claim:
        """Of no document: none of these protocols says which one a request belongs to, and a
        `user` or a slot may well ask for two at once, so that is ended by hanging up."""
        return Claim(asker=asker, deadline_ms=self.deadline_ms if self.several else 0.0)


def tail(text: str, room: int) -> str:
    """At most `room` characters from the end, whole lines if that leaves any."""
    if len(text) <= room:
        return text
    cut = text[len(text) - room :]
    return cut.partition("\n")[2] or cut


def head(text: str, room: int) -> str:
    """At most `room` characters from the start, whole lines if that leaves any."""
    if len(text) <= room:
        return text
    cut = text[:room]
    return cut[: cut.rfind("\n") + 1] or cut


def said(body: Json, name: str, kind: type[Any], default: Any) -> Any:
    """A field of the body; null is the same as nothing. A whole number also counts as a float."""
    value = body.get(name)
    if value is None:
        return default
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is not kind:
        found = NAMES.get(cast("type[Any]", type(value)), "that")
        raise Amiss(f"{name!r} must be {NAMES[kind]}, not {found}", name)
    return value


NAMES: Mapping[type[Any], str] = {
    str: "a string", int: "a whole number", float: "a number", bool: "true or false",
    list: "a list", dict: "an object",
}  # fmt: skip


def text_in(body: Json, name: str, *, needed: bool = False) -> str:
    """A text, in which half a character is none: neither a socket nor a tokenizer takes it."""
    value = body.get(name)
    if isinstance(value, list):
        raise Amiss(
            f"{name!r} must be one string: neither several prompts nor token ids are taken, as "
            "each request is one place in one file and this model has other tokens",
            name,
        )
    if needed and value is None:
        raise Amiss(f"{name!r} is missing: the text before the cursor", name)
    return whole_characters(said(body, name, str, ""))


def whole_characters(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def stops_in(body: Json) -> tuple[str, ...]:
    value = body.get("stop")
    stops = cast("list[Any]", value) if isinstance(value, list) else [said(body, "stop", str, "")]
    if not all(isinstance(stop, str) for stop in stops):
        raise Amiss("'stop' must be a string or a list of strings", "stop")
    return tuple(stop.replace("\r\n", "\n") for stop in stops if stop)


def limit_in(body: Json, name: str, default: int | None) -> int | None:
    """The most tokens; below 0 stands for no limit, as llama.cpp has it."""
    limit = said(body, name, int, default)
    return None if limit is None or limit < 0 else limit


def plain(text: str) -> str:
    return text.replace("\r\n", "\n")
