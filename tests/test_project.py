"""Which files of a project are counted beside a document, decided on real folders."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest

from infill import project
from infill.document import Document
from infill.fill import fill_at
from infill.memory import Memory
from infill.project import project_of
from infill.settings import Settings
from model.evidence.kin import LARGEST, MOST, fitting, steps_between
from model.scripted import Scripted
from tests.counted import telling, unfitted

LONG = "x" * (LARGEST // 2 + 1)


@pytest.fixture(autouse=True)
def nothing_is_known_yet() -> None:
    project.files_round.cache_clear()


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def counted(
    root: Path, name: str = "app/main.py", *beside: Document, settings: Settings | None = None
) -> list[str]:
    document = Document(root / name, "python", "here\n")
    return list(project_of(document, beside, root=root, settings=settings or Settings()))


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [
        ("a.py", "b.py", 0),
        ("app/a.py", "app/b.py", 0),
        ("app/a.py", "b.py", 1),
        ("app/a.py", "app/deep/b.py", 1),
        ("app/a.py", "lib/b.py", 2),
        ("app/x/a.py", "app/y/z/b.py", 3),
    ],
)
def test_the_way_between_two_files_is_told_in_folders(one: str, other: str, steps: int) -> None:
    assert steps_between(PurePath(one), PurePath(other)) == steps
    assert steps_between(PurePath(other), PurePath(one)) == steps


def test_the_nearest_files_of_the_language_come_first_and_the_document_does_not(
    tmp_path: Path,
) -> None:
    write(tmp_path, {
        "app/main.py": "here\n", "app/near.py": "near\n", "app/deep/below.py": "below\n",
        "setup.py": "above\n", "lib/far.py": "far\n", "app/page.html": "no\n",
    })  # fmt: skip
    assert counted(tmp_path) == ["near\n", "above\n", "below\n", "far\n"]


@pytest.mark.parametrize(
    "files",
    [
        {".gitignore": "made.py\n", "app/made.py": "no\n"},
        {".gitignore": "build/\n", "build/lib/made.py": "no\n"},
        {"app/.infillignore": "other.py\n", "app/other.py": "no\n"},
        {"app/credentials.py": "no\n"},
        {"app/config.py": "key = 'AKIA" + "ABCDEFGH" * 2 + "'\n"},
        {".venv/lib/other.py": "no\n"},
        {"node_modules/tool/gyp.py": "no\n"},
        {"venv/lib/python3/site-packages/other.py": "no\n"},
        {"app/binary.py": "a\0b\n"},
    ],
)
def test_what_may_not_be_shown_or_is_others_is_not_counted(
    tmp_path: Path, files: dict[str, str]
) -> None:
    write(tmp_path, {"app/near.py": "near\n", **files})
    assert counted(tmp_path) == ["near\n"]


def test_nothing_outside_the_project_is_counted(tmp_path: Path) -> None:
    write(tmp_path, {"secret.py": "no\n", "work/app/main.py": "", "work/near.py": "near\n"})
    os.symlink(tmp_path, tmp_path / "work" / "link")
    os.symlink(tmp_path / "secret.py", tmp_path / "work" / "link.py")
    assert counted(tmp_path / "work") == ["near\n"]


def test_a_file_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, {"app/near.py": "near\n"})
    (tmp_path / "app" / "latin.py").write_bytes(b"# \xe9\n")
    assert counted(tmp_path) == ["near\n"]


def test_open_files_come_first_and_as_they_are_in_the_editor(tmp_path: Path) -> None:
    write(tmp_path, {"app/near.py": "near\n", "lib/far.py": "as saved\n"})
    open_ = Document(tmp_path / "lib/far.py", "python", "as it is now\n")
    assert counted(tmp_path, "app/main.py", open_) == ["as it is now\n", "near\n"]


def test_without_a_path_or_where_it_is_not_wanted_no_file_is_read(tmp_path: Path) -> None:
    write(tmp_path, {"app/near.py": "near\n"})
    new = Document(None, "python", "here\n")
    assert project_of(new, (), root=tmp_path, settings=Settings()) == ()
    assert counted(tmp_path, settings=Settings(other_files=False)) == []


def test_no_more_is_counted_than_there_is_room_for(tmp_path: Path) -> None:
    write(tmp_path, {f"app/{i}.py": LONG for i in range(9)} | {"lib/small.py": "small\n"})
    texts = counted(tmp_path)
    assert sum(map(len, texts)) <= MOST
    assert len(texts) >= MOST // len(LONG)
    # What is small still has room where the large has none.
    assert list(fitting(["x" * (LARGEST + 1), *[LONG] * 9, "y"])) == [LONG] * 5 + ["y"]


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, {"app/near.py": "old\n"})
    assert counted(tmp_path) == ["old\n"]
    write(tmp_path, {"app/near.py": "newer\n"})
    project.files_round.cache_clear()  # as time does
    assert counted(tmp_path) == ["newer\n"]


async def test_a_fill_hears_the_project_but_nothing_secret(tmp_path: Path) -> None:
    write(tmp_path, {"near.py": "frobnicate(1)\n", "credentials.py": "hidden = 1\n"})
    denoiser = Scripted("1")
    await fill_at(
        Document(tmp_path / "main.py", "python", "x = \n"), 4, denoiser=denoiser,
        settings=Settings(), memory=Memory(), root=tmp_path, invoked=True,
    )  # fmt: skip
    assert denoiser.seen[-1].others == ("frobnicate(1)\n",)


def test_names_of_the_project_are_proposed_where_the_file_has_none() -> None:
    before, after = "\ndef run(plan):\n    plan.", "\n"
    other = "def go(plan):\n    plan.gizmo(1)\n    plan.gizmo(2)\n" * 3

    def proposed(*others: str) -> list[str]:
        asked = telling(unfitted())
        return [it.text for it in asked.proposals(before, after, others=others)][:5]

    # The vocabulary is so small that a name is of several tokens.
    assert any(text.startswith("giz") for text in proposed(other))
    assert not any(text.startswith("g") for text in proposed())
