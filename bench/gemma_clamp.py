"""What clamping is worth where it is everything: canvases that say one word three times.

    python bench/gemma_clamp.py [--steps N] [--words N] [--seeds N] [--dry]

A tiny DiffusionGemma of transformers' modules is trained for a minute or two on one core, as the
published one was: each canvas with noise over the whole vocabulary, as much of it as chance will,
and in every other step told what it said before. A word is random, so whoever does not see it can
only guess. Then the first of the three is a hole, and our own loop refines it: with the other two
clamped; with them only to start with, as transformers' `generate(decoder_input_ids=...)` has it;
and with nothing but noise. Prints a table, draws bench/figures/gemma-clamp.png and keeps the
weights of the first seed, with which tests/test_gemma_clamp.py decodes. `--dry` keeps nothing.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch, transformers and matplotlib are only partly typed.

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from record import ROOT, table
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers.models.diffusion_gemma import (
    DiffusionGemmaConfig,
    DiffusionGemmaForBlockDiffusion,
    DiffusionGemmaTextConfig,
)
from transformers.models.gemma4.configuration_gemma4 import Gemma4VisionConfig

sys.path.insert(0, str(ROOT))

from model.gemma.decode import NOISE, Decoding, Row
from model.gemma.desk import Desk
from model.gemma.network import Network
from model.gemma.sampler import Policy

WEIGHTS = ROOT / "bench" / "gemma-clamp.safetensors"
FIGURE = ROOT / "bench" / "figures" / "gemma-clamp.png"
SYMBOLS, SPECIALS = 20, 4  # specials are noise, too, and never right
VOCABULARY = SPECIALS + SYMBOLS
WORD, TIMES, PROMPT = 8, 3, 12  # tokens
CANVAS = WORD * TIMES
TOGETHER = 25  # words refined in one batch
WAYS = ("clamped", "only to start with", "noise alone")
BUDGETS = (1, 2, 4, 8, 16, 32)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=800, help="of training")
    parser.add_argument("--words", type=int, default=500, help="to recover, for each number")
    parser.add_argument("--seeds", type=int, default=3, help="networks trained")
    parser.add_argument("--dry", action="store_true", help="two steps and few words")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.dry:
        options.steps, options.words, options.seeds = 2, 4, 1
    found: dict[tuple[str, int], list[float]] = {}
    for seed in range(options.seeds):
        model = network_of(seed)
        began = time.perf_counter()
        for step, loss in enumerate(training(model, options.steps, seed), 1):
            if step % 100 == 0:
                print(f"seed {seed}: {step} steps, {loss:.3f} nats", file=sys.stderr)
        print(f"seed {seed}: trained in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        if seed == 0 and not options.dry:
            save(model)
        for way in WAYS:
            for budget in BUDGETS:
                share = recovered(model, way, budget, options.words)
                found.setdefault((way, budget), []).append(share)
    rows = [
        {
            "the other two words": way,
            **{f"{n} passes" if n > 1 else "1 pass": told(found[way, n]) for n in BUDGETS},
        }
        for way in WAYS
    ]
    print("\n".join(table(rows)))
    if not options.dry:
        mpl.use("agg")
        figure_of(found).savefig(FIGURE, dpi=120)
        print(FIGURE)
    return 0


def told(shares: Sequence[float]) -> str:
    """The mean over the networks, and the worst where it is another one."""
    mean, worst = f"{fmean(shares):.1%}", f"{min(shares):.1%}"
    return mean if mean == worst else f"{mean} ({worst})"


def network_of(seed: int) -> DiffusionGemmaForBlockDiffusion:
    """Random weights; a sliding layer whose window is passed, and a full one."""
    text = DiffusionGemmaTextConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=64, num_hidden_layers=2,
        layer_types=["sliding_attention", "full_attention"], num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, global_head_dim=32, num_global_key_value_heads=1,
        sliding_window=8, num_experts=4, top_k_experts=2, moe_intermediate_size=32,
        max_position_embeddings=128, use_bidirectional_attention="vision", initializer_range=0.1,
    )  # type: ignore[call-arg]  # fmt: skip
    vision = Gemma4VisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, head_dim=8,
    )  # fmt: skip
    torch.manual_seed(seed)
    return DiffusionGemmaForBlockDiffusion(
        DiffusionGemmaConfig(
            text_config=text, vision_config=vision, canvas_length=CANVAS, initializer_range=0.1,
            image_token_id=3, boi_token_id=2, eoi_token_id=1,
        )
    )  # fmt: skip


def training(
    model: DiffusionGemmaForBlockDiffusion, steps: int, seed: int, batch: int = 64
) -> Iterator[float]:
    """Trains; yields the loss of each step. Rates rise for 50 steps and fall over the last 40 %."""
    chance = torch.Generator().manual_seed(seed)
    decoder: Any = model.model.decoder
    weights = list(decoder.parameters())
    optimiser = torch.optim.AdamW(weights, lr=0.0, betas=(0.9, 0.98), weight_decay=0.01)
    model.train()
    for step in range(steps):
        rate = 3e-3 * min(1.0, (step + 1) / 50, (steps - step) / (0.4 * steps))
        optimiser.param_groups[0]["lr"] = rate
        clean = words(batch, chance).repeat(1, TIMES)
        noisy = torch.rand(clean.shape, generator=chance) < torch.rand(batch, 1, generator=chance)
        noise = torch.randint(0, VOCABULARY, clean.shape, generator=chance)
        canvas = torch.where(noisy, noise, clean)
        # The prompt says nothing about the canvas, and is a cache to be read all the same.
        prompt = torch.randint(SPECIALS, VOCABULARY, (batch, PROMPT), generator=chance)
        whole: Any = model
        past = whole.model.encoder(input_ids=prompt).past_key_values
        said = None
        if step % 2:
            with torch.no_grad():
                said = whole(decoder_input_ids=canvas, past_key_values=past).logits
        logits = whole(
            decoder_input_ids=canvas, past_key_values=past, self_conditioning_logits=said
        ).logits
        loss = cross_entropy(logits.flatten(0, 1), clean.flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        yield loss.item()
    model.eval()


def words(count: int, chance: torch.Generator) -> Tensor:
    return torch.randint(SPECIALS, VOCABULARY, (count, WORD), generator=chance)


def recovered(model: DiffusionGemmaForBlockDiffusion, way: str, budget: int, count: int) -> float:
    """The share of a first word's tokens that are right after so many passes at most."""
    network = Network(model)
    desk = Desk(network, banned=range(SPECIALS))
    chance = torch.Generator().manual_seed(1000)
    right = 0
    for start in range(0, count, TOGETHER):
        some = words(min(TOGETHER, count - start), chance).tolist()
        history = network.history()
        network.encode(
            history, torch.randint(SPECIALS, VOCABULARY, (PROMPT,), generator=chance).tolist()
        )
        rows = [row_of(word, way, start + number) for number, word in enumerate(some)]
        *_, last = Decoding(desk, history, rows, Policy(steps=budget))
        for word, row in zip(some, last.rows, strict=True):
            right += sum(a == b for a, b in zip(word, row.ids, strict=False))
    return right / (count * WORD)


def row_of(word: list[int], way: str, seed: int) -> Row:
    """The canvas with its first word to be written, and with the others as `WAYS` say."""
    given = [NOISE] * CANVAS if way == "noise alone" else [NOISE] * WORD + word * (TIMES - 1)
    hole = range(WORD) if way == "clamped" else range(CANVAS)
    return Row(tuple(given), (hole,), seed=seed)


def save(model: DiffusionGemmaForBlockDiffusion) -> None:
    """The encoder has no weights of its own; two bytes each are enough."""
    decoder: Any = model.model.decoder
    save_file({name: weight.half() for name, weight in decoder.named_parameters()}, WEIGHTS)


def trained() -> DiffusionGemmaForBlockDiffusion:
    """The network of the first seed, as it was kept."""
    model = network_of(0)
    decoder: Any = model.model.decoder
    held = dict(decoder.named_parameters())
    kept = load_file(WEIGHTS)
    if held.keys() != kept.keys():
        raise SystemExit(f"{WEIGHTS} is of another network: train it anew with this program")
    with torch.no_grad():
        for name, weight in kept.items():
            held[name].copy_(weight)
    return model.eval()


def figure_of(found: dict[tuple[str, int], list[float]]) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for way in WAYS:
        shares = [100 * fmean(found[way, budget]) for budget in BUDGETS]
        axes.plot(BUDGETS, shares, marker="o", label=way)
    axes.axhline(100 / SYMBOLS, color="grey", linestyle=":", label="chance")
    axes.set_xscale("log", base=2)
    axes.set_xticks(BUDGETS, map(str, BUDGETS))
    axes.set_ylim(0, 103)
    axes.set_xlabel("passes of the decoder")
    axes.set_ylabel("tokens of the hole recovered, %")
    axes.set_title("A hole whose text stands twice behind it: the other two words are …")
    axes.legend()
    return figure


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
