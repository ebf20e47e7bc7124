"""Published networks decode as their authors let them: the same canvas after each step."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from model import Canvas, Hole  # noqa: E402
from model.masked.board import Board  # noqa: E402
from model.masked.engine import Engine  # noqa: E402
from model.masked.policy import Policy  # noqa: E402
from model.masked.refine import refine  # noqa: E402
from model.published.catalog import Row  # noqa: E402
from model.published.stock import load_stock, policy_of, row_for, start_of  # noqa: E402
from tests import loops  # noqa: E402
from tests.published import (  # noqa: E402
    KINDS,
    Kind,
    published_logits,
    published_network,
    words,
    write_checkpoint,
)

PIECES = ["a", "b(", "x = ", " + 1", "\n", "é", "    "]


def tiny_dreamon(folder: Path) -> tuple[Path, Kind, Any]:
    specials = {"<|endoftext|>": 300, "<|beginoftext|>": 301, "<|mask|>": 302, "<|expand|>": 303}
    return tiny(folder, replace(KINDS["dreamon"], specials=specials), writes=(300, 303))


def tiny(folder: Path, kind: Kind, writes: tuple[int, ...] = ()) -> tuple[Path, Kind, Any]:
    """A network in small, its mask 302. As after training, it never likes what it must not write,
    special tokens but `writes`."""
    kind = replace(kind, vocab=306, tied=False, head=True)
    network = published_network(kind, hidden_size=16, num_hidden_layers=1).double()
    layer, text = network.model.layers[0], words().get_vocab_size()
    # All states share a direction, along which the head says what a token is worth anywhere.
    network.model.embed_tokens.weight[:, 0] = 6.0
    network.model.norm.weight[:] = 1.0
    network.lm_head.weight.mul_(1.5)
    network.lm_head.weight[:, 0] = 0.0
    never = [i for i in range(text, 306) if i not in writes]
    network.lm_head.weight[never, 0] = -100.0
    # Masks differ by what they look at.
    network.model.embed_tokens.weight[302, 1:] *= 0.125
    for weights in (layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight):
        weights.mul_(2.0)
    for weights in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight):
        weights.mul_(2.0)
        weights[0] = 0.0
    # Two masks are often equally sure but for rounding: the same angles, rounded alike, keep what
    # is compared here apart from that.
    steps = torch.arange(0, 8, 2).float() / 8
    theta = network.config.rope_parameters["rope_theta"]
    network.model.rotary_emb.inv_freq.copy_(theta**-steps)
    network.float().double()  # what is written is read as float32
    write_checkpoint(folder, kind, network)
    for layer in network.model.layers:
        layer.input_layernorm = exact_norm(layer.input_layernorm)
        layer.post_attention_layernorm = exact_norm(layer.post_attention_layernorm)
    network.model.norm = exact_norm(network.model.norm)
    return folder, kind, network


def exact_norm(published: Any) -> torch.nn.RMSNorm:
    """transformers' own rounds to float32 on the way, whatever it is asked in."""
    norm = torch.nn.RMSNorm(len(published.weight), eps=published.variance_epsilon)
    norm.weight = published.weight
    return norm.requires_grad_(False)


# How much it likes to grow, to cut, and one token of text, of which it is then sure.
LIKINGS = [(0.5, 0.5, 4.0), (2.5, 3.5, 0.0), (3.0, 3.5, 0.0), (3.5, 4.0, 0.0), (1.5, 3.0, 0.0)]
KEYS = {"mask": 302, "bos": "<|beginoftext|>", "eos": 300, "expand": 303, "delete": 300}


@pytest.mark.parametrize("budget", [64, 128], ids=["scripts", "release"])
@pytest.mark.parametrize(("temperature", "canvases"), [(0.2, 250), (0.0, 50)])
def test_dreamon_decodes_as_published_token_for_token(
    budget: int, temperature: float, canvases: int, tmp_path: Path
) -> None:
    folder, kind, network = tiny_dreamon(tmp_path / "DreamOn-v0-7B")
    row = row_for(folder, {**KEYS, "budget": budget, "decoding": "published"})
    policy = replace(policy_of(row), temperature=temperature)
    if temperature == 0:
        policy = replace(policy, top_p=1.0)
    engine = load_stock(folder, row, dtype="float32", device="cpu")
    engine.network.double()  # so that no two masks are equally sure but for rounding
    tokenizer, chance = words(), random.Random(budget)
    seen = dict.fromkeys(("steps", "grown", "cut", "budgets spent", "longest"), 0)

    def logits_of(canvas: list[int]) -> torch.Tensor:
        return published_logits(kind, network, torch.tensor([canvas]))[0]

    try:
        for number in range(canvases):
            prefix, suffix = ("".join(chance.choices(PIECES, k=chance.randrange(6))) for _ in "PS")
            masks = chance.choice([4, 8, 16, 32, 64])
            for head in (network.lm_head.weight, engine.network.lm_head.weight):
                head[[303, 300, 100], 0] = torch.tensor(LIKINGS[number % 5]).double()
            loop = loops.dreamon_loop(
                logits_of,
                tokenizer.encode(prefix).ids,
                tokenizer.encode(suffix).ids,
                loops.Specials(301, 300, 302, 303),
                masks=masks,
                budget=budget,
                chance=torch.Generator().manual_seed(0),
                temperature=temperature,
                top_p=0.9 if temperature else 1.0,
            )
            hole = Hole(0, 0, multiline=True, limit=64)
            start = replace(start_of(row), line=masks, block=masks)
            board = Board(Canvas((prefix, suffix), (hole,)), engine.vocabulary, start)
            before = len(board.row)
            drafts = refine(engine.network, board, policy)
            for step, canvas in enumerate(loop, 1):
                draft = next(drafts)
                assert board.row == canvas, f"step {step} of {prefix!r}, {suffix!r}, {masks}"
                seen["grown"] += len(canvas) > before
                seen["cut"] += len(canvas) < before
                before = len(canvas)
                seen["steps"] += 1
            assert draft.final or step == 256
            seen["budgets spent"] += board.budgets == [0]
            seen["longest"] = max(seen["longest"], len(board.cells[0]))
    finally:
        engine.close()
    # The comparison says something only if all of it happened.
    assert seen["grown"] > canvases
    assert seen["cut"] > canvases / 4


@pytest.mark.parametrize("sampled", [True, False], ids=["as published", "likeliest"])
def test_open_dcoder_decodes_by_p2_as_published_token_for_token(
    sampled: bool, tmp_path: Path
) -> None:
    specials = {"<|endoftext|>": 300, "<M>": 302}
    kind = replace(KINDS["open-dcoder"], specials=specials)
    folder, kind, network = tiny(tmp_path / "open-dcoder-0.5B", kind)
    decoding = "published" if sampled else "ours"
    row = row_for(folder, {"mask": "<M>", "eos": 300, "decoding": decoding})
    policy = policy_of(row)
    assert (policy.p2, policy.temperature, policy.top_p) == (
        64,
        *((0.6, 0.95) if sampled else (0, 1)),
    )
    taken_back, number = 0, 40 if sampled else 80
    for canvas, prefix, suffix, masks in canvases_for(number, seed=1):
        loop = loops.p2_loop(
            logits_of(kind, network), prefix, suffix, 302, masks=masks, steps=64,
            chance=torch.Generator().manual_seed(0), temperature=policy.temperature,
            top_p=policy.top_p,
        )  # fmt: skip
        rows = rows_of(folder, row, canvas, masks, policy)
        theirs = list(loop)
        if not sampled:  # steps that changed nothing need not be taken, or are by one alone
            rows, theirs = without_repeats(rows), without_repeats(theirs)
        assert rows == theirs
        for before, after in pairwise(theirs):
            taken_back += sum(new == 302 != old for old, new in zip(before, after, strict=True))
    assert taken_back > number


@pytest.mark.parametrize("name", ["LLaDA-8B-Base", "LLaDA-8B-Instruct"])
def test_llada_decodes_by_its_schedule_token_for_token(name: str, tmp_path: Path) -> None:
    specials = {"<|endoftext|>": 300, "<|mdm_mask|>": 302, "<|eot_id|>": 301}
    kind = replace(KINDS["llada"], id=f"GSAI-ML/{name}", specials=specials)
    folder, kind, network = tiny(tmp_path / name, kind)
    keys = {"mask": 302, "eos": 300, "banned": [301], "decoding": "published"}
    row = row_for(folder, keys)
    policy = policy_of(row)
    assert (policy.even, policy.block) == (128, 32 if name.endswith("Instruct") else 128)
    chance, several = random.Random(3), 0
    for canvas, prefix, suffix, masks in canvases_for(60, seed=2):
        block = chance.choice([it for it in range(1, masks + 1) if masks % it == 0])
        steps = chance.choice([1, 2, 3, block, 2 * block]) * (masks // block)
        loop = loops.llada_loop(
            logits_of(kind, network), prefix, suffix, 302, masks=masks, steps=steps, block=block
        )
        mine = replace(policy, even=steps, block=block)
        rows = rows_of(folder, row, canvas, masks, mine)
        assert rows == without_repeats(loop), f"{masks} masks, {steps} steps, blocks of {block}"
        several += block < masks
    assert several > 20
    # The row as it stands: what fits into a block takes a step a token.
    canvas, prefix, suffix, masks = next(canvases_for(1, seed=4))
    loop = loops.llada_loop(
        logits_of(kind, network), prefix, suffix, 302, masks=masks, steps=128, block=masks
    )
    assert rows_of(folder, row, canvas, masks, policy) == without_repeats(loop)


def canvases_for(count: int, seed: int) -> Iterator[tuple[Canvas, list[int], list[int], int]]:
    """Random ones: a canvas, its ids on both sides, and how many masks its hole has."""
    chance, tokenizer = random.Random(seed), words()
    for _ in range(count):
        prefix, suffix = ("".join(chance.choices(PIECES, k=chance.randrange(1, 7))) for _ in "PS")
        masks = chance.choice([2, 3, 4, 6, 8, 12, 16, 24])
        canvas = Canvas((prefix, suffix), (Hole(0, 0, multiline=True, limit=64),))
        yield canvas, tokenizer.encode(prefix).ids, tokenizer.encode(suffix).ids, masks


def logits_of(kind: Kind, network: Any) -> Callable[[list[int]], torch.Tensor]:
    return lambda row: published_logits(kind, network, torch.tensor([row]))[0]


def rows_of(folder: Path, row: Row, canvas: Canvas, masks: int, policy: Policy) -> list[list[int]]:
    """The board of such a canvas after each step."""
    engine = doubled(folder, row)
    board = Board(canvas, engine.vocabulary, replace(start_of(row), line=masks, block=masks))
    return [board.row for _ in refine(engine.network, board, policy)]


@lru_cache
def doubled(folder: Path, row: Row) -> Engine:
    """In float64, so that no two masks are equally sure but for rounding."""
    engine = load_stock(folder, row, dtype="float32", device="cpu")
    engine.close()
    engine.network.double()
    return engine


def without_repeats(rows: Iterable[list[int]]) -> list[list[int]]:
    return [row for row, _ in groupby(rows)]


@pytest.mark.parametrize(("keys", "budget"), [({}, 64), ({"budget": 128}, 128)])
def test_how_often_a_hole_may_grow_is_a_setting(
    keys: dict[str, Any], budget: int, tmp_path: Path
) -> None:
    """That of DreamOn's scripts is as often as it may have tokens, that of its release twice."""
    folder, _, _ = tiny_dreamon(tmp_path / "DreamOn-v0-7B")
    row = row_for(folder, {**KEYS, **keys})
    engine = load_stock(folder, row, device="cpu")
    engine.close()
    hole = Hole(0, 0, multiline=True, limit=engine.card.hole_limit)
    board = Board(Canvas(("a", "b"), (hole,)), engine.vocabulary, engine.start)
    assert len(board.cells[0]) == 64
    grown = 0
    while True:
        board.commit(0, 63, 300, 0.9)  # what was cut makes room, but gives nothing back
        if not board.may_expand(0):
            break
        board.commit(0, 0, 303, 0.9)
        grown += 1
    assert grown == budget


def test_a_context_that_is_cut_still_begins_and_ends_as_published(tmp_path: Path) -> None:
    folder, _, _ = tiny_dreamon(tmp_path / "DreamOn-v0-7B")
    row = row_for(folder, {**KEYS, "context": 100})
    engine = load_stock(folder, row, device="cpu")
    try:
        board = Board(
            Canvas(("abc " * 500, "xyz " * 500), (Hole(0, 0),)), engine.vocabulary, engine.start
        )
        assert (board.row[0], board.row[-1]) == (301, 300)
        assert len(board.row) == 100
    finally:
        engine.close()
