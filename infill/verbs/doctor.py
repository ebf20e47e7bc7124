"""`infill-lsp doctor`: what is installed, which model and device, and whether a fill really works.

Every check tries the thing itself where it can. Knows no editor.
"""

from __future__ import annotations

import asyncio
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from infill.code.languages import LANGUAGES
from infill.code.syntax import parse
from infill.document import Document
from infill.fill import Fill, fill_at
from infill.memory import Memory
from infill.privacy import refusal
from infill.settings import Settings
from infill.verbs.terminal import console, loaded, print_json
from model import ModelError, auto
from model.load import ELSEWHERE, card_of, folder_of
from model.published import hub
from model.serving.reach import Absent, Hung, checked, reach_from
from model.serving.runtime import absolute, place_for
from model.serving.supervise import adopted

NO_WEIGHTS = ("scripted:", ELSEWHERE)  # what begins so has none here, and needs no torch
LOCAL = "pip install 'infill-lsp[local]'"
PATIENCE_MS = 60_000
SMALL = "def area(width, height):\n    return width * \n\n\nprint(area(3, 4))\n"
DEVICE = """\
import torch
if torch.cuda.is_available():
    print(torch.cuda.get_device_name(0), "with CUDA", torch.version.cuda)
else:
    print("CPU,", torch.get_num_threads(), "threads")
"""


@dataclass(frozen=True, slots=True)
class Check:
    """`ok` is None for what is good to know and cannot be wrong."""

    name: str
    ok: bool | None
    found: str
    advice: str = ""


def examine(settings: Settings, *, as_json: bool = False) -> int:
    """The exit status: 1 when something is broken."""
    checks: list[Check] = []
    stderr = console()
    for check in checks_of(settings, stderr):
        checks.append(check)
        if not as_json:  # one after the other, since the last ones take seconds
            Console(highlight=False).print(line_of(check))
    sound = all(check.ok is not False for check in checks)
    if as_json:
        print_json({"ok": sound, "checks": [asdict(check) for check in checks]})
    return 0 if sound else 1


def checks_of(settings: Settings, stderr: Console) -> Iterator[Check]:
    yield Check("python", None, f"{platform.python_version()} ({sys.executable})")
    yield Check("system", None, platform.platform())
    yield ours()
    yield from (required(name) for name in ("pygls", "lsprotocol", "tree-sitter", "xxhash"))
    yield from torch_and_device(settings)
    yield grammars()
    yield private_files(settings)
    yield from networks()
    yield shared_server(settings)
    model = model_named(settings.model, settings.model_keys)
    yield model
    yield a_fill(settings, stderr) if model.ok else Check("a fill", False, "needs the model")


def ours() -> Check:
    where = Path(__file__).resolve().parents[2]
    return Check("infill-lsp", None, f"{version_of('infill-lsp') or 'not installed'} ({where})")


def required(name: str) -> Check:
    version = version_of(name)
    return Check(
        name, version is not None, version or "not installed",
        "" if version else "install infill-lsp again: pip install --force-reinstall infill-lsp",
    )  # fmt: skip


def torch_and_device(settings: Settings) -> Iterator[Check]:
    needed = not settings.model.startswith(NO_WEIGHTS)
    version = version_of("torch")
    if version is None:
        yield Check("torch", not needed, f"not installed: {LOCAL}")
        return
    yield Check("torch", True, version)
    yield device(needed)


def device(needed: bool) -> Check:
    """Asked in a process of its own: a torch that is broken may end the one that imports it."""
    asked = subprocess.run(
        [sys.executable, "-I", "-c", DEVICE], capture_output=True, text=True, check=False
    )
    if asked.returncode == 0:
        return Check("device", True, asked.stdout.strip())
    trouble = (asked.stderr.strip().splitlines() or [f"status {asked.returncode}"])[-1]
    advice = f"install torch again: {LOCAL} --force-reinstall"
    return Check("device", not needed, f"torch cannot be imported: {trouble}", advice)


def grammars() -> Check:
    broken = [trouble for name in LANGUAGES if (trouble := trouble_with(name))]
    if broken:
        return Check("grammars", False, "; ".join(broken), "install infill-lsp again")
    return Check("grammars", True, f"{len(LANGUAGES)} load: {', '.join(sorted(LANGUAGES))}")


def trouble_with(language: str) -> str | None:
    try:
        tree = parse("x\n", language)
    except Exception as error:  # a wheel for another platform or version fails in many ways
        return f"{language}: {error}"
    return None if tree else f"{language}: no tree"


def private_files(settings: Settings) -> Check:
    """Whether files that must stay private do, tried with three files that are made for it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        (root / ".gitignore").write_text("private/\n")
        (root / "private").mkdir()
        kept = {
            name: refusal(Document(root / name, "python", "x = 1\n"), root=root, settings=settings)
            for name in (".env", "private/notes.py", "public.py")
        }
    leaks = [name for name in (".env", "private/notes.py") if kept[name] is None]
    if leaks:
        return Check("private files", False, f"would be shown to the model: {', '.join(leaks)}",
                     "please report this")  # fmt: skip
    if kept["public.py"] is not None:
        return Check("private files", False, f"refuses an ordinary file: {kept['public.py']}",
                     "is `enabled` off, or `max_file_chars` too small?")  # fmt: skip
    return Check("private files", True, "secrets and ignored files are kept from the model")


def networks() -> Iterator[Check]:
    """What else could be used than the bundled model, and what `--model auto` would be."""
    here = [f"{row.id} ({hub.gb(hub.size_of(folder))})" for row, folder in auto.on_disk()]
    none = "no network but the bundled one; `infill-lsp models list` shows what there is"
    yield Check("on disk", None, ", ".join(here) or none)
    yield Check("auto", None, auto.choose_here().sentence)


def shared_server(settings: Settings) -> Check:
    """Whether windows can share a server, and the one that runs; none is started for it."""
    if settings.model.startswith(NO_WEIGHTS) or settings.server == "inside":
        return Check("server", None, "none: fills are made in the window's own process")
    try:
        if settings.server != "shared":
            reach = reach_from(settings.server)
            health = checked(reach)
            found = f"process {health.pid} at {reach}, infill-lsp {health.version}"
            return Check("server", True, found)
        place = place_for(settings.model, settings.model_keys, settings.seed)
        running = adopted(place, absolute(settings.model))
    except ModelError as error:
        return Check("server", False, str(error))
    except Absent:
        return Check("server", False, f"nothing listens at {settings.server}", "is it running?")
    except Hung:
        return Check("server", False, "one listens and says nothing", "the next window replaces it")
    if running is None:
        return Check("server", True, f"none runs; a window will start it, in {place.folder}")
    return Check("server", True, f"process {running[1]} at {running[0]}, log in {place.log}")


def model_named(name: str, keys: Mapping[str, Any]) -> Check:
    try:
        card = card_of(name, keys)
    except ModelError as error:
        return Check("model", False, str(error))
    where = ""
    if not name.startswith(NO_WEIGHTS):
        folder = folder_of(name, keys).resolve()
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        where = f", {size / 1e6:.1f} MB in {folder}"
    return Check(
        "model", True,
        f"{card.name} {card.version}, sees about {card.context} characters{where}",
    )  # fmt: skip


def a_fill(settings: Settings, stderr: Console) -> Check:
    began = perf_counter()
    try:
        with loaded(settings, stderr) as denoiser:
            loading = perf_counter() - began
            fill = asyncio.run(
                fill_at(
                    Document(None, "python", SMALL),
                    SMALL.index("* ") + 2,
                    denoiser=denoiser,
                    settings=replace(settings, deadline_ms=PATIENCE_MS, min_confidence=0.0),
                    memory=Memory(),
                    invoked=True,
                )
            )
    except ModelError as error:
        return Check("a fill", False, str(error))
    except Exception as error:  # whatever it is, it is what the user wanted to know
        return Check("a fill", False, f"{type(error).__name__}: {error}", "please report this")
    return Check("a fill", fill.steps > 0, told(fill, loading))


def told(fill: Fill, loading: float) -> str:
    cost = f"{fill.steps} steps, {fill.timing.total:.0f} ms, after {loading:.1f} s of loading"
    if fill.edit:
        return f"`return width * ` was filled with `{fill.edit.text}` ({cost})"
    reason = fill.reason.explanation if fill.reason else ""
    return f"the model answers, and nothing of it was worth showing: {reason} ({cost})"


def version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def line_of(check: Check) -> Table:
    mark, style = {True: ("✔", "green"), False: ("✘", "bold red"), None: ("·", "dim")}[check.ok]
    found = Text(check.found, style="red" if check.ok is False else "")
    if check.advice:
        found.append(f"\n→ {check.advice}")
    line = Table.grid(padding=(0, 1))
    line.add_column(width=1)
    line.add_column(width=14, no_wrap=True)
    line.add_column(overflow="fold")
    line.add_row(Text(mark, style), Text(check.name, style), found)
    return line
