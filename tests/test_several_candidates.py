"""Several texts to choose from where somebody asked for a fill, and one where nobody did."""

from __future__ import annotations

import pytest

from infill.document import Document
from infill.fill import Fill, fill_at
from infill.memory import Known, Memory
from infill.settings import Settings
from lsp.session import MOST
from model.scripted import Scripted
from tests.test_server import URI, Message, client

TEXT = "def add(a, b):\n    return \n"
AT = TEXT.index("return ") + 7
# Breaks the file, is nothing, and is the same as another once it is tidied.
RIVALS = {"a": 0.3, "a + b": 0.2, "a b": 0.1, "": 0.1, " a": 0.05, "a * b": 0.05, "b": 0.04}
PATIENT = Settings(deadline_ms=60_000)


async def filled(
    memory: Memory, denoiser: Scripted, typed: str = "", *, invoked: bool = True, most: int = 5
) -> Fill:
    document = Document(None, "python", TEXT[:AT] + typed + TEXT[AT:])
    return await fill_at(
        document, AT + len(typed), denoiser=denoiser, settings=PATIENT, memory=memory,
        invoked=invoked, most=most,
    )  # fmt: skip


def texts(fill: Fill) -> list[str]:
    assert fill.edit is not None
    return [fill.edit.text, *(further.edit.text for further in fill.others or ())]


async def test_all_that_may_be_shown_is_there_once_and_the_best_first() -> None:
    fill = await filled(Memory(), Scripted("a", rivals=RIVALS))
    assert sorted(texts(fill)) == ["a", "a * b", "a + b", "b"]
    scores = [fill.score, *(further.score for further in fill.others or ())]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) < 1


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_there_are_as_many_as_were_wanted_at_most_and_always_in_the_same_order(
    most: int,
) -> None:
    every = texts(await filled(Memory(), Scripted("a", rivals=RIVALS)))
    some = await filled(Memory(), Scripted("a", rivals=RIVALS), most=most)
    assert texts(some) == every[:most]


async def test_typing_along_with_any_of_them_keeps_it_without_a_step() -> None:
    memory, denoiser = Memory(), Scripted("a", rivals=RIVALS)
    for text in ("a * b", "a + b"):
        assert text in texts(await filled(memory, denoiser))
        steps = denoiser.steps
        along = await filled(memory, denoiser, text[:-1], invoked=False, most=1)
        assert along.edit is not None
        assert along.edit.text == "b"
        assert len(texts(along)) == 1
        assert denoiser.steps == steps
    for most in (5, 1):
        again = await filled(memory, denoiser, most=most)
        assert again.remembered
        assert len(texts(again)) == min(most, 4)


async def test_one_that_came_unasked_is_not_all_there_is_for_who_asks() -> None:
    memory, denoiser = Memory(), Scripted("a", rivals=RIVALS)
    shown = await filled(memory, denoiser, invoked=False, most=1)
    asked = await filled(memory, denoiser)
    assert texts(asked)[0] == texts(shown)[0]
    assert len(texts(asked)) == 4
    silent = Scripted("a")  # weighs nothing: then there is no more to be had
    memory = Memory()
    await filled(memory, silent, invoked=False, most=1)
    assert (await filled(memory, silent)).remembered


def test_what_begins_as_was_typed_is_still_there_to_choose_from() -> None:
    known = Known("abc", 0.5, (Known("abd", 0.3), Known("x", 0.1)))
    assert known.rest_after("ab") == Known("c", 0.5, (Known("d", 0.3),))
    assert known.rest_after("abd") is None
    assert known.rest_after("") == known


async def test_an_editor_gets_several_where_the_user_asked_and_one_where_not() -> None:
    weighed: list[str] = ["a", "b", "a + b", "a - b", "a * b", "b - a", "b + a", "f(a)"]
    rivals = dict.fromkeys(weighed, 0.1)
    options = {"speculate": False, "min_confidence": 0.0}
    async with client(Scripted("a", rivals=rivals), options) as c:

        async def items(kind: int) -> list[Message]:
            params = {
                "textDocument": {"uri": URI},
                "position": {"line": 1, "character": 11},
                "context": {"triggerKind": kind},
            }
            found = await c.answer(c.request("textDocument/inlineCompletion", params))
            return found["result"]["items"]

        one, several, again = await items(2), await items(1), await items(1)
    assert len(one) == 1
    assert several == again
    assert [it["range"] for it in several] == [one[0]["range"]] * MOST
    assert len({it["insertText"] for it in several}) == MOST
    assert several[0]["insertText"] == one[0]["insertText"]


async def test_each_of_them_goes_on_from_the_entry_selected_in_the_popup() -> None:
    rivals = {"_all": 0.5, "_some": 0.2}
    async with client(Scripted("_all", rivals=rivals), {"speculate": False}) as c:
        at = {"line": 1, "character": 11}
        selected = {"range": {"start": at, "end": at}, "text": "sum"}
        params = {
            "textDocument": {"uri": URI},
            "position": at,
            "context": {"triggerKind": 1, "selectedCompletionInfo": selected},
        }
        assert await c.texts(c.request("textDocument/inlineCompletion", params)) == [
            "sum_all",
            "sum_some",
        ]
