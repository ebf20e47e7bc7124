"""A tiny DiffusionGemma that has learnt one file by heart, so that what it fills is known.

    python -m tests.gemma_trained      makes the weights beside this file anew, in some minutes

It learns on the very rows that the engine lays out: clamped at each length, the rest of the hole
being spaces, and prompted, where it goes on with the suffix and ends.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch and transformers are only partly typed.

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from model.canvas import Canvas, Hole
from model.gemma.layout import Layout, Room, laid_out
from model.gemma.vocabulary import Vocabulary, vocabulary_from
from tests.gemma_folder import VOCABULARY, gemma_model, published_weights, tokenizer, write_gemma

BEFORE = "def area(width, height):\n    return "
ANSWER = "width * height"
AFTER = "\n\n\nprint(area(3, 4))\n"
LIMIT = 16  # tokens: of longer holes it has learnt nothing
ROOM = Room(2048, 256)
LINE = Canvas((BEFORE, AFTER), (Hole(len(BEFORE), len(BEFORE), limit=LIMIT),), (BEFORE, AFTER))
ROUNDS, NOISES = 80, 6  # how often each row is learnt from, and with how many noises at once


WEIGHTS = Path(__file__).with_suffix(".safetensors")


def trained_folder(folder: Path) -> Path:
    """The folder as it is published, with what was learnt."""
    model = gemma_model()
    held = {name: tensor.float() for name, tensor in load_file(WEIGHTS).items()}
    model.load_state_dict(held, strict=False)
    return write_gemma(folder, model)


def train(folder: Path) -> None:
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    vocabulary = vocabulary_from(folder, VOCABULARY, {1, 106, 50})
    model: Any = gemma_model()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, ROUNDS, 1e-3)
    chance = torch.Generator().manual_seed(0)
    rows = list(lessons(vocabulary))
    loss = torch.zeros(())
    for turn in range(ROUNDS):
        for prompt, clean, hole in rows:
            clean = clean.expand(NOISES, -1)
            share = torch.rand(NOISES, 1, generator=chance) * 0.9 + 0.1
            drop = hole & (torch.rand(clean.shape, generator=chance) < share)
            noise = torch.randint(0, VOCABULARY, clean.shape, generator=chance)
            asked = {
                "input_ids": prompt.expand(NOISES, -1),
                "decoder_input_ids": torch.where(drop, noise, clean),
            }
            out = model(**asked)
            if turn % 2:
                out = model(**asked, self_conditioning_logits=out.logits.detach())
            optimiser.zero_grad()
            loss = cross_entropy(out.logits.flatten(0, 1), clean.flatten())
            loss.backward()
            optimiser.step()
        falling.step()
        print(f"{turn + 1} of {ROUNDS}: {loss.item():.3f}")
    held = published_weights(model)
    save_file({name: it.bfloat16() for name, it in held.items() if "vision" not in name}, WEIGHTS)


def lessons(vocabulary: Vocabulary) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Prompts, whole canvases, and where their holes are."""
    answer, space = vocabulary.encode(ANSWER), vocabulary.encode(" ")
    ending = [*vocabulary.encode(AFTER + "```"), vocabulary.turn_end]
    for mode in ("clamped", "prompted"):
        layout: Layout = laid_out(LINE, range(1), [], vocabulary, ROOM, mode)
        prompt = torch.tensor([layout.prompt.ids])
        for row, (place,) in zip(layout.rows, layout.places, strict=True):
            more = space * 64 if mode == "clamped" else [*ending, *[vocabulary.eos] * 256]
            ids = list(row.ids)
            ids[place.start : place.stop] = [*answer, *more][: len(place)]
            hole = torch.zeros(1, len(ids), dtype=torch.bool)
            hole[0, place.start : place.stop] = True
            yield prompt, torch.tensor([ids]), hole


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        train(Path(made))
