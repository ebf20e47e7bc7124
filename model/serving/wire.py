"""What goes between a window and a resident model as JSON, and the checks of what came.

Asks are canvases with their claim; answers are lines, of drafts and at last of an end or an error.
It knows no transport.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, cast

from model.canvas import Canvas, Card, Claim, Draft, Hole, ModelError, Piece, Rival

PROTOCOL = 2  # changes with anything that an older client or server would misread
MAX_BODY = 16_000_000  # bytes
MAX_HOLES = 256
REASONS = ("final", "deadline", "superseded")


class Refused(Exception):
    """What came cannot be used: the HTTP status that says so, and a sentence.

    `retry` is after how many seconds it may be worth to ask again, where it may.
    """

    def __init__(self, status: int, sentence: str, *, retry: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry = retry


@dataclass(frozen=True, slots=True)
class Ask:
    canvas: Canvas
    claim: Claim = Claim()


@dataclass(frozen=True, slots=True)
class End:
    """The last line of an answer: why there are no more drafts, and where the time went.

    `queue_ms` is until the first step began, `ms` all of it, `steps` those that were drafted.
    """

    reason: str
    queue_ms: float = 0.0
    ms: float = 0.0
    steps: int = 0
    trace: str = ""


def ask_to(ask: Ask) -> bytes:
    return dumped(asdict(ask))


def ask_from(body: bytes, *, most: int = MAX_BODY, holes: int = MAX_HOLES) -> Ask:
    """Raises `Refused`: 413 where it is too much, 400 where it is no JSON, 422 where no canvas."""
    if len(body) > most:
        raise too_large(most)
    told = known(loaded(body), Ask)
    return Ask(canvas_from(told.get("canvas"), holes), claim_from(told.get("claim", {})))


def too_large(most: int) -> Refused:
    return Refused(413, f"the body has more than {most} bytes, which are the most that are taken")


def canvas_from(value: object, most: int = MAX_HOLES) -> Canvas:
    told = known(value, Canvas)
    holes = listed(told.get("holes"), "holes")
    if len(holes) > most:
        raise Refused(413, f"the canvas has {len(holes)} holes, at most {most} are taken")
    before, after = texts(told.get("wide", ["", ""]), "wide", 2)
    try:
        return Canvas(
            texts(told.get("texts"), "texts"),
            tuple(hole_from(hole) for hole in holes),
            (before, after),
            texts(told.get("others", []), "others"),
            plain(told.get("seed", 0), int, "seed"),
        )
    except ValueError as error:
        raise Refused(422, str(error)) from error


def hole_from(value: object) -> Hole:
    told = known(value, Hole)
    wanted = {
        "start": int, "end": int, "multiline": bool, "limit": int, "indent": str, "former": str,
        "strength": float,
    }  # fmt: skip
    for name in ("start", "end"):
        if name not in told:
            raise Refused(422, f"a hole needs {name!r}")
    return Hole(**{name: plain(item, wanted[name], name) for name, item in told.items()})


def claim_from(value: object) -> Claim:
    told = known(value, Claim)
    wanted = {
        "asker": str, "document": str, "speculative": bool, "deadline_ms": float,
        "behind_ms": float, "trace": str,
    }  # fmt: skip
    claim = Claim(**{name: plain(item, wanted[name], name) for name, item in told.items()})
    if min(claim.deadline_ms, claim.behind_ms) < 0:
        raise Refused(422, "deadline_ms and behind_ms must be 0 (none) or more, not less")
    if max(map(len, (claim.asker, claim.document, claim.trace))) > 200:
        raise Refused(422, "asker, document and trace may have 200 characters each")
    if not set(claim.trace) <= set("0123456789abcdefABCDEF"):
        raise Refused(422, "trace must be hexadecimal digits")  # it is logged, so it may be no text
    return claim


def draft_line(draft: Draft, ms: float = 0.0) -> bytes:
    """`ms` is since it was asked for: what of its time an asker did not wait for the server, it
    waited for what is between them."""
    # By hand: `asdict` takes ten times as long, and there is a line for each step of each fill.
    told = {
        "step": draft.step,
        "holes": [
            [{"text": it.text, "confidence": it.confidence, "settled": it.settled} for it in hole]
            for hole in draft.holes
        ],
        "final": draft.final,
        "rivals": [
            [{"text": it.text, "probability": it.probability} for it in some]
            for some in draft.rivals
        ],
        "queue_ms": draft.queue_ms,
    }
    return dumped({"draft": told, "ms": round(ms, 2)}) + b"\n"


def end_line(end: End) -> bytes:
    return dumped({"end": asdict(end)}) + b"\n"


def error_line(message: str) -> bytes:
    return error_to(message) + b"\n"


def news_from(line: bytes) -> Draft | End:
    """What a line of an answer says. Raises the `ModelError` that it tells, `Refused` where it is
    none of ours."""
    told = objected(loaded(line), "a line of an answer")
    if "draft" in told:
        served_ms = plain(told.get("ms", 0.0), float, "ms")
        return replace(draft_from(told["draft"]), served_ms=served_ms)
    if "end" in told:
        return end_from(told["end"])
    if "error" in told:
        error = objected(told["error"], "an error")
        raise ModelError(plain(error.get("message"), str, "message"))
    raise Refused(422, "a line of an answer must tell a draft, an end or an error")


def draft_from(value: object) -> Draft:
    told = known(value, Draft)
    return Draft(
        plain(told.get("step"), int, "step"),
        tuple(
            tuple(piece_from(piece) for piece in listed(hole, "a hole"))
            for hole in listed(told.get("holes"), "holes")
        ),
        plain(told.get("final"), bool, "final"),
        tuple(
            tuple(rival_from(rival) for rival in listed(some, "rivals"))
            for some in listed(told.get("rivals", []), "rivals")
        ),
        plain(told.get("queue_ms", 0.0), float, "queue_ms"),
    )


def end_from(value: object) -> End:
    told = known(value, End)
    reason = plain(told.get("reason"), str, "reason")
    if reason not in REASONS:
        raise Refused(422, f"reason must be one of {', '.join(REASONS)}, not {reason[:40]!r}")
    return End(
        reason,
        plain(told.get("queue_ms", 0.0), float, "queue_ms"),
        plain(told.get("ms", 0.0), float, "ms"),
        plain(told.get("steps", 0), int, "steps"),
        plain(told.get("trace", ""), str, "trace"),
    )


def piece_from(value: object) -> Piece:
    told = known(value, Piece)
    return Piece(
        plain(told.get("text"), str, "text"),
        plain(told.get("confidence"), float, "confidence"),
        plain(told.get("settled", True), bool, "settled"),
    )


def rival_from(value: object) -> Rival:
    told = known(value, Rival)
    return Rival(
        plain(told.get("text"), str, "text"),
        plain(told.get("probability"), float, "probability"),
    )


def card_of(card: Card) -> dict[str, Any]:
    """The card as an object of JSON; the other way is `card_from`."""
    sets = {"abilities": sorted(card.abilities), "languages": sorted(card.languages)}
    return asdict(card) | sets


def card_to(card: Card) -> bytes:
    return dumped(card_of(card))


def card_from(value: object) -> Card:
    told = known(value, Card)
    return Card(
        plain(told.get("name"), str, "name"),
        plain(told.get("version"), str, "version"),
        plain(told.get("context"), int, "context"),
        plain(told.get("hole_limit"), int, "hole_limit"),
        frozenset(texts(told.get("abilities", []), "abilities")),
        frozenset(texts(told.get("languages", []), "languages")),
    )


def error_to(message: str) -> bytes:
    return dumped({"error": {"message": message}})


def dumped(value: object) -> bytes:
    """One line of ASCII, so that no line end of the text ends the line."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def loaded(body: bytes) -> object:
    """Raises `Refused` 400, in words that repeat nothing of the body."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a number of JSON")

    try:
        return json.loads(body, parse_constant=refuse)
    except RecursionError as error:
        raise Refused(400, "the body is nested too deep to be read") from error
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {error}") from error


def known(value: object, kind: type[Any]) -> dict[str, Any]:
    """The object, without a name that the kind does not have: that a server looks into a file
    because someone named it cannot happen by mistake."""
    told = objected(value, named(kind))
    if strange := sorted(set(told) - {field.name for field in fields(kind)}):
        raise Refused(422, f"{named(kind)} has no {strange[0][:40]!r}")
    return told


def objected(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused(422, f"{name} must be an object")
    return cast(dict[str, Any], value)


def named(kind: type[Any]) -> str:
    name = kind.__name__.lower()
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def listed(value: object, name: str) -> list[object]:
    if not isinstance(value, list):
        raise Refused(422, f"{name} must be a list")
    return cast(list[object], value)


def texts(value: object, name: str, count: int | None = None) -> tuple[str, ...]:
    found = tuple(plain(item, str, name) for item in listed(value, name))
    if count is not None and len(found) != count:
        raise Refused(422, f"{name} must have {count} texts, not {len(found)}")
    return found


def plain(value: object, kind: type[Any], name: str) -> Any:
    """The value, of exactly this type; a whole number also counts as a float."""
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is not kind:
        raise Refused(422, f"{name} must be {kind.__name__}, not {type(value).__name__}")
    return value
