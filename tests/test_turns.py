"""Whose turn it is, whatever is asked, left and stepped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from model import Claim
from model.turns import Turns, ends, rounds


@dataclass(eq=False)
class One:
    claim: Claim
    turns: list[int] = field(default_factory=list[int])  # the steps that it was in


@dataclass(frozen=True)
class Came:
    asker: str
    speculative: bool = False


@dataclass(frozen=True)
class Left:
    which: int


@dataclass(frozen=True)
class Stepped:
    room: int


askers = st.sampled_from(["a", "b", "c", "d", "e"])
comings = st.builds(Came, askers, st.booleans())
happenings = st.lists(
    st.one_of(comings, st.builds(Left, st.integers(0, 99)), st.builds(Stepped, st.integers(1, 4))),
    min_size=10,
    max_size=80,
)


def step(turns: Turns[One], number: int, room: int) -> list[One]:
    some = [one for one, _ in zip(turns.dealt(), range(room), strict=False)]
    turns.stepped(some)
    for one in some:
        one.turns.append(number)
    return some


def played(happenings: list[Came | Left | Stepped], turn: int) -> list[tuple[list[One], list[One]]]:
    """Of each step who was there, in the order in which they came, and who was in it."""
    turns, there, steps = Turns[One](turn), list[One](), list[tuple[list[One], list[One]]]()
    for it in happenings:
        match it:
            case Came():
                there.append(One(Claim(it.asker, speculative=it.speculative)))
                turns.add(there[-1])
            case Left() if there:
                turns.remove(there.pop(it.which % len(there)))
            case Stepped():
                steps.append((list(there), step(turns, len(steps), it.room)))
            case _:
                pass
        assert sorted(map(id, turns)) == sorted(map(id, there))
        assert bool(turns) == bool(there)
    return steps


@given(happenings, st.integers(1, 4))
def test_what_is_speculative_has_no_turn_while_anything_else_waits(
    happenings: list[Came | Left | Stepped], turn: int
) -> None:
    for there, stepped in played(happenings, turn):
        waits = any(not one.claim.speculative for one in there)
        assert all(one.claim.speculative != waits for one in stepped)
        assert bool(stepped) == bool(there)


@given(happenings, st.integers(1, 4))
def test_no_asker_has_a_second_turn_in_a_step_in_which_another_has_none(
    happenings: list[Came | Left | Stepped], turn: int
) -> None:
    for there, stepped in played(happenings, turn):
        alike = [one for one in there if one.claim.speculative == stepped[0].claim.speculative]
        has, had = (Counter(one.claim.asker for one in some) for some in (alike, stepped))
        most = max(had.values(), default=0)
        for asker, count in has.items():
            assert had[asker] >= min(count, most - 1)


@given(happenings, st.integers(1, 4))
def test_no_asker_is_left_out_while_another_is_in_more_steps_than_a_turn_has(
    happenings: list[Came | Left | Stepped], turn: int
) -> None:
    steps = [
        ({one.claim.asker for one in there if not one.claim.speculative},
         {one.claim.asker for one in stepped if not one.claim.speculative})
        for there, stepped in played(happenings, turn)
    ]  # fmt: skip
    for asker in "abcde":
        others = Counter[str]()
        for there, stepped in steps:
            if asker not in there or asker in stepped:
                others.clear()
            else:
                others.update(stepped)
                assert max(others.values(), default=0) <= turn


@given(happenings, st.integers(1, 4))
def test_of_one_asker_s_canvases_each_has_a_turn_before_another_has_two(
    happenings: list[Came | Left | Stepped], turn: int
) -> None:
    steps = played(happenings, turn)
    for asker in "abcde":
        for speculative in (False, True):
            since: dict[int, Counter[int]] = {}  # what each has seen others have since its turn
            for there, stepped in steps:
                mine = [
                    one for one in there
                    if (one.claim.asker, one.claim.speculative) == (asker, speculative)
                ]  # fmt: skip
                had = [one for one in stepped if one in mine]
                since = {id(one): since.get(id(one), Counter()) for one in mine}
                for one in mine:
                    if one in had:
                        since[id(one)].clear()
                    else:
                        since[id(one)].update(map(id, had))
                        assert max(since[id(one)].values(), default=0) <= turn


def test_of_one_asker_the_oldest_goes_first() -> None:
    turns, some = Turns[One](), [One(Claim("a")) for _ in range(5)]
    for one in some:
        turns.add(one)
    assert step(turns, 0, 2) == some[:2]
    turns.add(newest := One(Claim("a")))
    assert step(turns, 1, 9) == [*some[2:], *some[:2], newest]


def test_askers_who_have_left_are_not_kept_for_longer_than_until_their_turn() -> None:
    turns, stays = Turns[One](), [One(Claim("a")), One(Claim("b"))]
    for one in stays:
        turns.add(one)
    for number in range(100):
        turns.add(brief := One(Claim(str(number))))
        turns.remove(brief)
        step(turns, number, 1)
        assert len(turns._visible) <= 5
    for one in stays:
        turns.remove(one)
    assert not turns._visible


def test_one_with_a_hundred_canvases_has_as_many_turns_as_one_with_one() -> None:
    turns, one = Turns[One](), One(Claim("one"))
    for _ in range(100):
        turns.add(One(Claim("many")))
    turns.add(one)
    had = Counter(each.claim.asker for number in range(50) for each in step(turns, number, 1))
    assert had == {"many": 25, "one": 25}


@given(st.lists(st.lists(st.integers(), max_size=5), max_size=5))
def test_rounds_leave_nobody_out(lines: list[list[int]]) -> None:
    numbered = [[(i, place) for place in range(len(line))] for i, line in enumerate(lines)]
    dealt = list(rounds(numbered))
    assert dealt == sorted(dealt, key=lambda it: (it[1], it[0]))
    assert sorted(dealt) == sorted(it for line in numbered for it in line)


def test_the_newest_of_a_document_ends_the_older_but_a_guess_ends_no_question() -> None:
    asked, guessed = Claim("a", "x"), Claim("a", "x", speculative=True)
    assert ends(asked, asked)
    assert ends(asked, guessed)
    assert ends(guessed, guessed)
    assert not ends(guessed, asked)
    assert not ends(asked, Claim("a", "y"))
    assert not ends(asked, Claim("b", "x"))
    assert not ends(Claim("a"), Claim("a"))


def test_a_canvas_goes_on_until_its_turn_is_over_or_it_leaves() -> None:
    turns, (one, other) = Turns[One](3), (One(Claim("a")), One(Claim("b")))
    turns.add(one)
    turns.add(other)
    assert [*map(id, (step(turns, n, 1)[0] for n in range(7)))] == [
        *[id(one)] * 3, *[id(other)] * 3, id(one)
    ]  # fmt: skip
    turns.remove(one)
    turns.add(newer := One(Claim("a")))
    assert step(turns, 7, 1) == [other]
    assert other.turns == [3, 4, 5, 7]
    assert newer.turns == []
