"""What there is to run a network on, and how much of its memory is free.

torch is imported only where there is a GPU to ask about.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA, AMD, and either under WSL
ASK = """\
import json, torch
if torch.cuda.is_available():
    print(json.dumps([torch.cuda.get_device_name(0), torch.cuda.mem_get_info(0)[0]]))
"""


_ceiling: int | None = None


def keep_within(most: int | None) -> None:
    """From here on no more than so many bytes are said to be there for this process, of a GPU's
    memory, too. It is only what is said: whoever loads something has to ask."""
    global _ceiling
    _ceiling = most


@dataclass(frozen=True, slots=True)
class Machine:
    """`free` is None where nothing tells."""

    device: str  # "cpu", or "cuda:0"
    name: str
    free: int | None

    @property
    def dtype(self) -> str:
        """What networks are computed in: few processors are quick in bfloat16."""
        return "float32" if self.device == "cpu" else "bfloat16"


def machine(*, aside: bool = True) -> Machine:
    """The device that a network would be loaded to. Where there is a GPU, torch is asked in a
    process of its own; with `aside` false in this one, for who will load something anyway."""
    gpu = (gpu_aside() if aside else gpu_here()) if has_gpu() else None
    if gpu is None:
        return Machine("cpu", f"CPU with {os.cpu_count() or 1} cores", free_host())
    name, free = gpu
    return Machine("cuda:0", name, free if _ceiling is None else min(free, _ceiling))


def has_gpu() -> bool:
    return any(Path(file).exists() for file in GPU_FILES) or shutil.which("nvidia-smi") is not None


def gpu_here() -> tuple[str, int] | None:
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    return torch.cuda.get_device_name(0), torch.cuda.mem_get_info(0)[0]


def gpu_aside() -> tuple[str, int] | None:
    asked = subprocess.run([sys.executable, "-I", "-c", ASK], capture_output=True, text=True)
    try:
        name, free = json.loads(asked.stdout)
    except ValueError:  # no torch, a broken one, or one without CUDA: `doctor` says which
        return None
    return name, free


def free_on(device: str) -> int | None:
    """Free bytes of a device by torch's name for it."""
    if not device.startswith("cuda"):
        return free_host()
    import torch

    free = torch.cuda.mem_get_info(torch.device(device))[0]
    taken = torch.cuda.memory_reserved(torch.device(device))
    return free if _ceiling is None else min(free, max(_ceiling - taken, 0))


def free_host(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """What programs may still take before the system swaps. Where that is not told, as on macOS,
    all the memory that is built in: a plan above that is certainly too large."""
    try:
        lines = meminfo.read_text("ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvail"))
        return int(min(free, room_in_group(), room_within()))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return int(min(whole, room_within()))
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def room_within() -> float:
    """What this process's own ceiling leaves, infinite where it has none."""
    if _ceiling is None:
        return math.inf
    import psutil  # only here: few processes have a ceiling

    return max(_ceiling - psutil.Process().memory_info().rss, 0)


def room_in_group(group: Path = Path("/sys/fs/cgroup")) -> float:
    """What a container's limit leaves, infinite where there is none. The kernel ends a process that
    takes more, although the machine has it."""
    try:
        most, used = ((group / f"memory.{name}").read_text("ascii") for name in ("max", "current"))
        return max(int(most) - int(used), 0)
    except (OSError, ValueError):  # without a limit the file is missing, or says "max"
        return math.inf
