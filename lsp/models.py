"""`infill-lsp models list` and `info`: which networks there are, and what they need here.

Knows the terminal; the facts are the catalog's, the files huggingface_hub's. No torch in here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from infill.source import InputError
from infill.verbs.terminal import console, print_json
from lsp.pull import NAME, needs_hub
from model import auto, folder
from model.load import BUNDLED
from model.machine import Machine, machine
from model.published import hub
from model.published.catalog import DECODINGS, LENGTHS, MODES, Row, known, likely, row_from, row_of
from model.published.hub import gb
from model.published.memory import Plan, plan_for


@dataclass(frozen=True, slots=True)
class Network:
    """A row as it stands on this machine."""

    row: Row
    folder: Path | None  # with all of its files, where it is on disk
    plan: Plan

    def as_object(self) -> dict[str, Any]:
        row = self.row
        return {
            "id": row.id,
            "bytes": row.bytes,
            "licence": row.licence,
            "length": row.length,
            "revision": row.revision or None,
            "on_disk": str(self.folder) if self.folder else None,
            "bytes_needed": self.plan.needed,
            "fits": self.plan.fits,
        }


def show_list(*, as_json: bool) -> int:
    needs_hub()
    with console().status("looking at this machine"):
        here = machine()
        networks = [network_of(row, here) for row in known()]
    choice = auto.chosen(here, [each.row for each in networks if each.folder], known())
    if as_json:
        print_json(
            {
                "device": device_of(here),
                "auto": {"model": choice.name, "why": choice.why},
                "cache": str(hub.cache()),
                "networks": [bundled_object(), *(each.as_object() for each in networks)],
            }
        )
        return 0
    # What is piped on has a line for each network, however long.
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    out.print(table_of(networks, here))
    free = "" if here.free is None else f", {gb(here.free)} free"
    out.print(Text(f"Here: {here.name}{free}. {choice.sentence}."), soft_wrap=True)
    return 0


def table_of(networks: list[Network], here: Machine) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("network", overflow="fold")
    for right in ("size", "needs"):
        table.add_column(right, justify="right", no_wrap=True)
    for column in ("fits", "on disk", "length", "licence"):
        table.add_column(column, no_wrap=True)
    ours = bundled_object()
    table.add_row(NAME, gb(ours["bytes"]), "", "yes", "ships", ours["length"], ours["licence"])
    fits = "slow" if here.device == "cpu" else "yes"
    for each in networks:
        row = each.row
        table.add_row(
            row.id,
            gb(row.bytes),
            gb(each.plan.needed),
            fits if each.plan.fits else Text("no", style="dim"),
            Text("yes", style="green") if each.folder else Text("no", style="dim"),
            row.length,
            row.licence,
        )
    return table


def show_info(name: str, *, keys: Mapping[str, Any] | None = None, as_json: bool) -> int:
    """With `keys`, as the user's settings would have it."""
    if name == NAME:
        facts = bundled_object()
    else:
        row = row_of(name)
        if row is None:
            raise InputError(f"the catalog does not know {name}; {likely(name)}")
        needs_hub()
        facts = facts_of(network_of(row_from(keys, row) if keys else row, machine()))
    if as_json:
        print_json(facts)
        return 0
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for key, value in facts.items():
        grid.add_row(key.replace("_", " "), told(key, value))
    Console(highlight=False).print(grid)
    return 0


def facts_of(network: Network) -> dict[str, Any]:
    """The row, and what it means on this machine."""
    row, plan = network.row, network.plan
    return network.as_object() | {
        "limits": row.limits,
        "page": f"https://huggingface.co/{row.id}",
        "layout": row.layout,
        "context": row.context,
        "limit": row.limit,
        **(canvas_facts(row) if row.family == "uniform" else masked_facts(row)),
        "published": auto.PUBLISHED.get(row.id),
        "verified": row.verified,
        "memory": {
            "device": plan.device,
            "dtype": plan.dtype,
            "weights": plan.weights,
            "working": plan.working,
            "free": plan.free,
        },
    }


def masked_facts(row: Row) -> dict[str, Any]:
    tokens = ("mask", "bos", "eos", "expand", "delete")
    special = {key: value for key in tokens if (value := getattr(row, key)) is not None}
    return {
        "shift": row.shift,
        "special_tokens": special | ({"banned": list(row.banned)} if row.banned else {}),
        "masks": row.masks,
        **({"budget": row.budget} if row.budget else {}),
        "sampling": {k: v for k, v in asdict(row.sampling).items() if v or k == "temperature"},
        "decoding": row.decoding,
        **({"frozen": row.frozen} if row.frozen else {}),
    }


def canvas_facts(row: Row) -> dict[str, Any]:
    """Of a network that refines a canvas of noise."""
    steps = {} if row.decoding == "published" else {"steps": row.steps}
    return {"canvas": row.canvas, "prompt": row.prompt, "mode": row.mode, **steps}


def told(key: str, value: Any) -> str:
    """A fact for a reader."""
    match key, value:
        case "bytes" | "bytes_needed", int():
            return gb(value)
        case "on_disk", None:
            return "no"
        case "revision", None:
            return 'none is pinned: "main" is fetched, whatever it is by then'
        case "published", None:
            return "no infilling figure"
        case "published", float():
            return f"{value} % of HumanEval-Infilling's single lines, the length not told"
        case "length", str():
            return f"{value} ({LENGTHS[value]})"
        case "decoding", str():
            return f"{value} ({DECODINGS[value]})"
        case "mode", str():
            return f"{value} ({MODES[value]})"
        case "context" | "canvas" | "prompt", int():
            return f"{value} tokens"
        case "memory", _:
            free = "" if value["free"] is None else f", {gb(value['free'])} are free"
            return (
                f"{gb(value['weights'])} of weights and about {gb(value['working'])} to work in, "
                f"on {value['device']} in {value['dtype']}{free}"
            )
        case "special_tokens" | "sampling", _:
            return ", ".join(f"{name} {each}" for name, each in value.items())
        case "languages", _:
            return ", ".join(value)
        case _, bool():
            return "yes" if value else "no"
        case _:
            return str(value)


def bundled_object() -> dict[str, Any]:
    card = folder.card_of(BUNDLED)
    return {
        "id": NAME,
        "name": card.name,
        "version": card.version,
        "bytes": hub.size_of(BUNDLED),
        "licence": "Apache-2.0",
        "length": "grow",
        "context_chars": card.context,
        "languages": sorted(card.languages),
        "on_disk": str(BUNDLED),
        "fits": True,
    }


def network_of(row: Row, here: Machine) -> Network:
    plan = plan_for(row, None, here.device, here.dtype, free=here.free)
    return Network(row, hub.found(row.id, row.revision), plan)


def device_of(here: Machine) -> dict[str, Any]:
    return {"device": here.device, "name": here.name, "bytes_free": here.free}
