"""What the network is asked in training: the loss of a batch, as fast as the machine has it, and a
small exam on held-out code. Knows nothing of how a batch was made."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from torch.nn import functional

from model.masked.network import Network
from model.precision import has_bfloat16
from model.tokens import DELETE, Tokens
from model.training.batches import Batch, Draws
from model.training.examples import IGNORED, SPARE

Loss = Callable[[Network, Batch], torch.Tensor]

EXAM = 384  # held-out examples


def loss_of(network: Network, batch: Batch) -> torch.Tensor:
    """The mean over all labelled positions."""
    with autocast(batch.ids.device):
        return mean_loss(network, *batch)


def mean_loss(
    network: Network, ids: torch.Tensor, rows: torch.Tensor, wanted: torch.Tensor
) -> torch.Tensor:
    logits = network(ids, rows=rows)
    return functional.cross_entropy(logits.float(), wanted, ignore_index=IGNORED)


def autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device.type))


def fastest(network: Network, batch: Batch, console: Console) -> Loss:
    """The loss, compiled for batches of this shape; as it is where nothing can be compiled."""
    torch.set_float32_matmul_precision("high")
    compiled = torch.compile(mean_loss, fullgraph=True, dynamic=False)

    def loss(network: Network, batch: Batch) -> torch.Tensor:
        with autocast(batch.ids.device):
            return compiled(network, *batch)

    half = "bfloat16" if has_bfloat16(batch.ids.device.type) else "float32"
    try:
        with console.status(f"compiling the step in {half} …"):
            loss(network, batch).backward()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a compiler that is absent or broken makes torch raise
        lines = [line for line in str(error).splitlines() if line.strip()]
        why = lines[0] if lines else type(error).__name__
        console.print(f"the step cannot be compiled here, which is slower: {why}")
        return loss_of
    finally:
        network.zero_grad(set_to_none=True)
    return loss


class Exam:
    """The same held-out examples at every look: loss, and how often masks are guessed right."""

    def __init__(self, examples: Draws, tokens: Tokens, row: np.ndarray, device: str) -> None:
        self.ids = self.labels = None
        if len(row) <= examples.length + SPARE:  # a rehearsal's corpus may hold no held-out package
            return
        drawn = examples.draw(row, EXAM, np.random.default_rng(1234))
        self.ids, self.labels = (torch.from_numpy(part).to(device) for part in drawn)
        lengths = [len(text) for text in tokens.bytes_of]
        self.lengths = torch.tensor(lengths, dtype=torch.float32, device=device)

    @torch.inference_mode()
    def marks(self, network: Network) -> dict[str, float]:
        if self.ids is None or self.labels is None:
            return {}
        told: list[torch.Tensor] = []
        wanted: list[torch.Tensor] = []
        for ids, labels in zip(self.ids.split(16), self.labels.split(16), strict=True):
            rows = torch.nonzero(labels.flatten() != IGNORED).flatten()
            with autocast(ids.device):
                told.append(network(ids, rows=rows).float())
            wanted.append(labels.flatten()[rows])
        return self.marks_of(torch.cat(told), torch.cat(wanted))

    def marks_of(self, logits: torch.Tensor, wanted: torch.Tensor) -> dict[str, float]:
        right = logits.argmax(-1) == wanted
        losses = functional.cross_entropy(logits, wanted, reduction="none")
        content = wanted > DELETE
        marks = {
            "heldout_loss": losses.mean(),
            "heldout_right": right[content].float().mean(),
            "heldout_length_right": right[~content].float().mean(),
            # Comparable between vocabularies, as the others are not.
            "heldout_nats_a_byte": losses[content].sum() / self.lengths[wanted[content]].sum(),
        }
        return {name: float(mark) for name, mark in marks.items()}
