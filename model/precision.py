"""Which number format a device multiplies fastest."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# torch, numpy and matplotlib are only partly typed.

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch


@lru_cache
def has_bfloat16(device: str) -> bool:
    """Whether bfloat16 is faster there than float32. A CPU without the instructions is slower."""
    if device != "cpu":
        return True
    told: Callable[[], dict[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    able = told()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
