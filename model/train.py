"""Trains the bundled model from Python source on this machine: `infill-lsp train`.

Three stages, each kept in the work folder and taken up where it was left: the corpus as token ids,
the network's checkpoints, the finished folder of weights, curves and card. Time is the budget: the
learning rate follows the share of the minutes spent, so a run stopped and resumed ends as planned.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from model.corpus import Source, corpus
from model.examples import IGNORED, SPARE, Examples
from model.muon import Muon
from model.network import Network, Shape
from model.report import write_model
from model.tokens import BOS, DELETE, EOS, Tokens, train_tokens

SIZES = {
    "tiny": Shape(vocab=1024, dim=64, layers=2, heads=2, kv_heads=2, ff=160, qk_norm=True),
    "2m": Shape(vocab=4096, dim=192, layers=5, heads=6, kv_heads=6, ff=512, qk_norm=True),
    "10m": Shape(vocab=8192, dim=320, layers=8, heads=5, kv_heads=5, ff=864, qk_norm=True),
    "20m": Shape(vocab=8192, dim=384, layers=10, heads=6, kv_heads=6, ff=1024, qk_norm=True),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A training run. It is written into each checkpoint; a run may be resumed with other minutes,
    batch or rates, but not with another size."""

    size: str = "2m"
    minutes: float = 66.0
    length: int = 288  # tokens an example
    batch: int = 12  # examples a step
    matrix_rate: float = 4e-3  # Muon's, for the matrices of the blocks
    other_rate: float = 3e-3  # AdamW's, for embeddings and norms
    decay: float = 0.3  # the share of the run in which the rates fall to zero
    seed: int = 0


USUAL = Plan()


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    console = Console(stderr=True)
    plan = Plan(options.size, options.minutes, batch=options.batch, seed=options.seed)
    work: Path = options.work
    try:
        work.mkdir(parents=True, exist_ok=True)
        tokens = prepare(plan, work, options.exclude, options.limit_files, console)
        run(plan, tokens, work, options.device, console)
        if not options.no_export:
            write_model(options.out, work)
            console.print(f"wrote {options.out}")
    except OSError as error:
        console.print(f"[red]training stopped:[/red] {error}. What was done lies in {work}.")
        return 1
    except TrainingError as error:
        console.print(f"[red]training stopped:[/red] {error}")
        return 1
    return 0


class TrainingError(Exception):
    """The run cannot go on; the message says why and what to do."""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="infill-lsp train",
        description="Train the bundled model anew from the Python source on this machine. "
        "A run that was stopped goes on from its last checkpoint.",
    )
    made.add_argument("--size", choices=SIZES, default=USUAL.size)
    made.add_argument("--minutes", type=float, default=USUAL.minutes, help="time spent on steps")
    made.add_argument("--batch", type=int, default=USUAL.batch, help="examples a step")
    made.add_argument("--seed", type=int, default=USUAL.seed)
    made.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    made.add_argument("--work", type=Path, default=Path("training"), help="checkpoints, token ids")
    made.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "bundled", help="the finished model"
    )
    made.add_argument(
        "--exclude", type=Path, action="append", default=[], metavar="SUITE.jsonl[.gz]",
        help="an evaluation suite: files that share 13 words in a row with it are left out",
    )  # fmt: skip
    made.add_argument("--limit-files", type=int, default=0, help="a small corpus, for a rehearsal")
    made.add_argument("--no-export", action="store_true", help="leave the finished model alone")
    return made


def prepare(
    plan: Plan, work: Path, exclude: Sequence[Path], limit: int, console: Console
) -> Tokens:
    """Makes `tokenizer.json`, `train.npy`, `heldout.npy` and `corpus.json`, if not there."""
    vocab = SIZES[plan.size].vocab
    facts_path = work / "corpus.json"
    if facts_path.exists():
        facts = json.loads(facts_path.read_text())
        if facts["vocab"] != vocab:
            raise TrainingError(
                f"{work} holds a corpus for a vocabulary of {facts['vocab']} tokens, size "
                f"{plan.size} needs {vocab}; name another --work or delete that folder"
            )
        return Tokens.from_file(work / "tokenizer.json")
    console.print("reading the corpus …")
    sources: list[Source] = []
    for source in corpus(exclude):
        sources.append(source)
        if limit and len(sources) >= limit:
            break
    learnt = [source for source in sources if not source.held_out]
    if not learnt:
        raise TrainingError("no Python source was found to learn from")
    console.print(f"{len(sources):,} files; learning the vocabulary …")
    tokens = train_tokens((s.text for s in learnt[::3]), vocab)  # a third says as much as all
    tokens.tokenizer.save(str(work / "tokenizer.json"))
    rng = np.random.default_rng(plan.seed)
    rng.shuffle(learnt)  # type: ignore[arg-type]  # numpy shuffles any mutable sequence
    counts: dict[str, int] = {}
    for name, part in (("train", learnt), ("heldout", [s for s in sources if s.held_out])):
        row = np.concatenate([ids for s in part for ids in [ids_of(tokens, s.text)]] or [[EOS]])
        np.save(work / f"{name}.npy", row.astype(np.uint16))
        counts[name] = len(row)
    packages: dict[str, int] = {}
    for source in learnt:
        packages[source.package] = packages.get(source.package, 0) + len(source.text)
    write_json(
        facts_path,
        {
            "vocab": vocab,
            "files": len(sources),
            "characters": sum(packages.values()),
            "tokens": counts,
            "excluded_suites": [path.name for path in exclude],
            "packages": dict(sorted(packages.items(), key=lambda item: -item[1])),
        },
    )
    return tokens


def ids_of(tokens: Tokens, text: str) -> np.ndarray:
    return np.array([BOS, *tokens.encode(text), EOS], np.uint16)


def run(plan: Plan, tokens: Tokens, work: Path, device: str, console: Console) -> None:
    """Trains until the plan's minutes are spent, from the last checkpoint if there is one."""
    torch.manual_seed(plan.seed)
    shape = dataclasses.replace(SIZES[plan.size], vocab=len(tokens))
    network = Network(shape).to(device)
    optimisers = optimisers_for(network, plan)
    state = resume(network, optimisers, work, device)
    examples = Examples(tokens, plan.length)
    batches = iter(loader(Batches(work / "train.npy", examples, plan), state["step"], device))
    exam = Exam(examples, np.load(work / "heldout.npy"), device)
    forward = torch.compile(network) if device == "cuda" else network
    stop = Stop()
    budget = plan.minutes * 60
    last_saved = last_log = time.monotonic()
    losses: list[float] = []
    with progress_bar(console) as bar:
        task = bar.add_task("training", total=budget, completed=state["seconds"], note="")
        while state["seconds"] < budget and not stop:
            began = time.monotonic()
            ids, labels = next(batches)
            set_rates(optimisers, rate_at(state["seconds"] / budget, state["step"], plan))
            losses.append(step(forward, optimisers, ids, labels, device))
            state["step"] += 1
            state["tokens"] += ids.numel()
            state["seconds"] += time.monotonic() - began
            if time.monotonic() - last_log > 60 or state["seconds"] >= budget:
                last_log = time.monotonic()
                state["log"].append(
                    {
                        "step": state["step"],
                        "tokens": state["tokens"],
                        "seconds": round(state["seconds"]),
                        "loss": float(np.mean(losses)),
                        **exam.marks(network),
                    }
                )
                losses.clear()
            if time.monotonic() - last_saved > 180:
                last_saved = time.monotonic()
                save(plan, shape, network, optimisers, state, work)
            shown = state["log"][-1] if state["log"] else {"loss": losses[-1]}
            bar.update(
                task,
                completed=state["seconds"],
                note=f"step {state['step']:,}  loss {shown['loss']:.3f}  "
                f"{state['tokens'] / max(state['seconds'], 1):,.0f} tokens/s",
            )
    save(plan, shape, network, optimisers, state, work)
    if stop:
        raise TrainingError(f"asked to stop; the same command goes on from {work}")


def step(
    network: Any,
    optimisers: Sequence[torch.optim.Optimizer],
    ids: torch.Tensor,
    labels: torch.Tensor,
    device: str,
) -> float:
    """One optimiser step over a batch; the loss is the mean over all labelled positions."""
    rows = torch.nonzero(labels.flatten() != IGNORED).flatten()
    wanted = labels.flatten()[rows].to(device)
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        logits = network(ids.to(device), rows=rows.to(device))
    loss = functional.cross_entropy(logits.float(), wanted)
    loss.backward()
    for optimiser in optimisers:
        torch.nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return float(loss.detach())


def optimisers_for(network: Network, plan: Plan) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside the blocks, AdamW for embeddings and norms (Jordan 2024)."""
    matrices = [p for n, p in network.named_parameters() if p.dim() == 2 and ".layers." in n]
    inside = set(map(id, matrices))
    others = [p for p in network.parameters() if id(p) not in inside]
    return (
        Muon(matrices, lr=plan.matrix_rate, weight_decay=0.05),
        torch.optim.AdamW(others, lr=plan.other_rate, betas=(0.9, 0.95), weight_decay=0.0),
    )


def rate_at(share: float, step: int, plan: Plan) -> float:
    """The learning rates' factor: 100 steps of warm-up, flat, then a linear fall to zero."""
    return min(1.0, (step + 1) / 100, max(0.0, 1 - share) / plan.decay)


def set_rates(optimisers: Sequence[torch.optim.Optimizer], factor: float) -> None:
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group.setdefault("full_rate", group["lr"])
            group["lr"] = group["full_rate"] * factor


class Batches(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """The batch of each step: (ids, labels). The same step draws the same, whoever draws it."""

    def __init__(self, path: Path, examples: Examples, plan: Plan) -> None:
        self.path = path
        self.examples = examples
        self.plan = plan

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        row = np.load(self.path, mmap_mode="r")
        rng = np.random.default_rng((self.plan.seed, index))
        ids, labels = self.examples.draw(row, self.plan.batch, rng)
        return torch.from_numpy(ids), torch.from_numpy(labels)


def loader(
    batches: Batches, first: int, device: str
) -> DataLoader[tuple[torch.Tensor, torch.Tensor]]:
    """Batches from step `first` on; beside a GPU they are drawn by processes of their own."""
    workers = max(1, (os.cpu_count() or 2) - 2) if device == "cuda" else 0
    return DataLoader(batches, batch_size=None, sampler=count(first), num_workers=workers)  # type: ignore[arg-type]  # any iterable will do


class Exam:
    """The same held-out examples at every look: loss, and how often masks are guessed right."""

    def __init__(self, examples: Examples, row: np.ndarray, device: str) -> None:
        self.device = device
        if len(row) <= examples.length + SPARE:  # a rehearsal's corpus may hold no held-out package
            self.ids = self.labels = None
            return
        drawn = examples.draw(row, 64, np.random.default_rng(1234))
        self.ids, self.labels = (torch.from_numpy(part).to(device) for part in drawn)

    @torch.inference_mode()
    def marks(self, network: Network) -> dict[str, float]:
        if self.ids is None or self.labels is None:
            return {}
        rows = torch.nonzero(self.labels.flatten() != IGNORED).flatten()
        logits = torch.cat(list(self.logits(network, rows)))
        wanted = self.labels.flatten()[rows]
        right = logits.argmax(-1) == wanted
        content = wanted > DELETE
        return {
            "heldout_loss": float(functional.cross_entropy(logits.float(), wanted)),
            "heldout_right": float(right[content].float().mean()),
            "heldout_length_right": float(right[~content].float().mean()),
        }

    def logits(self, network: Network, rows: torch.Tensor) -> Iterator[torch.Tensor]:
        assert self.ids is not None
        length = self.ids.shape[1]
        for start in range(0, len(self.ids), 16):
            low, high = start * length, (start + 16) * length
            yield network(
                self.ids[start : start + 16], rows=rows[(rows >= low) & (rows < high)] - low
            )


def resume(
    network: Network,
    optimisers: Sequence[torch.optim.Optimizer],
    work: Path,
    device: str,
) -> dict[str, Any]:
    """Loads the last checkpoint into network and optimisers; a fresh state if there is none."""
    path = work / "checkpoint.pt"
    if not path.exists():
        return {"step": 0, "tokens": 0, "seconds": 0.0, "log": []}
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
        network.load_state_dict(saved["network"])
        for optimiser, kept in zip(optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise TrainingError(
            f"{path} cannot be resumed ({error}); delete it to begin anew"
        ) from error
    state: dict[str, Any] = saved["state"]
    return state


def save(
    plan: Plan,
    shape: Shape,
    network: Network,
    optimisers: Sequence[torch.optim.Optimizer],
    state: dict[str, Any],
    work: Path,
) -> None:
    """Writes the checkpoint beside the old one, then puts it in its place: never half of one."""
    new = work / "checkpoint.pt.new"
    torch.save(
        {
            "plan": dataclasses.asdict(plan),
            "shape": dataclasses.asdict(shape),
            "network": network.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in optimisers],
            "state": state,
        },
        new,
    )
    os.replace(new, work / "checkpoint.pt")
    write_json(work / "log.json", state["log"])


class Stop:
    """True once Ctrl-C or a termination was asked for: the step ends, the checkpoint is written."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.ask)

    def ask(self, *_: object) -> None:
        self.asked = True

    def __bool__(self) -> bool:
        return self.asked


def progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")
