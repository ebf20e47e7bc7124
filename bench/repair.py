"""Files broken by one random deletion or insertion, mended: how many parse again, how many are as
they were.

    python bench/repair.py [--cases N] [--jobs N] [--tune] [--more FOLDER] [--model NAME] [--dry]

The files are what installed packages ship, named in `SHIPPED`, of 20 to 400 lines, that parse. Half
of the changes are of one character, half of one token; a change with which the file still parses is
not counted. `--tune` takes other packages and another seed: what is tuned is tuned there. `--more`
is a folder with unpacked sources of the packages that are not installed: those of Rust and Java.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from record import ROOT, append, table

from infill.code.idiom import tokens_of
from infill.code.strict import stops_at
from infill.code.syntax import errors_in
from infill.deeds.mend import broken_at, mend
from infill.document import Document
from infill.settings import Settings
from infill.verbs.terminal import percentile
from model.canvas import Denoiser
from model.load import load
from model.training.cores import spread

# By language: packages that are measured, and packages to tune on. The model has learnt none of the
# Python ones.
SHIPPED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "python": (("anyio", "packaging", "h11"), ("click", "markdown_it", "attr")),
    "javascript": (
        ("vscode-languageclient", "vscode-jsonrpc", "semver"), ("azure-devops-node-api", "yaml"),
    ),
    "typescript": (("@azure/msal-browser",), ("@azure/msal-common", "@azure/msal-node")),
    "c": (("include/python",), ("numpy",)),
    "cpp": (("torch/include/c10",), ("torch/include/ATen/core",)),
    "css": (("code-server",), ("docutils", "matplotlib", "playwright-core")),
    "json": (("code-server",), ("azure-devops-node-api", "@azure/msal-browser")),
    "lua": (("nvim/runtime/lua/vim/lsp",), ("nvim/runtime/lua/vim/treesitter",)),
    "rust": (("tiktoken", "bcrypt"), ()),
    "java": (("jpype1",), ()),
}  # fmt: skip
SUFFIXES = {
    "python": ("py",), "javascript": ("js",), "typescript": ("ts",), "c": ("h", "c"),
    "cpp": ("h", "hpp", "cpp"), "css": ("css",), "json": ("json",), "lua": ("lua",),
    "rust": ("rs",), "java": ("java",),
}  # fmt: skip
LINES = 20, 400
A_FILE = 3  # cases at most
SEED, TUNING_SEED = 20261125, 7
STRAY = "()[]{}:;,.'\"=+-*/<>!&|#@\\x1 "  # characters that are put in
PATIENCE_MS = 15_000  # on a busy machine
KINDS = ("character out", "character in", "token out", "token in")


@dataclass(frozen=True, slots=True)
class Case:
    language: str
    package: str
    kind: str
    whole: str
    broken: str
    at: int  # where it was changed


@dataclass(frozen=True, slots=True)
class Mend:
    language: str
    kind: str
    found: bool
    parses: bool
    exact: bool
    outside: bool  # an edit outside of the masked stretch, or text that changed without one
    score: float
    ms: float
    case: Case
    text: str


def folders_of(package: str, more: Path | None) -> Iterator[Path]:
    """Where a package's files lie on this machine."""
    if package == "include/python":
        yield Path(sysconfig.get_path("include"))
        return
    if package.startswith("nvim/"):
        yield from (ROOT / ".editors").glob(f"**/{package}")
        return
    name, _, rest = package.partition("/")
    for modules in ((ROOT / "editors" / "vscode"), (ROOT / ".editors" / "vscode")):
        if (folder := modules / "node_modules" / package).is_dir():
            yield folder
            return
    if more is not None:
        found = [it for it in sorted(more.glob(f"{package}*")) if it.is_dir()]
        if found:
            yield from found
            return
    if not name.startswith("@") and (spec := find_spec(name)) and spec.submodule_search_locations:
        yield Path(next(iter(spec.submodule_search_locations))) / rest


def files_of(language: str, packages: Sequence[str], more: Path | None) -> list[tuple[str, str]]:
    """(package, text) of the files that are long enough and parse, no text twice."""
    found: dict[str, str] = {}
    for package in packages:
        for folder in folders_of(package, more):
            paths = (it for end in SUFFIXES[language] for it in folder.rglob(f"*.{end}"))
            for path in sorted(paths):
                if path.stat().st_size > 40_000 or ".min." in path.name:
                    continue
                try:
                    text = path.read_text("utf-8")
                except (OSError, UnicodeDecodeError):
                    continue
                fits = LINES[0] <= text.count("\n") <= LINES[1]
                if fits and text not in found and sound(text, language):
                    found[text] = package
    return [(package, text) for text, package in found.items()]


def sound(text: str, language: str) -> bool:
    return not errors_in(text, language) and (language != "python" or stops_at(text) is None)


def cases_of(language: str, count: int, *, tune: bool, more: Path | None) -> list[Case]:
    """As many as there are files for, by a seed of their own."""
    chance = random.Random(f"{TUNING_SEED if tune else SEED} {language}")
    files = files_of(language, SHIPPED[language][tune], more)
    chance.shuffle(files)
    cases: list[Case] = []
    for package, text in files * A_FILE:
        for _ in range(60):
            kind = chance.choice(KINDS)
            broken, at = changed(text, language, kind, chance)
            if not sound(broken, language):
                cases.append(Case(language, package, kind, text, broken, at))
                break
        if len(cases) >= count:
            break
    return cases


def changed(text: str, language: str, kind: str, chance: random.Random) -> tuple[str, int]:
    if kind.startswith("token"):
        token = chance.choice([it for it in tokens_of(text, language) if it.text.strip()])
        if kind == "token out":
            return text[: token.start] + text[token.end :], token.start
        other = chance.choice([it for it in tokens_of(text, language) if it.text.strip()])
        return text[: other.start] + token.text + " " + text[other.start :], other.start
    at = chance.choice([i for i, char in enumerate(text) if not char.isspace()])
    if kind == "character out":
        return text[:at] + text[at + 1 :], at
    return text[:at] + chance.choice(STRAY) + text[at:], at


async def mended(case: Case, denoiser: Denoiser, settings: Settings) -> Mend:
    document = Document(None, case.language, case.broken)
    began = perf_counter()
    damage = broken_at(document, case.at)
    if damage is None:
        return Mend(
            case.language, case.kind, False, False, False, False, 0.0, 0.0, case, case.broken
        )
    result = await mend(document, damage, denoiser=denoiser, settings=settings)
    ms = (perf_counter() - began) * 1000
    text = case.broken
    for edit in reversed(result.edits):
        text = text[: edit.start] + edit.text + text[edit.end :]
    start, end = result.stretch
    outside = bool(result.edits) and not (
        text.startswith(case.broken[:start]) and text.endswith(case.broken[end:])
    )
    return Mend(
        case.language, case.kind, bool(result.edits), sound(text, case.language),
        text == case.whole, outside, result.score, ms, case, text,
    )  # fmt: skip


@cache
def loaded(name: str) -> Denoiser:
    """One in each process."""
    return load(name)


def judged(job: tuple[Case, str]) -> Mend:
    case, name = job
    return asyncio.run(mended(case, loaded(name), replace(Settings(), deadline_ms=PATIENCE_MS)))


def rows_of(mends: Sequence[Mend], by: str) -> list[dict[str, object]]:
    names = [*dict.fromkeys(str(getattr(it, by)) for it in mends), "all"]
    rows: list[dict[str, object]] = []
    for name in names:
        mine = [it for it in mends if name in (getattr(it, by), "all")]
        times = [it.ms for it in mine]
        rows.append(
            {
                by: name,
                "files": len(mine),
                "parse again": f"{sum(it.parses for it in mine) / len(mine):.3f}",
                "as they were": f"{sum(it.exact for it in mine) / len(mine):.3f}",
                "edits outside": sum(it.outside for it in mine),
                "ms p50": f"{percentile(times, 50):.0f}",
                "p95": f"{percentile(times, 95):.0f}",
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2, help="1: all in this process")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--more", type=Path)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--dry", action="store_true", help="only say what there is to measure on")
    parser.add_argument("--print", action="store_true", help="and add nothing to the results")
    parser.add_argument("--show", type=int, default=0, help="so many that are not as they were")
    options = parser.parse_args()
    cases = all_cases(options.cases, tune=options.tune, more=options.more)
    if options.dry:
        for language in dict.fromkeys(case.language for case in cases):
            mine = [case for case in cases if case.language == language]
            print(language, len(mine), ", ".join(dict.fromkeys(case.package for case in mine)))
        return
    jobs = [(case, options.model) for case in cases]
    mends = list(map(judged, jobs) if options.jobs == 1 else spread(judged, jobs, chunk=8))
    for it in [it for it in mends if not it.exact][: options.show]:
        show(it)
    lines = [
        *table(rows_of(mends, "language")), "", *table(rows_of(mends, "kind")),
    ]  # fmt: skip
    lines = [
        f"{len(cases)} files; at most {PATIENCE_MS} ms each, {options.jobs} at a time",
        "",
        *lines,
    ]
    if options.tune or options.print or len(cases) < options.cases:
        print("\n".join(lines))
    else:
        append("repair", "python bench/repair.py", lines)


def all_cases(count: int, *, tune: bool, more: Path | None) -> list[Case]:
    """Three in ten of Python, the rest shared evenly by the other languages that there are."""
    shares = {language: cases_of(language, count, tune=tune, more=more) for language in SHIPPED}
    others = [language for language in SHIPPED if shares[language] and language != "python"]
    taken = {"python": shares["python"][: count * 3 // 10]}
    left = count - len(taken["python"])
    for i, language in enumerate(sorted(others, key=lambda it: len(shares[it]))):
        taken[language] = shares[language][: left // (len(others) - i)]
        left -= len(taken[language])
    return [case for language in SHIPPED for case in taken.get(language, [])]


def show(it: Mend) -> None:
    """What stood there, what was broken and what came of it."""
    lines = [text.split("\n") for text in (it.case.whole, it.case.broken, it.text)]
    row = it.case.broken.count("\n", 0, it.case.at)
    print(f"--- {it.language}, {it.kind}: parses {it.parses}, {it.score:.2f}, {it.ms:.0f} ms")
    for name, some in zip(("was", "broken", "mended"), lines, strict=True):
        changed = [i for i, (a, b) in enumerate(zip(some, lines[1], strict=False)) if a != b][:2]
        for i in sorted({row, *changed}):
            if i < len(some):
                print(f"{name:7}{i:4} {some[i][:110]}")


if __name__ == "__main__":
    main()
