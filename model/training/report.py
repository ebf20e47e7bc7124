"""From a training run's work folder to a finished model: weights, config, curves and card.

And back: a folder that was written here holds enough to go on with its run elsewhere.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from model.training.checkpoint import CheckpointError, last_saved
from model.training.sources import pins

SHARD_BYTES = 15_000_000  # a shard must pass where files of 16 MB do not
LONGEST_LINE = 32  # tokens of an example that are not the hole's surroundings

DIFFUSION = "masked text-diffusion model"

Log = list[dict[str, float]]


def write_model(out: Path, work: Path, console: Console) -> None:
    """Writes the last checkpoint as a model folder; the old one stays until all is done."""
    saved = last_saved(work, console)
    if saved is None:
        raise CheckpointError(f"{work} holds no checkpoint yet: there is no model to write")
    facts = json.loads((work / "corpus.json").read_text())
    new, old = (out.with_name(out.name + ending) for ending in (".new", ".old"))
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        shards = write_shards(new, saved)
        parameters = sum(t.numel() for t in distinct(saved).values())
        config = config_from(saved, facts, shards)
        (new / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        shutil.copyfile(work / "tokenizer.json", new / "tokenizer.json")
        plot_curves(saved["state"]["log"], new / "curves.png")
        (new / "README.md").write_text(card_text(config, saved, facts, parameters))
    except (OSError, SafetensorError) as error:
        shutil.rmtree(new, ignore_errors=True)
        raise OSError(f"{out} was not written, what was there is as before ({error})") from error
    if out.exists():
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
    new.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def read_model(folder: Path) -> dict[str, Any]:
    """What `write_model` wrote, as a checkpoint without optimisers. The weights are those of the
    run rounded to bfloat16."""
    try:
        config = json.loads((folder / "config.json").read_text())
        weights: dict[str, torch.Tensor] = {}
        for name, digest in config["shards"].items():
            data = (folder / name).read_bytes()
            if hashlib.sha256(data).hexdigest() != digest:
                raise ValueError(f"{name} is damaged; copy it anew")
            weights |= {key: tensor.float() for key, tensor in load(data).items()}
        if config["shape"]["tied"]:
            weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
        return {"shape": config["shape"], "network": weights, **config["training"]}
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"no run can go on from {folder}: {error!r}") from error


def distinct(saved: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The weights, without the head where it is the embedding once more."""
    weights: dict[str, torch.Tensor] = saved["network"]
    return {
        name: tensor
        for name, tensor in weights.items()
        if not (saved["shape"]["tied"] and name == "lm_head.weight")
    }


def write_shards(folder: Path, saved: dict[str, Any]) -> dict[str, str]:
    """bfloat16 safetensors of bounded size; returns their sha256 by file name."""
    shards: list[dict[str, torch.Tensor]] = [{}]
    size = 0
    for name, tensor in distinct(saved).items():
        half = tensor.to(torch.bfloat16).contiguous()
        if size + half.nbytes > SHARD_BYTES and shards[-1]:
            shards.append({})
            size = 0
        shards[-1][name] = half
        size += half.nbytes
    digests: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        path = folder / f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, path)
        path.chmod(0o644)  # safetensors makes it readable by its maker alone
        digests[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests


def config_from(
    saved: dict[str, Any], facts: dict[str, Any], shards: dict[str, str]
) -> dict[str, Any]:
    causal = saved["shape"].get("causal", False)
    context = saved["plan"]["length"] - LONGEST_LINE
    a_token = facts["characters"] / facts["tokens"]["train"]  # characters
    return {
        "name": f"infill-python-{saved['plan']['size']}{'-twin' if causal else ''}",
        "family": "twin" if causal else "masked",
        "shape": saved["shape"],
        "start": {"line": 16, "block": 48, "context": context},
        "policy": {"threshold": 0.9, "cut": 0.6, "block": 32},
        "context_chars": int(context * a_token),
        "hole_limit": 96,
        "languages": ["python"],
        "shards": shards,
        "training": {"plan": saved["plan"], "state": saved["state"]},  # for `train --from`
    }


def plot_curves(log: Log, path: Path) -> None:
    """Loss, and the share of masks guessed right, over training tokens."""
    mpl.use("agg")
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    millions = [row["tokens"] / 1e6 for row in log]
    curves = (
        (left, "loss", "training"),
        (left, "heldout_loss", "held-out packages"),
        (right, "heldout_right", "content tokens"),
        (right, "heldout_length_right", "length tokens"),
    )
    for axes, key, label in curves:
        if log and key in log[-1]:
            axes.plot(millions, [row.get(key, math.nan) for row in log], label=label)
    left.set(xlabel="million tokens", ylabel="nats a labelled position")
    right.set(xlabel="million tokens", ylabel="share guessed right, held-out", ylim=(0, 1))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    figure.savefig(path, dpi=110)


def card_text(
    config: dict[str, Any], saved: dict[str, Any], facts: dict[str, Any], parameters: int
) -> str:
    state, plan, shape = saved["state"], saved["plan"], saved["shape"]
    embedding = shape["vocab"] * shape["dim"]
    last = state["log"][-1] if state["log"] else {}
    measured = "".join(
        f"| {label} | {last[key]:.3f} |\n"
        for key, label in (
            ("heldout_loss", "loss on held-out packages, nats a labelled position"),
            ("heldout_right", "content tokens guessed right, held-out"),
            ("heldout_length_right", "length tokens guessed right, held-out"),
            ("heldout_nats_a_byte", "nats a byte of masked content, held-out"),
        )
        if key in last
    )
    kind = "left-to-right twin of a diffusion model" if config["family"] == "twin" else DIFFUSION
    suites = ", ".join(facts["excluded_suites"]) or "none was named"
    held_out = ", ".join(sorted(pins().held_out))
    tokens = facts["tokens"]
    ended = "" if finished(saved) else " (the run was not at its end: the rates had not fallen)"
    return f"""# {config["name"]}

A small {kind} of Python source, made to fill holes between two texts.

| | |
|---|---|
| parameters | {parameters / 1e6:.2f} M, of which {embedding / 1e6:.2f} M embedding |
| shape | {shape["layers"]} blocks of width {shape["dim"]}, {shape["heads"]} heads |
| vocabulary | {shape["vocab"]} tokens |
| context | {config["start"]["context"]} tokens around the hole |
| trained | {state["step"]:,} steps, {state["tokens"] / 1e6:.1f} M tokens{ended} |
| time spent on steps | {state["seconds"] / 60:.0f} minutes on {state["machine"]} |
| length of an example | {plan["length"]} tokens, {plan["batch"]} a step |
{measured}
![training curves](curves.png)

## Data

{facts["characters"] / 1e6:.0f} million characters of Python in {facts["files"]:,} files under
permissive licences, without near-copies: the standard library, the project's own dependencies and
downloaded packages, as `model/training/packages.toml` pins them. They made
{tokens["train"] / 1e6:.1f} M tokens, {tokens["round"] / 1e6:.1f} M with the small packages that are
read several times a round.
Not learnt from, to measure on: {held_out}. Evaluation suites kept out by content (no shared run of
13 words): {suites}.

{licences_told(facts)}

## Limits

It is very small and was trained for very little time; it knows Python only, and in the manner of
the packages above. Do not expect it to write logic. The weights are under the project's licence,
Apache-2.0; they can be made anew with
`{command_for(plan)}`.
"""


def finished(saved: dict[str, Any]) -> bool:
    """Whether the rates have fallen to zero, by the plan or by `--finish`."""
    state = saved["state"]
    ending = state.get("ending")
    if ending:
        return state["seconds"] >= ending["stop"]
    plan = saved["plan"]
    if plan.get("tokens"):
        return state["tokens"] >= plan["tokens"]
    return state["seconds"] >= plan["minutes"] * 60


def command_for(plan: dict[str, Any]) -> str:
    """What makes such a model again; what is usual is left out."""
    unit = "tokens" if plan.get("tokens") else "minutes"
    mix = "".join(f" {name}={share:g}" for name, share in plan.get("mix", {}).items())
    return (
        f"infill-lsp train --size {plan['size']} --{unit} {plan[unit]:g} --batch {plan['batch']} "
        f"--length {plan['length']} --optimiser {plan.get('optimiser', 'muon')} "
        f"--matrix-rate {plan['matrix_rate']:g} --other-rate {plan['other_rate']:g}"
        f"{' --mix' + mix if mix else ''}{' --twin' if plan.get('twin') else ''}"
    )


def licences_told(facts: dict[str, Any]) -> str:
    """A table: each licence, and the packages under it with the most text first."""
    under: dict[str, list[str]] = {}
    for package, licence in facts["licences"].items():
        under.setdefault(licence, []).append(package)
    rows = [f"| {licence} | {', '.join(names)} |" for licence, names in under.items()]
    return "\n".join(["| licence | packages |", "|---|---|", *rows])
