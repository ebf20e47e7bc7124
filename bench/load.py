"""Several windows typing at one model: how many fills, how long they take, and whether it is fair.

    python bench/load.py [--clients N ...] [--seconds S] [--model NAME] [--dry]

Real language servers, each driven as an editor would in real time (see traces.py), against one
server of the model: first as it serves, by turns between clients and on a GPU all in one batch;
then one request after the other, as they came, on the same weights. Both take turns for each number
of clients, and type the same keys. A keystroke is answered when its answer comes before the next
one; answers from memory, typed along, are counted apart, since no server made them. Adds a table to
bench/RESULTS.md; with `--dry` it is only printed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any, cast

from record import ROOT, append
from rich.console import Console
from rich.progress import track
from soak import Editor
from traces import files, typed

sys.path.insert(0, str(ROOT))

from infill.verbs.terminal import percentile
from model.canvas import Canvas, Card, Claim, Denoiser, Draft
from model.load import load
from model.serving.run import Serving, serve
from tests.raw_client import RawClient, server_command

SERVED, ALONE = "as it serves", "one request at a time"
PATIENCE = 120.0
FEWEST = 5  # answers of a client, of whose mean wait something can be said


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one keystroke's request. `ms` is None where the next key came first."""

    client: int
    ms: float | None
    shown: bool = False
    remembered: bool = False


class OneAtATime:
    """A denoiser that takes the next canvas when the last one has ended."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser, self.turn = denoiser, asyncio.Lock()

    @property
    def card(self) -> Card:
        return self.denoiser.card

    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        async with self.turn:
            drafts = cast(AsyncGenerator[Draft], self.denoiser.denoise(canvas, claim))
            async with aclosing(drafts):
                async for draft in drafts:
                    yield draft

    def close(self) -> None:
        self.denoiser.close()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=60.0, help="of typing, for each row")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--serve", nargs=2, metavar=("SOCKET", "HOW"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        socket, how = options.serve
        return served(options.model, Path(socket), alone=how == ALONE)
    rounds = [(clients, how) for clients in options.clients for how in (SERVED, ALONE)]
    rows: list[str] = []
    for clients, how in track(rounds, "typing", console=Console(stderr=True)):
        rows.append(row_of(how, clients, options.seconds, typing(options, clients, how)))
    lines = [
        f"{options.model}, {os.cpu_count()} cores for windows and model; {options.seconds:g} s of "
        "typing a row.",
        "",
        "| clients | serving | keys answered before the next | fills a second | ms p50 | ms p95 "
        "| slowest client against the median |",
        "|--:|---|--:|--:|--:|--:|--:|",
        *rows,
    ]
    if options.dry:
        print("\n".join(lines))
    else:
        append("load", " ".join(["python bench/load.py", *arguments]), lines)
    return 0


def served(model: str, socket: Path, *, alone: bool) -> int:
    def loaded(*args: Any, **named: Any) -> Denoiser:
        denoiser = load(*args, **named)
        return OneAtATime(denoiser) if alone else denoiser

    return serve(Serving(model, socket=socket, exit_after=PATIENCE), loaded)


@contextmanager
def server(model: str, how: str) -> Iterator[str]:
    """Its address."""
    with tempfile.TemporaryDirectory(prefix="inf", dir="/tmp") as folder:
        socket = Path(folder) / "model.sock"
        command = [sys.executable, __file__, "--model", model, "--serve", str(socket), how]
        process = subprocess.Popen(command, cwd=ROOT)
        try:
            while not socket.exists():
                if process.poll() is not None:
                    raise RuntimeError(f"the server ended with status {process.returncode}")
                time.sleep(0.05)
            yield f"unix:{socket}"
        finally:
            process.terminate()
            process.wait()


def typing(options: argparse.Namespace, clients: int, how: str) -> list[Answered]:
    answers: list[Answered] = []
    code = files([Path(sysconfig.get_path("stdlib"))], clients, seed=1, least=8_000)
    ready = threading.Barrier(clients)
    with server(options.model, how) as address:

        def work(number: int) -> None:
            command = server_command(options.model, log_level="warning")
            with RawClient(command) as client:
                client.initialize({"server": address, "speculate": False})
                client.when_ready()
                ready.wait(PATIENCE)
                text = code[number].read_text("utf-8")
                answers.extend(one_typing(client, number, text, options.seconds))
                client.leave()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return answers


def one_typing(client: RawClient, number: int, code: str, seconds: float) -> Iterator[Answered]:
    """One person at one window."""
    text = "".join(char for char in code if ord(char) < 0x10000)
    editor = Editor(client, f"file:///load/{number}.py", text)
    until = time.monotonic() + seconds
    last: tuple[int, float] | None = None
    for key in typed(text, number):
        next_key = time.monotonic() + key.after
        if last is not None:
            yield answer_to(client, number, editor.uri, *last, next_key)
        time.sleep(max(0.0, next_key - time.monotonic()))
        if time.monotonic() > until:
            return
        last = editor.key(key), time.monotonic()


def answer_to(
    client: RawClient, number: int, uri: str, msg_id: int, asked: float, next_key: float
) -> Answered:
    try:
        answer = client.answer(msg_id, max(0.001, next_key - time.monotonic()))
    except AssertionError:  # not yet
        return Answered(number, None)
    ms = (time.monotonic() - asked) * 1000
    why = client.ask("workspace/executeCommand", {"command": "infill.why", "arguments": [uri]})
    items = (answer.get("result") or {}).get("items", [])
    made = bool(why.get("steps")) and not why.get("remembered")
    return Answered(number, ms, bool(items), not made)


def row_of(how: str, clients: int, seconds: float, answers: Sequence[Answered]) -> str:
    made = [it for it in answers if it.ms is not None and not it.remembered]
    asked = [it for it in answers if not it.remembered]
    times = [it.ms for it in made if it.ms is not None]
    each = [[it.ms for it in made if it.client == number and it.ms] for number in range(clients)]
    waits = [fmean(some) for some in each if len(some) >= FEWEST] or [0.0]
    slowest = max(waits) / median(waits) if median(waits) else float("nan")
    return (
        f"| {clients} | {how} | {len(made) / max(1, len(asked)):.0%} of {len(asked)} "
        f"| {len(made) / seconds:.1f} | {percentile(times, 50)} "
        f"| {percentile(times, 95)} | {slowest:.2f} |"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
