"""Where servers are found: a folder that is private, files by digest, and what the dead left."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model import ModelError
from model.serving import runtime
from model.serving.runtime import FOLDER, Note, Place, digest_of, place_for, socket_for, tidy
from tests.servers import short_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes of folders")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = short_folder() / "runtime"
    monkeypatch.setenv(FOLDER, str(path))
    yield path
    for left in path.glob("*"):
        left.unlink()
    path.rmdir()
    path.parent.rmdir()


def test_the_folder_is_made_for_this_user_alone(folder: Path) -> None:
    place = place_for("bundled", {}, 0)
    assert place.folder == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert socket_for("bundled", {}, 0) == folder / f"{place.digest}.sock"


def test_a_folder_that_is_open_to_others_is_refused(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o750)
    with pytest.raises(ModelError, match=f"open to other users: chmod 700 {folder}, so"):
        place_for("bundled", {}, 0)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives away")
def test_a_folder_of_another_user_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 65_534, -1)
    with pytest.raises(ModelError, match=r"belongs to another user \(uid 65534\): set INFILL"):
        place_for("bundled", {}, 0)
    os.chown(folder, 0, -1)
    os.chown(folder.parent, 65_534, -1)
    with pytest.raises(ModelError, match=rf"{folder.parent} belongs to another user"):
        place_for("bundled", {}, 0)


def test_a_folder_that_anyone_may_replace_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    folder.parent.chmod(0o777)
    with pytest.raises(ModelError, match="anyone may replace what is in"):
        place_for("bundled", {}, 0)
    folder.parent.chmod(0o1777)
    assert place_for("bundled", {}, 0)


def test_a_link_in_the_place_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    folder.symlink_to(tmp_path)
    with pytest.raises(ModelError, match="is no folder: remove it"):
        place_for("bundled", {}, 0)
    folder.unlink()
    folder.mkdir()


def test_a_folder_that_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, "/dev/null/runtime")
    with pytest.raises(ModelError, match=r"cannot be made \(Not a directory\): set INFILL_RUNTIME"):
        place_for("bundled", {}, 0)


def test_a_path_too_long_for_a_socket_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / ("x" * 100)))
    with pytest.raises(ModelError, match=r"has \d+ bytes and may have 100: set INFILL_RUNTIME_DIR"):
        place_for("bundled", {}, 0)


def test_without_a_folder_of_one_s_own_the_system_s_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(FOLDER)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert runtime.named_folder().name == "infill-lsp"


def test_whatever_changes_what_is_served_changes_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    monkeypatch.chdir(tmp_path)
    digests = [
        digest_of(*asked)
        for asked in (
            ("bundled", {}, 0), ("auto", {}, 0), ("bundled", {}, 1), ("bundled", {"a": 1}, 0),
            ("bundled", {"a": 1, "b": 2}, 0), (str(tmp_path / "weights"), {}, 0),
        )
    ]  # fmt: skip
    monkeypatch.setattr(runtime, "version", lambda: "another")
    digests.append(digest_of("bundled", {}, 0))
    monkeypatch.setattr(runtime, "PROTOCOL", 99)
    digests.append(digest_of("bundled", {}, 0))
    assert len(set(digests)) == len(digests)


HUB = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*HUB, *runtime.DEVICES):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("name", HUB)
def test_another_cache_is_another_server_of_what_lies_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def digests() -> list[str]:
        return [digest_of(each, {}, 0) for each in ("auto", "a/b", "bundled", str(tmp_path))]

    before = digests()
    monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    after = digests()
    assert [one != other for one, other in zip(before, after, strict=True)] == [
        True, True, False, False
    ]  # fmt: skip


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    "told",
    [
        {}, {"HF_HOME": "~/h"}, {"XDG_CACHE_HOME": "/x"}, {"HF_HOME": "$HOME/h", "HF_ASSETS": "/y"},
        {"HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/h"}, {"HF_HUB_CACHE": "c/d"},
        {"HF_HUB_CACHE": "~/new", "HUGGINGFACE_HUB_CACHE": "/old"}, {"HF_HOME": ""},
    ],
)  # fmt: skip
def test_the_cache_is_where_the_hub_s_own_library_looks(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str]
) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    program = "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert runtime.hub_cache() == said.stdout.rstrip("\n"), said.stderr


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("name", runtime.DEVICES)
def test_another_device_is_another_server(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    digests = [digest_of("bundled", {}, 0)]
    for value in ("", "1", "1,0"):
        monkeypatch.setenv(name, value)
        digests.append(digest_of("bundled", {}, 0))
    assert len(set(digests)) == 4


@pytest.mark.usefixtures("clean")
def test_of_the_environment_nothing_else_is_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [digest_of(name, {}, 0) for name in ("bundled", "auto")]
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "OMP_NUM_THREADS", "PATH", "INFILL_TOKEN"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", os.path.expanduser("~/.cache/huggingface"))  # as it is by itself
    assert [digest_of(name, {}, 0) for name in ("bundled", "auto")] == before


def test_the_same_by_other_names_has_the_same_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    named = ("weights", "./weights", "~/weights", str(tmp_path / "weights"))
    assert len({digest_of(name, {}, 0) for name in named}) == 1
    assert digest_of("x", {"a": 1, "b": 2}, 0) == digest_of("x", {"b": 2, "a": 1}, 0)


def test_a_folder_called_as_the_bundled_model_is_not_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest_of("bundled", {}, 0)
    (tmp_path / "bundled").mkdir()
    monkeypatch.chdir(tmp_path)
    assert digest_of("bundled", {}, 0) == before


def test_what_a_server_notes_down_is_read_again_and_by_this_user_alone(folder: Path) -> None:
    place = place_for("bundled", {}, 0)
    assert place.noted() is None
    note = Note(4711, "http://127.0.0.1:1", "secret")
    place.write_note(note)
    assert place.noted() == note
    assert stat.S_IMODE(place.note.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == [place.note]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x"}', '{"pid": null}', "\udcff"])
def test_a_note_that_cannot_be_read_counts_as_none(folder: Path, text: str) -> None:
    place = place_for("bundled", {}, 0)
    place.note.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert place.noted() is None


def test_what_dead_servers_left_is_tidied_and_what_lives_is_left_alone(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    dead, alive = Place(folder, "dead"), Place(folder, "alive")
    with socket.socket(socket.AF_UNIX) as former:
        former.bind(str(dead.socket))
    for place in (dead, alive):
        place.log.write_text("said\n")
        place.write_note(Note(1))
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(alive.socket))
        living.listen()
        tidy(folder)
        assert not any(path.exists() for path in (dead.socket, dead.note, dead.log))
        assert all(path.exists() for path in (alive.socket, alive.note, alive.log))
