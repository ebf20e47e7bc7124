"""Trains the bundled model from Python source: `infill-lsp train`.

Four stages, each kept in the work folder and taken up where it was left: the corpus as token ids,
the network's checkpoints, the finished folder of weights, curves and card, and the counts beside
the weights. The budget is time, or tokens where a run is to be made again elsewhere or compared:
the learning rate follows the share of it that is spent, so a run stopped and resumed ends as
planned.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

import argparse
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

from model.batches import Batch, Batches, Draws, loader, on
from model.blending import add_blend, add_evidence
from model.checkpoint import CheckpointError, last_saved, save
from model.corpus import gathered, places_in, with_sources, write_corpus
from model.examples import Examples, Mix
from model.load import place_of
from model.muon import Muon
from model.network import Network, Shape
from model.objective import Exam, Loss, fastest, loss_of
from model.report import read_model, write_model
from model.rows import prepare, write_json
from model.sources import CorpusError
from model.tokens import Tokens
from model.twin import Reading

SIZES = {
    "tiny": Shape(vocab=1024, dim=64, layers=2, heads=2, kv_heads=2, ff=160, qk_norm=True),
    "2m": Shape(vocab=4096, dim=192, layers=5, heads=6, kv_heads=6, ff=512, qk_norm=True),
    "10m": Shape(vocab=8192, dim=320, layers=8, heads=5, kv_heads=5, ff=864, qk_norm=True),
    "20m": Shape(vocab=8192, dim=384, layers=10, heads=6, kv_heads=6, ff=1024, qk_norm=True),
}

BUNDLED = Path(__file__).parent / "bundled"
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
    twin: bool = False  # left to right, see `model/twin.py`
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


TOLD = ("minutes", "tokens", "length", "batch", "optimiser", "matrix_rate", "other_rate", "seed",
        "twin")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a run cut short: from `start` to `stop` seconds of training the rates fall from
    `factor` to zero."""

    start: float
    stop: float
    factor: float


def main(arguments: Sequence[str]) -> int:
    began = time.monotonic()
    options = parser().parse_args(arguments)
    console = Console(stderr=True)
    plan = plan_of(options)
    work: Path = options.work
    try:
        work.mkdir(parents=True, exist_ok=True)
        if options.counts_for:
            corpus, place = options.corpus or work / "corpus.jsonl", place_of(options.counts_for)
            if place.row is not None:
                add_blend(place.folder, place.row, corpus, console)
            else:
                add_evidence(place.folder, corpus, work, console)
            console.print(f"wrote the counts of {options.counts_for}")
            return 0
        if not options.export_only:
            tokens = prepare(
                work, corpus_for(options, console), options.vocab or SIZES[plan.size].vocab,
                options.exclude, console, options.start and options.start / "tokenizer.json",
            )  # fmt: skip
            until = began + options.slice * 60 if options.slice else math.inf
            run = Run(plan, tokens, work, options.device, console, eager=options.eager)
            run.take_up(options.start)
            run.train(options.finish, until)
        if not options.no_export:
            out = options.out or (work / "twin" if plan.twin else BUNDLED)
            write_model(out, work, console)
            corpus = options.corpus or work / "corpus.jsonl"
            if not plan.twin and not options.no_counts:
                add_evidence(out, corpus, work, console)
            console.print(f"wrote {out}")
    except OSError as error:
        console.print(f"[red]training stopped:[/red] {error}. What was done lies in {work}.")
        return 1
    except torch.OutOfMemoryError as error:
        console.print(f"[red]training stopped:[/red] {error}. Name a smaller --batch.")
        return 1
    except (TrainingError, CorpusError, CheckpointError) as error:
        console.print(f"[red]training stopped:[/red] {error}")
        return 1
    return 0


class TrainingError(Exception):
    """The run cannot go on; the message says why and what to do."""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="infill-lsp train",
        description="Train the bundled model anew from Python source. A run that was stopped, in "
        "whatever way, goes on from its last checkpoint with the same command.",
        allow_abbrev=False,
    )
    made.add_argument("--size", choices=SIZES, default=Plan().size)
    made.add_argument("--minutes", type=float, help="time spent on steps, over all commands")
    made.add_argument("--tokens", type=float, metavar="N", help="train on so many tokens (65e6, "
                      "say) in place of so many minutes: the same run on any machine")  # fmt: skip
    made.add_argument("--slice", type=float, metavar="MINUTES", help="end this command after so "
                      "many minutes, all told; the same command then goes on")  # fmt: skip
    made.add_argument("--finish", type=float, metavar="MINUTES", help="let the rates fall to zero "
                      "within so many minutes from the last checkpoint, and end there")  # fmt: skip
    made.add_argument("--from", type=Path, dest="start", metavar="FOLDER", help="begin with the "
                      "weights and vocabulary of a model that this trainer wrote, and go on where "
                      "its run was; only where there is no checkpoint yet")  # fmt: skip
    made.add_argument("--batch", type=int, help="examples a step")
    made.add_argument("--length", type=int, help="tokens an example; the finished model sees 32 "
                      "fewer around a hole")  # fmt: skip
    made.add_argument("--vocab", type=int, help="tokens in the vocabulary")
    made.add_argument("--optimiser", choices=("muon", "adamw"), help="for the blocks' matrices")
    made.add_argument("--matrix-rate", type=float, help="its rate")
    made.add_argument("--other-rate", type=float, help="that of AdamW for all the rest")
    made.add_argument("--mix", nargs="+", type=share_of_mix, metavar="NAME=SHARE", help="how "
                      "examples are made, where not as in model/examples.py's `Mix`")  # fmt: skip
    made.add_argument("--seed", type=int, default=Plan().seed)
    made.add_argument("--twin", action="store_true", help="train the left-to-right network that "
                      "diffusion is held against, see bench/twin.py")  # fmt: skip
    made.add_argument(
        "--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu"
    )
    made.add_argument("--eager", action="store_true", help="compile nothing: slower, starts sooner")
    work = Path("training")
    made.add_argument("--work", type=Path, default=work, help="checkpoints, token ids")
    made.add_argument(
        "--out", type=Path, metavar="FOLDER", help="the finished model (default: the bundled one)"
    )
    made.add_argument("--no-export", action="store_true", help="leave the finished model alone")
    made.add_argument(
        "--export-only",
        action="store_true",
        help="train nothing: write the last checkpoint's model",
    )
    made.add_argument("--no-counts", action="store_true", help="ship no counts beside the weights")
    made.add_argument("--counts-for", metavar="NAME", help="train nothing: count, and add the "
                      "counts to a finished model, made elsewhere maybe; to a network of others "
                      "(folder or id) how far it is to believe those that ship")  # fmt: skip
    made.add_argument("--corpus", type=Path, metavar="FILE", help="what `infill-lsp corpus` wrote; "
                      "without it one is made in the work folder")  # fmt: skip
    with_sources(made, work)
    return made


def plan_of(options: argparse.Namespace) -> Plan:
    usual = PLANS[options.size]
    told = {name: value for name in TOLD if (value := getattr(options, name)) is not None}
    return dataclasses.replace(usual, **told, mix=dict(options.mix or ()))


def share_of_mix(argument: str) -> tuple[str, float]:
    name, _, value = argument.partition("=")
    known = {field.name: field.type for field in dataclasses.fields(Mix)}
    if name not in known:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
    try:
        return name, int(value) if known[name] == "int" else float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{name} wants a number, not {value!r}") from error


def corpus_for(options: argparse.Namespace, console: Console) -> Path:
    """The corpus that was named, else the work folder's own, made now if it is not there."""
    if options.corpus:
        return options.corpus
    path: Path = options.work / "corpus.jsonl"
    if not path.exists() and not (options.work / "corpus.json").exists():
        places = places_in(options.downloads, options.installed_only, options.limit_files, console)
        write_corpus(path, gathered(places, options.exclude, console), 0, console)
    return path


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
