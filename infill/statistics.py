"""What became of fills, counted by day and language in one file on this machine: no code, no names
of files, nothing that is sent anywhere. To delete the file is to forget.

Several windows write to it. It knows neither editors nor what it is that is counted.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

from infill.code.languages import LANGUAGES
from infill.reason import Reason

FOLDER = "INFILL_STATE_DIR"  # names the folder in place of the system's
VERSION = 1  # of the file
COUNTED = ("shown", "accepted", "partly", "kept")
KEEPS = 400  # days; older ones are dropped when it is written
PATIENCE = 1.0  # seconds that another window may hold the file
OTHER = "other"  # languages that are not known here: an editor may call them anything

Key = tuple[str, str, str]  # day, language, and one of `COUNTED` or a reason for silence


@dataclass(frozen=True, slots=True)
class Row:
    """All counts of one day and language."""

    day: str
    language: str
    counts: Counter[str]  # of `COUNTED`
    silences: Counter[str]  # by reason


def path() -> Path:
    if named := os.environ.get(FOLDER):
        return Path(named).expanduser().absolute() / "statistics.json"
    import platformdirs

    with warnings.catch_warnings(action="ignore"):
        folder = platformdirs.user_state_dir("infill-lsp", appauthor=False)
    return Path(folder) / "statistics.json"


class Statistics:
    """What one window has counted and not yet written. It may be used from several threads."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._pending: Counter[Key] = Counter()
        self._lock = threading.Lock()

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    def count(self, what: str, language: str) -> None:
        """`what` is one of `COUNTED`, or the code of a reason."""
        known = language if language in LANGUAGES else OTHER
        with self._lock:
            self._pending[date.today().isoformat(), known, what] += 1

    def write(self, patience: float = PATIENCE) -> bool:
        """Adds what was counted to the file. Where that cannot be, it is kept for the next time:
        nobody is to be bothered for want of statistics."""
        with self._lock:
            pending, self._pending = self._pending, Counter()
        if not pending:
            return True
        try:
            add(pending, self.file, patience)
        except OSError:  # no room, no right, or another window that holds it for long
            with self._lock:
                self._pending.update(pending)
            return False
        return True


def add(counts: Mapping[Key, int], file: Path, patience: float) -> None:
    """Raises `OSError`."""
    import filelock

    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with filelock.FileLock(file.with_suffix(".lock"), timeout=patience):
        total = Counter(read(file))
        total.update(counts)
        oldest = (date.today() - timedelta(days=KEEPS)).isoformat()
        write({key: count for key, count in total.items() if key[0] >= oldest}, file)


def read(file: Path) -> dict[Key, int]:
    """What the file says, as far as it can be understood; a damaged one says nothing. Raises
    `OSError` where it is there and cannot be read, or is of a later version: it must be kept."""
    try:
        told = cast(dict[str, Any], json.loads(file.read_bytes()))
        if told["version"] > VERSION:
            raise OSError(
                f"{file} was written by a later infill-lsp: remove it, or update this one"
            )
        return {
            (day, language, what): int(count)
            for day, languages in told["days"].items()
            for language, counts in languages.items()
            for what, count in counts.items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def write(counts: Mapping[Key, int], file: Path) -> None:
    """Whole or not at all, and for this user alone."""
    days: dict[str, dict[str, dict[str, int]]] = {}
    for (day, language, what), count in sorted(counts.items()):
        days.setdefault(day, {}).setdefault(language, {})[what] = count
    handle, new = tempfile.mkstemp(prefix=".statistics", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump({"version": VERSION, "days": days}, out, indent=1)
        os.replace(new, file)
    except OSError:
        with suppress(OSError):
            os.unlink(new)
        raise


def rows(file: Path, days: int) -> Iterator[Row]:
    """Those of the last days, today included, the newest first. Raises `OSError`."""
    since = (date.today() - timedelta(days=days - 1)).isoformat()
    found: dict[tuple[str, str], Row] = {}
    codes = {reason.value for reason in Reason}
    for (day, language, what), count in read(file).items():
        if day < since:
            continue
        row = found.setdefault((day, language), Row(day, language, Counter(), Counter()))
        if what in COUNTED:
            row.counts[what] += count
        elif what in codes:
            row.silences[what] += count
    by_language = sorted(found.values(), key=lambda row: row.language)
    yield from sorted(by_language, key=lambda row: row.day, reverse=True)
