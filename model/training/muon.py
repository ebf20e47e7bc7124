"""Muon: momentum whose update is made orthogonal, for the matrices inside a network's blocks.

The algorithm is Keller Jordan's (https://kellerjordan.github.io/posts/muon/), its step scaled to
AdamW's size after Moonlight (arXiv 2502.16982). `torch.optim.Muon` is the same, but takes matrices
one by one, and iterates in bfloat16 even on a CPU that has no instructions for it.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from model.precision import has_bfloat16


class Muon(torch.optim.Optimizer):
    """All parameters must be matrices; those of one shape are worked on in one batch."""

    def __init__(
        self,
        matrices: Iterable[torch.nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # no closures here
        for group in self.param_groups:
            shapes: dict[torch.Size, list[torch.nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(parameter)
            for shape, alike in shapes.items():
                directions = orthogonal(
                    torch.stack([self.nesterov(p, group["momentum"]) for p in alike])
                )
                size = group["lr"] * 0.2 * max(shape) ** 0.5
                for parameter, direction in zip(alike, directions, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(direction.to(parameter.dtype), alpha=size)

    def nesterov(self, parameter: torch.nn.Parameter, momentum: float) -> Tensor:
        gradient = parameter.grad
        assert gradient is not None
        kept = self.state[parameter].setdefault("momentum", torch.zeros_like(gradient))
        kept.lerp_(gradient, 1 - momentum)
        return gradient.lerp(kept, momentum)


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """Nearly the orthogonal factor of each matrix, (n, rows, columns), by Newton-Schulz steps."""
    a, b, c = 3.4445, -4.7750, 2.0315  # Jordan's quintic: steep at zero, and within 0.7–1.2 after
    x = matrices.bfloat16() if has_bfloat16(matrices.device.type) else matrices.float()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
