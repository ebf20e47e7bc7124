"""Fits the weights by which `infill/choose.py` judges the texts that a model weighed.

    python bench/choice.py SUITE.jsonl.gz ... [--model FOLDER] [--limit N]

On suites that `infill-lsp eval --cut` made of held-out code, every other task alone with the
definition it is in, as in a file just begun. Prints the weights that make what stood there most
probable, what is lost where one is taken away, and how often is right what is chosen with them.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from infill.choose import Weights, nearby, none_of, weighed_from
from infill.context import compose, context_of, wide_of
from infill.document import Document
from infill.hole import hole_at
from infill.reason import Reason
from infill.repair import offence
from infill.settings import Settings
from infill.suite import Task, tasks_in
from model.canvas import Denoiser
from model.counting import Cut, enclosed
from model.load import load

NAMES = [field.name for field in fields(Weights)]
LOOKED_AT = 12  # texts a hole


@dataclass(frozen=True, slots=True)
class Asked:
    """A task's texts that parse, and none: (texts + 1, weights). `right` is the last for none."""

    features: Tensor
    right: int
    kind: str


async def asked(task: Task, alone: bool, denoiser: Denoiser) -> Asked | None:
    cut = Cut(task.prompt, task.canonical_solution, task.suffix)
    cut = enclosed(cut) if alone else cut
    document = Document(None, "python", cut.before + cut.after)
    hole = hole_at(document, len(cut.before), Settings(), invoked=True)
    if isinstance(hole, Reason):
        return None
    hole = replace(hole, limit=min(hole.limit, denoiser.card.hole_limit))
    canvas = compose(context_of(document, (hole,), budget=denoiser.card.context), (hole,))
    canvas = replace(canvas, wide=wide_of(document, (hole,)))
    async with aclosing(denoiser.denoise(canvas)) as drafts:  # type: ignore[type-var]
        draft = await anext(drafts)
    rivals = draft.rivals[0][:LOOKED_AT] if draft.rivals else ()
    near, moved = nearby(document, hole)
    rows, right = [], None
    for weighed in weighed_from(rivals, hole, document, 12):
        if offence(weighed.text, moved, near) is None:
            if weighed.text.strip() == cut.line.strip():
                right = len(rows)
            rows.append(weighed.features)
    features = torch.tensor([*rows, none_of(rivals).features])
    return Asked(features, len(rows) if right is None else right, task.task_id.partition("/")[0])


def fitted(holes: list[Asked], without: str = "") -> tuple[Tensor, float]:
    """The weights by maximum likelihood, and the loss that is left, in nats a hole."""
    start = torch.tensor([1.0] + [0.0] * (len(NAMES) - 1))
    weights = start.clone().requires_grad_()
    heard = torch.tensor([float(name != without) for name in NAMES])
    optimiser = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        losses = [-(it.features @ (weights * heard)).log_softmax(0)[it.right] for it in holes]
        mean = torch.stack(losses).mean() + 1e-3 * weights[1:].square().sum()
        mean.backward()
        return mean

    optimiser.step(loss)
    with torch.no_grad():
        left = torch.stack(
            [-(it.features @ (weights * heard)).log_softmax(0)[it.right] for it in holes]
        ).mean()
    return (weights * heard).detach(), float(left)


def told(holes: list[Asked], weights: Tensor) -> None:
    sure: list[tuple[float, bool, str]] = []
    for it in holes:
        shares = (it.features @ weights).softmax(0)[:-1]
        if len(shares):
            best = int(shares.argmax())
            sure.append((float(shares[best]), best == it.right, it.kind))
    for kind in ("", *sorted({kind for _, _, kind in sure})):
        mine = [(p, right) for p, right, its in sure if not kind or its == kind]
        line = [f"{kind or 'all':12} {len(mine):5} right {sum(r for _, r in mine) / len(mine):.3f}"]
        for gate in (0.1, 0.2, 0.3, 0.5, 0.7):
            shown = [right for p, right in mine if p >= gate]
            precision = sum(shown) / len(shown) if shown else 0
            line.append(f">={gate}: {len(shown) / len(mine):.2f} shown, {precision:.2f} right")
        print("   ".join(line))


async def gather(suites: list[Path], limit: int | None, denoiser: Denoiser) -> list[Asked]:
    holes: list[Asked] = []
    for suite in suites:
        for number, task in enumerate(track(tasks_in(suite, limit), suite.name)):
            hole = await asked(task, bool(number % 2), denoiser)
            if hole is not None:
                holes.append(hole)
    return holes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", type=Path, nargs="+")
    parser.add_argument("--check", type=Path, nargs="*", default=[], help="suites to measure on")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    denoiser = load(options.model)
    holes = asyncio.run(gather(options.suites, options.limit, denoiser))
    weights, loss = fitted(holes)
    print(", ".join(f"{n}={w:.3f}" for n, w in zip(NAMES, weights.tolist(), strict=True)))
    print(f"{loss:.4f} nats a hole; without", end=" ")
    print(", ".join(f"{name} {fitted(holes, name)[1]:.4f}" for name in NAMES))
    told(holes, weights)
    if options.check:
        print("on suites that nothing was fitted to:")
        told(asyncio.run(gather(options.check, options.limit, denoiser)), weights)
    denoiser.close()


if __name__ == "__main__":
    main()
