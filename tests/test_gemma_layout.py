"""A canvas of text as DiffusionGemma gets it: what is prompt, what is clamped, what is cut."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers.models.diffusion_gemma", reason="transformers is too old")

from hypothesis import given, settings
from hypothesis import strategies as st

from model.canvas import Canvas, Hole, ModelError
from model.fence import fence_for
from model.gemma.answer import pieces_of, trimmed
from model.gemma.decode import NOISE, Told
from model.gemma.layout import (
    Layout,
    Room,
    groups_of,
    laid_out,
    mode_of,
)
from model.gemma.prompt import TAIL, apart, prompt_of
from model.gemma.vocabulary import Vocabulary, vocabulary_from
from tests.gemma_folder import SPECIALS, VOCABULARY, tokenizer

ROOM = Room(prompt=1024, canvas=256)
BEFORE = "def area(width, height):\n    return "
AFTER = "\n\n\nprint(area(3, 4))\n"
LINE = Canvas((BEFORE, AFTER), (Hole(len(BEFORE), len(BEFORE), limit=48),))
BLOCK = replace(LINE, holes=(Hole(len(BEFORE), len(BEFORE), multiline=True, limit=128),))


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    return vocabulary_from(folder, VOCABULARY, {1, 106, 50})


def only(canvas: Canvas, vocabulary: Vocabulary, mode: str = "auto", room: Room = ROOM) -> Layout:
    return laid_out(canvas, range(len(canvas.holes)), [], vocabulary, room, mode)


def told(layout: Layout, number: int, ids: list[int]) -> Told:
    """A row whose holes hold these ids, from left to right."""
    row = layout.rows[number]
    canvas, left = list(row.ids), list(ids)
    for run in row.holes:
        for i in run:
            canvas[i] = left.pop(0)
    assert not left
    return Told(tuple(canvas), (0.5,) * len(ids), (True,) * len(ids), 0.0, 0.0, True)


def answered(layout: Layout, vocabulary: Vocabulary, text: str, *, ends: bool = True) -> str:
    """What a prompted hole says when the network writes this."""
    (run,) = layout.rows[0].holes
    ids = vocabulary.encode(text)
    if ends:  # what comes behind the end is nobody's answer
        ids += [vocabulary.turn_end, *vocabulary.encode("user")]
    ids += [vocabulary.eos] * (len(run) - len(ids))
    (pieces,) = pieces_of(layout, 0, told(layout, 0, ids), vocabulary, final=True)
    return "".join(piece.text for piece in pieces)


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_text_survives_the_vocabulary_and_never_makes_a_special_token(
    vocabulary: Vocabulary, text: str
) -> None:
    clean = text.encode("utf-8", "replace").decode()
    ids = vocabulary.encode(text)
    assert not {*ids} & {*vocabulary.silent}
    # A space is written as ▁, so a ▁ comes back as a space: so it is in Gemma's own.
    assert "".join(vocabulary.pieces(ids)) == clean.replace("▁", " ")


@pytest.mark.parametrize("special", [*SPECIALS, "<unused0>"])
def test_special_tokens_in_a_file_are_plain_text_and_are_never_shown(
    vocabulary: Vocabulary, special: str
) -> None:
    ids = vocabulary.encode(f"x = '{special}'\n")
    assert "".join(vocabulary.pieces(ids)) == f"x = '{special}'\n"
    meant = SPECIALS.get(special, 6)
    assert meant not in ids
    assert vocabulary.pieces([meant]) == [""]


def test_an_answer_may_end_only_where_it_is_free(vocabulary: Vocabulary) -> None:
    assert vocabulary.enders == {1, 50, 106}
    assert {0, 1, 2, 50, 105, 106, 100, 98} <= {*vocabulary.silent}
    clamped, free = only(LINE, vocabulary, "clamped"), only(LINE, vocabulary, "prompted")
    block = only(BLOCK, vocabulary, "clamped")
    assert {*block.banned} == {*vocabulary.silent}
    assert {*block.banned} - {*free.banned} == vocabulary.enders
    assert {*clamped.banned} - {*block.banned} == vocabulary.newlines  # a line stays one


def test_a_prompt_is_the_instruction_what_follows_and_then_what_is_before(
    vocabulary: Vocabulary,
) -> None:
    layout = only(LINE, vocabulary)
    ids = layout.prompt.ids
    assert ids[:2] == (vocabulary.bos, vocabulary.turn)
    turns = [i for i in ids if i in SPECIALS.values()]
    assert turns == [2, 105, 106, 105]
    asked, answer = "".join(vocabulary.pieces(ids)).split("model\n```\n")
    assert asked.startswith("user\nA source file has a gap.")
    assert f"```\n{AFTER}\n```" in asked
    tail = "".join(vocabulary.pieces(layout.prompt.tail))
    assert answer + tail == BEFORE
    assert len(layout.prompt.tail) == TAIL


def test_a_prompt_changes_at_its_end_alone_while_one_types(vocabulary: Vocabulary) -> None:
    """What begins a word may become one token with what follows: no more than that is read anew."""
    text = BEFORE * 3 + "width * height + area(2, 3)"
    first = kept = only(replace(LINE, texts=(BEFORE * 3, AFTER)), vocabulary).prompt.ids
    for end in range(len(BEFORE * 3), len(text) + 1):
        for mode in ("clamped", "prompted"):
            ids = only(replace(LINE, texts=(text[:end], AFTER)), vocabulary, mode).prompt.ids
            assert ids[: len(kept) - 2] == kept[: len(kept) - 2]
            kept = ids
    assert len(kept) > len(first) + 4


def test_where_a_file_is_longer_than_the_prompt_its_far_ends_are_dropped(
    vocabulary: Vocabulary,
) -> None:
    first = "".join(f"first{i} = {i}\n" for i in range(400))
    last = "".join(f"last{i} = {i}\n" for i in range(400))
    prompt = prompt_of(first, last, vocabulary, 512)
    assert len(prompt.ids) <= 512
    text = "".join(vocabulary.pieces((*prompt.ids, *prompt.tail)))
    assert text.endswith("first398 = 398\nfirst399 = 399\n")
    assert "```\nlast0 = 0\n" in text
    assert "first0 =" not in text
    assert "last399" not in text
    assert text.partition("model\n```\n")[2].startswith("first")  # a whole line


def test_what_is_dropped_changes_seldom_while_one_types(vocabulary: Vocabulary) -> None:
    last = "".join(f"last{i} = {i}\n" for i in range(400))
    for lines in (10, 30, 400):
        first = "".join(f"first{i} = {i}\n" for i in range(lines))
        begun = {prompt_of(first + "x" * n, last, vocabulary, 512).ids[:400] for n in range(24)}
        assert len(begun) <= 3  # once for what is before, once for what follows
    first = "".join(f"first{i} = {i}\n" for i in range(400))
    begun = {prompt_of(first + "y = 1\n" * n, last, vocabulary, 512).ids[:320] for n in range(40)}
    assert len(begun) <= 10  # lines leave it a few at once


def test_a_prompt_without_room_for_the_file_is_one_sentence(vocabulary: Vocabulary) -> None:
    with pytest.raises(ModelError, match=r"of 64 tokens has no room .* `context` and `prompt`"):
        prompt_of(BEFORE, AFTER, vocabulary, 64)


def test_what_stands_elsewhere_is_told_before_all_that_changes(vocabulary: Vocabulary) -> None:
    others = "# shapes.py\ndef circle(radius): ...\n"
    canvas = replace(LINE, texts=(others + BEFORE, AFTER), wide=(BEFORE, AFTER))
    assert apart(others + BEFORE, BEFORE) == (others, BEFORE)
    text = "".join(vocabulary.pieces(only(canvas, vocabulary).prompt.ids))
    assert text.index("Elsewhere") < text.index("def circle") < text.index("After the gap")
    assert "def circle" not in text.partition("model\n")[2]
    assert apart(BEFORE, "") == ("", BEFORE)
    assert apart(BEFORE, "x = 1\n" + BEFORE) == ("", BEFORE)
    long = "x = 1\n" * 4000
    assert apart("import os\n" + long, long) == ("", "import os\n" + long)


def test_a_fence_is_longer_than_any_within_the_texts() -> None:
    assert fence_for("x", "y") == "```"
    assert fence_for("a ```` b", "```") == "`````"


def test_a_clamped_hole_stands_between_tail_and_suffix_in_a_few_lengths(
    vocabulary: Vocabulary,
) -> None:
    layout = only(LINE, vocabulary, "clamped")
    assert layout.mode == "clamped"
    assert [len(places[0]) for places in layout.places] == [4, 8, 16, 32, 48]
    suffix = vocabulary.encode(AFTER)
    for row, (place,) in zip(layout.rows, layout.places, strict=True):
        assert row.holes == (place,)
        assert row.ids[: place.start] == layout.prompt.tail
        assert {row.ids[i] for i in place} == {NOISE}
        follows = list(row.ids[place.stop :])
        assert follows[: len(suffix)] == suffix
        # The file ends there, and so does the answer.
        assert follows[-2:] == [vocabulary.turn_end, vocabulary.eos]
        assert row.scored == (range(place.stop, min(place.stop + 16, len(row.ids))),)


def test_a_suffix_longer_than_the_canvas_goes_on_in_the_prompt(vocabulary: Vocabulary) -> None:
    after = "".join(f"\nlast{i} = {i}" for i in range(60))
    layout = only(replace(BLOCK, texts=(BEFORE, after)), vocabulary, "clamped")
    assert {len(row.ids) for row in layout.rows} <= set(range(257))
    assert max(len(row.ids) for row in layout.rows) == 256
    follows = layout.rows[-1].ids[layout.places[-1][0].stop :]
    assert "\nlast0 = 0" in "".join(vocabulary.pieces(follows))
    assert "last59" not in "".join(vocabulary.pieces(follows))
    assert "last59 = 59" in "".join(vocabulary.pieces(layout.prompt.ids))
    same = {row.ids[place.stop :] for row, (place,) in zip(layout.rows, layout.places, strict=True)}
    assert len(same) == 1  # all lengths are judged by the same text


def test_several_holes_stand_on_one_canvas_and_are_read_from_it(vocabulary: Vocabulary) -> None:
    texts = ("def area(", "):\n    return ", "\n")
    holes = (Hole(9, 9, limit=16), Hole(30, 30, limit=16))
    layout = only(Canvas(texts, holes), vocabulary)
    assert layout.mode == "clamped"
    number = [len(places[0]) for places in layout.places].index(8)
    first, second = layout.places[number]
    assert len(first) == len(second) == 8
    between = layout.rows[number].ids[first.stop : second.start]
    assert "".join(vocabulary.pieces(between)) == texts[1]
    written = vocabulary.encode("width, h")
    assert len(written) <= 8
    spaces = vocabulary.encode(" ")
    ids = (written + spaces * 8)[:8] + (vocabulary.encode("x") * 8)[:8]
    one, other = pieces_of(layout, number, told(layout, number, ids), vocabulary, final=False)
    assert "".join(piece.text for piece in one).rstrip() == "width, h"
    assert "".join(piece.text for piece in other) == "x" * 8
    assert not any(piece.settled for piece in (*one, *other))


def test_holes_too_far_apart_for_one_canvas_are_filled_in_order(vocabulary: Vocabulary) -> None:
    far = "\n" + "".join(f"x{i} = {i}\n" for i in range(80))
    canvas = Canvas(("a = ", "\nb = ", far + "c = ", "\n"), tuple(Hole(0, 0) for _ in range(3)))
    groups = groups_of(canvas, vocabulary, ROOM, "auto")
    assert groups == [range(2), range(2, 3)]
    assert groups_of(canvas, vocabulary, ROOM, "prompted") == [range(i, i + 1) for i in range(3)]
    layout = laid_out(canvas, groups[1], ["1", "2", ""], vocabulary, ROOM, "auto")
    text = "".join(vocabulary.pieces((*layout.prompt.ids, *layout.prompt.tail)))
    assert text.endswith("a = 1\nb = 2" + far + "c = ")


def test_a_rewritten_hole_keeps_its_share_and_is_clamped(vocabulary: Vocabulary) -> None:
    former = "width * height + width * height"
    hole = Hole(0, 0, limit=48, former=former, strength=0.5)
    layout = only(replace(LINE, holes=(hole,)), vocabulary, "prompted")
    assert layout.mode == "clamped"
    (row,), ((place,),) = layout.rows, layout.places
    ids = vocabulary.encode(former)
    noised = [i for i in place if row.ids[i] == NOISE]
    assert len(noised) == round(len(ids) / 2)
    assert [i for run in row.holes for i in run] == noised
    assert all(row.ids[i] == ids[i - place.start] for i in place if i not in noised)
    written = told(layout, 0, [ids[i - place.start] for i in noised])
    (pieces,) = pieces_of(layout, 0, written, vocabulary, final=False)
    assert "".join(piece.text for piece in pieces) == former
    assert sum(piece.settled for piece in pieces) == len(ids) - len(noised)


def test_a_hole_that_is_kept_and_larger_than_the_canvas_is_one_sentence(
    vocabulary: Vocabulary,
) -> None:
    hole = Hole(0, 0, limit=900, former="x1 = 1\n" * 200, strength=0.5)
    with pytest.raises(ModelError, match=r"no room on a canvas of 256 .*: rewrite less at once"):
        only(replace(LINE, holes=(hole,)), vocabulary)


def test_a_free_hole_is_as_long_as_the_canvas_allows(vocabulary: Vocabulary) -> None:
    canvas = replace(LINE, holes=(Hole(0, 0, multiline=True, limit=900),))
    for mode in ("clamped", "prompted"):
        layout = only(canvas, vocabulary, mode)
        assert max(len(row.ids) for row in layout.rows) <= 256


@pytest.mark.parametrize(
    ("after", "multiline", "mode", "expected"),
    [
        (AFTER, False, "auto", "clamped"),
        (AFTER, True, "auto", "prompted"),
        (") % 7\n", True, "auto", "clamped"),
        ("", False, "auto", "prompted"),
        ("\n  \n", True, "auto", "prompted"),
        (AFTER, False, "prompted", "prompted"),
        ("", True, "clamped", "clamped"),
    ],
)
def test_the_mode_is_the_user_s_or_follows_from_what_stands_behind_the_hole(
    after: str, multiline: bool, mode: str, expected: str
) -> None:
    hole = Hole(0, 0, multiline=multiline)
    assert mode_of(Canvas((BEFORE, after), (hole,)), range(1), mode) == expected


def test_a_prompted_canvas_is_open_to_its_end(vocabulary: Vocabulary) -> None:
    layout = only(BLOCK, vocabulary, "prompted")
    (row,), ((place,),) = layout.rows, layout.places
    assert row.ids[: place.start] == layout.prompt.tail
    assert place.stop == len(row.ids) <= 256
    assert {*row.ids[place.start :]} == {NOISE}
    assert row.scored == ()


@pytest.mark.parametrize(
    ("after", "answer", "hole"),
    [
        (AFTER, "width * height\n\n\nprint(area(3, 4))\n```", "width * height"),
        (AFTER, "width * height\n\n\nprint(ar", "width * height"),
        (AFTER, "width * height\n\nprint(area(3, 4))\n```", "width * height"),
        (AFTER, "width * height\n```\nThat is all.", "width * height"),
        (AFTER, "width * height", "width * height"),
        ("", "width * height\n```", "width * height"),
        (")\nx = 1\n", "f(width)\ny = 2\n```", "f(width)\ny = 2"),
        (") % 7\n", "f(width)) % 7\n```", "f(width)"),
        (")\nx = 1\n", "f(width))\nx = 1\n```", "f(width)"),
        (
            "\n    return x\n",
            "a = 1\n    return x + 1\n    return x\n```",
            "a = 1\n    return x + 1",
        ),
    ],
)
def test_a_free_answer_is_cut_where_it_ends_or_goes_on_with_the_suffix(
    vocabulary: Vocabulary, after: str, answer: str, hole: str
) -> None:
    layout = only(Canvas((BEFORE, after), (Hole(0, 0, multiline=True),)), vocabulary, "prompted")
    assert trimmed(answer, after, "```") == hole
    assert answered(layout, vocabulary, answer) == hole
    assert answered(layout, vocabulary, answer, ends=False) == hole


def test_of_a_free_answer_a_line_takes_one(vocabulary: Vocabulary) -> None:
    layout = only(Canvas((BEFORE, ""), (Hole(0, 0),)), vocabulary, "prompted")
    assert answered(layout, vocabulary, "width * height\n\nx = 1\n```") == "width * height"
    assert answered(layout, vocabulary, "\n    width\nx = 1\n```") == "\n    width"


def test_a_free_answer_keeps_its_limit(vocabulary: Vocabulary) -> None:
    canvas = Canvas((BEFORE, ""), (Hole(0, 0, limit=4),))
    layout = only(canvas, vocabulary)
    assert len(vocabulary.encode("width * height * 3 * 4")) > 4
    text = answered(layout, vocabulary, "width * height * 3 * 4")
    assert text
    assert "width * height * 3 * 4".startswith(text)
    assert len(vocabulary.encode(text)) <= 4


def test_a_vocabulary_of_another_gemma_is_refused(tmp_path: Path) -> None:
    data = tokenizer()
    data["added_tokens"] = [it for it in data["added_tokens"] if "turn" not in it["content"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(ModelError, match=r"no special token <\|turn>, .* another Gemma"):
        vocabulary_from(tmp_path, VOCABULARY)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "Unigram"}}))
    with pytest.raises(ModelError, match=r"no vocabulary of Gemma's kind .* 'Unigram'"):
        vocabulary_from(tmp_path, VOCABULARY)
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer()))
    with pytest.raises(ModelError, match="do not fit each other"):
        vocabulary_from(tmp_path, 500)
    with pytest.raises(ModelError, match="fetch it again"):
        vocabulary_from(tmp_path / "nowhere", VOCABULARY)
