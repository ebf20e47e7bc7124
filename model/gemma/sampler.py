"""Which tokens of a canvas are accepted, drawn again or final: rules on logits, and no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """How a canvas is refined."""

    steps: int = 16
    bound: float = 0.1  # nats of entropy that are accepted at once
    t_max: float = 0.8
    t_min: float = 0.4
    stability: int = 1  # a row may be done once its best tokens stayed the same so many times
    confidence: float = 0.005  # and has so little entropy per hole token
    doubt: float = 0.5  # or so little in all

    @staticmethod
    def published(config: Mapping[str, object]) -> Policy:
        """By a checkpoint's `generation_config.json`."""
