"""What a network needs in memory, by arithmetic and before it is loaded, against what is free.

It knows shapes and sizes, no weights; what is free, `model/machine.py` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.canvas import ModelError
from model.machine import free_on
from model.published.catalog import Row, known
from model.published.hub import gb

if TYPE_CHECKING:
    from model.masked.network import Shape

BOARDS = 8  # the most that are stepped at once
WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}  # bytes
NARROW = ("int8", "float8", "int4")  # what matrices may be held as, in one byte or less
SHORT = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float8": "fp8"}
# A CUDA context is no longer among the free bytes when one asks for them. What cuBLAS takes for its
# workspaces, and the allocator by rounding up, is: a guess, to be replaced by a measured one.
OVERHEAD = 300_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Bytes that a network takes on a device, and those that are free there (None: not known).

    `working` is for the largest batch of boards, `alone` for one board, each with the device's own
    overhead: where memory runs out the engine makes its batch smaller.
    """

    name: str
    device: str
    dtype: str
    weights: int
    working: int
    alone: int
    free: int | None
    smaller: int | None = None  # the least that it would need as `smaller_as`, where it is not
    smaller_as: str = "int8"

    @property
    def needed(self) -> int:
        return self.weights + self.working

    @property
    def least(self) -> int:
        return self.weights + self.alone

    @property
    def fits(self) -> bool:
        return self.free is None or self.needed <= self.free

    @property
    def runs(self) -> bool:
        """Whether it could be used at all."""
        return self.free is None or self.least <= self.free


def plan_for(
    row: Row, shape: Shape | None, device: object, dtype: object, *,
    free: int | None = None, boards: int = BOARDS, tokens: int = 0,
) -> Plan:  # fmt: skip
    """The plan of loading `row` to `device` in `dtype` (torch's own objects, or their names).

    Without a shape, where nothing of the network is on disk, the weights are the catalog's and the
    rest is an estimate. `free` is asked of the device, and `tokens` (of the longest board) is the
    row's context, where they are not given.
    """
    kind, where = str(dtype).removeprefix("torch."), str(device)
    if row.family == "uniform":
        from model.gemma import plan

        return plan.plan_for(row, None, where, kind, free=free)
    width = WIDTHS[kind]
    widths = (shape.dim, shape.ff, shape.vocab) if shape else usual_widths(row.bytes)
    overhead = OVERHEAD if where.startswith("cuda") else 0

    def working(boards: int) -> int:
        grid = boards * (tokens or row.context)
        kept = 2 * grid * kept_bytes(shape, width) if shape and row.frozen else 0
        passing = working_bytes(*widths, width=width, tokens=grid, rows=boards * row.limit)
        return overhead + kept + passing

    every = parameters_of(shape) if shape else row.bytes // 2
    weights = every * width
    # In one byte, scales aside, of which there is one an output. One matrix is widened at a time,
    # but where a GPU multiplies float8 as it is: its inputs are copied then, which the gated
    # layer's rows have room for.
    rounded = matrices_of(shape) if shape else max(every - 2 * widths[0] * widths[2], 0)
    saved = rounded * (width - 1)
    widened = widths[0] * widths[1] * width
    smaller = weights - saved + widened + working(1)
    if row.weights in NARROW:
        if row.weights == "int8" or not where.startswith("cuda"):
            overhead += widened
        weights, kind, smaller = weights - saved, row.weights, None
    return Plan(
        name=row.id.rpartition("/")[2],
        device=where,
        dtype=kind,
        weights=weights,
        working=working(boards),
        alone=working(1),
        free=free_on(where) if free is None else free,
        smaller=smaller,
    )


def check(plan: Plan, rows: Iterable[Row] | None = None) -> None:
    """Raises `ModelError` where not even one board has room, naming the first of `rows` (all that
    are known) that fit."""
    if plan.runs:
        return
    free = plan.free or 0
    others = known() if rows is None else rows
    computed = "bfloat16" if plan.dtype in NARROW else plan.dtype
    plans = [plan_for(row, None, plan.device, computed, free=free) for row in others]
    choices = [f"{p.name} ({gb(p.needed)})" for p in plans if p.fits][:3]
    if plan.smaller is not None and plan.smaller <= free:
        choices.append(f'itself by the key weights = "{plan.smaller_as}" ({gb(plan.smaller)})')
    choices.append("bundled")
    what = "memory" if plan.device == "cpu" else "it"
    raise ModelError(
        f"{plan.name} needs {gb(plan.least)} on {plan.device} in "
        f"{SHORT.get(plan.dtype, plan.dtype)}, {gb(free)} are free: "
        f"close what else uses {what}, or choose one of: {', '.join(choices)}"
    )


def outgrown(name: str, device: str) -> ModelError:
    """For what was checked, and found no room while it was loaded."""
    return ModelError(
        f"{name} does not fit into the memory of {device} any more, though it would have when "
        "loading began: close what else uses it, or choose a smaller network"
    )


def matrices_of(shape: Shape) -> int:
    """Of those, the ones in linear layers of blocks, which may be held in a byte."""
    queries, pairs = shape.heads * shape.head_width, 2 * shape.kv_heads * shape.head_width
    return shape.layers * shape.dim * (2 * queries + pairs + 3 * shape.ff)


def parameters_of(shape: Shape) -> int:
    """How many numbers `model.masked.network.Network` holds for a shape."""
    queries, pairs = shape.heads * shape.head_width, 2 * shape.kv_heads * shape.head_width
    attention = shape.dim * (2 * queries + pairs)
    attention += (queries + pairs) * shape.qkv_bias + 2 * shape.head_width * shape.qk_norm
    block = attention + 3 * shape.dim * shape.ff + 2 * shape.dim
    embeddings = shape.vocab * shape.dim * (1 if shape.tied else 2)
    return embeddings + shape.layers * block + shape.dim


def kept_bytes(shape: Shape, width: int) -> int:
    """Of a token's keys and values in all layers."""
    return 2 * shape.layers * shape.kv_heads * shape.head_width * width


def usual_widths(weights: int) -> tuple[int, int, int]:
    """About the widths of states, gated layer and head of a network of which only the bytes are
    known: those from 0.5 to 8 billion have some 592 parameters a square of their width."""
    dim = round(math.sqrt(weights / 2 / 592))
    return dim, 5 * dim, 152_064


def working_bytes(dim: int, ff: int, vocab: int, *, width: int, tokens: int, rows: int) -> int:
    """The most that is alive at once while a batch passes through: nothing is kept for a backward
    pass, so the states and one block, or the states and the head.

    Of the states there are two, and the norm works on two more in float32; the gated layer holds
    three rows of its width, which covers what attention needs, too, with two of the states. The
    head holds logits of the holes' rows, and their probabilities in float32 twice.
    """
    states = tokens * (2 * dim * width + 8 * dim)
    block = tokens * width * (3 * ff + 2 * dim)
    head = rows * vocab * (width + 2 * 4)
    return states + max(block, head)
