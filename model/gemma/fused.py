"""Rows times narrow weights of their expert, widened in registers: a Triton kernel.

It imports triton, so whoever has none must not import it (torch for CUDA brings it along). What the
numbers mean is said in model/gemma/experts.py, which also has the reference for this arithmetic.

Each program makes a tile of rows of one expert and some of its outputs. How many rows an expert
got is only known on the device, so there are as many programs as there can be tiles, and those
that find no expert end at once: shapes are fixed, and a graph can be captured. A step of diffusion
has some 16 rows an expert, so that reading weights is what takes the time.
"""

# pyright: basic, reportMissingImports=false, reportIndexIssue=false
# triton is not installed where the types are checked.

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

# Guesses of one who has measured nothing yet; bench/gpu_gemma.py tries others.
OUTPUTS = 64  # of a tile
STAGES = 3  # of tiles of weights that are on their way while one is multiplied
ROWS = (16, 32, 64)  # of a tile, the least that holds twice what an expert gets on average


@triton.jit
def tile(
    inputs, weights, scales, ends, out,
    width, outputs, half, groups,
    EXPERTS: tl.constexpr, LANES: tl.constexpr, ROWS: tl.constexpr, OUTPUTS: tl.constexpr,
    INPUTS: tl.constexpr, INT4: tl.constexpr,
):  # fmt: skip
    # Which expert is this, and which of its tiles?
    lane = tl.arange(0, LANES)
    there = lane < EXPERTS
    end = tl.load(ends + lane, mask=there, other=0)
    begin = tl.load(ends + lane - 1, mask=there & (lane > 0), other=0)
    tiles = tl.where(there, (end - begin + ROWS - 1) // ROWS, 0)
    until = tl.cumsum(tiles, 0)
    mine = tl.program_id(0)
    expert = tl.sum(((until <= mine) & there).to(tl.int32), 0)
    if expert < EXPERTS:
        chosen = lane == expert
        number = mine - tl.sum(tl.where(chosen, until - tiles, 0), 0)
        row = tl.sum(tl.where(chosen, begin, 0), 0) + number * ROWS + tl.arange(0, ROWS)
        mask = row < tl.sum(tl.where(chosen, end, 0), 0)
        column = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
        wanted = column < outputs
        # An expert's weights begin beyond what 32 bits can count.
        place = expert.to(tl.int64) * outputs + column
        k = tl.arange(0, INPUTS)
        total = tl.zeros((ROWS, OUTPUTS), dtype=tl.float32)
        from_rows = inputs + row[:, None].to(tl.int64) * width + k[None, :]
        from_weights = weights + place[None, :] * half + k[:, None]
        for step in range(0, half, INPUTS):
            fits = (step + k) < half
            x = tl.load(from_rows + step, mask=mask[:, None] & fits[None, :], other=0.0)
            w = tl.load(from_weights + step, mask=fits[:, None] & wanted[None, :], other=0)
            if INT4:
                group = step // INPUTS
                s = tl.load(scales + place * groups + group, mask=wanted, other=0.0)
                t = tl.load(scales + place * groups + groups // 2 + group, mask=wanted, other=0.0)
                y = tl.load(from_rows + half + step, mask=mask[:, None] & fits[None, :], other=0.0)
                low = ((w & 15).to(tl.float32) - 8.0).to(x.dtype)
                high = ((w >> 4).to(tl.float32) - 8.0).to(x.dtype)
                total += tl.dot(x, low) * s.to(tl.float32)[None, :]
                total += tl.dot(y, high) * t.to(tl.float32)[None, :]
            else:
                # e4m3 as the upper bits of a float16, which is then too small by 2⁸: exact, next
                # to nothing included, and known to GPUs that know no float8.
                bits = w.to(tl.uint16)
                bits = ((bits & 128) << 8) | ((bits & 127) << 7)
                wide = bits.to(tl.float16, bitcast=True).to(tl.float32) * 256.0
                total = tl.dot(x, wide.to(x.dtype), total)
        if not INT4:
            total *= tl.load(scales + place, mask=wanted, other=0.0)[None, :]
        goal = out + row[:, None].to(tl.int64) * outputs + column[None, :]
        tl.store(goal, total.to(out.dtype.element_ty), mask=mask[:, None] & wanted[None, :])


def product(inputs: Tensor, weights: Tensor, scales: Tensor, ends: Tensor) -> Tensor:
    """Rows sorted by expert, each expert's ending at `ends`, times its weights."""
    experts, outputs, half = weights.shape
    int4 = weights.dtype == torch.uint8
    rows = next((size for size in ROWS if size * experts >= 2 * len(inputs)), ROWS[-1])
    groups = scales.shape[2] if int4 else 0
    # A step over int4 is one group of each half, so that a scale is one for each output.
    step = 2 * half // groups if int4 else 64
    out = inputs.new_empty(len(inputs), outputs)
    grid = (triton.cdiv(len(inputs), rows) + experts, triton.cdiv(outputs, OUTPUTS))
    tile[grid](
        inputs.contiguous(), weights.view(torch.uint8), scales, ends, out,
        inputs.shape[1], outputs, half, groups,
        EXPERTS=experts, LANES=triton.next_power_of_2(experts), ROWS=rows, OUTPUTS=OUTPUTS,
        INPUTS=step, INT4=int4, num_stages=STAGES,
    )  # fmt: skip
    return out
