"""The corpus file: what goes in, what stays out, and what becomes of it on the way."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("packaging", reason="packaging is not installed")

from rich.console import Console

from model.training.cores import spread
from model.training.corpus import (
    Source,
    clean,
    gathered,
    level,
    line_stretches,
    main,
    read_corpus,
    suite_shingles,
    thinned,
    without_suites,
    word_shingles,
    write_corpus,
)
from model.training.sources import CorpusError, Place, archive_in, downloaded, files_of, pins

SOURCE = Path(__file__).read_text("utf-8")
QUIET = Console(quiet=True)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def source(number: int, package: str = "some", lines: int = 30) -> Source:
    text = "\n".join(f"def function_{number}_{i}(value):\n    return {i}" for i in range(lines))
    return Source(package, f"{package}/{number}.py", False, "MIT", text)


def wheel(folder: Path, name: str = "some", licence: str = "MIT", **files: str) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Name: {name}\nLicense: {licence}\n")
        for member, text in files.items():
            archive.writestr(member, text)
    return path


def test_files_that_are_no_code_are_left_out():
    cases = {
        "short": "x = 1\n",
        "table": "numbers = [" + "1234567, " * 400 + "]\n",
        "broken": "def f(:\n    return some_name_or_other\n" * 10,
    }
    for name, text in cases.items():
        assert clean(text.encode()) is None, name
    assert clean(SOURCE.encode("utf-16")) is None
    text = clean(b"def words(text):\r\n\treturn text.split()\r\n" * 10)
    assert text is not None
    assert "\r" not in text
    assert "\t" not in text


def test_a_copy_shares_its_stretches_and_a_suite_its_shingles(tmp_path: Path):
    assert line_stretches(SOURCE) == line_stretches(SOURCE + "\n\n")
    shingles = suite_shingles([suite(tmp_path, SOURCE)])
    assert not shingles.isdisjoint(word_shingles("# changed\n" + SOURCE))
    assert shingles.isdisjoint(word_shingles("nothing of the kind " * 20))


def suite(folder: Path, text: str) -> Path:
    path = folder / "suite.jsonl"
    row = {"prompt": text[:500], "canonical_solution": text[500:900], "suffix": text[900:]}
    path.write_text(json.dumps(row) + "\n")
    return path


def test_what_is_no_suite_is_told_and_not_passed_over(tmp_path: Path):
    (tmp_path / "not.jsonl").write_text('{"text": "x"}\n')
    for name in ("not.jsonl", "absent.jsonl"):
        with pytest.raises(CorpusError, match="cannot be kept out"):
            suite_shingles([tmp_path / name])


def test_copies_and_what_a_suite_holds_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name, text in (("a", SOURCE), ("b", SOURCE + "\n# a copy\n"), ("c", source(1).text)):
        (tmp_path / f"{name}.py").write_text(text)
    places = [Place("some", f"{name}.py", "MIT", tmp_path / f"{name}.py") for name in "abc"]
    assert [found.path for found in gathered(places, [], QUIET)] == ["a.py", "c.py"]
    excluded = [suite(tmp_path, SOURCE)]
    kept = gathered(places, excluded, Console(stderr=True))
    assert [found.path for found in kept] == ["c.py"]
    assert "left out: a.py of some shares 13 words in a row with a suite" in told(capsys)


def test_a_corpus_made_elsewhere_is_held_against_the_suites_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shared = replace(source(1), text=SOURCE)
    excluded = [suite(tmp_path, SOURCE)]
    kept = list(without_suites([shared, source(2)], excluded, Console(stderr=True)))
    assert kept == [source(2)]
    assert "left out: some/1.py" in told(capsys)


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.jsonl.xz"])
def test_what_is_written_is_read_again(tmp_path: Path, name: str):
    sources = [source(1), source(2, "other"), replace(source(3), text="# ž 𝒳 \u2028 é\n" * 20)]
    write_corpus(tmp_path / name, sources, 0, QUIET)
    read = list(read_corpus(tmp_path / name))
    assert sorted(read, key=lambda s: s.path) == sorted(sources, key=lambda s: s.path)


@pytest.mark.parametrize(("name", "message"), [("c.jsonl", "line 40"), ("c.jsonl.xz", "cut off")])
def test_a_corpus_that_was_cut_off_is_told(tmp_path: Path, name: str, message: str):
    path = tmp_path / name
    write_corpus(path, [source(i) for i in range(40)], 0, QUIET)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorpusError, match=message):
        list(read_corpus(path))


def test_the_largest_packages_give_way_where_space_is_short(tmp_path: Path):
    small, large = [source(1, "small")], [source(i, "large", 40 + i % 7) for i in range(300)]
    path = tmp_path / "c.jsonl.xz"
    write_corpus(path, large + small, 0, QUIET)
    limit = path.stat().st_size // 2
    write_corpus(path, large + small, limit, QUIET)
    assert path.stat().st_size <= limit
    read = list(read_corpus(path))
    assert [s for s in read if s.package == "small"] == small
    assert 20 < len(read) < 300
    with pytest.raises(CorpusError, match="too few"):
        write_corpus(path, large, 10, QUIET)
    assert list(read_corpus(path)) == read  # what was there stays


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20), st.integers(1, 9000))
def test_all_get_what_they_need_or_the_same(sizes: list[int], together: int):
    share = level(sizes, together)
    given_ = sum(min(size, share) for size in sizes)
    assert given_ == pytest.approx(min(together, sum(sizes)))


def test_thinning_takes_the_same_files_each_time():
    sources = [source(i) for i in range(50)]
    thin = thinned(sources, 0.5)
    again = thinned([source(i) for i in reversed(range(50))], 0.5)
    assert again == thin[::-1]
    assert 0.4 < len(thin) / 50 < 0.6


def test_a_wheel_gives_its_code_without_its_tests(tmp_path: Path):
    path = wheel(
        tmp_path, **{"some/a.py": SOURCE, "some/tests/b.py": SOURCE, "some/c.so": "", "d.py": ""}
    )
    files = files_of(path)
    assert [(file.package, file.path) for file in files] == [("d", "d.py"), ("some", "some/a.py")]
    assert files[1].read() == SOURCE.encode()
    assert files[1].licence == "MIT"


def test_a_wheel_under_a_licence_that_asks_for_more_is_left_out(tmp_path: Path):
    assert files_of(wheel(tmp_path, licence="GPL-3.0", **{"some/a.py": SOURCE})) == []


def test_what_was_downloaded_is_not_downloaded_again(tmp_path: Path):
    path = wheel(tmp_path, "Some_Name")
    assert archive_in(tmp_path, "some-name", "1.0") == path
    assert archive_in(tmp_path, "SOME.name", "1.0") == path
    assert archive_in(tmp_path, "some-name", "1.1") is None
    assert list(downloaded(tmp_path, {"some-name": "1.0"})) == [path]


def test_a_package_that_cannot_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # as without a network, but at once
    wheel(tmp_path, "some")
    wanted = downloaded(tmp_path, {"some": "1.0", "absent": "2.0"})
    assert next(wanted).name.startswith("some")
    with pytest.raises(CorpusError, match=r"absent==2\.0 could not be downloaded: .*--installed"):
        next(wanted)


def test_a_damaged_archive_is_named(tmp_path: Path):
    path = wheel(tmp_path, **{"some/a.py": SOURCE})
    place = files_of(path)[0]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(CorpusError, match="is not a whole archive"):
        files_of(path)
    with pytest.raises(CorpusError, match="is not a whole archive"):
        place.read()


def test_the_list_of_packages_is_sound():
    assert pins().held_out.isdisjoint(pins().repeats)
    assert all(version[0].isdigit() for version in pins().versions.values())


def test_the_command_writes_relative_paths_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "made" / "c.jsonl.xz"
    assert main(["--out", str(out), "--limit-files", "40", "--downloads", str(tmp_path)]) == 0
    assert "1 packages" in told(capsys)
    read = list(read_corpus(out))
    assert len({found.path for found in read}) == len(read) > 20
    assert {found.package for found in read} == {"python"}
    assert not any(Path(found.path).is_absolute() for found in read)


def test_many_jobs_are_done_in_order():
    assert list(spread(str, range(1000))) == [str(i) for i in range(1000)]
