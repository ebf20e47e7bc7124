"""`infill-lsp train`: what it takes, and the stages of a training that it asks for.

They are four, each kept in the work folder and taken up where it was left: the corpus as token ids,
the network's checkpoints, the finished folder of weights, curves and card, and the counts beside
the weights. No stage's work is done here.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from model.load import BUNDLED, place_of
from model.published.keys import with_keys
from model.training.blending import add_blend, add_evidence
from model.training.checkpoint import CheckpointError
from model.training.corpus import gathered, places_in, with_sources, write_corpus
from model.training.examples import Mix
from model.training.report import write_model
from model.training.rows import prepare
from model.training.sources import CorpusError
from model.training.train import PLANS, SIZES, Plan, Run, TrainingError

TOLD = ("minutes", "tokens", "length", "batch", "optimiser", "matrix_rate", "other_rate", "seed",
        "twin")  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    began = time.monotonic()
    options = parser().parse_args(arguments)
    console = Console(stderr=True)
    plan = plan_of(options)
    work: Path = options.work
    try:
        work.mkdir(parents=True, exist_ok=True)
        if options.counts_for:
            corpus = options.corpus or work / "corpus.jsonl"
            place = place_of(options.counts_for, options.model_keys)
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
    made.add_argument("--mix", nargs="+", type=share_of_mix, metavar="NAME=SHARE",
                      help="how examples are made, where not by `Mix` in examples.py")  # fmt: skip
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
    with_keys(made)
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
