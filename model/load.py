"""From a model's name to a Denoiser: where its files are, and which code reads them.

torch is imported only when a network is really loaded, and nothing is ever fetched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model import auto, folder
from model.canvas import Card, Denoiser, ModelError, lacking
from model.published import hub, stock
from model.published.architecture import is_published
from model.published.catalog import Row, likely, row_of
from model.scripted import Scripted

if TYPE_CHECKING:
    from model.gemma.engine import Engine as CanvasEngine
    from model.masked.engine import Engine

Progress = Callable[[str, float], None]  # what is being done, the share of it done (0 to 1)

BUNDLED = folder.BUNDLED
ELSEWHERE = "endpoint"  # the name of all networks that are asked over HTTP; keys say which


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model's files are; `row` is what is known beside them, None for a folder of ours."""

    folder: Path
    row: Row | None = None


def card_of(name: str, keys: Mapping[str, Any] | None = None) -> Card:
    """The card of a model that need not be loaded; quick, no torch. Raises `ModelError`."""
    if name.startswith("scripted:"):
        return scripted_from(name).card
    if name == ELSEWHERE:
        from model.endpoint.site import site_from

        return site_from(keys or {}).card
    place = place_of(name, keys)
    if place.row is None:
        return folder.card_of(place.folder)
    return stock.card_of(place.folder, place.row)


def load(
    name: str,
    *,
    seed: int = 0,
    on_progress: Progress | None = None,
    on_choice: Callable[[str], None] | None = None,
    keys: Mapping[str, Any] | None = None,
) -> Denoiser:
    """Loads the model and warms it up. Blocks for seconds: call it off the event loop.

    `name` is "bundled"; "auto", for the best that is on disk and fits (see `auto.chosen`); a folder
    with weights, ours or as they are published; the hub's id of a network whose files are in the
    hub's cache on this disk; "endpoint", which is asked over HTTP; or "scripted:…" (see
    `scripted_from`).
    `on_choice` hears once what "auto" chose and why, before that is loaded, or where code is sent.
    `keys` are laid over the catalog's row of a published network, or take its place (see
    `catalog.Row`); those of an endpoint are in `endpoint.site.KEYS`.
    Raises `ModelError` with what is wrong and what to do.
    """
    if name.startswith("scripted:"):
        return scripted_from(name)
    if name == ELSEWHERE:
        return endpoint_from(keys or {}, on_choice)

    def tell(what: str, share: float) -> None:
        if on_progress:
            on_progress(what, share)

    name = auto.resolved(name, on_choice, loads=True)
    tell(f"loading {name}", 0.0)
    place = place_of(name, keys)
    engine = resident_of(
        place, seed=seed,
        on_share=lambda what, share: tell(f"loading {name}: {what}", 0.8 * share),
    )  # fmt: skip
    tell(f"warming up {name}", 0.8)
    try:
        engine.warm_up(lambda share: tell(f"warming up {name}", 0.8 + 0.2 * share))
    except BaseException:
        engine.close()  # its thread would keep the network, and what comes in its place needs room
        raise
    return engine


def resident_of(
    place: Place, *, seed: int = 0, on_share: Progress | None = None
) -> Engine | CanvasEngine:
    """The engine of the network that lies there, whatever its family; not warmed up."""
    if place.row is None or place.row.family != "uniform":
        return engine_of(place, seed=seed, on_share=on_share)
    try:
        from model.gemma.load import load_gemma
    except ImportError as error:
        raise lacking(error) from error
    return load_gemma(place.folder, place.row, seed=seed, on_share=on_share)


def endpoint_from(keys: Mapping[str, Any], on_choice: Callable[[str], None] | None) -> Denoiser:
    """What is asked over HTTP. It opens no connection yet."""
    from model.endpoint.client import Endpoint
    from model.endpoint.site import site_from

    site = site_from(keys)
    if site.leaves and on_choice:
        on_choice(f"fills come from {site.url}: the code around the cursor is sent there")
    return Endpoint(site)


def engine_of(
    place: Place,
    *,
    seed: int = 0,
    on_share: Progress | None = None,
) -> Engine:
    """The engine of the masked network that lies there, not warmed up. Raises `ModelError`."""
    if place.row is None:
        return folder.load_folder(place.folder, seed=seed)
    return stock.load_stock(place.folder, place.row, seed=seed, on_share=on_share)


def folder_of(name: str, keys: Mapping[str, Any] | None = None) -> Path:
    return place_of(name, keys).folder


def place_of(name: str, keys: Mapping[str, Any] | None = None) -> Place:
    """Looks on this disk only. Raises `ModelError` for an id that is not there, or not known."""
    name = auto.resolved(name)
    if name == "bundled":
        return Place(BUNDLED)
    named = Path(name).expanduser()
    if named.is_dir():
        return Place(named, stock.row_for(named, keys) if is_published(named) else None)
    row = row_of(name)
    if row is None and not keys:
        if is_id(name) or ("/" not in name and not named.exists()):
            raise ModelError(
                f"there is no folder {name}, and no network of this name is known; {likely(name)} "
                "One of a known architecture can be used all the same, with the keys `mask`, "
                "`shift` and `context`."
            )
        return Place(named)  # what reads it says what is wrong with it
    keys = dict(keys or {})
    id, revision = (row.id, row.revision) if row else (name, "")
    revision = str(keys.get("revision", revision))
    try:
        found = hub.found(id, revision)
    except ImportError as error:
        raise ModelError(
            f"{id} needs {error.name} to be found on this disk, which is not installed: "
            "pip install 'infill-lsp[local]'"
        ) from error
    if found is None:
        other = " (another revision of it is, whose folder can be named)" if hub.found(id) else ""
        size = f", {hub.gb(row.bytes)}" if row and row.bytes else ""
        raise ModelError(
            f"{id} is not on this disk{other}: fetch it by `infill-lsp models pull {id}`{size}"
        )
    return Place(found, stock.row_for(found, {"id": id, **keys} if keys else None))


def is_id(name: str) -> bool:
    """Whether a name that is no folder was meant as an id of the hub, owner/name."""
    owner, slash, rest = name.partition("/")
    return bool(slash and owner and rest) and "/" not in rest and owner not in (".", "..", "~")


def scripted_from(name: str) -> Scripted:
    """`scripted:TEXT` always answers TEXT; `scripted:{…}` takes Scripted's arguments as JSON.

    For authors of editor clients and for tests: a server that answers without any network. The
    JSON's keys are `text`, `seconds_a_step`, `confidence`, `steps_a_fill`, `error` and `rivals`,
    of which each text has its probability: `{"text": "a", "rivals": {"a": 0.6, "b": 0.3}}`. A list
    of texts has one for each hole of a canvas, from its beginning again where they run out.
    """
    script = name.removeprefix("scripted:")
    if not script.startswith("{"):
        return Scripted(script)
    try:
        options = json.loads(script)
        told: str | list[str] = options.pop("text", "")
        texts = told if isinstance(told, list) else [told]
        return Scripted(lambda it: tuple(islice(cycle(texts), len(it.holes))), **options)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"cannot read the script of {name!r}: {error}") from error
