"""Makes the table of counts and the gate that ship: counts over the corpus, the gate fitted to
held-out code. Knows no network of the masked family.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch is only partly typed.

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.alone import SURROUNDINGS, Cut
from model.evidence.codeonly import code_of
from model.evidence.counts import (
    Counts,
    Floats,
    Hashes,
    Ints,
    add_from,
    different,
    firsts_of,
    grams_of,
    table_of,
)
from model.evidence.lexicon import COPY, FAMILIES, OPENED, Lexicon
from model.evidence.mixture import (
    COPIER,
    EXPERTS,
    FEATURES,
    LEAST,
    TABLES,
    Gate,
    Local,
    Place,
    inputs_of,
)
from model.evidence.proposals import Proposer

SOFTENED = 0.75  # a package's counts to this power: what one repeats a thousand times is its own
FEWEST = 3  # packages: what fewer have is no idiom
MOST = 96  # tokens after a context: the rest are as good as without it
HIDDEN = 48  # of the gate's inner layer


def count(packages: Iterable[Ints], lexicon: Lexicon, *, fewest: int = FEWEST) -> Counts:
    """The table over packages, each one row of the tokens of its code."""
    grams: list[list[Hashes]] = [[] for _ in range(FAMILIES)]
    weights: list[list[Floats]] = [[] for _ in range(FAMILIES)]
    for row in packages:
        for family, mine in enumerate(grams_by_family(row, lexicon)):
            some, often = different(mine)
            grams[family].append(some)
            weights[family].append(often**SOFTENED)
    parts = [
        summed(np.concatenate(some), np.concatenate(often), fewest)
        for some, often in zip(grams, weights, strict=True)
        if some
    ]
    some, often, keep = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(some, kind="stable")
    return table_of(some[order], often[order], unseen=COPY, keep=keep[order])


def grams_by_family(row: Ints, lexicon: Lexicon) -> Iterator[Hashes]:
    contexts = lexicon.contexts(row)[:, :-1]
    line_ends = np.flatnonzero(lexicon.ends_line[row])
    copies = np.flatnonzero(lexicon.copies(row))
    for family in range(FAMILIES):
        # The contexts of a line that is put in are for its line end alone.
        where = line_ends if family >= FAMILIES - len(OPENED) else np.arange(len(row))
        grams = grams_of(contexts[family, where], row[where])
        if family == COPIER:
            marks = np.full(len(copies), COPY)
            grams = np.concatenate((grams, grams_of(contexts[family, copies], marks)))
        yield grams


def summed(grams: Hashes, weights: Floats, fewest: int) -> tuple[Hashes, Floats, NDArray[np.bool_]]:
    """The different grams, their weights, and which are worth keeping."""
    order = np.argsort(grams, kind="stable")
    grams = grams[order]
    firsts = firsts_of(grams)
    weights = add_from(weights[order], firsts)
    packages = np.diff(np.append(firsts, len(grams)))
    grams = grams[firsts]
    keep = packages >= fewest
    # Of the kept those first that weigh most, at most so many a context.
    at = np.flatnonzero(keep)
    at = at[np.lexsort((-weights[at], grams[at] >> np.uint64(16)))]
    contexts = grams[at] >> np.uint64(16)
    starts = firsts_of(contexts)
    rank = np.arange(len(contexts)) - np.repeat(starts, np.diff(np.append(starts, len(contexts))))
    keep[at[rank >= MOST]] = False
    return grams, weights, keep


def frequency_of(packages: Iterable[Ints], size: int) -> Floats:
    """How probable each token is without any context."""
    total = np.zeros(size)
    for row in packages:
        total += np.bincount(row, minlength=size) ** SOFTENED
    return (total / total.sum()).astype(np.float32)


def cuts(
    texts: Sequence[str],
    count: int,
    seed: int,
    beside: Mapping[str, tuple[str, ...]] | None = None,
) -> Iterator[Cut]:
    """Lines out of the texts, two of three in less than their file, as in one just begun; every
    second with the texts that are `beside` its own."""
    chance = random.Random(seed)
    found = 0
    while found < count:
        lines = chance.choice(texts).split("\n")
        at = chance.randrange(len(lines))
        before = "\n".join(lines[:at])
        if not worth_asking(lines[at]) or before.count('"""') % 2:
            continue
        cut = Cut(before + "\n", lines[at].rstrip(), "\n" + "\n".join(lines[at + 1 :]))
        cut = SURROUNDINGS[found % len(SURROUNDINGS)](cut)
        known = beside.get("\n".join(lines), ()) if beside and found % 2 else ()
        yield replace(cut, before=cut.before[:-1], beside=known)
        found += 1


def worth_asking(line: str) -> bool:
    code = line.strip()
    return (
        line.startswith("    ")
        and len(code) >= 4
        and len(line) <= 90
        and code[0] not in "#\"'"
        and bool(re.search(r"[=(\[]|\b(return|raise|break|continue|pass|yield|else|try)\b", code))
    )


def places_in(cut: Cut, proposer: Proposer) -> Iterator[tuple[Place, Ints]]:
    """Each place of the line, its line end included, and the token there."""
    encode = proposer.encode
    before = np.array(encode(code_of("\n" + cut.before)), np.int64)
    after = np.array(encode(code_of(cut.after)), np.int64)
    line = encode("\n" + cut.line)
    local = Local(proposer.shipped, before, after, proposer.project(cut.beside))
    yield local.at_new_line(), np.array(line[:1], np.int64)
    starts = [line[:i] for i in range(1, len(line) + 1)]
    yield local.at_ends(starts), np.array([*line[1:], *after[:1].tolist()][: len(starts)], np.int64)


def fit_gate(
    cuts: Iterable[Cut], proposer: Proposer, *, rounds: int = 30, seed: int = 0
) -> tuple[Gate, float]:
    """The gate that makes the lines most probable, and the loss that is left (nats a token).

    In one place of five the shipped table is silent, so that the gate also serves vocabularies
    that have none.
    """
    rng = np.random.default_rng(seed)
    features: list[Floats] = []
    opinions: list[Floats] = []
    for cut in cuts:
        for place, tokens in places_in(cut, proposer):
            some, said = place.features.copy(), place.opinions(tokens)
            mute = rng.random(len(some)) < 0.2
            some[mute, :FAMILIES] = 0
            some[mute, TABLES] = 0
            features.append(some)
            opinions.append(said)
    return fitted(np.concatenate(features), np.concatenate(opinions), rounds, seed)


def fitted(features: Floats, opinions: Floats, rounds: int, seed: int) -> tuple[Gate, float]:
    torch.manual_seed(seed)
    inputs = torch.from_numpy(inputs_of(features))
    there = torch.from_numpy(features[:, :, 0] > 0)
    said = torch.from_numpy(opinions)
    direct, inner = nn.Linear(FEATURES, EXPERTS), nn.Linear(FEATURES, HIDDEN)
    outer = nn.Linear(HIDDEN, EXPERTS, bias=False)
    parameters = [*direct.parameters(), *inner.parameters(), *outer.parameters()]
    optimiser = torch.optim.AdamW(parameters, weight_decay=0.02)
    steps = rounds * (len(inputs) // 256 + 1)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)

    def loss_of(rows: Tensor) -> Tensor:
        scores = direct(inputs[rows]) + outer(torch.relu(inner(inputs[rows])))
        weights = scores.masked_fill(~there[rows], -torch.inf).softmax(-1)
        return -((weights * said[rows]).sum(-1) + LEAST).log().mean()

    for _ in range(rounds):
        for rows in torch.randperm(len(inputs)).split(256):
            loss = loss_of(rows)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rates.step()
    with torch.inference_mode():
        left = float(loss_of(torch.arange(len(inputs))))
    arrays: list[Any] = [
        part.detach().numpy()
        for part in (direct.weight, direct.bias, inner.weight, inner.bias, outer.weight)
    ]
    return Gate(*arrays), left
