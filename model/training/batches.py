"""The batch of each training step, drawn in line or by processes beside a GPU.

Knows nothing of networks. All batches of a run have one shape, so that a step is compiled once.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from model.training.examples import IGNORED

ALIKE = 64  # the labelled positions of a batch are brought to a multiple of this


class Draws(Protocol):
    """What makes examples of a long row of token ids: ids and labels, both (count, length)."""

    length: int

    def draw(
        self, row: np.ndarray, count: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]: ...


class Batch(NamedTuple):
    ids: torch.Tensor  # (batch, length)
    rows: torch.Tensor  # (wanted): positions in the flattened grid that something is asked of
    wanted: torch.Tensor  # (wanted): what; `IGNORED` where there were fewer than usual


class Batches(Dataset[Batch]):
    """The same step draws the same batch, whoever draws it."""

    def __init__(self, path: Path, examples: Draws, batch: int, seed: int) -> None:
        self.path = path
        self.examples = examples
        self.batch = batch
        self.seed = seed
        # A tenth more than there are on average, so that few are lost; those are lost by chance.
        usual = [np.count_nonzero(self.drawn(-1 - i)[1] != IGNORED) for i in range(8)]
        spacious = -(-int(1.1 * np.mean(usual)) // ALIKE) * ALIKE
        self.wanted = min(spacious, batch * examples.length)

    def __getitem__(self, index: int) -> Batch:
        ids, labels = self.drawn(index)
        flat = labels.ravel()
        rows = np.flatnonzero(flat != IGNORED)
        if len(rows) > self.wanted:
            rng = np.random.default_rng((self.seed, index, 1))
            rows = np.sort(rng.choice(rows, self.wanted, replace=False))
        wanted = np.full(self.wanted, IGNORED, np.int64)
        wanted[: len(rows)] = flat[rows]
        padded = np.zeros(self.wanted, np.int64)
        padded[: len(rows)] = rows
        return Batch(torch.from_numpy(ids), torch.from_numpy(padded), torch.from_numpy(wanted))

    def drawn(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """A negative index draws what no step does."""
        row = np.load(self.path, mmap_mode="r")
        rng = np.random.default_rng((self.seed, index % 2**63))
        return self.examples.draw(row, self.batch, rng)


def loader(batches: Batches, first: int, device: str) -> DataLoader[Batch]:
    """Batches from step `first` on; beside a GPU they are drawn by processes of their own."""
    beside = device == "cuda"
    return DataLoader(
        batches,
        batch_size=None,
        sampler=count(first),  # type: ignore[arg-type]  # any iterable will do
        num_workers=max(1, (os.cpu_count() or 2) - 2) if beside else 0,
        pin_memory=beside and torch.cuda.is_available(),
        worker_init_fn=leave_signals_to_the_trainer if beside else None,
    )


def leave_signals_to_the_trainer(_: int) -> None:
    """It ends its step and writes a checkpoint first, and for that it needs its next batch."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def on(device: str, batches: Iterator[Batch]) -> Iterator[Batch]:
    for batch in batches:
        yield Batch(*(part.to(device, non_blocking=True) for part in batch))
