"""`infill-lsp top`: what this user's servers are doing, as it goes on, and what becomes of fills.

It draws what `model.serving.look` and `infill.statistics` say, and asks no model for anything.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from infill.reason import Reason
from infill.statistics import COUNTED, Row, path, rows
from infill.verbs.terminal import console as beside
from infill.verbs.terminal import print_json
from model.published.hub import gb
from model.serving.look import Look, looked

EVERY = 1.0  # seconds
HISTORY = 60  # looks that are remembered
BAR = 20  # characters
BLOCKS = "▁▂▃▄▅▆▇█"
STATES = {"ready": "green", "loading": "yellow", "unloaded": "cyan", "failed": "red"}
NAMES = {"shown": "shown", "accepted": "accepted", "partly": "in part", "kept": "kept"}
SERVER = 9  # lines of a server without clients and silences
SHARES = 4  # clients, and as many reasons, that are shown in any case

Speeds = Mapping[str, Sequence[float]]  # tokens a second at the last looks, by address


@dataclass(slots=True)
class Seen:
    """What was seen at the last look and before."""

    looks: Sequence[Look] = ()
    days: Sequence[Row] = ()
    trouble: str = ""  # with the statistics
    speeds: defaultdict[str, deque[float]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=HISTORY))
    )

    def look(self, server: str | None, days: int) -> None:
        """Raises `ModelError` for an address that is none."""
        self.looks = looked(server)
        for look in self.looks:
            self.speeds[look.address].append(number(look.state or {}, "tokens_a_second"))
        try:
            self.days, self.trouble = tuple(rows(path(), days)), ""
        except OSError as error:
            self.days, self.trouble = (), str(error)

    @property
    def is_alive(self) -> bool:
        return any(look.state is not None for look in self.looks)


def show(*, server: str | None, days: int | None, once: bool, as_json: bool) -> int:
    """Shows it until the user has seen enough; the exit status. Raises `ModelError`."""
    seen = Seen()
    seen.look(server, days or 1)
    console = Console(highlight=False, emoji=False)
    if as_json:
        print_json(told(seen))
    elif once or not (console.is_terminal and seen.is_alive):
        if seen.looks or seen.days:
            console.print(drawn(seen, None, whole=days is not None))
    else:
        live(console, seen, server, days)
        return 0
    if not seen.is_alive:
        beside().print(Text(no_server(server, seen.looks)), soft_wrap=True)
    return 0 if seen.is_alive else 1


def no_server(server: str | None, looks: Sequence[Look]) -> str:
    if looks:
        return f"infill-lsp: {looks[0].address}: {looks[0].trouble}"
    return (
        "infill-lsp: no server of yours runs: an editor starts one with its first file, "
        "`infill-lsp serve` starts one by hand"
    )


def live(console: Console, seen: Seen, server: str | None, days: int | None) -> None:
    """On a screen of its own, until q or ctrl-c."""
    try:
        with (
            keys() as key,
            Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as at,
        ):
            while True:
                view = drawn(seen, console.height, whole=days is not None)
                at.update(view, refresh=True)
                if key(EVERY) in ("q", "Q", "\x1b"):
                    return
                seen.look(server, days or 1)
    except KeyboardInterrupt:
        return


@contextmanager
def keys() -> Generator[Callable[[float], str]]:
    """What waits for a key, at most so many seconds; the key, or nothing."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield pause
        return
    import select
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def key(seconds: float) -> str:
        ready, _, _ = select.select([terminal], [], [], seconds)
        return os.read(terminal, 1).decode("ascii", "replace") if ready else ""

    try:
        tty.setcbreak(terminal)
        yield key
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def pause(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def told(seen: Seen) -> dict[str, Any]:
    """For `--json`."""
    return {
        "servers": [
            {"address": look.address, "state": look.state, "trouble": look.trouble or None}
            for look in seen.looks
        ],
        "days": [
            {"day": row.day, "language": row.language}
            | {name: row.counts[name] for name in COUNTED}
            | {"silences": dict(row.silences)}
            for row in seen.days
        ],
    }


def drawn(seen: Seen, height: int | None, *, whole: bool) -> RenderableType:
    """All of it in so many lines, or in as many as it takes; `whole`: each day and language."""
    parts: list[RenderableType] = []
    most = None
    if height is not None:
        left = height // max(1, len(seen.looks)) - SERVER - 4
        most = max(SHARES, left // 2)
    for look in seen.looks:
        parts += [server_drawn(look, seen.speeds[look.address], most), Text()]
    if not seen.looks:
        parts += [Text("no server runs now"), Text()]
    if seen.trouble:
        parts.append(Text(seen.trouble, "red"))
    elif whole:
        parts.append(days_drawn(seen.days))
    elif seen.days:
        parts.append(today_drawn(seen.days))
    if height is not None:
        parts.append(Text("q ends", "dim"))
    return Group(*parts)


def server_drawn(look: Look, speeds: Iterable[float], most: int | None) -> RenderableType:
    """`most`: so many clients and so many reasons are shown."""
    state = look.state
    lines = Table.grid(padding=(0, 2), expand=True)
    lines.add_column(no_wrap=True, style="dim", min_width=7)
    lines.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    if state is None:
        lines.add_row("server", Text(look.address))
        lines.add_row("", Text(look.trouble, "red", no_wrap=False))
        return lines
    named = plain(state.get("model"))
    what = plain(state.get("state"))
    title = Text.assemble((named, "bold"), "  ", (what, STATES.get(what, "")))
    title.append(f"  up {lasting(number(state, 'uptime'))}  pid {round(number(state, 'pid'))}")
    lines.add_row("model", title)
    lines.add_row("at", Text(plain(look.address)))
    for label, value in server_lines(state, speeds):
        lines.add_row(label, value)
    for label, value in (*clients_lines(state, most), *silences_lines(state, most)):
        lines.add_row(label, value)
    return lines


def server_lines(state: Mapping[str, Any], speeds: Iterable[float]) -> Iterator[tuple[str, Text]]:
    if loading := objected(state.get("loading")):
        share = min(max(number(loading, "share"), 0.0), 1.0)
        yield "load", Text(f"{bar(share)} {share:4.0%}  {plain(loading.get('what'))}", "yellow")
    if failure := state.get("failure"):
        yield "trouble", Text(plain(failure), "red", no_wrap=False, overflow="fold")
    if choice := state.get("choice"):
        yield "chosen", Text(plain(choice))
    yield "memory", memory_line(state)
    queue, running = number(state, "queue"), number(state, "running")
    steps, boards = number(state, "steps"), number(state, "boards_stepped")
    batch = f", {boards / steps:.1f} boards a step" if steps else ""
    work = Text(f"{running:.0f} in work, {queue:.0f} waiting")
    work.append(f"  {steps:.0f} steps{batch}", "dim")
    yield "batch", work
    if state.get("step_ms") is not None:
        recent = cast(list[Any], state.get("steps_ms") or [])
        times = [float(ms) for ms in recent if isinstance(ms, int | float)]
        step = Text(f"{number(state, 'step_ms'):.1f} ms".ljust(16))
        yield "step", step.append(sparkline(times[-40:]), "cyan")
    speed = Text(f"{number(state, 'tokens_a_second'):.1f} tokens/s".ljust(16))
    yield "speed", speed.append(sparkline(list(speeds)[-40:]), "cyan")
    outcomes = objected(state.get("outcomes"))
    yield "fills", Text(listed(outcomes) or "none yet")
    yield "offers", offers_line(Counter(counted(objected(state.get("told")))))


def memory_line(state: Mapping[str, Any]) -> Text:
    rss, ceiling = number(state, "rss"), number(state, "ceiling")
    if not ceiling:
        return Text(f"{gb(rss)}, no ceiling")
    share = rss / ceiling
    line = Text(f"{gb(rss)} of {gb(ceiling)}  {bar(min(share, 1.0))} {share:.0%}")
    if state.get("over"):
        line.append("  above its ceiling: fills are refused", "red")
    return line


def clients_lines(state: Mapping[str, Any], most: int | None) -> Iterator[tuple[str, Text]]:
    found = cast(list[Mapping[str, Any]], state.get("clients") or [])
    if not found:
        yield "clients", Text("none", "dim")
    ordered = sorted(found, key=lambda one: (-number(one, "queue"), -number(one, "fills")))
    for i, one in enumerate(ordered[:most]):
        pid = f"{number(one, 'pid'):.0f}" if one.get("pid") is not None else "-"
        line = Text(f"{shortened(plain(one.get('name')), 16):16} pid {pid:8}")
        line.append(f"{number(one, 'fills'):6.0f} fills  {number(one, 'queue'):3.0f} in hand")
        yield "" if i else "clients", line
    if more := len(found[len(ordered[:most]) :]):
        yield "", Text(f"and {more} more", "dim")


def silences_lines(state: Mapping[str, Any], most: int | None) -> Iterator[tuple[str, Text]]:
    for i, line in enumerate(reasons(counted(objected(state.get("silences"))), most)):
        yield "" if i else "silent", line


def reasons(counts: Mapping[str, int], most: int | None) -> Iterator[Text]:
    """Why nothing was shown, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for code, count in ordered[:most]:
        yield Text(f"{count:6}  {explained(code)}")
    if rest := sum(count for _, count in ordered[most:] if most is not None):
        yield Text(f"{rest:6}  for other reasons", "dim")


def explained(code: str) -> str:
    try:
        return Reason(code).explanation
    except ValueError:  # of a server that is newer than this program
        return plain(code)


def offers_line(counts: Counter[str]) -> Text:
    line = Text("  ".join(f"{counts[name]} {NAMES[name]}" for name in COUNTED))
    if counts["shown"]:
        line.append(f"  {share_taken(counts)} taken", "bold")
    return line


def share_taken(counts: Counter[str]) -> str:
    """Of what was shown, what was accepted, wholly or in part."""
    if not counts["shown"]:
        return "-"
    return f"{(counts['accepted'] + counts['partly']) / counts['shown']:.0%}"


def today_drawn(days: Sequence[Row]) -> RenderableType:
    line = Text.assemble(("today    ", "dim"), no_wrap=True, overflow="ellipsis")
    total: Counter[str] = Counter()
    for row in days:
        total.update(row.counts)
    return line.append(offers_line(total))


def days_drawn(days: Sequence[Row]) -> RenderableType:
    """A line for each day and language, and why nothing was shown in all of them."""
    if not days:
        return Text("no fill was counted in these days")
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("day", no_wrap=True)
    table.add_column("language", no_wrap=True)
    for name in (*NAMES.values(), "taken", "silent"):
        table.add_column(name, justify="right", no_wrap=True)
    silences: Counter[str] = Counter()
    former = ""
    for row in days:
        silences.update(row.silences)
        counts = [str(row.counts[name]) for name in COUNTED]
        day = row.day if row.day != former else ""
        silent = str(row.silences.total())
        table.add_row(day, row.language, *counts, share_taken(row.counts), silent)
        former = row.day
    return Group(table, Text(), *reasons(silences, 10))


def bar(share: float) -> str:
    full = round(share * BAR)
    return "█" * full + "░" * (BAR - full)


def sparkline(values: Sequence[float]) -> str:
    """Each value as a block between nothing and the highest."""
    highest = max(values, default=0.0)
    if highest <= 0:
        return ""
    last = len(BLOCKS) - 1
    return "".join(BLOCKS[round(max(0.0, value) / highest * last)] for value in values)


def listed(counts: Mapping[str, Any]) -> str:
    ordered = sorted(counted(counts).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {plain(name)}" for name, count in ordered)


def lasting(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def plain(told: object) -> str:
    """What a server says, without what would move the cursor."""
    return "".join(c if c.isprintable() else "?" for c in str(told if told is not None else ""))


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def number(told: Mapping[str, Any], name: str) -> float:
    value = told.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def objected(told: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], told) if isinstance(told, dict) else {}


def counted(told: Mapping[str, Any]) -> dict[str, int]:
    return {name: count for name, count in told.items() if isinstance(count, int) and count}
