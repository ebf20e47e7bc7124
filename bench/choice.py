"""Fits the weights by which `infill/judge/choose.py` judges the texts that a model weighed.

    python bench/choice.py SUITE.jsonl.gz ... --corpus CORPUS [--model FOLDER] [--limit N]

On suites that `infill-lsp eval --cut` made of the corpus's held-out code, two of three tasks with
less round them than their file, as in one just begun, and every second with its package beside it.
Prints the weights that make what stood there most probable, what is lost where one is taken away,
and how often is right what is chosen, each package judged by weights that were fitted to the
others.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from infill.context import compose, context_of, wide_of
from infill.document import Document
from infill.hole import hole_at
from infill.judge.choose import Weights, nearby, none_of, weighed_from
from infill.judge.repair import offence
from infill.measure.suite import Task, tasks_in
from infill.reason import Reason
from infill.settings import Settings
from model.alone import SURROUNDINGS, Cut
from model.canvas import Denoiser, Hole, Rival
from model.load import load
from model.training.blending import Beside, kin_in
from model.training.corpus import read_corpus

NAMES = [field.name for field in fields(Weights)]
LOOKED_AT = 12  # texts a hole
HELD = 1e-3  # how strongly weights are held near zero
GATES = (0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7)


@dataclass(frozen=True, slots=True)
class Asked:
    """A task's texts that parse, and none: (texts + 1, weights). `right` is the last for none."""

    features: Tensor
    right: int
    kind: str
    package: str


async def asked(cut: Cut, task: Task, denoiser: Denoiser) -> Asked | None:
    document = Document(None, "python", cut.before + cut.after)
    hole = hole_at(document, len(cut.before), Settings(), invoked=True)
    if isinstance(hole, Reason):
        return None
    hole = replace(hole, limit=min(hole.limit, denoiser.card.hole_limit))
    canvas = compose(context_of(document, (hole,), budget=denoiser.card.context), (hole,))
    canvas = replace(canvas, wide=wide_of(document, (hole,)), others=cut.beside)
    async with aclosing(denoiser.denoise(canvas)) as drafts:  # type: ignore[type-var]
        draft = await anext(drafts)
    features, right = weighed(draft.rivals[0] if draft.rivals else (), cut.line, hole, document)
    return Asked(features, right, task.kind, task.package)


def weighed(
    rivals: Sequence[Rival], line: str, hole: Hole, document: Document
) -> tuple[Tensor, int]:
    rivals = rivals[:LOOKED_AT]
    near, moved = nearby(document, hole)
    rows, right = [], None
    for it in weighed_from(rivals, hole, document, 12):
        if offence(it.text, moved, near) is None:
            exactly = it.text.rstrip() == line.rstrip()  # its indentation, too
            if exactly or (right is None and it.text.strip() == line.strip()):
                right = len(rows)
            rows.append(it.features)
    features = torch.tensor([*rows, none_of(rivals, hole, document).features])
    return features, len(rows) if right is None else right


@dataclass(frozen=True, slots=True)
class Table:
    """Many holes at once: (holes, most texts + 1, weights), None last, and what is no text."""

    features: Tensor
    absent: Tensor
    right: Tensor

    @classmethod
    def of(cls, holes: Sequence[Asked]) -> Table:
        most = max(len(it.features) for it in holes)
        features = torch.zeros(len(holes), most, len(NAMES))
        absent = torch.ones(len(holes), most, dtype=torch.bool)
        for row, it in enumerate(holes):
            features[row, most - len(it.features) :] = it.features
            absent[row, most - len(it.features) :] = False
        right = torch.tensor([most - len(it.features) + it.right for it in holes])
        return cls(features, absent, right)

    def shares(self, weights: Tensor) -> Tensor:
        """The logarithm of each text's probability."""
        return (self.features @ weights).masked_fill(self.absent, -torch.inf).log_softmax(1)

    def loss(self, weights: Tensor) -> Tensor:
        """In nats a hole."""
        return -self.shares(weights).gather(1, self.right[:, None]).mean()


def fitted(table: Table, without: str = "", start: Tensor | None = None) -> tuple[Tensor, float]:
    """The weights by maximum likelihood, and the loss that is left, in nats a hole."""
    if start is None:
        start = torch.tensor([1.0] + [0.0] * (len(NAMES) - 1))
    weights = start.clone().requires_grad_()
    heard = torch.tensor([float(name != without) for name in NAMES])
    optimiser = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        loss = table.loss(weights * heard) + HELD * weights[1:].square().sum()
        loss.backward()
        return loss

    optimiser.step(loss)
    with torch.no_grad():
        return (weights * heard).detach(), float(table.loss(weights * heard))


@dataclass(frozen=True, slots=True)
class Chosen:
    probability: float
    right: bool
    kind: str


def judged_by_others(holes: Sequence[Asked], start: Tensor) -> list[Chosen]:
    """What is chosen, each package by weights that were fitted to all others."""
    chosen: list[Chosen] = []
    for package in sorted({it.package for it in holes}):
        others = [it for it in holes if it.package != package]
        own = [it for it in holes if it.package == package]
        weights = fitted(Table.of(others), start=start)[0] if others else start
        chosen += chosen_with(own, weights)
    return chosen


def chosen_with(holes: Sequence[Asked], weights: Tensor) -> list[Chosen]:
    chosen: list[Chosen] = []
    for it in holes:
        shares = (it.features @ weights).softmax(0)[:-1]
        best = int(shares.argmax()) if len(shares) else -1
        chosen.append(
            Chosen(float(shares[best]) if len(shares) else 0.0, best == it.right, it.kind)
        )
    return chosen


def told(chosen: Sequence[Chosen]) -> None:
    for kind in ("", *sorted({it.kind for it in chosen})):
        mine = [it for it in chosen if not kind or it.kind == kind]
        right = sum(it.right for it in mine) / len(mine)
        line = [f"{kind or 'all':12} {len(mine):5} right {right:.3f}; right, precision at"]
        for gate in GATES:
            shown = [it.right for it in mine if it.probability >= gate]
            precision = sum(shown) / len(shown) if shown else 0
            line.append(f"{gate}: {sum(shown) / len(mine):.3f} {precision:.2f}")
        print("  ".join(line))


async def gather(
    suites: list[Path], limit: int | None, beside: Beside, denoiser: Denoiser
) -> list[Asked]:
    holes: list[Asked] = []
    for suite in suites:
        for number, task in enumerate(track(tasks_in(suite, limit), suite.name)):
            others = beside.get(task.file, ()) if number % 2 else ()
            cut = Cut(task.prompt, task.canonical_solution, task.suffix, others)
            cut = SURROUNDINGS[number % len(SURROUNDINGS)](cut)
            hole = await asked(cut, task, denoiser)
            if hole is not None:
                holes.append(hole)
    return holes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", type=Path, nargs="+")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--corpus", type=Path, required=True)
    options = parser.parse_args()
    beside = kin_in([it for it in read_corpus(options.corpus) if it.held_out])
    denoiser = load(options.model)
    holes = asyncio.run(gather(options.suites, options.limit, beside, denoiser))
    denoiser.close()
    report(holes)


def report(holes: Sequence[Asked]) -> None:
    table = Table.of(holes)
    weights, loss = fitted(table)
    print("\n".join(f"{n}: float = {w:.2f}" for n, w in zip(NAMES, weights.tolist(), strict=True)))
    print(f"{loss:.4f} nats a hole; without", end=" ")
    lost = {name: fitted(table, name, weights)[1] - loss for name in NAMES}
    print(", ".join(f"{name} {more:+.4f}" for name, more in lost.items()))
    told(judged_by_others(holes, weights))


if __name__ == "__main__":
    main()
