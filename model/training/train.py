"""A training run of the bundled model: the network, its optimisers, how far it has come.

The budget is time, or tokens where a run is to be made again elsewhere or compared: the learning
rate follows the share of it that is spent, so a run stopped and resumed ends as planned. It knows
no corpus and no command line, only token ids in the work folder, and its checkpoints there.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

import dataclasses
import math
import signal
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from model.masked.network import Network, Shape
from model.tokens import Tokens
from model.training.batches import Batch, Batches, Draws, loader, on
from model.training.checkpoint import last_saved, save
from model.training.examples import Examples, Mix
from model.training.muon import Muon
from model.training.objective import Exam, Loss, fastest, loss_of
from model.training.report import read_model
from model.training.rows import write_json
from model.training.twin import Reading

SIZES = {
    "tiny": Shape(vocab=1024, dim=64, layers=2, heads=2, kv_heads=2, ff=160, qk_norm=True),
    "2m": Shape(vocab=4096, dim=192, layers=5, heads=6, kv_heads=6, ff=512, qk_norm=True),
    "10m": Shape(vocab=8192, dim=320, layers=8, heads=5, kv_heads=5, ff=864, qk_norm=True),
    "20m": Shape(vocab=8192, dim=384, layers=10, heads=6, kv_heads=6, ff=1024, qk_norm=True),
}

WARM_UP = 100  # steps from nothing to the full rates, after a fresh start of the optimisers
SAVED_EVERY = 60.0  # seconds: so much is lost at most when the machine goes away
NOTED_EVERY = 0.02  # of the run: a point of its curves


@dataclass(frozen=True, slots=True)
class Plan:
    """A training run. It is written into each checkpoint; a run may be resumed with other minutes,
    batch or rates, but not with another shape.

    There is no average of the weights beside them: the fall of the rates to zero does the same for
    the weights that ship, and a run that was cut off gets it by `--finish`.
    """

    size: str = "2m"
    minutes: float = 66.0
    tokens: float = 0  # the budget in place of the minutes, where it is given
    length: int = 288  # tokens an example
    batch: int = 12  # examples a step
    optimiser: str = "muon"  # for the matrices of the blocks; or "adamw"
    matrix_rate: float = 4e-3  # that optimiser's
    other_rate: float = 3e-3  # AdamW's, for embeddings and norms
    decay: float = 0.3  # the share of the run in which the rates fall to zero
    seed: int = 0
    twin: bool = False  # left to right, see `model/training/twin.py`
    mix: dict[str, float] = field(default_factory=dict[str, float])  # where not `Mix`'s own

    def spent(self, seconds: float, tokens: float) -> float:
        """The share of the run that lies behind, 1 at its end."""
        return tokens / self.tokens if self.tokens else seconds / (self.minutes * 60)


# The two large ones are for a GPU. Their steps take 40 times as many tokens, and would bear higher
# rates; they are wider and deeper, which asks for lower ones. So these are guesses in the middle.
PLANS = {
    "tiny": Plan("tiny", minutes=1, batch=4),
    "2m": Plan("2m"),
    "10m": Plan("10m", minutes=25, batch=512),
    "20m": Plan("20m", minutes=25, batch=512, matrix_rate=3e-3),
}


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a run cut short: from `start` to `stop` seconds of training the rates fall from
    `factor` to zero."""

    start: float
    stop: float
    factor: float


class TrainingError(Exception):
    """The run cannot go on; the message says why and what to do."""


class Run:
    """The network in training, and how far it has come."""

    def __init__(
        self, plan: Plan, tokens: Tokens, work: Path, device: str, console: Console, *, eager: bool
    ) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.work, self.device, self.console = plan, work, device, console
        self.eager = eager
        self.shape = dataclasses.replace(SIZES[plan.size], vocab=len(tokens), causal=plan.twin)
        self.network = Network(self.shape).to(device)
        self.optimisers = optimisers_for(self.network, plan)
        self.vocabulary = tokens
        mix = dataclasses.replace(Mix(), **plan.mix)  # pyright: ignore[reportArgumentType]
        self.examples: Draws = (Reading if plan.twin else Examples)(tokens, plan.length, mix)
        self.step = self.tokens = 0
        self.seconds = 0.0
        self.planned = plan  # by the run so far; only its end may be asked for now
        self.warm_from = 0  # the step at which the optimisers were fresh
        self.log: list[dict[str, float]] = []
        self.ending: Finish | None = None
        self.short_of_space = False

    def take_up(self, start: Path | None) -> None:
        """Goes on from the last checkpoint; without one, from the folder `start`, if given."""
        saved = last_saved(self.work, self.console)
        if saved is None and start is None:
            return
        if saved is None:
            assert start is not None
            saved = read_model(start)
            self.warm_from = saved["state"]["step"]
        try:
            # All of a network's shape must be as it was, or the weights would mean other things.
            if Shape(**saved["shape"]) != self.shape:
                raise ValueError(f"it is of shape {saved['shape']}")
            self.network.load_state_dict(saved["network"])
            for optimiser, kept in zip(self.optimisers, saved.get("optimisers", ()), strict=False):
                optimiser.load_state_dict(kept)
            state = saved["state"]
            self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
            self.log = state["log"]
            self.planned = Plan(**saved["plan"])
            self.warm_from = max(self.warm_from, state.get("warm_from", 0))
            self.ending = Finish(**state["ending"]) if state.get("ending") else None
        except (RuntimeError, ValueError, KeyError) as error:
            raise TrainingError(
                f"what lies in {start or self.work} is of another network than size "
                f"{self.plan.size} with these tokens ({error}); name another --size or --work"
            ) from error

    def train(self, finish: float | None, until: float) -> None:
        """Trains until the plan's budget is spent, or until that moment of the clock."""
        self.end_within(finish)
        if self.share >= 1:
            return
        rows = self.work / "train.npy"
        drawn = iter(loader(
            Batches(rows, self.examples, self.plan.batch, self.plan.seed), self.step, self.device
        ))  # fmt: skip
        batches = on(self.device, drawn)
        batch = next(batches)
        loss = loss_of if self.eager else fastest(self.network, batch, self.console)
        exam = Exam(self.exam_draws(), self.vocabulary, np.load(self.work / "heldout.npy"),
                    self.device)  # fmt: skip
        losses: list[torch.Tensor] = []
        last_note = last_save = time.monotonic()
        noted = saved = self.share
        with asked_to_stop() as asked, progress_bar(self.console) as bar:
            task = bar.add_task("training", total=1.0, note="")
            while self.share < 1 and not asked and time.monotonic() < until:
                began = time.monotonic()
                losses.append(self.learn(loss, batch))
                batch = next(batches)
                self.seconds += time.monotonic() - began
                if self.share - noted > NOTED_EVERY and time.monotonic() - last_note > 30:
                    self.note(losses, exam)
                    last_note, noted = time.monotonic(), self.share
                if time.monotonic() - last_save > SAVED_EVERY or self.share - saved > 0.05:
                    self.save_or_tell(losses)
                    last_save, saved = time.monotonic(), self.share
                shown = f"loss {self.log[-1]['loss']:.3f}  " if self.log else ""
                speed = self.tokens / max(self.seconds, 1)
                bar.update(task, completed=self.share,
                           note=f"step {self.step:,}  {shown}{speed:,.0f} tokens/s")  # fmt: skip
        if losses:
            self.note(losses, exam)
        self.save()
        if asked:
            raise TrainingError(f"asked to stop; the same command goes on from {self.work}")
        if self.share < 1:
            self.console.print(
                f"{self.share:.0%} of the run are done after {self.seconds / 60:.1f} minutes; the "
                "same command goes on, --finish ends the run sooner"
            )

    def learn(self, loss: Loss, batch: Batch) -> torch.Tensor:
        """One optimiser step; the loss stays on the device, so that nobody waits for it."""
        factor = self.factor()
        rates = (self.plan.matrix_rate, self.plan.other_rate)
        for optimiser, rate in zip(self.optimisers, rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
        told = loss(self.network, batch)
        told.backward()
        for optimiser in self.optimisers:
            torch.nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.tokens += batch.ids.numel()
        return told.detach()

    def exam_draws(self) -> Draws:
        """One hole an example, whatever the mix, so that mixes and lengths can be compared."""
        if self.plan.twin:
            return self.examples
        mix = dataclasses.replace(Mix(), scattered=0.0, holes=2)
        return Examples(self.vocabulary, self.plan.length, mix)

    @property
    def share(self) -> float:
        """Of the run, or of its end that was asked for."""
        if self.ending is None:
            return self.plan.spent(self.seconds, self.tokens)
        start, stop = self.ending.start, self.ending.stop
        return (self.seconds - start) / (stop - start) if stop > start else 1.0

    def end_within(self, minutes: float | None) -> None:
        """An end that was begun is gone on with; without `--finish` the plan holds again."""
        if minutes is None:
            self.ending = None
        elif self.ending is None:
            factor = falling(self.planned.spent(self.seconds, self.tokens), self.plan.decay)
            more = minutes * 60 if factor > 0 else 0  # at zero the rates have fallen already
            self.ending = Finish(self.seconds, self.seconds + more, factor)

    def factor(self) -> float:
        """What the full rates are multiplied by: warm-up, flat, then a linear fall to zero."""
        warm = min(1.0, (self.step - self.warm_from + 1) / WARM_UP)
        if self.ending is None:
            return warm * falling(self.share, self.plan.decay)
        return warm * self.ending.factor * max(0.0, 1 - self.share)

    def note(self, losses: list[torch.Tensor], exam: Exam) -> None:
        """Writes a line of the log. Raises `TrainingError` when the losses went astray."""
        mean = float(torch.stack(losses).float().mean())
        if not math.isfinite(mean):
            raise TrainingError(
                f"the loss is no number at step {self.step:,}; the checkpoint in {self.work} is "
                "from before that: go on from it with a lower --matrix-rate"
            )
        losses.clear()
        self.log.append({"step": self.step, "tokens": self.tokens, "loss": mean,
                         "seconds": round(self.seconds), **exam.marks(self.network)})  # fmt: skip

    def save_or_tell(self, losses: Sequence[torch.Tensor]) -> None:
        """Now and then along the way. No space is told and the run goes on: there may be some
        later, and nothing is gained by throwing away what the network has learnt since."""
        if losses and not math.isfinite(float(losses[-1])):
            return  # a bad state must not take a good one's place; the next note will tell
        try:
            self.save()
            self.short_of_space = False
        except OSError as error:
            if not self.short_of_space:  # told once, not every minute
                self.console.print(
                    f"[red]no checkpoint:[/red] {error}. The last one is kept and the run goes on; "
                    "make space"
                )
            self.short_of_space = True

    def save(self) -> None:
        state = {"step": self.step, "tokens": self.tokens, "seconds": self.seconds,
                 "log": self.log, "warm_from": self.warm_from, "machine": machine(self.device),
                 "ending": dataclasses.asdict(self.ending) if self.ending else None}  # fmt: skip
        save(
            {
                "plan": dataclasses.asdict(self.plan),
                "shape": dataclasses.asdict(self.shape),
                "network": self.network.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
                "state": state,
            },
            self.work,
        )
        write_json(self.work / "log.json", self.log)


def machine(device: str) -> str:
    """What the card says of the compute."""
    return (
        torch.cuda.get_device_name()
        if device == "cuda"
        else f"a CPU, threads: {torch.get_num_threads()}"
    )


def falling(share: float, decay: float) -> float:
    return min(1.0, max(0.0, 1 - share) / decay)


def optimisers_for(network: Network, plan: Plan) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside the blocks, AdamW for embeddings and norms (Jordan 2024); or
    AdamW for both, each with its own rate."""
    matrices = [p for n, p in network.named_parameters() if p.dim() == 2 and ".layers." in n]
    inside = set(map(id, matrices))
    others = [p for p in network.parameters() if id(p) not in inside]
    adamw = partial(torch.optim.AdamW, betas=(0.9, 0.95), fused=others[0].is_cuda)
    adam = adamw(others, lr=plan.other_rate, weight_decay=0.0)
    if plan.optimiser == "adamw":
        return adamw(matrices, lr=plan.matrix_rate, weight_decay=0.05), adam
    return Muon(matrices, lr=plan.matrix_rate, weight_decay=0.05), adam


@contextmanager
def asked_to_stop() -> Generator[list[int]]:
    """Holds something once Ctrl-C or a termination was asked for: the step ends, the checkpoint is
    written."""
    asked: list[int] = []
    former = {
        number: signal.signal(number, lambda number, _: asked.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
