"""A working day at a window, accelerated: does memory stay where it was, is every request answered?

    python bench/soak.py [--keystrokes N] [--documents N] [--model NAME] [--dry]

One real language server with the shared model behind it, driven as an editor would: documents are
opened, typed in and closed, each keystroke is a change and a request, most of which the next one
supersedes; at the end of a line the answer is waited for, as a person does. Resident memory and
open files of both processes are looked at 100 times. Adds a table to bench/RESULTS.md and draws
bench/out/soak.png; with `--dry` the table is only printed. Ends with status 1 where memory grew by
more than 5 % after the first fifth, a file stayed open, or a request was not answered.
"""

from __future__ import annotations

import argparse
import os
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib as mpl
import psutil
from matplotlib.figure import Figure
from record import ROOT, append
from rich.console import Console
from rich.progress import Progress
from traces import Keystroke, files, opened, typed

sys.path.insert(0, str(ROOT))

from tests.raw_client import RawClient, server_command

LOOKS = 100
UNDERWAY = 8  # requests that may be unanswered at once; an editor has fewer
WARM = 0.2  # the share of the looks that does not count: caches fill
GROWTH = 1.05
FILES_MORE = 2  # a file may be open just when it is looked at


@dataclass(frozen=True, slots=True)
class Look:
    """What a process held at one moment. Bytes, and how many files and sockets were open."""

    rss: int
    files: int


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keystrokes", type=int, default=50_000)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "out", metavar="FOLDER")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="inf", dir="/tmp") as runtime:
        os.environ["INFILL_RUNTIME_DIR"] = runtime
        os.environ["INFILL_EXIT_AFTER"] = "5"
        looks, asked, answered = soaked(options.model, options.keystrokes, options.documents)
    minutes = (time.monotonic() - began) / 60
    lines, sound = told(looks, asked, answered, options.keystrokes, options.documents, minutes)
    if options.dry:
        print("\n".join(lines))
    else:
        append("soak", " ".join(["python bench/soak.py", *arguments]), lines)
    print(draw(looks, options.keystrokes, options.out / "soak.png"))
    return 0 if sound else 1


def soaked(model: str, keystrokes: int, documents: int) -> tuple[dict[str, list[Look]], int, int]:
    """What each process held from time to time; how many requests there were and were answered."""
    looks: dict[str, list[Look]] = {"window": [], "server": []}
    waiting: list[int] = []
    asked = answered = 0
    with (
        RawClient(server_command(model, log_level="warning")) as client,
        Progress(console=Console(stderr=True)) as progress,
    ):
        client.initialize({"server": "shared"})
        client.when_ready()
        status = client.ask("workspace/executeCommand", {"command": "infill.status"})
        processes = {
            "window": psutil.Process(client.process.pid),
            "server": psutil.Process(status["server"]["pid"]),
        }
        bar = progress.add_task("typing", total=keystrokes)
        for number, (editor, key) in enumerate(
            islice(day(client, documents, keystrokes), keystrokes)
        ):
            if number % max(1, keystrokes // LOOKS) == 0:
                for name, process in processes.items():
                    looks[name].append(Look(process.memory_info().rss, process.num_fds()))
            waiting.append(editor.key(key))
            asked += 1
            while len(waiting) > (0 if key.text.startswith("\n") else UNDERWAY):
                client.answer(waiting.pop(0))
                answered += 1
            progress.advance(bar)
        for msg_id in waiting:
            client.answer(msg_id)
            answered += 1
        client.leave()
    return looks, asked, answered


class Editor:
    """One open document of an editor: its text, its version, and what is sent at a keystroke."""

    def __init__(self, client: RawClient, uri: str, code: str) -> None:
        self.client, self.uri, self.text, self.version = client, uri, opened(code), 1
        client.open(uri, self.text)

    def key(self, key: Keystroke) -> int:
        """Returns the id of the request that follows the change."""
        start, end = self.position(key.start), self.position(key.end)
        self.text = self.text[: key.start] + key.text + self.text[key.end :]
        self.version += 1
        change = {"range": {"start": start, "end": end}, "text": key.text}
        self.client.change(self.uri, self.version, change)
        return self.client.inline(self.uri, **self.position(key.cursor))

    def position(self, offset: int) -> dict[str, int]:
        """Of a text in which each character is one UTF-16 unit."""
        line = self.text.count("\n", 0, offset)
        return {"line": line, "character": offset - (self.text.rfind("\n", 0, offset) + 1)}

    def close(self) -> None:
        document: dict[str, Any] = {"textDocument": {"uri": self.uri}}
        self.client.notify("textDocument/didClose", document)


def day(client: RawClient, documents: int, keystrokes: int) -> Iterator[tuple[Editor, Keystroke]]:
    """Documents one after the other, the last three of them open."""
    each = -(-keystrokes // documents)
    code = files([Path(sysconfig.get_path("stdlib"))], documents, seed=0)
    open_ones: list[Editor] = []
    for number in range(documents):
        text = code[number % len(code)].read_text("utf-8", errors="replace")
        text = "".join(char for char in text if ord(char) < 0x10000)  # one UTF-16 unit each
        editor = Editor(client, f"file:///soak/{number}.py", text)
        open_ones.append(editor)
        if len(open_ones) > 3:
            open_ones.pop(0).close()
        for key in islice(typed(text, number), each):
            yield editor, key


def told(
    looks: dict[str, list[Look]], asked: int, answered: int, keystrokes: int, documents: int,
    minutes: float,
) -> tuple[list[str], bool]:  # fmt: skip
    """The table, and whether all is as it should be."""
    lines = [
        f"{keystrokes} keystrokes in {documents} documents, {minutes:.1f} minutes; "
        f"{asked} requests, {answered} answered.",
        "",
        "| | first, MB | last, MB | growth after the first fifth | files first | files last |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    sound = asked == answered
    for name, some in looks.items():
        warm = some[int(len(some) * WARM) :]
        part = max(1, len(warm) // 5)
        first, last = warm[:part], warm[-part:]
        growth = fmean(it.rss for it in last) / fmean(it.rss for it in first)
        more = min(it.files for it in last) - min(it.files for it in first)
        sound = sound and growth <= GROWTH and more <= FILES_MORE
        lines.append(
            f"| {name} | {some[0].rss / 1e6:.0f} | {some[-1].rss / 1e6:.0f} "
            f"| {growth - 1:+.1%} | {first[0].files} | {last[-1].files} |"
        )
    return lines, sound


def draw(looks: dict[str, list[Look]], keystrokes: int, path: Path) -> Path:
    mpl.use("agg")
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    for name, some in looks.items():
        places = [keystrokes * i / len(some) for i in range(len(some))]
        axes.plot(places, [it.rss / 1e6 for it in some], label=name)
    axes.set(xlabel="keystrokes", ylabel="resident memory, MB", ylim=(0, None))
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
