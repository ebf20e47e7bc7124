"""What the model gets to see: laws of the cut, and a few canvases as a person would read them."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infill.context import Context, compose, context_of
from infill.document import Document
from model.canvas import Canvas, Hole
from tests.strategies import documents

SOURCE = '''\
"""A shop."""

import json
import os
from decimal import Decimal
from shop.stock import Item, Shelf


class Shop:
    """Sells things."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.open = True
        self.name = os.environ["SHOP"]
        self.prices = json.loads("{}")

    def price_of(
        self, item: Item
    ) -> Decimal:
        price = self.prices[item.name]
        return Decimal(price)

    def sell(self, item: Item) -> Decimal:
        price = self.price_of(item)
        self.shelf.take(item)
        ‸
        return price

    def close(self) -> None:
        self.open = False
        self.shelf.empty()
        self.prices.clear()

    def reopen(self) -> None:
        self.open = True


def main() -> None:
    shop = Shop(Shelf())
    shop.close()
    print("closed for good, come again never, all of our shelves are empty now")
'''


def canvas_of(source: str, budget: int, *others: Document, language: str = "python") -> Canvas:
    """The canvas of a source with cursors in it."""
    parts = source.split("‸")
    places = [len("".join(parts[:n])) for n in range(1, len(parts))]
    holes = [Hole(place, place) for place in places]
    document = Document(PurePath("shop.py"), language, "".join(parts))
    return compose(context_of(document, holes, budget=budget, others=others), holes)


def test_what_is_near_and_what_names_it_survive_a_small_budget() -> None:
    assert "‸".join(canvas_of(SOURCE, 300).texts) == (
        "import json\n"
        "import os\n"
        "from decimal import Decimal\n"
        "from shop.stock import Item, Shelf\n"
        "class Shop:\n"
        "    def sell(self, item: Item) -> Decimal:\n"
        "        price = self.price_of(item)\n"
        "        self.shelf.take(item)\n"
        "        ‸\n"
        "        return price\n"
        "\n"
        "    def close(self) -> None:\n"
        "        self.open = False\n"
    )


def test_signatures_of_neighbours_stand_where_their_bodies_were_left_out() -> None:
    before, after = canvas_of(SOURCE, 600).texts
    assert (
        "class Shop:\n    def __init__(self, shelf: Shelf) -> None:\n    def price_of(\n" in before
    )
    assert after.endswith("    def reopen(self) -> None:\ndef main() -> None:\n")


def test_a_text_under_budget_is_seen_whole() -> None:
    assert "‸".join(canvas_of(SOURCE, len(SOURCE)).texts) == SOURCE


def test_signatures_of_other_files_come_first_and_those_named_here_before_all() -> None:
    other = Document(
        PurePath("lib/stock.py"),
        "python",
        "class Bin:\n    x = 1\nclass Shelf:\n    def take(self, it: Item) -> int:\n        a()\n",
    )
    source = "shelf = Shelf()\nshelf.take(‸)\n"
    whole = canvas_of(source, 2000, other).texts
    assert whole[0].startswith(
        "# stock.py\nclass Shelf:\n    def take(self, it: Item) -> int:\nclass Bin:\n"
    )
    assert whole[0].endswith("shelf = Shelf()\nshelf.take(")
    assert canvas_of(source, 120, other).texts[0].startswith("# stock.py\nclass Shelf:\nshelf")
    assert canvas_of(source, len(source), other).texts == ("shelf = Shelf()\nshelf.take(", ")\n")


def test_a_header_of_several_lines_is_kept_whole() -> None:
    body = "        work()\n" * 60
    source = f"class A:\n    def f(\n        self, x: int\n    ) -> int:\n{body}        ‸\n"
    before, _ = canvas_of(source, 300).texts
    header = "class A:\n    def f(\n        self, x: int\n    ) -> int:\n        work()\n"
    assert before.startswith(header)


def test_no_docstring_is_torn_in_two() -> None:
    words = "".join(f"    word {n} of it\n" for n in range(20))
    function = f'def f():\n    """Says.\n\n{words}    """\n    return 1\n\n\n'
    source = function + "x = 1\n" * 20 + "‸\n" + "y = 1\n" * 20 + function
    for budget in range(300, 1100, 20):
        before, after = canvas_of(source, budget).texts
        assert before.count('"""') in (0, 2), before
        assert after.count('"""') in (0, 2), after


def test_members_of_other_files_come_with_the_class_they_belong_to() -> None:
    body = "class Shelf:\n    x = 1\nclass Bin:\n    def f(self): ...\n    def g(self): ...\n"
    before = canvas_of("x = Bin()\nx.f(‸)\n", 400, Document(None, "python", body)).texts[0]
    assert before.splitlines()[:3] == ["# another file", "class Bin:", "    def f(self): ..."]


def test_scopes_are_told_by_indentation_where_the_language_is_unknown() -> None:
    source = "module A\n  class B\n    def c\n" + "      work\n" * 40 + "      ‸\n    end\n"
    before, _ = canvas_of(source, 200, language="ruby").texts
    assert before.startswith("module A\n  class B\n    def c\n      work\n")


def test_an_absurdly_long_line_is_cut_within() -> None:
    source = "x = [" + "1, " * 1000 + "‸" + "2, " * 1000 + "]\n"
    before, after = canvas_of(source, 300).texts
    assert (before[-3:], after[:3]) == ("1, ", "2, ")
    assert 250 <= len(before) + len(after) <= 300


def test_text_between_holes_loses_its_middle_only_when_it_does_not_fit() -> None:
    middle = "".join(f"line {n}\n" for n in range(100))
    whole = canvas_of(f"a\n‸{middle}‸\nb\n", 2000)
    assert whole.texts == ("a\n", middle, "\nb\n")
    cut = canvas_of(f"a\n‸{middle}‸\nb\n", 100).texts
    assert (cut[0], cut[2]) == ("a\n", "\nb\n")
    lines = cut[1].splitlines()
    assert (lines[0], lines[-1]) == ("line 0", "line 99")
    assert set(lines) < set(middle.splitlines())


def test_a_very_large_file_shows_its_imports_and_its_place() -> None:
    filler = "def f(x):\n    return x\n\n\n" * 20_000
    source = f"import os\n\n\n{filler}class A:\n    def g(self):\n        os.‸\n\n\n{filler}"
    before, _ = canvas_of(source, 1000).texts
    assert before.startswith("import os\n")
    assert before.endswith("class A:\n    def g(self):\n        os.")


def test_offsets_stay_those_of_the_document_while_line_ends_become_plain() -> None:
    document = Document(None, "python", "a\r\nb\r\nc\r\n")
    holes = [Hole(3, 4, former="x\r\ny")]
    canvas = compose(context_of(document, holes, budget=100), holes)
    assert canvas.texts == ("a\n", "\nc\n")
    assert (canvas.holes[0].start, canvas.holes[0].end, canvas.holes[0].former) == (3, 4, "x\ny")


def test_half_a_character_does_not_reach_the_model() -> None:
    context = Context("a\ud83d", (), "\ude00b")
    assert compose(context, [Hole(2, 2)]).texts == ("a\ufffd", "\ufffdb")


@st.composite
def cut_up(draw: st.DrawFn) -> tuple[Document, list[Hole]]:
    """A document and holes in it, in order, none of which splits a line end."""
    document = draw(documents(max_size=120))
    whole = [n for n in range(len(document.text) + 1) if document.text[n - 1 : n + 1] != "\r\n"]
    places = sorted(draw(st.lists(st.sampled_from(whole), min_size=2, max_size=6)))
    pairs = zip(places[::2], places[1::2], strict=False)
    return document, [Hole(start, end) for start, end in pairs]


def plain_pieces(document: Document, holes: list[Hole]) -> list[str]:
    starts = [0, *(hole.end for hole in holes)]
    ends = [*(hole.start for hole in holes), len(document.text)]
    pieces = (document.text[a:b] for a, b in zip(starts, ends, strict=True))
    return [piece.replace("\r\n", "\n") for piece in pieces]


@given(cut_up(), st.integers(0, 400), st.lists(documents(), max_size=2))
def test_a_context_keeps_to_its_budget(
    cut: tuple[Document, list[Hole]], budget: int, others: list[Document]
) -> None:
    document, holes = cut
    context = context_of(document, holes, budget=budget, others=others)
    assert sum(map(len, compose(context, holes).texts)) <= budget


@given(cut_up(), st.integers(64, 400), st.lists(documents(), max_size=2))
def test_the_text_nearest_the_holes_survives(
    cut: tuple[Document, list[Hole]], budget: int, others: list[Document]
) -> None:
    document, holes = cut
    texts = compose(context_of(document, holes, budget=budget, others=others), holes).texts
    near = budget // 64
    for n, (piece, text) in enumerate(zip(plain_pieces(document, holes), texts, strict=True)):
        assert n == 0 or text.startswith(piece[:near])
        assert n == len(holes) or text.endswith(piece[max(0, len(piece) - near) :])


@given(cut_up())
def test_a_document_under_budget_is_the_canvas_with_its_own_text_in_the_holes(
    cut: tuple[Document, list[Hole]],
) -> None:
    document, holes = cut
    context = context_of(document, holes, budget=len(document.text))
    formers = [document.text[it.start : it.end].replace("\r\n", "\n") for it in holes]
    filled = compose(context, holes).filled(tuple(formers))
    assert filled == document.text.replace("\r\n", "\n")


@given(cut_up(), st.integers(100, 400))
def test_no_line_of_a_canvas_is_made_up(cut: tuple[Document, list[Hole]], budget: int) -> None:
    document, holes = cut
    before = context_of(document, holes[:1], budget=budget).before
    lines = document.text.replace("\r\n", "\n").split("\n")
    if max(map(len, lines)) < budget // 8:
        assert set(before.split("\n")[:-1]) <= set(lines)


@pytest.mark.parametrize("budget", [0, 1, 2, 3, 10])
def test_a_budget_next_to_nothing_is_kept_too(budget: int) -> None:
    assert sum(map(len, canvas_of("ab\ncd‸ef\ngh‸ij\nkl", budget).texts)) <= budget
