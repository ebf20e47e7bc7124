"""Where the training text lies: the standard library, installed dependencies, pinned downloads.

Says of each Python file what package it is of and under what licence, and can read it. Knows
nothing of what is in a file, and runs none.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from model.training.licences import licence_of, restricted, told_in

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

# Folders of the standard library that hold tables or broken examples rather than code.
SKIPPED = frozenset({"pydoc_data", "encodings", "lib2to3", "bad", "__pycache__", "site-packages"})

# What downloaded packages have too much of.
TESTS = frozenset({"tests", "test", "testing", "conftest.py", "setup.py"})


class CorpusError(Exception):
    """The corpus cannot be made or read; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Pins:
    """What `packages.toml` says."""

    held_out: frozenset[str]
    repeats: dict[str, int]
    versions: dict[str, str]


@lru_cache
def pins() -> Pins:
    told = tomllib.loads((Path(__file__).parent / "packages.toml").read_text("utf-8"))
    return Pins(frozenset(told["held_out"]), told["repeats"], told["versions"])


@dataclass(frozen=True, slots=True)
class Place:
    """A file somewhere: by itself, or `member` of an archive. `path` is relative to what holds the
    package, so it is the same on every machine."""

    package: str
    path: str
    licence: str
    file: Path
    member: str = ""

    def read(self) -> bytes:
        """Raises OSError where an installed file is not to be had."""
        if not self.member:
            return self.file.read_bytes()
        try:
            return member_of(self.file, self.member)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, KeyError) as error:
            raise CorpusError(damaged(self.file, error)) from error


def installed() -> Iterator[Place]:
    """The standard library, then every permissively licensed dependency, in a fixed order."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    for path in sorted(stdlib.rglob("*.py")):
        inside = path.relative_to(stdlib)
        if not SKIPPED & set(inside.parts):
            yield Place("python", inside.as_posix(), "PSF-2.0", path)
    for distribution in closure(ROOTS):
        licence = licence_of(distribution.metadata)
        if restricted(licence):
            continue
        for file in sorted(distribution.files or ()):
            if file.suffix == ".py" and not (SKIPPED | {".."}) & set(file.parts):
                package = file.parts[0].removesuffix(".py")
                yield Place(package, file.as_posix(), licence, Path(str(file.locate())))


def closure(roots: Iterable[str]) -> list[metadata.Distribution]:
    """The installed distributions that the roots need, directly or not, in a fixed order."""
    found: dict[str, metadata.Distribution] = {}
    waiting = list(roots)
    while waiting:
        name = canonicalize_name(waiting.pop())
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


def downloaded(folder: Path, wanted: dict[str, str]) -> Iterator[Path]:
    """The archive of each wanted name and version. What is not in the folder is fetched by pip, as
    the caller comes to it. Raises `CorpusError` where it cannot be had."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, version in wanted.items():
        there = archive_in(folder, name, version)
        if not there:
            download(folder, f"{name}=={version}")
            there = archive_in(folder, name, version)
        if not there:
            raise CorpusError(f"pip put no archive of {name}=={version} into {folder}")
        yield there


def download(folder: Path, requirement: str) -> None:
    # -P: a folder named `pip` where the command was given is not what is meant.
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-deps",
               "--disable-pip-version-check", "--dest", str(folder), requirement]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = (said or done.stderr.splitlines() or ["pip did not say why"])[-1]
        raise CorpusError(
            f"{requirement} could not be downloaded: {reason.removeprefix('ERROR: ')}. What was "
            f"lies in {folder}, and the same command goes on from there; --installed-only does "
            "without any download"
        )


def archive_in(folder: Path, name: str, version: str) -> Path | None:
    for path in sorted(folder.iterdir()):
        try:
            if path.suffix == ".whl":
                found, of, *_ = parse_wheel_filename(path.name)
            else:
                found, of = parse_sdist_filename(path.name)
        except (InvalidWheelFilename, InvalidSdistFilename):
            continue
        if found == canonicalize_name(name) and str(of) == version:
            return path
    return None


def files_of(archive: Path) -> list[Place]:
    """The Python files of a wheel or an sdist, without its tests; none under a licence that asks
    for more than a permissive one."""
    try:
        names, licence = contents(archive)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise CorpusError(damaged(archive, error)) from error
    if restricted(licence):
        return []
    places: list[Place] = []
    for member in sorted(names):
        path = PurePosixPath(member)
        if archive.suffix != ".whl":  # all of an sdist lies in a folder with its name and version
            path = path.relative_to(path.parts[0])
        if path.suffix == ".py" and not TESTS & set(path.parts):
            package = path.parts[0].removesuffix(".py")
            places.append(Place(package, path.as_posix(), licence, archive, member))
    return places


def contents(archive: Path) -> tuple[list[str], str]:
    """The names of the members, and the licence."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            names = wheel.namelist()
            about = next((n for n in names if n.endswith(".dist-info/METADATA")), None)
            return names, licence_of(told_in(wheel.read(about) if about else b""))
    with tarfile.open(archive) as sdist:
        names = [member.name for member in sdist if member.isfile()]
        about = next((n for n in names if n.count("/") == 1 and n.endswith("/PKG-INFO")), None)
        file = sdist.extractfile(about) if about else None
        return names, licence_of(told_in(file.read() if file else b""))


def member_of(archive: Path, member: str) -> bytes:
    opened = opened_archive(archive)
    if isinstance(opened, zipfile.ZipFile):
        return opened.read(member)
    file = opened.extractfile(member)
    return file.read() if file else b""


@lru_cache(maxsize=1)  # files are read in the order of their archives
def opened_archive(archive: Path) -> zipfile.ZipFile | tarfile.TarFile:
    return zipfile.ZipFile(archive) if archive.suffix == ".whl" else tarfile.open(archive)


def damaged(archive: Path, error: Exception) -> str:
    return f"{archive} is not a whole archive ({error}); delete it, and it is downloaded anew"
