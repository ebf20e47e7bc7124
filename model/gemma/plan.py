"""What a DiffusionGemma needs in memory, against what is free, before anything is loaded.

The arithmetic is `footprint`'s; here it is told as the plan that every network has. No torch.
"""

from __future__ import annotations

from pathlib import Path

from model.gemma.footprint import PUBLISHED, footprint
from model.gemma.lengths import ASKED, BLOCK
from model.gemma.shape import Shape, shape_from
from model.machine import free_on
from model.published.catalog import Row
from model.published.memory import WIDTHS, Plan

HALF = 2  # bytes of a bfloat16, in which the arithmetic is told
NARROW = ("float8", "int4")  # what experts may be held as, from the largest


def plan_for(
    row: Row, shape: Shape | None, device: str, dtype: str, *, free: int | None = None
) -> Plan:
    """The plan of loading `row`; without a shape, where nothing of it is on disk, as published.

    Where no key says what weights are held as, a GPU too small for them as they are gets its
    experts in one byte, or in four bits: its `dtype` says so.
    """
    free = free_on(device) if free is None else free
    shape = shape or shape_from({"text_config": PUBLISHED, "canvas_length": 256}, Path())
    if row.weights in NARROW:
        return plan_as(row.weights, row, shape, device, dtype, free)
    plan = plan_as("", row, shape, device, dtype, free)
    if not row.weights and device.startswith("cuda"):
        for kind in NARROW:
            if plan.fits:
                break
            plan = plan_as(kind, row, shape, device, dtype, free)
    return plan


def plan_as(narrow: str, row: Row, shape: Shape, device: str, dtype: str, free: int | None) -> Plan:
    """With experts held so. What is worked on at once are all lengths of a block, at least one."""
    canvas = row.canvas or shape.canvas

    def taken(kind: str, canvases: int, rows: int) -> tuple[int, int]:
        told = footprint(
            shape,
            kind or "bfloat16",
            prompt=prompt_room(row, shape),
            canvas=canvases * canvas,
            rows=rows,
            way="fused" if device.startswith("cuda") else "widened",
            window=shape.sliding_window,
        )
        wide = WIDTHS[dtype] / HALF
        experts = told.experts if kind else told.experts * wide
        return round(experts + told.dense * wide), round((told.history + told.working) * wide)

    weights, working = taken(narrow, len(BLOCK), ASKED)
    single = min(canvas, row.limit)
    return Plan(
        name=row.id.rpartition("/")[2],
        device=device,
        dtype=narrow or dtype,
        weights=weights,
        working=working,
        alone=taken(narrow, 1, single)[1],
        free=free,
        smaller=None if narrow == "int4" else sum(taken("int4", 1, single)),
        smaller_as="int4",
    )


def prompt_room(row: Row, shape: Shape) -> int:
    """The most tokens of a prompt: what is wanted, as far as positions reach beyond the canvas."""
    whole = min(row.context, shape.max_position_embeddings)
    return max(0, min(row.prompt, whole - (row.canvas or shape.canvas)))
