"""A probe that tells a hole's length from one forward, trained beside a network that stays.

    python -m model.lengths.probe MODEL CORPUS

After PILL ("Predict, Don't Iterate", 2026): the hole is one mask; what the network's last layer
holds of the four tokens before it, of the mask and of the four tokens behind it goes through a
small perceptron, which says the logarithm of the length. One thing is told to it that PILL's did
not know: whether the hole may be of several lines. Under a logit shift all three are read where the
network itself reads a token from, one row further left.

CORPUS is what `infill-lsp corpus` wrote; only what the network may have learnt from is used. The
probe becomes `probe.safetensors` beside the weights, where it is found when they are loaded.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch and safetensors are only partly typed.

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from model.canvas import Canvas, Hole, ModelError
from model.lengths.grid import Look, Ranked, ranked
from model.load import engine_of, place_of
from model.masked.board import Board, Start, Vocabulary
from model.masked.network import Network
from model.published.keys import with_keys
from model.training.corpus import read_corpus
from model.training.sources import CorpusError

FILE = "probe.safetensors"
SIDE = 4  # tokens of each side that it sees
REACH = 2  # candidates on each side of the length that it says; PILL's best number
LONGEST = 96  # tokens of a hole to learn from
BATCH = 16
EPOCHS = 50
SPARED = 0.1  # of the samples, to tell when it has learnt enough

States = Callable[[Sequence[list[int]]], Tensor]  # rows to what each position is read from


class Probe(nn.Module):
    """(holes, 3 · dim + 1) to (holes): the logarithms of their lengths."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        wide = 3 * dim + 1
        self.layers = nn.Sequential(
            nn.Linear(wide, 512), nn.GELU(), nn.Dropout(0.1),
            nn.Linear(512, 128), nn.GELU(), nn.Dropout(0.1), nn.Linear(128, 1),
        )  # fmt: skip
        # The states of one network are large, of another small; the perceptron sees them alike.
        self.register_buffer("mean", torch.zeros(wide))
        self.register_buffer("spread", torch.ones(wide))

    def forward(self, features: Tensor) -> Tensor:
        mean, spread = self.get_buffer("mean"), self.get_buffer("spread")
        said: Tensor = self.layers((features - mean) / spread)
        return said.flatten()


@dataclass(frozen=True, slots=True)
class Probing:
    """The chooser that asks a probe: the length it says, and its neighbours."""

    probe: Probe
    states: States
    reach: int = REACH

    @classmethod
    def of(cls, probe: Probe, network: Network) -> Probing:
        return cls(probe.eval(), partial(states_of, network))

    @torch.inference_mode()
    def __call__(self, board: Board, look: Look) -> list[list[Ranked]]:
        del look  # it is not logits that are asked for
        (features,) = features_of([board.resized([1] * len(board.cells))], self.states)
        said = self.probe(features).tolist()
        found: list[list[Ranked]] = []
        for log, hole, free, cells in zip(
            said, board.canvas.holes, board.open, board.cells, strict=True
        ):
            about = min(max(1, round(math.exp(min(log, 20.0)))), hole.limit)
            near = range(max(1, about - self.reach), min(hole.limit, about + self.reach) + 1)
            mine = ranked((length, -abs(math.log(length) - log)) for length in near)
            found.append(mine if free else [Ranked(len(cells), 0.0)])
        return found


def probe_in(folder: Path, network: Network) -> Probe | None:
    """The folder's probe, None where it has none. Raises `ModelError` for one that does not fit."""
    path = folder / FILE
    if not path.exists():
        return None
    probe = Probe(network.shape.dim)
    try:
        probe.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ModelError(
            f"{path} is no probe for a network {network.shape.dim} wide ({error}); delete it, or "
            f"train it anew: python -m model.lengths.probe {folder} CORPUS"
        ) from error
    return probe.to(network.lm_head.weight.device).eval()


def states_of(network: Network, rows: Sequence[list[int]]) -> Tensor:
    """(rows, longest, dim) in float32: at each position what its token is read from."""
    longest = max(map(len, rows))
    device = network.lm_head.weight.device
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    states: Tensor = network.model(tokens, lengths)
    if network.shape.shift:
        states = torch.cat((states[:, :1], states[:, :-1]), dim=1)
    return states.float()


@torch.inference_mode()
def features_of(boards: Sequence[Board], states: States) -> list[Tensor]:
    """Of boards whose open holes are one mask each: for each board (holes, 3 · dim + 1)."""
    rows = [board.row for board in boards]
    found: list[Tensor] = []
    for board, row, told in zip(boards, rows, states(rows), strict=True):
        features: list[Tensor] = []
        at = len(board.texts[0])
        for hole, cells, text in zip(board.canvas.holes, board.cells, board.texts[1:], strict=True):
            end = at + len(cells)
            sides = (
                told[max(0, at - SIDE) : at],
                told[at : at + 1],
                told[end : min(len(row), end + SIDE)],
            )
            means = [it.mean(0) if len(it) else torch.zeros_like(told[0]) for it in sides]
            several = torch.tensor([float(hole.multiline)], device=told.device)
            features.append(torch.cat((*means, several)))
            at = end + len(text)
        found.append(torch.stack(features))
    return found


def fitted(features: Tensor, lengths: Tensor, *, epochs: int = EPOCHS, seed: int = 0) -> Probe:
    """The probe that was best on a spared tenth; `lengths` (holes) in tokens."""
    torch.manual_seed(seed)
    probe = Probe((features.shape[1] - 1) // 3)
    logs = lengths.float().log()
    order = torch.randperm(len(logs))
    cut = max(1, int(SPARED * len(logs)))
    spared, learnt = order[:cut], order[cut:]
    probe.get_buffer("mean").copy_(features[learnt].mean(0))
    probe.get_buffer("spread").copy_(features[learnt].std(0).nan_to_num(1.0).clamp_min(1e-3))
    optimiser = torch.optim.AdamW(probe.parameters(), lr=1e-3, weight_decay=1e-4)
    best, kept = math.inf, probe.state_dict()
    for _ in range(epochs):
        probe.train()
        for some in learnt[torch.randperm(len(learnt))].split(BATCH):
            optimiser.zero_grad()
            functional.mse_loss(probe(features[some]), logs[some]).backward()
            optimiser.step()
        probe.eval()
        with torch.no_grad():
            loss = float(functional.mse_loss(probe(features[spared]), logs[spared]))
        if loss < best:
            best, kept = loss, {name: it.clone() for name, it in probe.state_dict().items()}
    probe.load_state_dict(kept)
    return probe.eval()


def samples_from(texts: Sequence[str], seed: int) -> Iterator[tuple[Canvas, str]]:
    """Canvases of one hole and what stood there, without end: lines, their rest from some place on,
    a stretch of one, and a few lines."""
    chance = random.Random(seed)
    while True:
        text = chance.choice(texts)
        lines = text.split("\n")
        first = chance.randrange(len(lines))
        if not lines[first].strip():
            continue
        start = sum(len(line) + 1 for line in lines[:first])
        end = start + len(lines[first])
        start += len(lines[first]) - len(lines[first].lstrip())
        kind = chance.random()
        if kind < 0.2:
            last = min(len(lines), first + chance.randrange(2, 7))
            end += sum(len(line) + 1 for line in lines[first + 1 : last])
        elif kind < 0.6:
            start = chance.randrange(start, end)
        if 0.5 < kind < 0.6:
            end = chance.randrange(start + 1, end + 1)
        several = "\n" in text[start:end]
        hole = Hole(start, end, multiline=several, limit=LONGEST)
        yield Canvas((text[:start], text[end:]), (hole,)), text[start:end]


def examined(
    samples: Iterator[tuple[Canvas, str]], vocabulary: Vocabulary, start: Start, states: States
) -> Iterator[tuple[Tensor, int]]:
    """Features and lengths in tokens; nothing comes of a sample too long."""
    while some := list(islice(samples, BATCH)):
        boards: list[Board] = []
        lengths: list[int] = []
        for canvas, gold in some:
            if 0 < (length := len(vocabulary.encode(gold))) <= LONGEST:
                boards.append(Board(canvas, vocabulary, start).resized([1]))
                lengths.append(length)
        if boards:
            found = features_of(boards, states)
            yield from zip((it[0].cpu() for it in found), lengths, strict=True)


def texts_of(corpus: Path, most: int, seed: int) -> list[str]:
    """Some of the corpus's texts that are not held out. Raises `CorpusError`."""
    chance = random.Random(seed)
    kept: list[str] = []
    seen = 0
    for source in read_corpus(corpus):
        if source.held_out or not source.text.strip():
            continue
        seen += 1
        if len(kept) < most:
            kept.append(source.text)
        elif (place := chance.randrange(seen)) < most:
            kept[place] = source.text
    if not kept:
        raise CorpusError(f"{corpus} holds no text to learn from")
    return kept


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m model.lengths.probe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="its id, or its folder")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    with_keys(parser)
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        texts = texts_of(options.corpus, options.samples, options.seed)
        place = place_of(options.model, options.model_keys)
        engine, folder = engine_of(place), place.folder
    except (CorpusError, ModelError) as error:
        console.print(f"[red]no probe:[/red] {error}")
        return 1
    drawn = samples_from(texts, options.seed)
    states = partial(states_of, engine.network)
    seen = islice(examined(drawn, engine.vocabulary, engine.start, states), options.samples)
    told = list(track(seen, "holes", options.samples, console=console))
    engine.close()
    console.print("learning …")
    features = torch.stack([features for features, _ in told])
    probe = fitted(features, torch.tensor([length for _, length in told]), seed=options.seed)
    path = folder / FILE
    try:
        save_file(probe.state_dict(), path)
        path.chmod(0o644)  # safetensors makes it readable by its maker alone
    except (OSError, SafetensorError) as error:
        console.print(f"[red]no probe:[/red] {path} was not written ({error})")
        return 1
    console.print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
