"""From what a model's config says of lengths, and what lies in its folder, to how they are chosen.

In a config `lengths` may hold `rule` (of `RULES`, or "probe"), `curve` and `trust` (what
`python -m model.calibrate` writes) and `boards`; all of it may be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from model.canvas import ModelError
from model.length import Curve, Grid, Rule, calibrated, powered, regressed
from model.network import Network
from model.probe import Probing, probe_in
from model.trial import BOARDS, Choosing, Trust

KEY = "lengths"  # of the config
PROBE = "probe"
RULES: dict[str, Callable[[Curve], Rule]] = {
    "calibrated": calibrated,
    "regressed": lambda _: regressed,
    "power": lambda _: powered(),
}


def choosing_from(config: Mapping[str, Any], network: Network, folder: Path) -> Choosing:
    """For a network that cannot grow its holes: by its probe where it has one, else by the rule.

    Raises `ModelError` for what cannot be meant.
    """
    told: Mapping[str, Any] = config.get(KEY, {})
    probe = probe_in(folder, network)
    rule = told.get("rule", PROBE if probe else "calibrated")
    if rule == PROBE and probe is None:
        raise ModelError(f"lengths are to be told by a probe, but there is none in {folder}")
    if rule != PROBE and rule not in RULES:
        known = ", ".join([*RULES, PROBE])
        raise ModelError(f"lengths cannot be chosen by {rule!r}: name one of {known}")
    try:
        curve, trust = Curve(**told.get("curve", {})), Trust(**told.get("trust", {}))
        boards = int(told.get("boards", BOARDS))
    except (TypeError, ValueError) as error:
        raise ModelError(f"what is said of lengths cannot be read: {error}") from error
    if rule == PROBE and probe is not None:
        return Choosing(Probing.of(probe, network), trust, boards)
    return Choosing(Grid(RULES[rule](curve)), trust, boards)
