"""Runs a Python program to see whether it ends well. Knows nothing of what it is a test of.

A process of its own: isolated (`python -I`), in an empty folder, without input, with little of the
environment, with limits on time, memory and what it may write, and with everything that it started
killed at the end. That guards against accidents. It is no wall against malice: it does not close
the network nor hide the disk.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CPU_SECONDS = 10  # the suites' programs take milliseconds; an endless loop takes all it gets
WALL_SECONDS = 30.0  # for one that sleeps, on a machine that may be busy
MEMORY = 1 << 30
FILE_SIZE = 1 << 20

# The limits are set by the process itself: setting them between fork and exec is not safe where
# threads run. A program that leaves early, with a clean exit status even, does not get to the end.
RUNNER = """\
import sys
try:
    import resource
except ImportError:  # Windows has no such limits
    pass
else:
    for kind, limit in (("RLIMIT_CPU", {cpu}), ("RLIMIT_AS", {memory}), ("RLIMIT_FSIZE", {size}),
                        ("RLIMIT_CORE", 0)):
        try:
            resource.setrlimit(getattr(resource, kind), (limit, limit))
        except (AttributeError, ValueError, OSError):  # not every system has or allows each
            pass
program, ended = sys.argv[1:]
sys.argv = [program]
with open(program, encoding="utf-8") as file:
    code = compile(file.read(), program, "exec")
exec(code, {{"__name__": "__main__"}})
with open(ended, "x"):
    pass
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`trouble` is the last line of what the program complained, or what stopped it."""

    passed: bool
    trouble: str = ""


def outcome_of(
    program: str, *, cpu_seconds: int = CPU_SECONDS, wall_seconds: float = WALL_SECONDS,
    memory: int = MEMORY,
) -> Outcome:  # fmt: skip
    """Runs the program to its end or to a limit. Blocks."""
    with tempfile.TemporaryDirectory(prefix="infill-", ignore_cleanup_errors=True) as folder:
        source, complaints = Path(folder, "program.py"), Path(folder, "complaints")
        ended, empty = Path(folder, secrets.token_hex(16)), Path(folder, "empty")
        source.write_bytes(program.encode("utf-8", "surrogatepass"))
        empty.mkdir()
        runner = RUNNER.format(cpu=cpu_seconds, memory=memory, size=FILE_SIZE)
        with complaints.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", runner, str(source), str(ended)],
                cwd=empty, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=stderr, start_new_session=True,
            )  # fmt: skip
            status = status_of(process, wall_seconds)
        if status is None:
            return Outcome(False, f"took longer than {wall_seconds:g} s")
        if status == 0 and ended.exists():
            return Outcome(True)
        return Outcome(False, last_line(complaints) or ended_by(status))


def status_of(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit status, None after too long. Nothing of the process is left when this returns."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        kill_all(process)
        process.wait()


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """The process and what it started and left behind in its group."""
    if sys.platform == "win32":
        process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):  # all gone already; a zombie, on macOS
        os.killpg(process.pid, signal.SIGKILL)


def environment() -> dict[str, str]:
    """Hashes are the same in every run; Windows cannot start Python without its own folder."""
    kept = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    return {"PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8", **kept}


def ended_by(status: int) -> str:
    if status < 0:  # the limit on CPU time, most often
        return f"stopped by {signal.Signals(-status).name}"
    return f"ended early with status {status}"


def last_line(complaints: Path) -> str:
    lines = complaints.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else ""
