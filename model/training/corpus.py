"""The training text as one file: `infill-lsp corpus` makes it, the trainer reads it.

`corpus.jsonl.xz`, or without `.xz` the same in plain, holds one JSON object a line: package, path,
held_out, licence and text of a Python file that was cleaned and is no copy of another. It can be
carried to where there is no network. Knows no tokens and no torch.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import lzma
import os
import re
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

from rich.console import Console
from rich.progress import track

from model.training.cores import spread
from model.training.sources import CorpusError, Place, downloaded, files_of, installed, pins

LIMIT_BYTES = 45_000_000  # what still travels where a repository and its luggage may have 64 MiB
SPARED = frozenset({"python"})  # the standard library is the nearest to everyone's own code


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the corpus; `path` is relative, so nothing says on which machine it lay."""

    package: str
    path: str
    held_out: bool
    licence: str
    text: str


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        places = places_in(options.downloads, options.installed_only, options.limit_files, console)
        sources = list(gathered(places, options.exclude, console))
        write_corpus(options.out, sources, options.limit_bytes, console)
    except OSError as error:
        console.print(f"[red]no corpus was made:[/red] {error}")
        return 1
    except CorpusError as error:
        console.print(f"[red]no corpus was made:[/red] {error}")
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="infill-lsp corpus",
        description="Gather the training text into one file: the standard library, the project's "
        "installed dependencies, and pinned packages that pip downloads (they are read, not "
        "installed). `infill-lsp train --corpus FILE` reads it, on this machine or another.",
        allow_abbrev=False,
    )
    made.add_argument(
        "--out", type=Path, default=Path("corpus.jsonl.xz"), metavar="FILE",
        help="the file to write, .jsonl.xz or .jsonl (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--limit-bytes", type=int, default=LIMIT_BYTES, metavar="N",
        help="leave files of the largest packages out until it fits; 0: no limit "
        "(default: %(default)s)",
    )  # fmt: skip
    with_sources(made, Path("training"))
    return made


def with_sources(to: argparse.ArgumentParser, work: Path) -> None:
    """The options that say what goes into a corpus; the trainer has them, too."""
    to.add_argument(
        "--downloads", type=Path, default=work / "packages", metavar="FOLDER",
        help="where downloaded packages are kept (default: %(default)s)",
    )  # fmt: skip
    to.add_argument(
        "--exclude", type=Path, action="append", default=[], metavar="SUITE.jsonl[.gz]",
        help="an evaluation suite: files that share 13 words in a row with it are left out",
    )  # fmt: skip
    to.add_argument(
        "--installed-only", action="store_true", help="download nothing: a smaller corpus"
    )
    to.add_argument(
        "--limit-files", type=int, default=0, metavar="N",
        help="look at the first N files alone, for a rehearsal",
    )  # fmt: skip


def places_in(
    downloads: Path, installed_only: bool, limit_files: int, console: Console
) -> list[Place]:
    """Every file that may go into the corpus; downloads what is pinned and not there yet."""

    def pinned() -> Iterator[Place]:
        wanted = pins().versions
        archives = downloaded(downloads, wanted)
        for archive in track(archives, "packages", len(wanted), console=console):
            found = files_of(archive)
            if not found:
                console.print(f"left out: {archive.name} (its licence, or no Python in it)")
            yield from found

    places = chain(installed(), () if installed_only else pinned())
    return list(islice(places, limit_files or None))


def gathered(
    places: Sequence[Place], exclude: Iterable[Path], console: Console
) -> Iterator[Source]:
    """Every file worth learning from, once; `exclude` names evaluation suites to keep out.

    A file that shares a run of 13 words with a suite is left out (the rule GPT-3 was checked by),
    and so is one most of whose five-line stretches were seen before.
    """
    forbidden = suite_shingles(exclude)
    examined = spread(partial(examine, forbidden=forbidden), places, few=200)
    seen: set[int] = set()
    found = track(examined, "reading", len(places), console=console)
    for place, (text, stretches, shared) in zip(places, found, strict=True):
        if shared:
            tell_shared(place.package, place.path, console)
        if text is None or len(stretches & seen) > 0.5 * len(stretches):
            continue
        seen |= stretches
        held_out = place.package in pins().held_out
        yield Source(place.package, place.path, held_out, place.licence, text)


def examine(place: Place, forbidden: frozenset[int]) -> tuple[str | None, set[int], bool]:
    """(the text if it is worth learning from, its stretches, whether it is in a suite)"""
    try:
        text = clean(place.read())
    except OSError:
        return None, set(), False
    if text is None:
        return None, set(), False
    if forbidden and not forbidden.isdisjoint(word_shingles(text)):
        return None, set(), True
    return text, line_stretches(text), False


def tell_shared(package: str, path: str, console: Console) -> None:
    console.print(f"left out: {path} of {package} shares 13 words in a row with a suite")


def without_suites(
    sources: Iterable[Source], exclude: Iterable[Path], console: Console
) -> Iterator[Source]:
    """A corpus that was made elsewhere, perhaps without knowing the suites that matter here."""
    forbidden = suite_shingles(exclude)
    for source in sources:
        if forbidden and not forbidden.isdisjoint(word_shingles(source.text)):
            tell_shared(source.package, source.path, console)
        else:
            yield source


def write_corpus(path: Path, sources: Iterable[Source], limit: int, console: Console) -> None:
    """The file is at most `limit` bytes, 0 for as many as it takes; it is there whole or not."""
    packages: dict[str, list[Source]] = {}
    for source in sources:
        packages.setdefault(source.package, []).append(source)
    if not packages:
        raise CorpusError("no Python source was found to learn from")
    pack = partial(packed, compressed=path.suffix == ".xz")
    names = list(packages)
    streams = dict(zip(names, spread(pack, list(packages.values()), chunk=1), strict=True))
    share = limit
    while limit and sum(map(len, streams.values())) > limit:
        # Every package may have so much; those that need less leave the rest to the others.
        sizes = {name: len(streams[name]) for name in names if name not in SPARED}
        spared = sum(len(streams[name]) for name in names if name in SPARED)
        allowance = level(sizes.values(), share - spared)
        if allowance <= 0:
            raise CorpusError(f"{limit:,} bytes are too few; the standard library takes {spared:,}")
        large = [name for name in sizes if sizes[name] > allowance]
        for name in large:
            packages[name] = thinned(packages[name], allowance / len(streams[name]))
        console.print(f"leaving out files of {', '.join(large)}: {limit:,} bytes is the limit")
        made = spread(pack, [packages[name] for name in large], chunk=1)
        streams |= zip(large, made, strict=True)
        share = share * 99 // 100  # what is left of a package may compress worse than it did
    new = path.with_name(path.name + ".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with new.open("wb") as file:
            for stream in streams.values():
                file.write(stream)
        os.replace(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    files, characters = count(chain.from_iterable(packages.values()))
    size = path.stat().st_size
    console.print(f"wrote {path}: {files:,} files of {len(packages)} packages, "
                  f"{characters:,} characters in {size:,} bytes")  # fmt: skip


def packed(sources: Sequence[Source], compressed: bool) -> bytes:
    """The lines of one package; a stream of its own, since xz streams may simply follow."""
    lines = [json.dumps(asdict(source), ensure_ascii=False) + "\n" for source in sources]
    data = "".join(lines).encode()
    return lzma.compress(data) if compressed else data


def level(sizes: Iterable[int], together: int) -> float:
    """The most that each may have so that all of them stay within `together`."""
    waiting = sorted(sizes)
    while waiting:
        if waiting[0] > together / len(waiting):
            return together / len(waiting)
        together -= waiting.pop(0)
    return float("inf")


def thinned(sources: Sequence[Source], share: float) -> list[Source]:
    """About this share of the text, as whole files: by chance, but the same ones each time."""
    by_chance = sorted(sources, key=lambda source: zlib.crc32(source.path.encode()))
    left = share * count(sources)[1]
    kept: set[str] = set()
    for source in by_chance:
        if len(source.text) <= left:
            left -= len(source.text)
            kept.add(source.path)
    return [source for source in sources if source.path in kept]


def count(sources: Iterable[Source]) -> tuple[int, int]:
    """(files, characters)"""
    lengths = [len(source.text) for source in sources]
    return len(lengths), sum(lengths)


def read_corpus(path: Path) -> Iterator[Source]:
    """The files of a corpus. Raises `CorpusError` where it is cut off or is something else."""
    number = 0
    try:
        opener = lzma.open if path.suffix == ".xz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                number += 1
                row = json.loads(line)
                yield Source(
                    str(row["package"]), str(row["path"]), bool(row["held_out"]),
                    str(row.get("licence", "not stated")), str(row["text"]),
                )  # fmt: skip
    except FileNotFoundError as error:
        raise CorpusError(f"there is no corpus {path}; `infill-lsp corpus` makes one") from error
    except (EOFError, lzma.LZMAError) as error:
        raise CorpusError(
            f"{path} is cut off or damaged after {number:,} files ({error}); copy it anew"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            f"line {number} of {path} is not what `infill-lsp corpus` writes ({error!r}); it may "
            "have been cut off: copy it anew"
        ) from error


def clean(data: bytes) -> str | None:
    """The file's text with `\\n` line ends, None if it is no code to learn from."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
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


def word_shingles(text: str, length: int = 13) -> Iterator[int]:
    words = re.findall(r"\w+", text.lower())
    return (hash(tuple(words[i : i + length])) for i in range(len(words) - length + 1))


def suite_shingles(suites: Iterable[Path]) -> frozenset[int]:
    """Raises `CorpusError` for what is no suite: silence would let its text in."""
    shingles: set[int] = set()
    for suite in suites:
        opener = gzip.open if suite.suffix == ".gz" else open
        try:
            with opener(suite, "rt", encoding="utf-8") as rows:
                for row in map(json.loads, rows):
                    whole = row["prompt"] + row["canonical_solution"] + row["suffix"]
                    shingles.update(word_shingles(whole))
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
            raise CorpusError(f"{suite} cannot be kept out, it is no suite: {error!r}") from error
    return frozenset(shingles)
