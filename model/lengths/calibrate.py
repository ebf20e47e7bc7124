"""Fits what choosing lengths has to know of a network, and writes it beside the weights.

    python -m model.lengths.calibrate MODEL CORPUS [--demos 100]

Two things: how sure the network is of a hole of each length when that is the wrong one (CAL's
curve, arXiv 2602.00476), and what the scores of the texts weighed in the end mean as probabilities.
CORPUS is what `infill-lsp corpus` wrote. Its held-out packages are asked for, where there are any:
of code that it learnt a network is too sure.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch is only partly typed.

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from model.canvas import Canvas, Hole, ModelError
from model.lengths.choosing import FILE, told_in
from model.lengths.grid import Chooser, Curve, Grid, Look, calibrated, glances_at
from model.lengths.trial import Choosing, Trust, begun, scores_of, step_all
from model.load import engine_of, place_of
from model.masked.board import Board, Start, Vocabulary
from model.masked.network import Network
from model.masked.policy import Policy
from model.masked.refine import hole_logits
from model.published.keys import with_keys
from model.training.blending import FITTED_ON, balanced, spans
from model.training.corpus import read_corpus
from model.training.counting import cuts
from model.training.rows import write_json
from model.training.sources import CorpusError

PROBED = (1, 2, 4, 6, 12, 16, 24, 32, 48, 64, 96, 128)  # CAL's
APART = 4  # a demo says nothing of lengths that are nearly its own
LIMIT = 64  # masks


@dataclass(frozen=True, slots=True)
class Seen:
    """How sure a network was, in the mean over `count` demos, at a length that was wrong."""

    length: int
    sure: float
    count: int


def fitted_curve(seen: Sequence[Seen]) -> Curve:
    """The curve nearest to what was seen, within the published bounds."""
    lengths = torch.tensor([float(it.length) for it in seen], dtype=torch.float64)
    sure = torch.tensor([it.sure for it in seen], dtype=torch.float64)
    count = torch.tensor([float(it.count) for it in seen], dtype=torch.float64)
    most = torch.tensor([1.0, 2.0, 1.0, 0.5, 0.5], dtype=torch.float64)
    start = torch.tensor([0.98, 1.8, 0.6, 0.05, 0.3], dtype=torch.float64)
    free = torch.logit(start / most).requires_grad_()

    def off() -> Tensor:
        a, b, c, d, e = most * torch.sigmoid(free)
        said = a * torch.exp(-b * lengths) + c * torch.exp(-d * lengths) + e
        return (count * (said - sure).square()).sum() / count.sum()

    minimise(off, free)
    return Curve(*(round(it, 4) for it in (most * torch.sigmoid(free.detach())).tolist()))


def seen_by(
    demos: Iterable[tuple[Board, int]], look: Look, lengths: Sequence[int] = PROBED
) -> list[Seen]:
    """`demos`: fresh boards of one hole, and how many tokens stood there."""
    sums: dict[int, list[float]] = {}
    for board, gold in demos:
        limit = board.canvas.holes[0].limit
        apart = [it for it in lengths if it <= limit and abs(it - gold) > APART]
        for glance in glances_at(board, look, [apart])[0]:
            sums.setdefault(glance.length, []).append(glance.sure)
    return [Seen(it, sum(some) / len(some), len(some)) for it, some in sorted(sums.items())]


def fitted_trust(weighed: Sequence[tuple[Sequence[float], int]]) -> Trust:
    """By maximum likelihood; of each hole the scores of its texts and which is right, their number
    where none is."""
    start = Trust()
    free = torch.tensor([start.temperature, start.none], dtype=torch.float64)
    free[0] = free[0].log()
    free.requires_grad_()

    def off() -> Tensor:
        heat, none = free[0].exp(), free[1:]
        nats: list[Tensor] = []
        for scores, right in weighed:
            told = torch.cat((torch.tensor(scores, dtype=torch.float64), none)) / heat
            nats.append(-told.log_softmax(0)[right])
        return torch.stack(nats).mean()

    minimise(off, free)
    heat, none = free.detach().tolist()
    return Trust(round(math.exp(heat), 4), round(none, 4))


def minimise(off: Callable[[], Tensor], free: Tensor) -> None:
    optimiser = torch.optim.LBFGS(
        [free],
        max_iter=500,
        tolerance_grad=1e-12,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = off()
        loss.backward()
        return loss

    optimiser.step(closure)


def demos_from(
    corpus: Path, vocabulary: Vocabulary, start: Start, count: int, seed: int = 0
) -> Iterator[tuple[Board, str]]:
    """Fresh boards of one hole in a line, and what stood there. Raises `CorpusError`."""
    sources = list(read_corpus(corpus))
    asked = [it for it in sources if it.package in FITTED_ON] or sources
    if not asked:
        raise CorpusError(f"{corpus} holds no text to ask about")
    for cut in spans(cuts(balanced(asked), count, seed), seed):
        near = 6 * start.context
        canvas = Canvas((cut.before[-near:], cut.after[:near]), (Hole(0, 0, limit=LIMIT),))
        yield Board(canvas, vocabulary, start), cut.line


def curve_for(network: Network, demos: Sequence[tuple[Board, str]], console: Console) -> Curve:
    sized = [(board, len(board.vocabulary.encode(gold))) for board, gold in demos]
    shown = track(sized, "how sure at each length", console=console)
    return fitted_curve(seen_by(shown, partial(hole_logits, network)))


def trust_for(
    network: Network,
    policy: Policy,
    chooser: Chooser,
    demos: Sequence[tuple[Board, str]],
    console: Console,
) -> Trust:
    """What scores mean where the lengths are chosen so."""
    look = partial(hole_logits, network)
    weighed: list[tuple[list[float], int]] = []
    for board, gold in track(demos, "what the scores mean", console=console):
        trial = begun(board, Choosing(chooser), look)
        while trial.running:
            step_all(network, [trial], policy)
        scores = [mine[0] for mine in scores_of([it.board for it in trial.runners], look)]
        texts = [it.told.texts[0] for it in trial.runners]
        weighed.append((scores, texts.index(gold) if gold in texts else len(texts)))
    return fitted_trust(weighed)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.lengths.calibrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="its id, or its folder")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--demos", type=int, default=100, help="holes asked about (default 100)")
    with_keys(parser)
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        place = place_of(options.model, options.model_keys)
        engine, folder = engine_of(place), place.folder
        if engine.choosing is None:
            raise ModelError(f"no length is chosen for {options.model}: it finds them by itself")
        if engine.choosing.chooser is None:
            raise ModelError(
                f"LR-DLLM finds the lengths of {options.model} while it decodes, and no curve says "
                'how: choose another `length` in --model-keys, "probe" or "calibrated"'
            )
        told = dict(told_in(folder))
        some = demos_from(options.corpus, engine.vocabulary, engine.start, options.demos)
        demos = list(track(some, "reading", options.demos, console=console))
        curve = curve_for(engine.network, demos, console)
        chooser = engine.choosing.chooser
        if isinstance(chooser, Grid) and told.get("rule", "calibrated") == "calibrated":
            chooser = Grid(calibrated(curve))
        trust = trust_for(engine.network, engine.policy, chooser, demos, console)
        engine.close()
        path = folder / FILE
        write_json(path, told | {"curve": asdict(curve), "trust": asdict(trust)})
    except (CorpusError, ModelError, OSError) as error:
        console.print(f"[red]nothing was fitted:[/red] {error}")
        return 1
    console.print(f"wrote {curve} and {trust} into {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
