"""From a row's word for its lengths, and what lies beside the weights, to how they are chosen.

`lengths.json` beside the weights may hold `rule` (a word of the catalog's), `curve` and `trust`
(what `python -m model.lengths.calibrate` writes) and `boards`; all of it may be left out, and so
the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from model.canvas import ModelError
from model.lengths.grid import Curve, Grid, Rule, calibrated, powered, regressed
from model.lengths.probe import Probing, probe_in
from model.lengths.trial import BOARDS, Choosing, Trust
from model.masked.network import Network

FILE = "lengths.json"
PROBE = "probe"
ADJUSTED = "adjusted"  # LR-DLLM in both its stages
RULES: dict[str, Callable[[Curve], Rule]] = {
    "calibrated": calibrated,
    "regressed": lambda _: regressed,
    "power": lambda _: powered(),
}
KEYS = {"rule", "curve", "trust", "boards"}


def choosing_from(folder: Path, network: Network, word: str = "choose") -> Choosing | None:
    """For a network that does not grow its holes. `word` is a rule; "choose", for that of
    `lengths.json`, else the probe where there is one, else "calibrated"; or "fixed": None.

    Raises `ModelError` for what cannot be meant.
    """
    if word == "fixed":
        return None
    told = told_in(folder)
    probe = probe_in(folder, network)
    rule = told.get("rule", PROBE if probe else "calibrated") if word == "choose" else word
    if rule == PROBE and probe is None:
        raise ModelError(
            f"lengths are to be told by a probe, but there is none in {folder}: train one by "
            "`python -m model.lengths.probe`, or name another rule"
        )
    if rule not in (*RULES, PROBE, ADJUSTED):
        known = ", ".join([*RULES, ADJUSTED, PROBE])
        raise ModelError(f"lengths cannot be chosen by {rule!r}: name one of {known}")
    try:
        curve, trust = Curve(**told.get("curve", {})), Trust(**told.get("trust", {}))
        boards = max(1, int(told.get("boards", BOARDS)))
    except (TypeError, ValueError) as error:
        raise ModelError(f"what {folder / FILE} says cannot be read: {error}") from error
    if rule == ADJUSTED:
        return Choosing(None, trust, 1)
    if rule == PROBE and probe is not None:
        return Choosing(Probing.of(probe, network), trust, boards)
    return Choosing(Grid(RULES[rule](curve)), trust, boards)


def told_in(folder: Path) -> Mapping[str, Any]:
    """What the folder's `lengths.json` says, nothing where there is none. Raises `ModelError`."""
    path = folder / FILE
    try:
        told: Any = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}; delete it or make it anew") from error
    if not isinstance(told, dict) or not KEYS.issuperset(told):  # pyright: ignore[reportUnknownArgumentType]
        raise ModelError(f"{path} is no table of {', '.join(sorted(KEYS))}")
    return told  # pyright: ignore[reportUnknownVariableType]
