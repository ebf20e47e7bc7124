"""How fast DiffusionGemma's published shape is on this GPU: to bench/RESULTS.md.

    python bench/gpu_gemma.py [--repeats N] [--dry]

Random weights, made on the device layer by layer: no speed depends on what they are, but that a
router that was trained may prefer some experts. A prompt of 2,048 tokens, a canvas of 256 with a
hole of 64 and the rest clamped, by our own loop with graphs captured; never done early, so that
every fill has all its steps. Beside it reads and writes the same backbone from left to right, a
token a pass, with keys and values kept and the pass captured: what one would have without
diffusion. Then the experts in a byte and in four bits, the latter in a process that is given no
more than 24 GB of the device. What does not fit is skipped, and the reason told. `--dry` runs all
of it on a CPU in a tiny shape, to see that it runs; its times mean nothing and are not kept.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch and transformers are only partly typed.

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import cast

import torch
from device import copy_speed, machine, peak, seconds, wait
from record import ROOT, append, table
from torch import nn

sys.path.insert(0, str(ROOT))

from gemma_random import Trial, published, random_experts, random_model, tiny
from left_to_right import Reader

from model.gemma.decode import NOISE, Decoding, Row
from model.gemma.desk import Desk
from model.gemma.experts import KINDS, WAYS, NarrowExperts, best_way
from model.gemma.footprint import dense_parameters, footprint
from model.gemma.history import History
from model.gemma.network import Network
from model.gemma.sampler import Policy
from model.static import captured

LIMIT = 24_000_000_000  # bytes of the device that the four-bit network may have
TYPED = 8  # tokens that a keystroke adds to the prompt, before a fill begins
WIDE = 2  # bytes of a bfloat16
TILES = ((32, 3), (32, 5), (64, 5), (128, 3), (128, 5))  # outputs and stages of the fused kernel
# Never stable for long enough, never sure enough: all steps are taken.
POLICY = Policy(stability=1, confidence=0.0, doubt=0.0)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=10, help="fills of each kind")
    parser.add_argument("--dry", action="store_true", help="a tiny shape on the CPU")
    options = parser.parse_args(arguments)
    if not options.dry and not torch.cuda.is_available():
        sys.exit("there is no CUDA device here; --dry tries everything on the CPU")
    if options.dry:
        print("\n".join(measured(tiny())))
    else:
        lines = measured(published(options.repeats))
        append("DiffusionGemma on a GPU", "python bench/gpu_gemma.py", lines)
    return 0


@torch.inference_mode()
def measured(trial: Trial) -> list[str]:
    speed = copy_speed(trial.device)
    lines = [f"{machine(trial.device)}; a copy reads and writes {speed / 1e9:.0f} GB/s.", ""]
    lines += table(experts_alone(trial, speed))
    lines += ["", *whole(trial, speed)]
    for kind in reversed(KINDS):
        lines += ["", *narrow(trial, kind, speed)]
    return lines


# One layer's experts


def experts_alone(trial: Trial, speed: float) -> Iterator[dict[str, object]]:
    """All ways to multiply them, for the tokens of a canvas that chance sends to experts."""
    config = trial.config
    wide = random_experts(config, trial)
    states = torch.randn(trial.canvas, config.hidden_size, device=trial.device, dtype=trial.dtype)
    chances = torch.rand(trial.canvas, config.num_experts, device=trial.device)
    index = chances.topk(config.top_k_experts).indices
    weights = torch.full(index.shape, 1 / config.top_k_experts, device=trial.device)

    def timed(name: str, experts: nn.Module, held: int) -> dict[str, object]:
        floor = 1000 * held / speed
        try:
            called = partial(experts, states, index, weights)
            called()
            # The eager ones wait for the device, which cannot be captured.
            work = called if "eager" in name else replayed(called, trial.device)
        except Exception as error:  # whatever a kernel raises that has never run here
            name = f"{name}: {reason_of(error)}"
            return {"experts of a layer": name, "ms": "–", "ms to read them": "–"}
        took = 1000 * seconds(work, trial.device)
        return {"experts of a layer": name, "ms": f"{took:.2f}", "ms to read them": f"{floor:.2f}"}

    held = sum(it.nbytes for it in wide.parameters())
    for way in ("eager", "batched_mm", "grouped_mm"):
        config._experts_implementation = way
        yield timed(f"bfloat16, {way} of transformers", wide, held)
    for kind in KINDS:
        small = NarrowExperts(wide, kind)
        for name, its in wide.named_parameters():
            small.take(name, its.detach(), trial.device)
        held = sum(it.nbytes for it in small.buffers())
        for way in WAYS:
            if way != "scaled" or kind == "float8":
                small.way = way
                yield timed(f"{kind}, {way}", small, held)
        small.way = "fused"
        for name in other_tiles():
            yield timed(f"{kind}, fused, {name}", small, held)


def other_tiles() -> Iterator[str]:
    """Sets the kernel's tiles to others than it is shipped with, one after another, and back."""
    if find_spec("triton") is None:
        return
    from model.gemma import fused

    shipped = fused.OUTPUTS, fused.STAGES
    for outputs, stages in TILES:
        fused.OUTPUTS, fused.STAGES = outputs, stages
        yield f"{outputs} outputs in {stages} stages"
    fused.OUTPUTS, fused.STAGES = shipped


def reason_of(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0][:90]


def replayed(work: Callable[[], object], device: str) -> Callable[[], object]:
    """The work as a graph, where there are graphs."""
    if device != "cuda":
        return work
    graph = captured(cast("Callable[[], None]", work), torch.cuda.graph_pool_handle())
    return graph.replay


# The network


def whole(trial: Trial, speed: float) -> list[str]:
    """In bfloat16: steps and fills, and beside them from left to right."""
    if reason := too_large(trial, "bfloat16"):
        return [reason]
    with cleared(trial):
        network = Network(random_model(trial), experts="grouped_mm")
        rows = list(steps(trial, network, "bfloat16", speed))
        lines = table(rows)
        lines += ["", *table(beside_left_to_right(trial, network))]
        return [*lines, "", f"Peak: {peak(trial.device)}."]


def narrow(trial: Trial, kind: str, speed: float) -> list[str]:
    """With narrow experts; int4 within `LIMIT`, which the allocator then enforces."""
    if reason := too_large(trial, kind):
        return [reason]
    with cleared(trial, LIMIT if kind == "int4" else None):
        network = Network(random_model(trial, kind))
        loaded = peak(trial.device)
        way = best_way(kind, torch.device(trial.device))
        try:
            lines = table(steps(trial, network, kind, speed))
        except Exception as error:  # as above; the way that is always right is worth its numbers
            lines = [f"{kind}, {way}: {reason_of(error)}", ""]
            way = "widened"
            for module in network.model.modules():
                if isinstance(module, NarrowExperts):
                    module.way = way
            lines += table(steps(trial, network, kind, speed))
        limit = f" of {LIMIT / 1e9:.0f} GB that it was given" if kind == "int4" else ""
        told = f"{kind}, {way}: peak {loaded} while loading, {peak(trial.device)} in all{limit}."
        return [*lines, "", told]


def too_large(trial: Trial, kind: str) -> str:
    if trial.device != "cuda":
        return ""
    free, _ = torch.cuda.mem_get_info()
    needed = footprint(trial.config, kind, prompt=trial.prompt, canvas=4 * trial.canvas).total
    if needed <= free:
        return ""
    return f"{kind} is skipped: it needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free here."


@contextmanager
def cleared(trial: Trial, limit: int | None = None) -> Iterator[None]:
    """Nothing of the work before on the device, and no more of it than the limit says."""
    gc.collect()
    if trial.device != "cuda":
        yield
        return
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    free, total = torch.cuda.mem_get_info()
    beside = total - free - torch.cuda.memory_reserved()  # what CUDA itself has taken
    torch.cuda.set_per_process_memory_fraction((min(limit or total, total) - beside) / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


# Steps, fills, and from left to right


def steps(trial: Trial, network: Network, kind: str, speed: float) -> Iterator[dict[str, object]]:
    """Of one to four candidates; a fill is what a keystroke waits for: a few tokens more in the
    prompt, a new canvas, and its steps."""
    desk = Desk(network, capture=trial.device == "cuda")
    history = network.history()
    prompt = tokens(trial, trial.prompt)
    began = time.perf_counter()
    network.encode(history, prompt)
    wait(trial.device)
    reading = 1000 * (time.perf_counter() - began)
    floor = 1000 * bytes_of_step(trial, kind) / speed
    for count in (1, 2, 4):
        rows = [hole_of(trial, number) for number in range(count)]
        try:
            eight, each = fills(trial, desk, history, prompt, rows, 8)
            sixteen, more = fills(trial, desk, history, prompt, rows, 16)
        except torch.OutOfMemoryError:
            yield {"canvases": f"{count}: no memory for them", **dict.fromkeys(HEADS, "–")}
            continue
        step = median(each + more)
        values = (f"{step:.2f}", f"{floor:.2f}", f"{step / floor:.2f}", f"{eight:.0f}",
                  f"{sixteen:.0f}", f"{reading:.0f}")  # fmt: skip
        yield {"canvases": count, **dict(zip(HEADS, values, strict=True))}
    desk.forget()


HEADS = ("step ms", "ms to read the weights", "times that", "fill of 8 steps ms",
         "of 16 steps ms", "prompt ms")  # fmt: skip


def bytes_of_step(trial: Trial, kind: str) -> int:
    """All weights once, the embedding twice: for the head, and for what the network is told of its
    last step. A canvas reaches all experts, where they are as evenly chosen as here."""
    config = trial.config
    held = footprint(config, kind).experts * trial.dtype.itemsize // WIDE
    embedding = config.vocab_size * config.hidden_size
    return held + trial.dtype.itemsize * (dense_parameters(config) + embedding)


def fills(
    trial: Trial, desk: Desk, history: History, prompt: list[int], rows: list[Row], count: int
) -> tuple[float, list[float]]:
    """Milliseconds of a fill at the median, and of all its steps; one before them captures."""
    policy = replace(POLICY, steps=count)
    whole: list[float] = []
    steps: list[float] = []
    for number in range(trial.repeats + 1):
        history.cut(len(prompt) - TYPED)
        wait(trial.device)
        began = time.perf_counter()
        desk.network.encode(history, prompt[-TYPED:])
        decoding = Decoding(desk, history, rows, policy)
        taken: list[float] = []
        for _ in range(count):
            since = time.perf_counter()
            next(decoding)
            taken.append(1000 * (time.perf_counter() - since))
        if number:
            whole.append(1000 * (time.perf_counter() - began))
            steps += taken[1:]  # the first waits for what came before it, too
    return median(whole), steps


def hole_of(trial: Trial, seed: int, hole: int | None = None) -> Row:
    """A canvas that begins with the last tokens of the prefix and ends with the suffix."""
    length = trial.hole if hole is None else hole
    start = min(TYPED, trial.canvas - length)
    ids = tokens(trial, trial.canvas)
    ids[start : start + length] = [NOISE] * length
    return Row(tuple(ids), (range(start, start + length),), seed=seed)


def tokens(trial: Trial, count: int) -> list[int]:
    chance = torch.Generator().manual_seed(count)
    return torch.randint(trial.shape["vocab_size"], (count,), generator=chance).tolist()


def beside_left_to_right(trial: Trial, network: Network) -> Iterator[dict[str, object]]:
    """A canvas that is all hole, its text then read into the history, against as many tokens one
    by one with the faster of transformers' kernels for a single token."""
    history = network.history()
    network.encode(history, tokens(trial, trial.prompt))
    baseline = {
        way: left_to_right(trial, network, history, way) for way in ("grouped_mm", "batched_mm")
    }
    network.model.set_experts_implementation("grouped_mm")
    slowest = min(baseline.values())
    for way, took in baseline.items():
        yield row_of(f"from left to right, {way}", trial.canvas, took, slowest)
    desk = Desk(network, capture=trial.device == "cuda")
    for count in (8, 16, 32):
        rows = [hole_of(trial, 0, trial.canvas)]
        taken: list[float] = []
        for number in range(trial.repeats + 1):
            history.cut(trial.prompt)
            wait(trial.device)
            began = time.perf_counter()
            *_, last = Decoding(desk, history, rows, replace(POLICY, steps=count))
            network.encode(history, last.rows[0].ids)
            wait(trial.device)
            taken += [time.perf_counter() - began] if number else []
        yield row_of(f"canvas, {count} steps", trial.canvas, median(taken), slowest)
    history.cut(trial.prompt)
    desk.forget()


def row_of(name: str, count: int, took: float, other: float) -> dict[str, object]:
    return {
        "a canvas of text": name, "ms": f"{1000 * took:.0f}",
        "tokens a second": f"{count / took:.0f}", "times as fast": f"{other / took:.2f}",
    }  # fmt: skip


def left_to_right(trial: Trial, network: Network, history: History, way: str) -> float:
    """Seconds for a canvas of tokens; the device is waited for only at the end."""
    network.model.set_experts_implementation(way)
    reader = Reader(network, history, trial.canvas)
    work = replayed(reader.step, trial.device)

    def all_of_them() -> None:
        reader.begin()
        for _ in range(trial.canvas):
            work()

    return seconds(all_of_them, trial.device, times=min(3, trial.repeats))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
