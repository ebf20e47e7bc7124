"""What bench/repair.py breaks and counts, and what bench/joint.py takes for dependent holes."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from infill.code.syntax import errors_in
from infill.settings import Settings
from model.scripted import Scripted
from tests.benches import bench_named

repair = bench_named("repair")
joint = bench_named("joint")

TEXT = """\
import os


def names(folder):
    found = []
    for name in os.listdir(folder):
        full = os.path.join(folder, name)
        if name.endswith(".py"):
            found.append(full)
    return sorted(found)
"""


@pytest.mark.parametrize("kind", repair.KINDS)
def test_a_file_is_broken_by_one_deletion_or_insertion(kind: str) -> None:
    chance = random.Random(3)
    for _ in range(20):
        broken, at = repair.changed(TEXT, "python", kind, chance)
        longer, shorter = sorted((TEXT, broken), key=len, reverse=True)
        size = len(longer) - len(shorter)
        assert (len(broken) > len(TEXT)) == kind.endswith("in")
        assert longer[:at] + longer[at + size :] == shorter
        assert kind.startswith("token") or size == 1


def test_a_mended_file_is_counted_as_it_is() -> None:
    broken = TEXT.replace("found = []", "found  []")
    at = broken.index("found  []")
    case = repair.Case("python", "none", "token out", TEXT, broken, at)
    settings = replace(Settings(), deadline_ms=20_000)
    it = asyncio.run(repair.mended(case, Scripted("x"), settings))
    assert it.parses == (errors_in(it.text, "python") == ())
    assert it.exact == (it.text == TEXT)
    assert not it.outside
    (row, whole) = repair.rows_of([it], "language")
    assert (row["files"], whole["language"]) == (1, "all")


def test_a_case_leaves_out_where_a_name_is_bound_and_where_it_is_used() -> None:
    cases = list(joint.cases_in(TEXT))
    assert [(it.kind, it.wanted) for it in cases] == [
        ("lines", ("full = os.path.join(folder, name)", "found.append(full)")),
        ("names", ("full", "full")),
    ]
    for case in cases:
        first, second = case.wanted
        whole = case.text[: case.first] + first + case.text[case.first : case.second] + second
        assert whole + case.text[case.second :] == TEXT


@pytest.mark.parametrize(
    ("texts", "consistent", "resolved"),
    [
        (("full = folder + name", "found.append(full)"), True, True),
        (("full = folder + name", "found.append(name)"), False, False),
        (("full = nobody + name", "found.append(full)"), True, False),
        (("for full in folder:", "found.append(full)"), True, True),
        (("", "found.append(full)"), False, False),
    ],
)
def test_the_second_line_is_consistent_where_it_uses_what_the_first_binds(
    texts: tuple[str, str], consistent: bool, resolved: bool
) -> None:
    case = next(iter(joint.cases_in(TEXT)))
    it = joint.judged(case, "jointly", texts, 1.0)
    assert (it.consistent, it.resolved) == (consistent, resolved)


def test_each_way_fills_both_holes() -> None:
    case = next(it for it in joint.cases_in(TEXT) if it.kind == "names")
    denoiser = Scripted(lambda canvas: ("full",) * len(canvas.holes))
    for way in joint.WAYS:
        it = asyncio.run(joint.filled(case, way, denoiser))
        assert it.texts == ("full", "full")
        assert (it.consistent, it.parses, it.exact) == (True, True, 2)
