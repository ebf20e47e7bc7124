"""The tasks of a suite in the format of HumanEval-Infilling. Knows no model and runs nothing."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, cast

from infill.source import InputError


@dataclass(frozen=True, slots=True)
class Task:
    """A hole between two texts, what was there, and a test that calls `entry_point`."""

    task_id: str
    prompt: str
    suffix: str
    canonical_solution: str
    test: str
    entry_point: str

    @property
    def place(self) -> tuple[str, int]:
        """The text as an editor has it when the fill is asked for, and the cursor in it.

        Where whole lines were taken out, which suites say in their ids, an empty line stands for
        them: nobody asks for a line in front of another one without opening it first.
        """
        whole_lines = "LineInfilling/" in self.task_id and self.prompt.endswith("\n")
        opened = "\n" if whole_lines else ""
        return self.prompt + opened + self.suffix, len(self.prompt)

    def completed(self, fill: str) -> str:
        return self.prompt + fill + self.suffix

    def program(self, completed: str) -> str:
        """Runs clean when the completed text does what the test asks."""
        return f"{completed}\n{self.test}\ncheck({self.entry_point})\n"


NAMES = tuple(field.name for field in fields(Task))


def tasks_in(path: Path, limit: int | None = None) -> list[Task]:
    """Raises `InputError` that names the file, the row and what is wrong with it."""
    try:
        raw = path.read_bytes()
        rows = (gzip.decompress(raw) if path.suffix == ".gz" else raw).split(b"\n")
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    tasks = list(islice(parsed(path, rows), limit))
    if not tasks:
        raise InputError(f"{path} holds no tasks")
    return tasks


def parsed(path: Path, lines: Iterable[bytes]) -> Iterator[Task]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield task_from(line, f"{path}, row {number}")


def task_from(line: bytes, place: str) -> Task:
    try:
        row: Any = json.loads(line)
    except ValueError as error:  # of JSON, or of UTF-8
        raise InputError(f"{place} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise InputError(f"{place} is not a JSON object with {', '.join(NAMES)}")
    values = cast(dict[str, object], row)
    wrong = [name for name in NAMES if not isinstance(values.get(name), str)]
    if wrong:
        raise InputError(f"{place} lacks text for {', '.join(wrong)}")
    if not str(values["entry_point"]).isidentifier():
        raise InputError(f"{place}: entry_point is no name: {values['entry_point']!r}")
    return Task(**{name: str(values[name]) for name in NAMES})
