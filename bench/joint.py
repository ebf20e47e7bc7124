"""Two holes that depend on each other, filled jointly and one at a time: does the second use the
name that the first introduces?

    python bench/joint.py [--cases N] [--tune] [--model NAME] [--dry] [--show N]

The cases come from functions of installed packages that the model has not learnt: a line that binds
a local name, which only one later line of the function uses. What is missing is both lines, or the
name in both. Each pair is filled on one canvas; each hole alone with the other left empty; and one
after the other, the second seeing what the first has become. All ways have the same time.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from record import append, table
from repair import files_of

from infill.code.due import indentation_at
from infill.code.scope import sense_of, surroundings_of
from infill.document import Document
from infill.edit import Edit, applied
from infill.fill import Fill, fill_holes
from infill.hole import LINE_LIMIT
from infill.settings import Settings
from infill.verbs.terminal import percentile
from model.canvas import Denoiser, Hole
from model.load import load

MEASURED = ("anyio", "packaging", "h11", "starlette", "uvicorn", "websockets", "urllib3")
TUNED = ("click", "markdown_it", "attr")
SEED, TUNING_SEED = 20261125, 7
PATIENCE_MS = 20_000  # for both holes
WORD = re.compile(r"[^\W\d]\w*")
WAYS = ("jointly", "each alone", "one after the other")


@dataclass(frozen=True, slots=True)
class Case:
    """`text` without what stood in the two holes, at `first` and `second`."""

    kind: str  # "lines" or "names"
    text: str
    first: int
    second: int
    wanted: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Filled:
    kind: str
    way: str
    consistent: bool  # the second uses a name that the first binds
    resolved: bool  # and no name in either that nothing binds
    parses: bool
    exact: int  # of the two holes
    ms: float
    texts: tuple[str, str]


def cases_in(text: str) -> Iterator[Case]:
    """Of every local name that is bound once and used on one later line."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        names = [it for it in ast.walk(function) if isinstance(it, ast.Name)]
        counts = Counter(it.id for it in names)
        assigned = (it for it in ast.walk(function) if isinstance(it, ast.Assign))
        for node in assigned:
            target = node.targets[0]
            if len(node.targets) > 1 or not isinstance(target, ast.Name):
                continue
            uses = [it for it in names if it.id == target.id and isinstance(it.ctx, ast.Load)]
            if node.lineno != node.end_lineno or counts[target.id] != len(uses) + 1:
                continue
            rows = {it.lineno for it in uses}
            if len(rows) != 1 or len(target.id) < 2 or min(rows) <= node.lineno:
                continue
            inside = "\n".join(lines[function.lineno - 1 : function.end_lineno])
            if len(re.findall(rf"\b{target.id}\b", inside)) != len(uses) + 1:
                continue  # in a string, or an attribute of that name
            row = min(rows)
            a, b = lines[node.lineno - 1], lines[row - 1]
            if not (a.isascii() and b.isascii() and len(a) < 100 and len(b) < 100):
                continue
            first, second = starts[node.lineno - 1], starts[row - 1]
            yield made("lines", text, (first, a.strip()), (second, b.strip()))
            if len(uses) == 1:
                places = first + target.col_offset, second + uses[0].col_offset
                yield made("names", text, (places[0], target.id), (places[1], target.id))


def made(kind: str, text: str, first: tuple[int, str], second: tuple[int, str]) -> Case:
    a, b = text.index(first[1], first[0]), text.index(second[1], second[0])
    without = text[:a] + text[a + len(first[1]) : b] + text[b + len(second[1]) :]
    return Case(kind, without, a, b - len(first[1]), (first[1], second[1]))


def all_cases(count: int, *, tune: bool) -> list[Case]:
    """Half of each kind, from different functions as far as there are enough."""
    chance = random.Random(TUNING_SEED if tune else SEED)
    files = files_of("python", TUNED if tune else MEASURED, None)
    cases = [case for _, text in files for case in cases_in(text)]
    chance.shuffle(cases)
    lines = [case for case in cases if case.kind == "lines"]
    names = [case for case in cases if case.kind == "names"]
    few = min(len(names), count // 2)
    return names[:few] + lines[: count - few]


def hole_of(text: str, at: int) -> Hole:
    return Hole(at, at, limit=LINE_LIMIT, indent=indentation_at(text, at))


async def filled(case: Case, way: str, denoiser: Denoiser) -> Filled:
    whole = replace(Settings(), deadline_ms=PATIENCE_MS, min_confidence=0.0)
    half = replace(whole, deadline_ms=PATIENCE_MS // 2)
    document = Document(None, "python", case.text)
    holes = hole_of(case.text, case.first), hole_of(case.text, case.second)
    began = perf_counter()
    if way == "jointly":
        fills = await fill_holes(document, holes, denoiser=denoiser, settings=whole)
        texts = tuple(map(text_of, fills))
    else:
        (fill,) = await fill_holes(document, holes[:1], denoiser=denoiser, settings=half)
        texts = (text_of(fill),)
        if way == "one after the other" and fill.edit:
            document = applied(document, fill.edit)
            at = case.second + len(fill.edit.text)
        else:
            at = case.second
        hole = hole_of(document.text, at)
        (fill,) = await fill_holes(document, (hole,), denoiser=denoiser, settings=half)
        texts = (*texts, text_of(fill))
    ms = (perf_counter() - began) * 1000
    return judged(case, way, (texts[0], texts[1]), ms)


def text_of(fill: Fill) -> str:
    return fill.edit.text if fill.edit else ""


def judged(case: Case, way: str, texts: tuple[str, str], ms: float) -> Filled:
    document = Document(None, "python", case.text)
    document = applied(document, Edit(case.second, case.second, texts[1]))
    document = applied(document, Edit(case.first, case.first, texts[0]))
    at = case.second + len(texts[0])
    known = True
    for place, text in ((case.first, texts[0]), (at, texts[1])):
        around = surroundings_of(document.text, place, place + len(text))
        known &= sense_of(text, len(indentation_at(document.text, place)), around).unknown == 0
    bound = bound_in(texts[0]) if case.kind == "lines" else {texts[0].strip()} - {""}
    consistent = bool(bound & set(WORD.findall(texts[1])))
    exact = sum(a.strip() == b for a, b in zip(texts, case.wanted, strict=True))
    return Filled(
        case.kind, way, consistent, consistent and known, is_python(document.text), exact, ms, texts
    )


def bound_in(line: str) -> set[str]:
    """The names that a line binds, a header's as well."""
    line = line.strip()
    for tail in ("", "\n    pass"):
        try:
            tree = ast.parse(line + tail)
        except (SyntaxError, ValueError):
            continue
        stored = (it for it in ast.walk(tree) if isinstance(it, ast.Name))
        return {it.id for it in stored if isinstance(it.ctx, ast.Store)}
    return set()


def is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def rows_of(fills: Sequence[Filled]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for kind in ("names", "lines"):
        for way in WAYS:
            mine = [it for it in fills if it.kind == kind and it.way == way]
            if not mine:
                continue
            count = len(mine)
            rows.append(
                {
                    "what is missing": kind,
                    "filled": way,
                    "cases": count,
                    "consistent": f"{sum(it.consistent for it in mine) / count:.3f}",
                    "and all names known": f"{sum(it.resolved for it in mine) / count:.3f}",
                    "file parses": f"{sum(it.parses for it in mine) / count:.3f}",
                    "both exact": f"{sum(it.exact == 2 for it in mine) / count:.3f}",
                    "holes exact": f"{sum(it.exact for it in mine) / count / 2:.3f}",
                    "ms p50": f"{percentile([it.ms for it in mine], 50):.0f}",
                }
            )
    return rows


async def measured(cases: Sequence[Case], denoiser: Denoiser) -> list[Filled]:
    return [await filled(case, way, denoiser) for case in cases for way in WAYS]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--dry", action="store_true", help="only say what there is to measure on")
    parser.add_argument("--print", action="store_true", help="and add nothing to the results")
    parser.add_argument("--show", type=int, default=0)
    options = parser.parse_args()
    cases = all_cases(options.cases, tune=options.tune)
    if options.dry:
        print(Counter(case.kind for case in cases))
        return
    denoiser = load(options.model)
    fills = asyncio.run(measured(cases, denoiser))
    denoiser.close()
    for case, number in zip(cases[: options.show], range(options.show), strict=False):
        print(case.wanted)
        for it in fills[number * len(WAYS) :][: len(WAYS)]:
            print(f"    {it.way:20} {it.consistent!s:6} {it.texts}")
    lines = [f"{denoiser.card.name} {denoiser.card.version}", "", *table(rows_of(fills))]
    if options.tune or options.print or len(cases) < options.cases:
        print("\n".join(lines))
    else:
        append("joint", "python bench/joint.py", lines)


if __name__ == "__main__":
    main()
