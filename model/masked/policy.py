"""How sure is sure enough: the settings of the refinement loop. It knows no tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

THRESHOLD = 0.9  # where no rule is set; Fast-dLLM's
Order = Literal["confidence", "entropy"]
RULES = ("threshold", "factor", "entropy_bound", "klass", "p2", "even")


@dataclass(frozen=True, slots=True)
class Policy:
    """At most one of `RULES` is set: the rule by which masks of a hole are committed.

    `klass` is (least probability, most divergence). `p2` and `even` are numbers of steps: P2, path
    planning, plans how many of a hole's tokens stay after each and makes masks of the least sure
    others, be they written already; LLaDA's schedule commits as many at each, block by block.
    `order` says which mask is committed by that schedule, and where a threshold or KLASS finds none
    sure enough: by the probability of its token, or by Σ p·log p.
    DreamOn's loop is `threshold=1.0, order="entropy", temperature=0.2, top_p=0.9, cut=None,
    grow=0.0`. Raises `ValueError` for what cannot be meant.
    """

    threshold: float | None = None
    factor: float | None = None
    entropy_bound: float | None = None
    klass: tuple[float, float] | None = None
    p2: int | None = None
    even: int | None = None
    order: Order = "confidence"
    temperature: float = 0.0
    top_p: float = 1.0
    cut: float | None = 0.6  # None: delete from exactly the committed place, as DreamOn published
    grow: float = 0.5  # expand only where it is at least so probable; 0 is DreamOn's rule
    block: int = 32
    frozen: int = 0  # steps until what surrounds the holes is computed anew; 0: at each of them

    def __post_init__(self) -> None:
        rules = [name for name in RULES if getattr(self, name) is not None]
        if len(rules) > 1:
            raise ValueError(
                f"{' and '.join(rules)} are different rules for what is committed: set one of them"
            )
        if self.klass is not None:  # a list where it was read from a file
            object.__setattr__(self, "klass", tuple(self.klass))
        for name, fits, wanted in self.demands():
            if not fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}, but must be {wanted}")

    def demands(self) -> list[tuple[str, bool, str]]:
        threshold, factor, bound, klass = (
            self.threshold, self.factor, self.entropy_bound, self.klass,
        )  # fmt: skip
        sorts_by_itself = factor is not None or bound is not None or self.p2 is not None
        return [
            ("threshold", threshold is None or 0 <= threshold <= 1, "a probability"),
            ("factor", factor is None or factor > 0, "above 0"),
            ("entropy_bound", bound is None or bound >= 0, "at least 0 nats"),
            (
                "klass",
                klass is None or (len(klass) == 2 and 0 <= klass[0] <= 1 and klass[1] > 0),
                "a probability and a divergence above 0",
            ),
            ("p2", self.p2 is None or self.p2 >= 1, "at least 1 step"),
            ("even", self.even is None or self.even >= 1, "at least 1 step"),
            ("order", self.order in get_args(Order), "'confidence' or 'entropy'"),
            (
                "order",
                self.order == "confidence" or not sorts_by_itself,
                "'confidence', as factor, entropy_bound and p2 have an order of their own",
            ),
            ("temperature", self.temperature >= 0, "at least 0"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("cut", self.cut is None or 0 <= self.cut <= 1, "a probability, or None"),
            ("grow", 0 <= self.grow <= 1, "a probability"),
            ("block", self.block >= 1, "at least 1"),
            ("frozen", self.frozen >= 0, "at least 0"),
        ]
