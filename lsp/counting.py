"""Counts what becomes of a window's fills: for the file on this machine, and for whoever looks at
the server that the window asks, where that is on this machine, too. Knows no message of the
protocol.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from infill.fill import Fill
from infill.shown import Shown
from infill.statistics import COUNTED, Statistics, path
from lsp.sync import Documents, Snapshot

if TYPE_CHECKING:
    from model.serving.reach import Reach

TICK = 1.0  # seconds until what was counted is told, so that who looks on sees it
WRITE = 5.0  # seconds between two times that the file is written
LAST = 0.5  # seconds that the end of the window may take for it


class Counting:
    def __init__(
        self,
        documents: Documents,
        is_wanted: Callable[[], bool],
        server: Callable[[], Reach | None],
    ) -> None:
        """`server`: the one that this window asks, if it is on this machine."""
        self._documents = documents
        self._is_wanted = is_wanted
        self._server = server
        self._shown = Shown(self._count)
        self._statistics = Statistics(path())
        self._untold: Counter[str] = Counter()
        self._tick: asyncio.TimerHandle | None = None
        self._writing: threading.Thread | None = None
        self._written = monotonic()

    def shown(self, seen: Snapshot, fill: Fill | None) -> str | None:
        """A name for the fill, by which the editor may say that it was accepted; None where there
        is nothing to count. `seen` is what it was made for."""
        if fill is None or fill.edit is None or not fill.edit.text or not self._is_wanted():
            return None
        others = [further.edit for further in fill.others or ()]
        return self._shown.shown(seen.uri, seen.text, fill.edit, seen.language, others)

    def silent(self, language: str, code: str) -> None:
        """`code` is that of the reason."""
        if self._is_wanted():
            self._count(code, language)

    def accepted(self, name: str) -> None:
        self._shown.accepted(name, monotonic())
        self._begin()

    def changed(self, former: Snapshot, snapshot: Snapshot) -> None:
        self._shown.changed(
            snapshot.uri, former.lines, snapshot.lines, lambda: snapshot.text, monotonic()
        )
        if self._shown.follows:
            self._begin()

    def closed(self, snapshot: Snapshot) -> None:
        self._shown.closed(snapshot.uri, snapshot.text)

    def close(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        for snapshot in self._documents:
            self.closed(snapshot)
        self._statistics.write(LAST)

    def _count(self, what: str, language: str) -> None:
        self._statistics.count(what, language)
        self._untold[what] += 1
        self._begin()

    def _begin(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # the window has ended: `close` writes
            return
        self._tick = self._tick or loop.call_later(TICK, self._ticked)

    def _ticked(self) -> None:
        self._tick = None
        self._shown.passed(monotonic(), self._text_of)
        is_due = self._statistics.pending and monotonic() - self._written > WRITE
        if (is_due or self._untold) and (self._writing is None or not self._writing.is_alive()):
            untold, self._untold = self._untold, Counter()
            # Of its own, since asyncio waits at the end for those of its pool.
            self._writing = threading.Thread(
                target=self._write, args=(untold, self._server(), is_due), daemon=True,
                name="infill-statistics",
            )  # fmt: skip
            self._writing.start()
        if self._shown.follows or self._statistics.pending or self._untold:
            self._begin()

    def _write(self, untold: Counter[str], server: Reach | None, is_due: bool) -> None:
        if is_due:
            self._written = monotonic()
            self._statistics.write()
        if untold and server is not None:
            from model.serving.look import tell

            counts = {what: untold.pop(what) for what in COUNTED if what in untold}
            tell(server, counts, untold)

    def _text_of(self, uri: str) -> str:
        snapshot = self._documents.get(uri)
        return snapshot.text if snapshot is not None else ""
