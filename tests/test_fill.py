"""From a source with a cursor to an edit or a reason, with a scripted model behind it."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path, PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infill.code.syntax import errors_in
from infill.deeds.holes import gaps_in, opened
from infill.document import Document
from infill.fill import Edit, Fill, Timing, applied, fill_at, fill_holes
from infill.memory import Memory
from infill.reason import Reason
from infill.settings import Settings
from model import Canvas, Card, Claim, Draft, Hole, ModelError, Piece
from model.scripted import Scripted
from tests.strategies import documents, texts

CURSOR = "‸"
PATIENT = Settings(deadline_ms=60_000)


def at_cursor(source: str, language: str = "python") -> tuple[Document, int]:
    return Document(None, language, source.replace(CURSOR, "")), source.index(CURSOR)


async def filled(
    source: str,
    denoiser: Scripted,
    *,
    language: str = "python",
    chosen: Settings = PATIENT,
    memory: Memory | None = None,
    others: tuple[Document, ...] = (),
    invoked: bool = False,
) -> Fill:
    document, cursor = at_cursor(source, language)
    return await fill_at(
        document, cursor, denoiser=denoiser, settings=chosen, memory=memory or Memory(),
        others=others, invoked=invoked,
    )  # fmt: skip


async def test_a_language_the_model_has_not_learnt_is_filled_only_when_asked_for():
    denoiser = Scripted("1", languages=frozenset({"python"}))
    assert (await filled("x = ‸\n", denoiser)).edit
    assert (await filled("x = ‸;\n", denoiser, language="c")).reason is Reason.NOT_LEARNT
    assert len(denoiser.seen) == 1
    assert (await filled("x = ‸;\n", denoiser, language="c", invoked=True)).edit


@pytest.mark.parametrize("elements", [10, 10_000])
async def test_a_text_that_parses_only_near_the_hole_is_not_shown(elements: int) -> None:
    source = "x = (\n" + "1,\n" * elements + "‸\n" + "1,\n" * elements + ")\n"
    denoiser = Scripted("y = 2", rivals={"y = 2": 0.9})
    fill = await filled(source, denoiser, invoked=True)
    assert fill.reason is Reason.BREAKS_SYNTAX


async def check(source: str, answer: str, expected: str | Reason, language: str = "python") -> None:
    """`expected` is what the whole text becomes, or the reason why it stays."""
    fill = await filled(source, Scripted(answer), language=language)
    document, cursor = at_cursor(source, language)
    if fill.edit is None:
        assert fill.reason == expected
    else:
        assert fill.edit.start == fill.edit.end == cursor
        assert applied(document, fill.edit).text == expected


@pytest.mark.parametrize(
    ("source", "answer", "expected"),
    [
        ("x = ‸\n", "1", "x = 1\n"),
        ("x = f(‸)\n", "a, b)", "x = f(a, b)\n"),
        ("def f(x):\n    ‸\n", "return x", "def f(x):\n    return x\n"),
        ("def f(x):‸\n", "\n    return x\n\ny = 1\n", "def f(x):\n    return x\n"),
        ("# 👩‍💻 é\nx = '👋' + ‸\n", "'b'", "# 👩‍💻 é\nx = '👋' + 'b'\n"),
        ("import a\n\f\nx = ‸\n", "1", "import a\n\f\nx = 1\n"),
        ("x = ‸\n", "", Reason.EMPTY),
        ("x = ‸\n", "<|mask|>", Reason.SPECIAL_TOKEN),
        ("x = ‸\n", "a b c", Reason.BREAKS_SYNTAX),
        ("y = 1\nx = ‸ab\n", "1", Reason.WORD_FOLLOWS),
    ],
)
async def test_the_text_with_its_fill(source: str, answer: str, expected: str | Reason) -> None:
    await check(source, answer, expected)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_a_block_has_the_document_s_line_ends(end: str) -> None:
    source = f"import a{end}def f(x):{end}    ‸{end}"
    expected = f"import a{end}def f(x):{end}    y = 1{end}    return y{end}"
    await check(source, "y = 1\n    return y", expected)


async def test_the_model_sees_both_sides_with_plain_line_ends() -> None:
    denoiser = Scripted("1")
    await filled("a = 0\r\nx = ‸\r\ny = 2\r\n", denoiser)
    (canvas,) = denoiser.seen
    assert canvas.texts == ("a = 0\nx = ", "\ny = 2\n")


@settings(deadline=None)
@given(documents(surrogates=True), st.data(), texts(surrogates=True, max_size=8), st.booleans())
def test_text_outside_the_hole_never_changes(
    document: Document, data: st.DataObject, answer: str, invoked: bool
) -> None:
    cursor = data.draw(st.integers(0, len(document.text)))
    fill = asyncio.run(
        fill_at(
            document, cursor, denoiser=Scripted(answer), settings=PATIENT, memory=Memory(),
            invoked=invoked,
        )
    )  # fmt: skip
    if fill.edit is not None:
        text = applied(document, fill.edit).text
        assert fill.edit.text
        assert fill.edit.start == fill.edit.end == cursor
        assert text == document.text[:cursor] + fill.edit.text + document.text[cursor:]


@pytest.mark.parametrize(("edit", "reason"), [(None, None), (Edit(0, 0, "x"), Reason.EMPTY)])
def test_a_fill_has_an_edit_or_a_reason(edit: Edit | None, reason: Reason | None) -> None:
    with pytest.raises(ValueError, match="either an edit or a reason"):
        Fill(edit, 1.0, reason, 0, Timing())


async def test_a_fill_is_remembered_and_may_be_typed_along() -> None:
    memory, denoiser = Memory(), Scripted("abc()")
    first = await filled("x = ‸\n", denoiser, memory=memory)
    steps = denoiser.steps
    again = await filled("x = ‸\n", denoiser, memory=memory)
    along = await filled("x = ab‸\n", denoiser, memory=memory)
    assert (first.remembered, again.remembered, along.remembered) == (False, True, True)
    assert first.edit == again.edit == Edit(4, 4, "abc()")
    assert along.edit == Edit(6, 6, "c()")
    assert along.score == pytest.approx(first.score)
    assert along.steps == 0
    assert denoiser.steps == steps
    assert not (await filled("x = ac‸\n", denoiser, memory=memory)).remembered


async def test_a_fill_is_not_remembered_for_another_setting() -> None:
    memory, denoiser = Memory(), Scripted("abc()")
    await filled("x = ‸\n", denoiser, memory=memory)
    other = await filled("x = ‸\n", denoiser, memory=memory, chosen=replace(PATIENT, seed=1))
    assert not other.remembered


@pytest.mark.parametrize(
    ("document", "chosen", "reason"),
    [
        (Document(PurePath(".env"), "shellscript", "A=\n"), PATIENT, Reason.SECRET),
        (Document(None, "python", "k = 'AKIAABCDEFGHIJKLMNOP'\nx = "), PATIENT, Reason.SECRET),
        (Document(None, "python", "x = \0"), PATIENT, Reason.BINARY),
        (Document(None, "python", "x = "), replace(PATIENT, enabled=False), Reason.DISABLED),
        (Document(None, "python", "x = "), replace(PATIENT, max_file_chars=3), Reason.TOO_LARGE),
    ],
)
async def test_a_file_that_must_not_be_shown_reaches_no_canvas(
    document: Document, chosen: Settings, reason: Reason
) -> None:
    denoiser, cursor, hole = Scripted("1"), len(document.text), Hole(0, 0)
    fill = await fill_at(
        document, cursor, denoiser=denoiser, settings=chosen, memory=Memory(), invoked=True
    )
    (joint,) = await fill_holes(document, [hole], denoiser=denoiser, settings=chosen)
    assert (fill.edit, fill.reason, joint.edit, joint.reason) == (None, reason, None, reason)
    assert denoiser.seen == []


async def test_a_file_that_became_secret_is_not_answered_from_memory(tmp_path: Path) -> None:
    document, memory, denoiser = (
        Document(tmp_path / "a.py", "python", "x = "),
        Memory(),
        Scripted("1"),
    )

    async def ask() -> Fill:
        return await fill_at(
            document, 4, denoiser=denoiser, settings=PATIENT, memory=memory, root=tmp_path
        )

    assert (await ask()).edit is not None
    (tmp_path / ".infillignore").write_text("a.py\n")
    assert (await ask()).reason is Reason.IGNORED


@pytest.mark.parametrize(
    ("other", "chosen", "seen"),
    [
        (Document(PurePath("b.py"), "python", "def helper(a, b):\n    return a\n"), PATIENT, True),
        (Document(PurePath("b.lua"), "lua", "function helper(a, b)\nend\n"), PATIENT, False),
        (
            Document(PurePath("id_rsa"), "python", "def helper(a, b):\n    return a\n"),
            PATIENT,
            False,
        ),
        (
            Document(PurePath("b.py"), "python", "def helper(a, b):\n    return a\n"),
            replace(PATIENT, other_files=False),
            False,
        ),
    ],
)
async def test_other_files_are_seen_where_they_may_be(
    other: Document, chosen: Settings, seen: bool
) -> None:
    denoiser = Scripted("helper(1, 2)")
    await filled("x = ‸\n", denoiser, others=(other,), chosen=chosen)
    (canvas,) = denoiser.seen
    assert ("helper" in "".join(canvas.texts)) == seen
    assert ("helper" in "".join(canvas.others)) == seen  # where it may be counted, too


async def test_all_of_the_file_round_the_hole_may_be_counted_though_not_laid_out() -> None:
    far = "".join(f"name{i} = {i}\r\n" for i in range(900))
    denoiser = Scripted("1")
    await filled(f"{far}x = ‸\r\n{far}", denoiser)
    (canvas,) = denoiser.seen
    before, after = canvas.wide
    assert len(canvas.texts[0]) < len(before) == len(far.replace("\r", "")) + 4
    assert before.endswith("\nx = ")
    assert after == "\n" + far.replace("\r", "")


async def test_what_the_model_is_unsure_of_is_not_shown() -> None:
    unsure = Scripted("1", confidence=0.4)
    fill = await filled("x = ‸\n", unsure, chosen=replace(PATIENT, min_confidence=0.5))
    assert (fill.edit, fill.reason) == (None, Reason.LOW_CONFIDENCE)
    assert fill.score == pytest.approx(0.4)
    fill = await filled("x = ‸\n", unsure, chosen=replace(PATIENT, min_confidence=0.3))
    assert fill.edit is not None


async def test_what_is_cut_off_does_not_count_for_the_score() -> None:
    class Unsure(Scripted):
        def _pieces(self, text: str, share: float) -> tuple[Piece, ...]:
            pieces = super()._pieces(text, share)
            return tuple(replace(p, confidence=0.1 if i > 0 else 0.9) for i, p in enumerate(pieces))

    fill = await filled("x = f(‸)\n", Unsure("a)"))
    assert fill.edit == Edit(6, 6, "a")
    assert fill.score == pytest.approx(0.9)


async def test_every_draft_can_be_watched() -> None:
    drafts: list[tuple[Canvas, Draft]] = []
    document, cursor = at_cursor("x = ‸\n")
    denoiser = Scripted("12", steps_a_fill=3)
    fill = await fill_at(
        document, cursor, denoiser=denoiser, settings=PATIENT, memory=Memory(),
        watch=lambda canvas, draft: drafts.append((canvas, draft)),
    )  # fmt: skip
    assert [draft.step for _, draft in drafts] == [1, 2, 3]
    assert {canvas for canvas, _ in drafts} == set(denoiser.seen)
    assert fill.steps == denoiser.steps == 3


async def test_a_model_that_fails_says_so_to_the_caller() -> None:
    memory = Memory()
    with pytest.raises(ModelError, match="out of memory"):
        await filled("x = ‸\n", Scripted("1", error="out of memory"), memory=memory)
    assert memory.count == 0


async def test_time_is_split_into_its_parts() -> None:
    class Queued(Scripted):
        async def denoise(
            self, canvas: Canvas, claim: Claim = Claim()
        ) -> AsyncGenerator[Draft, None]:
            await asyncio.sleep(0.02)
            async for draft in super().denoise(canvas, claim):
                yield replace(draft, queue_ms=20.0)

    timing = (await filled("x = ‸\n", Queued("1"))).timing
    assert timing.queue_ms == 20.0
    parts = (timing.context_ms, timing.queue_ms, timing.steps_ms, timing.tidy_ms)
    assert min(parts) >= 0
    assert timing.total == pytest.approx(sum(parts))


class Counted(Scripted):
    """Counts the iterators that are open."""

    open = 0

    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        self.open += 1
        try:
            async for draft in super().denoise(canvas, claim):
                yield draft
        finally:
            self.open -= 1


async def test_after_a_cancel_no_step_starts() -> None:
    denoiser = Counted("abcdefgh", seconds_a_step=0.01, steps_a_fill=1000)
    task = asyncio.create_task(filled("x = ‸\n", denoiser))
    while denoiser.steps < 3:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    steps = denoiser.steps
    await asyncio.sleep(0.05)
    assert denoiser.steps == steps < 1000
    assert denoiser.open == 0


async def test_when_a_watcher_fails_the_model_is_stopped() -> None:
    def watch(canvas: Canvas, draft: Draft) -> None:
        raise RuntimeError("the terminal is gone")

    denoiser = Counted("ab", steps_a_fill=100)
    document, cursor = at_cursor("x = ‸\n")
    with pytest.raises(RuntimeError, match="terminal"):
        await fill_at(
            document, cursor, denoiser=denoiser, settings=PATIENT, memory=Memory(), watch=watch
        )
    assert (denoiser.steps, denoiser.open) == (1, 0)


class Stuck(Counted):
    """Has four of eight characters settled, and then takes an hour for the next step."""

    async def denoise(self, canvas: Canvas, claim: Claim = Claim()) -> AsyncGenerator[Draft, None]:
        self.steps_a_fill = 8
        async for draft in super().denoise(canvas, claim):
            yield draft
            if draft.step == 4:
                self.seconds_a_step = 3600


SOON = replace(PATIENT, deadline_ms=700)  # enough for four steps on a busy machine


async def test_at_the_deadline_what_has_settled_is_taken() -> None:
    denoiser = Stuck("alphabet")
    fill = await filled("x = ‸\n", denoiser, chosen=SOON)
    assert fill.edit == Edit(4, 4, "alph")
    assert fill.steps == 4
    assert denoiser.steps == 5  # the one that hung was the last to start
    assert denoiser.open == 0


async def test_half_an_answer_that_cannot_be_shown_is_the_deadline_s_fault() -> None:
    fill = await filled("x = ‸\n", Stuck("f(1, 22)"), chosen=SOON)
    assert fill.reason is Reason.DEADLINE


async def test_a_model_too_slow_for_the_deadline_is_named_as_the_reason() -> None:
    fill = await filled(
        "x = ‸\n", Scripted("1", seconds_a_step=5), chosen=replace(PATIENT, deadline_ms=20)
    )
    assert (fill.reason, fill.steps) == (Reason.DEADLINE, 0)


async def test_a_denoiser_s_own_timeout_is_not_taken_for_the_deadline() -> None:
    class Broken(Scripted):
        async def denoise(
            self, canvas: Canvas, claim: Claim = Claim()
        ) -> AsyncGenerator[Draft, None]:
            raise TimeoutError("no answer from the server")
            yield  # makes it a generator

    with pytest.raises(TimeoutError, match="no answer"):
        await filled("x = ‸\n", Broken("1"))


async def test_a_fill_that_breaks_the_file_is_mended() -> None:
    denoiser = Scripted(lambda canvas: ("+ 4",) if canvas.holes[0].former else ("f(2, 3 4)",))
    fill = await filled("x = ‸\n", denoiser)
    assert fill.edit == Edit(4, 4, "f(2, 3 + 4)")
    assert fill.steps == denoiser.steps
    assert len(denoiser.seen) == 2


async def test_a_large_file_is_filled_like_a_small_one() -> None:
    far = "def f(x):\n    return [x]\n\n\n" * 4000
    fill = await filled(f"{far}x = ‸\n{far}", Scripted("f(1)"))
    assert fill.edit == Edit(len(far) + 4, len(far) + 4, "f(1)")
    fill = await filled(f"{far}x = ‸\n{far}", Scripted("f(1 2)"))
    assert fill.reason is Reason.BREAKS_SYNTAX


SEVERAL = "def f(x):\n    ...\n\n\ndef g(x):\n    ...\n\n\nz = 1\n"


def together(document: Document, fills: tuple[Fill, ...]) -> str:
    for fill in reversed(fills):
        document = applied(document, fill.edit) if fill.edit else document
    return document.text


async def jointly(
    answers: tuple[str, ...], source: str = SEVERAL, denoiser: Scripted | None = None
) -> tuple[str, tuple[Fill, ...], Scripted]:
    document = Document(None, "python", source)
    denoiser = denoiser or Scripted(lambda canvas: answers[: len(canvas.holes)])
    document, holes = opened(document, gaps_in(document))
    fills = await fill_holes(document, holes, denoiser=denoiser, settings=PATIENT)
    return together(document, fills), fills, denoiser


async def test_several_holes_are_filled_on_one_canvas() -> None:
    text, fills, denoiser = await jointly(("return x + 1", "return f(x)"))
    assert text == SEVERAL.replace("...", "return x + 1", 1).replace("...", "return f(x)")
    (canvas,) = denoiser.seen
    assert len(canvas.holes) == 2
    assert [fill.steps for fill in fills] == [denoiser.steps, denoiser.steps]


async def test_a_hole_without_a_fill_keeps_its_text() -> None:
    text, fills, _ = await jointly(("<|mask|>", "return f(x)"))
    assert text == SEVERAL[:20] + SEVERAL[20:].replace("...", "return f(x)")
    assert [fill.reason for fill in fills] == [Reason.SPECIAL_TOKEN, None]


async def test_of_several_holes_the_broken_one_is_mended_alone() -> None:
    def script(canvas: Canvas) -> tuple[str, ...]:
        return ("x +",) if len(canvas.holes) == 1 else ("return x 1", "return f(x)")

    text, _, denoiser = await jointly((), denoiser=Scripted(script))
    assert text == SEVERAL.replace("...", "return x + 1", 1).replace("...", "return f(x)")
    _, again = denoiser.seen
    assert again.filled(("x +",)) == text


async def test_each_hole_is_judged_among_the_fills_of_the_others() -> None:
    source = "def f():\n    __HOLE__\n    __HOLE__\n"
    text, fills, _ = await jointly(("a()", "a()"), source)
    assert text == "def f():\n    __HOLE__\n    a()\n"
    assert [fill.reason for fill in fills] == [Reason.REPEATS_LINE, None]


async def test_a_hole_is_mended_beside_what_the_others_have_become() -> None:
    def script(canvas: Canvas) -> tuple[str, ...]:
        return ("x +",) if len(canvas.holes) == 1 else ("return x 1", "<|mask|>")

    text, _, denoiser = await jointly((), denoiser=Scripted(script))
    assert text == SEVERAL.replace("...", "return x + 1", 1)
    assert denoiser.seen[1].filled(("x +",)) == text


BRANCHES = "def f(x):\n    if x:\n        return 1\n    ‸\n        ‸\n"


async def at_cursors(source: str, *answers: str) -> tuple[str, tuple[Fill, ...], Scripted]:
    """The text with empty holes at its cursors filled jointly, the holes of one line."""
    document = Document(None, "python", source.replace(CURSOR, ""))
    before = source.split(CURSOR)[:-1]
    places = [sum(map(len, before[: i + 1])) for i in range(len(before))]
    holes = [Hole(place, place) for place in places]
    denoiser = Scripted(lambda canvas: answers if len(canvas.holes) > 1 else ("1 2",))
    fills = await fill_holes(document, holes, denoiser=denoiser, settings=PATIENT)
    return together(document, fills), fills, denoiser


@pytest.mark.parametrize(
    ("source", "answers"),
    [
        (BRANCHES, ("else:", "return 2")),
        ("x = f(‸,\n    ‸\n", ("[1", "2])")),
        ("‸\n    a()\n‸\n    b()\n", ("try:", "finally:")),
        ("def f():\r\n    ‸\r\n        ‸\r\n", ("if x:", "return x")),
    ],
)
async def test_fills_that_only_together_parse_are_shown_together(
    source: str, answers: tuple[str, ...]
) -> None:
    text, _, denoiser = await at_cursors(source, *answers)
    first, second = answers
    assert text == source.replace(CURSOR, first, 1).replace(CURSOR, second, 1)
    assert len(denoiser.seen) == 1


@pytest.mark.parametrize("answers", [("<|mask|>", "return 2"), ("x 1", "return 2")])
async def test_a_fill_that_needs_one_which_is_not_shown_is_not_shown(
    answers: tuple[str, ...],
) -> None:
    source = "def f(x):\n    a()\n    ‸\n        ‸\n"
    text, fills, _ = await at_cursors(source, *answers)
    assert text == source.replace(CURSOR, "")
    assert fills[1].reason is Reason.BREAKS_SYNTAX


async def test_a_fill_that_breaks_nothing_stays_beside_one_that_is_not_shown() -> None:
    source = "x = ‸\ny = ‸\n"
    text, fills, _ = await at_cursors(source, "1 2", "3")
    assert text == "x = \ny = 3\n"
    assert [fill.reason for fill in fills] == [Reason.BREAKS_SYNTAX, None]


async def test_holes_that_break_the_file_are_left_as_they_were() -> None:
    text, fills, _ = await jointly(("return x 1", "return f(x)"))
    assert text == SEVERAL[:20] + SEVERAL[20:].replace("...", "return f(x)")
    assert fills[0].reason is Reason.BREAKS_SYNTAX


async def test_a_model_of_one_hole_fills_several_one_by_one() -> None:
    class OneHole(Scripted):
        @property
        def card(self) -> Card:
            return replace(super().card, abilities=frozenset({"re-noise"}))

    denoiser = OneHole("return x")
    text, _, _ = await jointly((), denoiser=denoiser)
    assert text == SEVERAL.replace("...", "return x")
    assert [len(canvas.holes) for canvas in denoiser.seen] == [1, 1]
    assert "return x" in denoiser.seen[1].texts[1]


async def test_no_holes_are_filled_by_nothing() -> None:
    document, denoiser = Document(None, "python", "x = 1\n"), Scripted("1")
    assert await fill_holes(document, [], denoiser=denoiser, settings=PATIENT) == ()
    assert denoiser.seen == []


@settings(deadline=None)
@given(documents(max_size=15), st.data(), st.lists(texts(max_size=5), min_size=3, max_size=3))
def test_text_between_several_holes_never_changes(
    document: Document, data: st.DataObject, answers: list[str]
) -> None:
    offsets = st.lists(st.integers(0, len(document.text)), min_size=6, max_size=6).map(sorted)
    a, b, c, d, e, f = data.draw(offsets)
    holes = [Hole(start, end, multiline=True) for start, end in ((a, b), (c, d), (e, f))]
    denoiser = Scripted(lambda canvas: tuple(answers[: len(canvas.holes)]))
    fills = asyncio.run(fill_holes(document, holes, denoiser=denoiser, settings=PATIENT))
    stays = [
        fill.edit.text if fill.edit else document.text[hole.start : hole.end]
        for hole, fill in zip(holes, fills, strict=True)
    ]
    text = document.text
    assert together(document, fills) == (
        text[:a] + stays[0] + text[b:c] + stays[1] + text[d:e] + stays[2] + text[f:]
    )


SOUND = st.lists(
    st.sampled_from(
        ("x = 1\n", "def f(x):\n    return x\n", "if x:\n    y(\n        x,\n    )\n", "a.b(c)\n")
    ),
    min_size=1,
).map("".join)


@settings(deadline=None)
@given(SOUND, st.data(), st.lists(texts(max_size=4), min_size=3, max_size=3))
def test_a_file_that_parses_does_so_with_all_its_fills(
    text: str, data: st.DataObject, answers: list[str]
) -> None:
    offsets = st.lists(st.integers(0, len(text)), min_size=3, max_size=3).map(sorted)
    holes = [Hole(at, at, multiline=True) for at in data.draw(offsets)]
    document = Document(None, "python", text)
    denoiser = Scripted(lambda canvas: tuple(answers[: len(canvas.holes)]))
    fills = asyncio.run(fill_holes(document, holes, denoiser=denoiser, settings=PATIENT))
    assert errors_in(together(document, fills), "python") == ()
    ast.parse(together(document, fills))
