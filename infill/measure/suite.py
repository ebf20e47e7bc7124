"""The tasks of a suite, read and written. Knows no model and runs nothing.

A suite is one JSON object a line. The format is that of HumanEval-Infilling, and rows that this
project cuts itself say more: the kind of hole, the package it comes from, whether names were
changed, and where several holes lie. Those rows have no test; they are scored by their text.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, cast

from infill.source import InputError

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Task:
    """Text with a hole, what stood there, and mostly a test that calls `entry_point`.

    With several holes `spans` are their places in `canonical_solution`, and what lies between them
    is given; without spans all of it is the hole. `kind`, where a row does not say it, is that of
    HumanEval-Infilling's ids.
    """

    task_id: str
    prompt: str
    suffix: str
    canonical_solution: str
    test: str = ""
    entry_point: str = ""
    kind: str = ""
    package: str = ""
    renamed: bool = False
    spans: tuple[Span, ...] = ()

    @property
    def wanted(self) -> tuple[str, ...]:
        """What stood in each hole."""
        solution = self.canonical_solution
        return tuple(solution[start:end] for start, end in self.spans) or (solution,)

    @property
    def place(self) -> tuple[str, tuple[int, ...]]:
        """The text as an editor has it when fills are asked for, and where each is to stand.

        Where whole lines were taken out, which suites say in their ids, an empty line stands for
        them: nobody asks for a line in front of another one without opening it first.
        """
        if not self.spans:
            opened = "\n" if self.whole_lines else ""
            return self.prompt + opened + self.suffix, (len(self.prompt),)
        text, places, since = self.prompt, list[int](), 0
        for start, end in self.spans:
            text += self.canonical_solution[since:start]
            places.append(len(text))
            since = end
        return text + self.canonical_solution[since:] + self.suffix, tuple(places)

    @property
    def whole_lines(self) -> bool:
        return "LineInfilling/" in self.task_id and self.prompt.endswith("\n")

    @property
    def spans_lines(self) -> bool:
        """Whether a hole's text has a line end in it, which no cursor can say."""
        wanted = (text.removesuffix("\n") if self.whole_lines else text for text in self.wanted)
        return any("\n" in text for text in wanted)

    @property
    def file(self) -> str:
        """The whole text with everything in its place."""
        return self.completed(self.canonical_solution)

    def completed(self, fill: str) -> str:
        return self.prompt + fill + self.suffix

    def program(self, completed: str) -> str:
        """Runs clean when the completed text does what the test asks."""
        return f"{completed}\n{self.test}\ncheck({self.entry_point})\n"


NAMES = ("task_id", "prompt", "suffix", "canonical_solution")  # what no row can do without
TEXTS = tuple(field.name for field in fields(Task) if field.type == "str")


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


def write_tasks(path: Path, tasks: Iterable[Task]) -> None:
    """A gzip file, the same bytes for the same tasks. Raises `InputError`."""
    text = "".join(json.dumps(asdict(task)) + "\n" for task in tasks)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode(), 6, mtime=0))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


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
    values = cast(dict[str, Any], row)
    wanted = NAMES + tuple(name for name in TEXTS if name in values and name not in NAMES)
    wrong = [name for name in wanted if not isinstance(values.get(name), str)]
    if wrong:
        raise InputError(f"{place} lacks text for {', '.join(wrong)}")
    texts = {name: str(values[name]) for name in wanted}
    entry_point = texts.get("entry_point", "")
    if texts.get("test") and not entry_point.isidentifier():
        raise InputError(f"{place}: entry_point is no name: {entry_point!r}")
    texts["kind"] = texts.get("kind") or kind_in(texts["task_id"])
    spans = spans_from(values.get("spans") or (), len(texts["canonical_solution"]), place)
    return Task(**texts, renamed=values.get("renamed") is True, spans=spans)


def kind_in(task_id: str) -> str:
    """`SingleLineInfilling/HumanEval/0/L0` is a single-line."""
    words = re.findall(r"[A-Z]?[^A-Z]+", task_id.partition("/")[0].partition("Infilling")[0])
    return "-".join(words).lower()


def spans_from(value: Any, size: int, place: str) -> tuple[Span, ...]:
    try:
        spans = tuple((int(start), int(end)) for start, end in value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{place}: spans are no list of [start, end]: {value!r}") from error
    edges = [0, *(edge for span in spans for edge in span), size]
    if edges != sorted(edges):
        raise InputError(f"{place}: spans overlap or leave the solution: {value!r}")
    return spans
