"""`infill-lsp fill`: from a file on disk to a diff, a JSON object or a changed file."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from infill.deeds.fill_all import batches_of, fill_document
from infill.deeds.joint import MOST
from infill.document import Document
from infill.fill import Edit
from infill.settings import Settings
from infill.source import (
    InputError,
    line_starts,
    offset_at,
    place_from,
    position_of,
    source_at,
    write_back,
)
from infill.verbs.diff import diff_of, lines_of
from infill.verbs.show import MASK, Screen, as_noise, canvas_text, line_of
from lsp.command import run
from model import Canvas, Draft, Hole, Piece
from model.scripted import Scripted

AREA = "def area(width, height):\n    return __HOLE__\n"
SCRIPT = "scripted:width * height"


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a file with this text, byte for byte."""

    def make(text: str, name: str = "area.py") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return make


File = Callable[..., Path]


def fill(*arguments: object, model: str = SCRIPT) -> int:
    return run(["fill", *map(str, arguments), "--model", model])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = __HOLE__\n", "x = 1\n"),
        ("x = __HOLE__", "x = 1"),  # no line end at the end
        ("a = '😀é'; x = __HOLE__\r\ny = 2\r\n", "a = '😀é'; x = 1\r\ny = 2\r\n"),
        ("\ufeffx = __HOLE__\n", "\ufeffx = 1\n"),  # a byte order mark stays
        ("s = 'a\x0cb\u2028c'\nx = __HOLE__\n", "s = 'a\x0cb\u2028c'\nx = 1\n"),
        ("x = __HOLE__\ny = __HOLE__\n", "x = 1\ny = 1\n"),
    ],
)
def test_write_changes_the_holes_and_nothing_else(file: File, before: str, after: str) -> None:
    path = file(before)
    assert fill(path, "--write", model="scripted:1") == 0
    assert path.read_bytes().decode() == after


KINDS = '''def area(width, height):
    """Say the area."""
    ...


def half(x):
    """Say half of it."""
    # TODO: divide


def double(x):
    return 2 * x


print(half())
'''


def test_all_that_the_editors_action_fills_is_filled(
    file: File, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file(KINDS)
    texts = ["return width * height", "return x / 2", "Say twice it.", "3"]
    assert fill(path, "--write", "--json", model="scripted:" + json.dumps({"text": texts})) == 0
    assert path.read_text() == KINDS.replace("...", "return width * height").replace(
        "divide\n", "divide\n    return x / 2\n"
    ).replace("    return 2", '    """Say twice it."""\n    return 2').replace("f()", "f(3)")
    holes = json.loads(capsys.readouterr().out)["holes"]
    lines = [hole["range"]["start"]["line"] for hole in holes]
    assert lines == [2, 7, 11, 14]
    assert [hole["text"].strip() for hole in holes] == [
        "return width * height", "return x / 2", '"""Say twice it."""', "3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "source", "text"),
    [
        ("a.py", "def f(x):\n    ...\n", "pass"),
        ("a.py", "def f(x):\n    pass\n", "raise NotImplementedError"),
        ("a.js", 'function f(x) {\n  throw new Error("not implemented");\n}\n', "// TODO"),
        ("a.rs", "fn f() -> u8 {\n    todo!()\n}\n", "unimplemented!()"),
    ],
)
def test_a_body_that_would_say_no_more_than_before_stays(
    file: File, capsys: pytest.CaptureFixture[str], name: str, source: str, text: str
) -> None:
    path = file(source, name)
    assert fill(path, "--write", model="scripted:" + json.dumps({"text": text})) == 1
    assert path.read_text() == source
    assert "leaves the hole open" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "defined", "right", "wrong"),
    [
        ("a.py", "def f(a, b=1): return a\n", ["1", "1, 2", "*a", "a, b=2"], ["1, 2, 3"]),
        ("a.py", "def f(a, *, b): return a\n", ["1, b=2"], ["1", "1, 2, 3"]),
        ("a.py", "def f(a, *b, **c): return a\n", ["1", "1, 2, 3", "1, d=2"], []),
        ("a.py", "class f:\n  def __init__(self, a): self.a = a\n", ["1"], ["1, 2"]),
        ("a.js", "function f(a, b) { return a; }\n", ["1, 2", "...a"], ["1", "1, 2, 3"]),
        ("a.js", "function f(a, ...b) { return a; }\n", ["1", "1, 2, 3"], []),
        ("a.c", "int f(int a, int b) { return a; }\nint x =\n", ["1, 2"], ["1", "1, 2, 3"]),
        ("a.rs", "fn f(a: u8) -> u8 { a }\nconst X: u8 =\n", ["1"], ["1, 2"]),
        ("a.go", "package m\nfunc f(a, b int) int { return a }\nvar x =\n", ["1, 2"], []),
    ],
)
def test_arguments_are_written_only_where_the_function_takes_so_many(
    file: File, name: str, defined: str, right: list[str], wrong: list[str]
) -> None:
    source = defined.removesuffix("\n") + " f()\n" if "=\n" in defined else f"{defined}f()\n"
    for text in (*right, *wrong):
        path = file(source, name)
        status = fill(path, "--write", model="scripted:" + json.dumps({"text": text}))
        assert (text, status) == (text, 0 if text in right else 1)
        assert path.read_text() == (source.replace("f()", f"f({text})") if not status else source)


def test_the_file_stays_as_it_is_without_write(file: File) -> None:
    path = file(AREA)
    assert fill(path) == 0
    assert path.read_text() == AREA


def test_the_diff_is_one_that_patch_takes(
    file: File, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = file("a = 1\r\nx = __HOLE__\r\nlast = __HOLE__")
    assert fill(path, model="scripted:2") == 0
    diff = capsysbinary.readouterr().out
    done = subprocess.run(["git", "apply", "--unsafe-paths", "-p0", "-"], input=diff, cwd=tmp_path)
    assert done.returncode == 0, diff
    assert path.read_bytes() == b"a = 1\r\nx = 2\r\nlast = 2"


def test_a_place_is_counted_in_lines_and_characters_from_one(file: File) -> None:
    path = file("a = 1\ns = '😀'; y = \n")
    assert fill(f"{path}:2:14", "--write", model="scripted:2") == 0
    assert path.read_text() == "a = 1\ns = '😀'; y = 2\n"


def test_json_has_ranges_as_in_lsp_and_texts(
    file: File, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file("s = '😀'; x = __HOLE__\ny = __HOLE__\n")
    assert fill(path, "--json", model="scripted:1") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer.pop("ms") > 0
    assert answer == {
        "file": str(path),
        "holes": [
            {"range": {"start": {"line": 0, "character": 13}, "end": {"line": 0, "character": 21}},
             "text": "1", "confidence": 0.99, "reason": None},
            {"range": {"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 12}},
             "text": "1", "confidence": 0.99, "reason": None},
        ],
        "steps": 4,
        "model": "scripted",
    }  # fmt: skip


def test_a_hole_that_stays_one_is_explained(file: File, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(AREA)
    assert fill(path, "--json", "--write", model="scripted:") == 1
    out, err = capsys.readouterr()
    (hole,) = json.loads(out)["holes"]
    assert (hole["text"], hole["confidence"]) == (None, None)
    assert hole["reason"] == "The model proposes to write nothing here."
    assert f"{path}:2:12: not filled: The model proposes to write nothing here." in err
    assert path.read_text() == AREA


def test_a_private_file_is_not_filled(file: File, capsys: pytest.CaptureFixture[str]) -> None:
    path = file("TOKEN = __HOLE__\n", ".env")
    assert fill(f"{path}:1:9") == 1
    assert "secrets" in capsys.readouterr().err


def test_ignore_files_count_from_the_root_of_the_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("/deep/private/\n")
    path = tmp_path / "deep" / "private" / "area.py"
    path.parent.mkdir(parents=True)
    path.write_text(AREA)
    assert fill(path) == 1
    assert "ignore" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "place", "complaint"),
    [
        (b"x = __HOLE__ \x00", "", "looks binary: byte 13 is 0"),
        (b"x = '\xe4' __HOLE__", "", "not UTF-8: byte 5 is 0xe4"),
        (b"x = 1\n", "", "has no holes"),
        (b"x = 1\n", ":3:1", "line 3 is outside the file, which has 2 lines"),
        (b"x = 1\n", ":0:1", "line 0 is outside the file"),
        (b"x = 1\r\ny", ":1:7", "column 7 is outside line 1, which ends at 6"),
        (b"x = 1\n", ":1:0", "column 0 is outside line 1"),
        (b"x = 1\n", ":1", "a place needs a line and a column"),
    ],
)
def test_what_cannot_be_used_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, place: str, complaint: str
) -> None:
    path = tmp_path / "x.py"
    path.write_bytes(content)
    assert fill(f"{path}{place}") == 2
    out, err = capsys.readouterr()
    assert complaint in err
    assert "Traceback" not in err
    assert out == ""


def test_a_missing_file_and_a_folder_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fill(tmp_path / "none.py") == 2
    assert "there is no file" in capsys.readouterr().err
    assert fill(tmp_path) == 2
    assert "is a folder" in capsys.readouterr().err
    os.mkfifo(tmp_path / "pipe")
    assert fill(tmp_path / "pipe") == 2
    assert "not a regular file" in capsys.readouterr().err


def test_a_model_that_fails_leaves_the_file_alone(
    file: File, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file(AREA)
    assert fill(path, "--write", "--watch", model='scripted:{"error": "out of memory"}') == 1
    assert "out of memory" in capsys.readouterr().err
    assert path.read_text() == AREA


def test_fifty_thousand_lines_are_no_trouble(
    file: File, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "value = value + 1\n"
    path = file(line * 25_000 + "x = __HOLE__\n" + line * 25_000 + "y = __HOLE__\n")
    assert fill(path, "--write", model="scripted:1") == 0
    assert path.read_text() == line * 25_000 + "x = 1\n" + line * 25_000 + "y = 1\n"
    assert capsys.readouterr().out.count("@@") == 4


def test_of_very_many_holes_the_first_are_filled(
    file: File, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"x{i} = __HOLE__\n" for i in range(MOST + 6)]
    path = file("".join(lines))
    assert fill(path, "--write", model="scripted:1") == 0
    assert path.read_text() == "".join(lines).replace("__HOLE__", "1", MOST)
    assert f"has {MOST + 6} holes; the first {MOST} are filled" in capsys.readouterr().err


def test_write_keeps_the_mode_and_the_link(file: File, tmp_path: Path) -> None:
    path = file(AREA)
    path.chmod(0o750)
    link = tmp_path / "link.py"
    link.symlink_to(path)
    assert fill(link, "--write") == 0
    assert link.is_symlink()
    assert "width * height" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert sorted(os.listdir(tmp_path)) == ["area.py", "link.py"]


def test_write_refuses_a_file_that_has_changed_meanwhile(file: File) -> None:
    path = file(AREA)
    source = source_at(path)
    path.write_text("someone else's")
    with pytest.raises(InputError, match="has changed since it was read"):
        write_back(source, "ours")
    assert path.read_text() == "someone else's"


def test_write_refuses_a_write_protected_file(
    file: File, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file(AREA)
    path.chmod(0o444)
    assert fill(path, "--write") == 2
    assert "write-protected; nothing was written" in capsys.readouterr().err
    assert path.read_text() == AREA


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_write_says_when_the_folder_is_closed(
    file: File, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file(AREA)
    tmp_path.chmod(0o555)
    try:
        assert fill(path, "--write") == 2
    finally:
        tmp_path.chmod(0o755)
    assert "nothing was written" in capsys.readouterr().err


def test_watching_without_a_terminal_prints_a_line_a_step(
    file: File, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fill(file(AREA), "--watch") == 0
    out, err = capsys.readouterr()
    assert err.count("% settled: ") == 4
    assert "\x1b" not in out + err


async def test_watching_in_a_terminal_shows_all_holes_resolve() -> None:
    with open(os.devnull, "w") as nowhere:
        console = Console(file=nowhere, force_terminal=True, record=True, width=60, height=40)
        screen = Screen(console, "two.py")
        canvas = Canvas(("a = ", "\nb = ", "\n"), (Hole(4, 4), Hole(9, 9)))
        async for draft in Scripted("12").denoise(canvas):
            screen.put(canvas, draft)
        screen.finish()
        await screen.show()
    shown = console.export_text()
    assert shown.index(f"a = {MASK * 2}") < shown.index("a = 12")
    assert f"b = {MASK * 2}" in shown
    assert "step 4 · 100% settled" in shown


async def test_what_was_chosen_in_the_end_is_seen_last() -> None:
    seen: list[tuple[str, ...]] = []
    hole = Hole(4, 4)
    filled = await fill_document(
        Document(None, "python", "a = \n"), (hole,),
        denoiser=Scripted("1 +", rivals={"1 + 1": 0.9}), settings=Settings(min_confidence=0.0),
        watch=lambda canvas, draft: seen.append(draft.texts),
    )  # fmt: skip
    assert filled.text == "a = 1 + 1\n"
    assert (seen[-2], seen[-1]) == (("1 +",), ("1 + 1",))


def test_settled_text_a_guess_and_noise_look_different() -> None:
    canvas = Canvas(("f(", ")"), (Hole(2, 2),))
    pieces = (Piece("sure", 0.9), Piece("maybe", 0.6, False), Piece("no\n", 0.1, False),
              Piece("", 0.0, False))  # fmt: skip
    text = canvas_text(canvas, Draft(3, (pieces,), False), 2)
    assert text.plain == f"f(suremaybe{MASK * 2}\n{MASK})"
    assert len({str(span.style) for span in text.spans}) == 3
    assert line_of(canvas, Draft(3, (pieces,), False)).plain.endswith(f"{MASK * 2}⏎{MASK}")
    assert as_noise(pieces[0]).settled is False


@given(st.text("ab\n\r\x0c\u2028é😀", max_size=40))
def test_lines_are_split_where_editors_split_and_join_again(text: str) -> None:
    assert "".join(lines_of(text)) == text
    starts = line_starts(text)
    for offset in range(len(text) + 1):
        at = position_of(starts, offset)
        inside_pair = text[offset - 1 : offset + 1] == "\r\n" and offset > 0
        if not inside_pair:
            assert offset_at(text, at["line"] + 1, at["character"] + 1) == offset


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, list[Edit]]:
    """A text, and edits in it that do not overlap."""
    text = draw(st.text("ab\n\r", max_size=60))
    marks = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    new = st.text("xb\n", max_size=6)
    return text, [Edit(a, b, draw(new)) for a, b in zip(marks[::2], marks[1::2], strict=False)]


@given(edited())
def test_a_diff_leads_from_the_old_text_to_the_new_one(case: tuple[str, list[Edit]]) -> None:
    text, edits = case
    wanted = text
    for edit in reversed(edits):
        wanted = wanted[: edit.start] + edit.text + wanted[edit.end :]
    assert patched(text, diff_of("x", text, edits)) == wanted


def patched(text: str, diff: list[str]) -> str:
    """What `patch` does, strictly: what is removed or kept must be there, line for line."""
    old, new, taken = lines_of(text), list[str](), 0
    for line in diff[2:]:
        mark, rest = line[0], line[1:].removesuffix("\n\\ No newline at end of file\n")
        if header := re.match(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@", line):
            first = int(header[1]) - (header[2] != "0")
            new += old[taken:first]
            taken = first
            assert int(header[3]) - (header[4] != "0") == len(new)
        elif mark == "+":
            new.append(rest)
        else:
            assert old[taken] == rest
            new += [rest] * (mark == " ")
            taken += 1
    return "".join(new + old[taken:])


def test_the_colon_of_a_drive_is_no_place() -> None:
    assert place_from("C:\\code\\x.py") == (Path("C:\\code\\x.py"), None)
    assert place_from("C:\\code\\x.py:3:4") == (Path("C:\\code\\x.py"), (3, 4))


def test_a_file_whose_name_looks_like_a_place_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x:3:4").write_text("")
    assert place_from("x:3:4") == (Path("x:3:4"), None)


def test_holes_far_apart_do_not_share_a_canvas() -> None:
    holes = [Hole(0, 5), Hole(50, 60), Hole(300, 310)]
    assert batches_of(holes, 100) == [[Hole(0, 5), Hole(50, 60)], [Hole(300, 310)]]
    assert batches_of(holes, 1000) == [holes]


async def test_batches_are_filled_in_the_right_places() -> None:
    text = "".join(f"x{i} = __HOLE__\n" + "# far\n" * 1500 for i in range(3))
    holes = [Hole(i, i + 8) for i in range(len(text)) if text.startswith("__HOLE__", i)]
    filled = await fill_document(
        Document(None, "python", text), holes, Scripted("1"), Settings(deadline_ms=60_000), at=False
    )
    assert filled.text == text.replace("__HOLE__", "1")
    assert [hole for hole, _ in filled.holes] == holes
    assert filled.steps == 12  # three canvases of four steps each
