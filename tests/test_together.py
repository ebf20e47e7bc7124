"""Texts of several holes that are chosen to go together."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from infill.document import Document
from infill.fill import fill_holes
from infill.judge.together import held_together
from infill.settings import Settings
from model.canvas import Hole, Piece, Rival
from model.scripted import Scripted


def together(text: str, first: dict[str, float], second: dict[str, float]) -> list[str]:
    """What is chosen at the two marks, where the likeliest of each alone would be the first."""
    a = text.index("‸")
    b = text.index("‸", a + 1) - 1
    document = Document(None, "python", text.replace("‸", ""))
    holes = Hole(a, a, indent="    "), Hole(b, b, indent="    ")
    weighed = [
        ([Rival(it, share) for it, share in some.items()], [Piece(next(iter(some)), 0.5)])
        for some in (first, second)
    ]
    alone = [next(iter(first)), next(iter(second))]
    return held_together(document, holes, weighed, alone, 12)


def test_a_name_that_one_hole_binds_is_the_name_that_the_other_uses() -> None:
    text = "def f(folder):\n    ‸\n    ‸\n"
    chosen = together(
        text,
        {"path = str(folder)": 0.3, "name = str(folder)": 0.25},
        {"return other(folder)": 0.25, "return open(name)": 0.25, "return folder": 0.2},
    )
    assert chosen == ["name = str(folder)", "return open(name)"]


def test_what_is_far_likelier_stays() -> None:
    text = "def f(folder):\n    ‸\n    ‸\n"
    chosen = together(
        text,
        {"folder = str(folder)": 0.9, "x = 1": 0.001},
        {"return folder": 0.9, "return x": 0.001},
    )
    assert chosen == ["folder = str(folder)", "return folder"]


def test_other_languages_and_many_holes_keep_their_texts() -> None:
    document = Document(None, "go", "a\nb\n")
    holes = [Hole(0, 0), Hole(2, 2)]
    weighed = [([Rival("x", 0.5)], [Piece("y", 0.5)])] * 2
    assert held_together(document, holes, weighed, ["y", "y"], 12) == ["y", "y"]
    python = replace(document, language="python")
    five = [Hole(0, 0)] * 5
    assert held_together(python, five, weighed * 2 + weighed[:1], ["y"] * 5, 12) == ["y"] * 5


def test_a_fill_of_two_holes_uses_the_name_it_introduces() -> None:
    text = "def f(folder):\n    \n    \n"
    holes = [Hole(19, 19, indent="    "), Hole(24, 24, indent="    ")]
    denoiser = Scripted(
        lambda canvas: ("path = str(folder)", "return other(folder)"),
        rivals={"name = str(folder)": 0.3, "return open(name)": 0.3},
    )
    settings = replace(Settings(), min_confidence=0.0, deadline_ms=20_000)
    document = Document(None, "python", text)
    fills = asyncio.run(fill_holes(document, holes, denoiser=denoiser, settings=settings))
    assert [fill.edit and fill.edit.text for fill in fills] == [
        "name = str(folder)",
        "return open(name)",
    ]
