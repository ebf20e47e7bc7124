"""The training text: Python source that is already on the machine, cleaned and without copies.

It is the standard library and the project's own dependency closure, all under permissive licences.
Knows no tokens and no torch.
"""

from __future__ import annotations

import ast
import gzip
import json
import re
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

# The closure starts from what the project itself needs, and its tools.
ROOTS = [
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "matplotlib",
    "pygls",
    "lsprotocol",
    "httpx",
    "rich",
    "pathspec",
    "xxhash",
    "hypothesis",
    "pytest",
    "build",
    "hatchling",
    "pynvim",
    "setuptools",
    "pip",
]

# Whole packages the network never sees, so that there is honest text to measure on.
HELD_OUT = frozenset({"click", "anyio", "packaging", "h11", "attr", "markdown_it", "tomlkit"})

RESTRICTED = re.compile(r"GPL|General Public License|MPL|Mozilla", re.IGNORECASE)

# Folders of the standard library that hold tables or broken examples rather than code.
SKIPPED = frozenset({"pydoc_data", "encodings", "lib2to3", "bad", "__pycache__", "site-packages"})


@dataclass(frozen=True, slots=True)
class Source:
    package: str
    path: Path
    text: str

    @property
    def held_out(self) -> bool:
        return self.package in HELD_OUT


def corpus(exclude: Iterable[Path] = ()) -> Iterator[Source]:
    """Every file worth learning from, once; `exclude` names evaluation suites to keep out.

    A file that shares a run of 13 words with a suite is left out (the rule GPT-3 was checked by),
    and so is one most of whose five-line stretches were seen before.
    """
    forbidden = suite_shingles(exclude)
    seen: set[int] = set()
    for package, path in python_files():
        text = clean(path)
        if text is None or (forbidden and forbidden & word_shingles(text)):
            continue
        stretches = line_stretches(text)
        if len(stretches & seen) > 0.5 * len(stretches):
            continue
        seen |= stretches
        yield Source(package, path, text)


def python_files() -> Iterator[tuple[str, Path]]:
    """(package, path) of the standard library and of every permissively licensed dependency."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    for path in sorted(stdlib.rglob("*.py")):
        if not SKIPPED & set(path.relative_to(stdlib).parts):
            yield "python", path
    for distribution in closure(ROOTS):
        if restricted(distribution):
            continue
        for file in sorted(distribution.files or ()):
            if file.suffix == ".py" and not SKIPPED & set(file.parts):
                yield file.parts[0].removesuffix(".py"), Path(str(file.locate()))


def closure(roots: Iterable[str]) -> list[metadata.Distribution]:
    """The installed distributions that the roots need, directly or not, in a fixed order."""
    found: dict[str, metadata.Distribution] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # an optional one that is not installed
        for line in found[name].requires or ():
            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                continue
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return [found[name] for name in sorted(found)]


def licence_of(distribution: metadata.Distribution) -> str:
    told = distribution.metadata
    for key in ("License-Expression", "Classifier", "License"):
        lines = told.get_all(key) or ()
        words = [line.rsplit(" :: ", 1)[-1] for line in lines if said(key, line)]
        if words:
            return "; ".join(words).splitlines()[0][:80]
    return "not stated"


def said(key: str, line: str) -> bool:
    """Whether a line of metadata speaks of the licence: of the classifiers only some do."""
    return bool(line.strip()) and (key != "Classifier" or line.startswith("License ::"))


def restricted(distribution: metadata.Distribution) -> bool:
    return bool(RESTRICTED.search(licence_of(distribution)))


def clean(path: Path) -> str | None:
    """The file's text with `\\n` line ends, None if it is no code to learn from."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)
    lines = text.split("\n")
    letters = sum(char.isalpha() for char in text)
    if not 200 < len(text) < 1_000_000 or letters < 0.4 * len(text):
        return None  # empty, a data table, or generated numbers
    if max(map(len, lines)) > 1000 or len(text) > 100 * len(lines):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old files are full of invalid escapes
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    return "\n".join(line.rstrip() for line in lines)


def line_stretches(text: str, length: int = 5) -> set[int]:
    """Hashes of every run of `length` lines that say something."""
    lines = [line.strip() for line in text.split("\n")]
    lines = [line for line in lines if len(line) > 3]
    return {hash(tuple(lines[i : i + length])) for i in range(max(1, len(lines) - length))}


def word_shingles(text: str, length: int = 13) -> set[int]:
    words = re.findall(r"\w+", text.lower())
    return {hash(tuple(words[i : i + length])) for i in range(len(words) - length + 1)}


def suite_shingles(suites: Iterable[Path]) -> set[int]:
    shingles: set[int] = set()
    for suite in suites:
        opener = gzip.open if suite.suffix == ".gz" else open
        with opener(suite, "rt", encoding="utf-8") as rows:
            for row in map(json.loads, rows):
                shingles |= word_shingles(row["prompt"] + row["canonical_solution"] + row["suffix"])
    return shingles
