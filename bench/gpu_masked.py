"""How fast a masked network of DreamOn's published shape is on this GPU: to bench/RESULTS.md.

    python bench/gpu_masked.py [--repeats N] [--dry]

Random weights in bfloat16, made on the device: no speed depends on what they are. A canvas of 512
tokens with a hole of 12, by the published settings (temperature 0.2, top-p 0.9, in order of
entropy) with one commitment a step and without length tokens, so that every fill is 12 steps on
both sides. The other side is the same algorithm as one writes it with transformers, on the same
weights. `--dry` runs all of it on a CPU, in a tiny shape and in small batches, to see that it runs;
its times mean nothing and are not kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from device import copy_speed, machine, peak, product_speed
from record import append, table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model import Canvas, Hole, ModelError
from model.masked.board import Board, Specials, Start
from model.masked.graphs import Desk
from model.masked.network import Network, Shape
from model.masked.past import Past
from model.masked.policy import Policy
from model.masked.refine import step
from model.published.quantise import KINDS, check_kind, quantised, weight_bytes

DREAMON = Shape(
    vocab=152_064, dim=3584, layers=28, heads=28, kv_heads=4, ff=18_944, rope_theta=1e6,
    qkv_bias=True, tied=False, shift=True,
)  # fmt: skip
TINY = replace(DREAMON, vocab=400, dim=56, layers=2, heads=7, kv_heads=1, ff=96)
POLICY = Policy(
    threshold=1.0, order="entropy", temperature=0.2, top_p=0.9, cut=None, grow=0.0, block=64
)
LENGTH, HOLE = 512, 12
BATCHES = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A vocabulary without texts: its last id is the mask, and a letter is its code."""

    vocab: int
    newlines: tuple[int, ...] = ()

    @property
    def specials(self) -> Specials:
        return Specials(mask=self.vocab - 1)

    def encode(self, text: str) -> list[int]:
        return [ord(char) for char in text]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return ["x"] * len(ids)


@dataclass(frozen=True, slots=True)
class Fills:
    """What fills took, and what they wrote: milliseconds a step, the rows of the last."""

    steps: list[float]
    rows: list[list[int]]

    @property
    def fill_ms(self) -> float:
        return HOLE * median(self.steps)

    @property
    def p95(self) -> float:
        return quantiles(self.steps, n=20)[-1]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=20, help="fills of each kind")
    parser.add_argument("--dry", action="store_true", help="a tiny shape on the CPU")
    options = parser.parse_args(arguments)
    if not options.dry and not torch.cuda.is_available():
        sys.exit("there is no CUDA device here; --dry tries everything on the CPU")
    repeats = 2 if options.dry else options.repeats
    if options.dry:
        lines = measured(TINY, "cpu", repeats, BATCHES[:2])
    else:
        lines = measured(DREAMON, "cuda", repeats, BATCHES)
    if options.dry:
        print("\n".join(lines))
    else:
        append("a masked network on a GPU", "python bench/gpu_masked.py", lines)
    return 0


@torch.inference_mode()
def measured(shape: Shape, device: str, repeats: int, counts: Sequence[int]) -> list[str]:
    network = random_network(shape, device)
    vocabulary = Numbers(shape.vocab)
    plain = Desk(network, vocabulary, buckets=True)
    fast = Desk(network, vocabulary, buckets=True, capture=device == "cuda")
    began = time.perf_counter()
    for _ in fast.warm(POLICY, max(counts), LENGTH, HOLE):
        pass
    warming = time.perf_counter() - began
    lines = [
        f"{machine(device)}; {weight_bytes(network) / 1e9:.2f} GB of weights. Graphs of all shapes "
        f"up to {max(counts)} boards of {LENGTH} tokens were captured in {warming:.1f} s.",
        "",
    ]
    lines += table(beside_transformers(network, fast, plain, repeats))
    lines += ["", *floors(network, device, fast, repeats)]
    lines += ["", *table(batches(fast, repeats, counts))]
    lines += ["", *table(frozen(network, vocabulary, device, repeats))]
    lines += ["", *table(padded(fast, repeats))]
    lines += ["", f"Peak: {peak(device)} so far; then with weights of one byte:", ""]
    fast.forget()
    plain.forget()
    del network, fast, plain
    return [*lines, *table(narrow(shape, device, repeats))]


def random_network(shape: Shape, device: str) -> Network:
    former = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
    try:
        with torch.device(device):
            torch.manual_seed(0)
            return Network(shape).eval()
    finally:
        torch.set_default_dtype(former)


def boards_of(vocabulary: Numbers, count: int, length: int = LENGTH) -> list[Board]:
    start = Start(line=HOLE, context=length - HOLE)
    return [
        Board(
            Canvas((chr(97 + i) + "a b = c(d, e)\n" * 99, "f = g[h]\n" * 99), (Hole(0, 0),)),
            vocabulary,
            start,
        )
        for i in range(count)
    ]


def of_boards(desk: Desk, policy: Policy, count: int, repeats: int, length: int = LENGTH) -> Fills:
    """So many fills of so many boards, after one that does not count."""
    steps: list[float] = []
    rows: list[list[int]] = []
    for number in range(repeats + 1):
        boards = boards_of(Numbers(desk.network.shape.vocab), count, length)
        chances = [torch.Generator().manual_seed(seed) for seed in range(count)]
        pasts = [Past() for _ in boards]
        took: list[float] = []
        while not boards[0].done:
            began = time.perf_counter()
            step(desk.network, boards, policy, chances, [None] * count, pasts, desk)
            took.append(1000 * (time.perf_counter() - began))
        assert len(took) == HOLE
        steps += took if number else []
        rows = [board.row for board in boards]
    return Fills(steps, rows)


def beside_transformers(
    network: Network, fast: Desk, plain: Desk, repeats: int
) -> Iterator[dict[str, object]]:
    theirs = published(network)
    row = boards_of(Numbers(network.shape.vocab), 1)[0].row
    hole = row.index(network.shape.vocab - 1)
    steps: list[float] = []
    for number in range(repeats + 1):
        took = list(plain_fill(theirs, row, network.shape.vocab - 1, hole))
        steps += took if number else []
    other = Fills(steps, [])
    yield {"one board": "transformers, eager", **times(other), "times faster": 1.0}
    for name, desk in (("ours, without graphs", plain), ("ours", fast)):
        fills = of_boards(desk, POLICY, 1, repeats)
        yield {
            "one board": name, **times(fills),
            "times faster": round(other.fill_ms / fills.fill_ms, 2),
        }  # fmt: skip


def published(network: Network) -> Any:
    """transformers' own Qwen2 on the same weights, not on a copy of them."""
    from transformers import Qwen2Config, Qwen2ForCausalLM
    from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

    shape = network.shape
    config = Qwen2Config(
        vocab_size=shape.vocab, hidden_size=shape.dim, intermediate_size=shape.ff,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads, rms_norm_eps=shape.eps, rope_theta=shape.rope_theta,
        tie_word_embeddings=False, attn_implementation="sdpa",
    )  # fmt: skip
    with torch.device("meta"):
        theirs = Qwen2ForCausalLM(config)
    theirs.load_state_dict(network.state_dict(), assign=True)
    # Its frequencies are no weights, and would stay without values.
    with network.lm_head.weight.device:
        theirs.model.rotary_emb = Qwen2RotaryEmbedding(config)
    return theirs.eval()


def plain_fill(theirs: Any, row: Sequence[int], mask: int, hole: int) -> Iterator[float]:
    """The algorithm as one writes it: the whole canvas through the head; milliseconds a step."""
    weight = theirs.lm_head.weight
    ids = torch.tensor([row], device=weight.device)
    everything = torch.zeros(1, 1, len(row), len(row), device=weight.device, dtype=weight.dtype)
    for _ in range(HOLE):
        began = time.perf_counter()
        logits = theirs(ids, attention_mask=everything, use_cache=False).logits
        logits = torch.cat((logits[:, :1], logits[:, :-1]), dim=1)
        masked = ids == mask
        mine = logits[masked]
        mine[:, mask] = -torch.inf
        mine = mine / POLICY.temperature
        falling, order = mine.sort(descending=True)
        over = falling.softmax(-1).cumsum(-1) > POLICY.top_p
        over[:, 1:] = over[:, :-1].clone()
        over[:, 0] = False
        mine = mine.masked_fill(over.scatter(1, order, over), torch.finfo(mine.dtype).min)
        shares = mine.float().softmax(-1)
        tokens = torch.distributions.Categorical(probs=shares).sample()
        best = (shares * (shares + 1e-10).log()).sum(-1).argmax()
        where = torch.nonzero(masked[0]).flatten()[best]
        ids[0, where] = tokens[best]
        assert int(where) >= hole  # waits for the device, as one does who looks for masks left
        yield 1000 * (time.perf_counter() - began)


def floors(network: Network, device: str, desk: Desk, repeats: int) -> list[str]:
    """What a step of one board cannot be faster than, by what this device did just now."""
    shape = network.shape
    body = sum(p.numel() for p in network.model.layers.parameters())
    attention = 4 * LENGTH * LENGTH * shape.heads * shape.head_width * shape.layers
    operations = 2 * body * LENGTH + attention + 2 * HOLE * shape.vocab * shape.dim
    rate = product_speed(device, network.lm_head.weight.dtype)
    # Of the embedding one row a token is looked up.
    looked_up = shape.vocab * shape.dim * network.lm_head.weight.element_size()
    bytes_read = weight_bytes(network) - looked_up
    speed = copy_speed(device)
    took = median(of_boards(desk, POLICY, 1, repeats).steps)
    arithmetic, reading = 1000 * operations / rate, 1000 * bytes_read / speed
    return [
        f"A step of one board takes {took:.2f} ms. {operations / 1e12:.2f} TFLOP at the "
        f"{rate / 1e12:.0f} TFLOP/s of a large product in this run are {arithmetic:.2f} ms, "
        f"{bytes_read / 1e9:.1f} GB of weights at the {speed / 1e9:.0f} GB/s of a copy "
        f"{reading:.2f} ms: {max(arithmetic, reading) / took:.0%} of what is possible."
    ]


def batches(desk: Desk, repeats: int, counts: Sequence[int]) -> Iterator[dict[str, object]]:
    for count in counts:
        fills = of_boards(desk, POLICY, count, max(2, repeats // 2))
        yield {
            "boards": count, **times(fills), "step p95": round(fills.p95, 2),
            "fills a second": round(1000 * count / fills.fill_ms, 1),
        }  # fmt: skip


def frozen(
    network: Network, vocabulary: Numbers, device: str, repeats: int
) -> Iterator[dict[str, object]]:
    """The mean is told, as most steps are short and some are not."""
    first: Fills | None = None
    for steps in (0, 1, 4, HOLE):
        desk = Desk(network, vocabulary, buckets=True, capture=device == "cuda")
        with forgotten(desk):
            policy = replace(POLICY, frozen=steps)
            fills = of_boards(desk, policy, 1, repeats)
            first = first or fills
            same = sum(a == b for a, b in zip(fills.rows[0], first.rows[0], strict=True))
            yield {
                "surroundings computed": f"every {steps} steps" if steps else "always",
                "fill ms": round(HOLE * sum(fills.steps) / len(fills.steps), 1),
                "same tokens": f"{same - LENGTH + HOLE} of {HOLE}",
            }


def narrow(shape: Shape, device: str, repeats: int) -> Iterator[dict[str, object]]:
    """A network of its own for each kind, and a copy of none."""
    for kind in KINDS:
        try:
            check_kind(kind, device)
        except ModelError as error:
            yield {"weights": f"{kind}: {error}", "fill ms": "–", "step ms": "–"}
            continue
        network = quantised(random_network(shape, device), kind)
        desk = Desk(network, Numbers(shape.vocab), buckets=True, capture=device == "cuda")
        with forgotten(desk):
            fills = of_boards(desk, POLICY, 1, repeats)
            yield {"weights": f"{kind}, {weight_bytes(network) / 1e9:.2f} GB", **times(fills)}


@contextmanager
def forgotten(desk: Desk) -> Iterator[None]:
    try:
        yield
    finally:
        desk.forget()


def padded(desk: Desk, repeats: int) -> Iterator[dict[str, object]]:
    """A length that needs a mask takes another attention kernel."""
    for length in (LENGTH, LENGTH - 15):
        yield {"tokens": length, **times(of_boards(desk, POLICY, 1, repeats, length))}


def times(fills: Fills) -> dict[str, object]:
    return {"fill ms": round(fills.fill_ms, 1), "step ms": round(median(fills.steps), 2)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
