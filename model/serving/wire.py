"""Canvases, drafts and cards as JSON, and the checks of what came. Knows no transport."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any, cast

from model.canvas import Canvas, Card, Draft, Hole, Piece, Rival

PROTOCOL = 1  # changes with anything that an older client or server would misread
MAX_BODY = 16_000_000  # bytes
MAX_HOLES = 256


class Refused(Exception):
    """What came cannot be used: the HTTP status that says so, and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def canvas_to(canvas: Canvas) -> bytes:
    return dumped(asdict(canvas))


def canvas_from(body: bytes) -> Canvas:
    """Raises `Refused`: 413 where it is too much, 400 where it is no JSON, 422 where no canvas."""
    if len(body) > MAX_BODY:
        raise Refused(413, f"the body has {len(body)} bytes, at most {MAX_BODY} are taken")
    told = known(loaded(body), Canvas)
    holes = listed(told.get("holes"), "holes")
    if len(holes) > MAX_HOLES:
        raise Refused(413, f"the canvas has {len(holes)} holes, at most {MAX_HOLES} are taken")
    before, after = texts(told.get("wide", ["", ""]), "wide", 2)
    try:
        return Canvas(
            texts(told.get("texts"), "texts"),
            tuple(hole_from(hole) for hole in holes),
            (before, after),
            texts(told.get("others", []), "others"),
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


def draft_to(draft: Draft) -> bytes:
    return dumped(asdict(draft))


def draft_from(line: bytes) -> Draft:
    told = known(loaded(line), Draft)
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


def card_to(card: Card) -> bytes:
    sets = {"abilities": sorted(card.abilities), "languages": sorted(card.languages)}
    return dumped(asdict(card) | sets)


def card_from(body: bytes) -> Card:
    told = known(loaded(body), Card)
    return Card(
        plain(told.get("name"), str, "name"),
        plain(told.get("version"), str, "version"),
        plain(told.get("context"), int, "context"),
        plain(told.get("hole_limit"), int, "hole_limit"),
        frozenset(texts(told.get("abilities", []), "abilities")),
        frozenset(texts(told.get("languages", []), "languages")),
    )


def dumped(value: object) -> bytes:
    """One line of ASCII, so that no line end of the text ends the line."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def loaded(body: bytes) -> object:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not a number of JSON")

    try:
        return json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON: {error}") from error


def known(value: object, kind: type[Any]) -> dict[str, Any]:
    """The object, without a name that the kind does not have."""
    if not isinstance(value, dict):
        raise Refused(422, f"a {kind.__name__.lower()} must be an object")
    told = cast(dict[str, Any], value)
    if strange := sorted(set(told) - {field.name for field in fields(kind)}):
        raise Refused(422, f"a {kind.__name__.lower()} has no {strange[0][:40]!r}")
    return told


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
