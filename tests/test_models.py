"""`infill-lsp models` against a hub on this machine: fetching, its troubles, listing, removing.

Every test drives the real program in a process of its own, with a cache of its own.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

from tests.hub import CHUNK, COMMIT, Hub, Repo

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = [sys.executable, str(ROOT / "infill_lsp.py"), "models"]
PATIENCE = 120
KNOWN, REVISION = "fredzzp/open-dcoder-0.5B", "d0d86d5b99960c05258bb1f8265dd91564dbac67"
GATED = "apple/DiffuCoder-7B-Base"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


def published() -> dict[str, bytes]:
    """The files of a small repository, with much in it that nobody wants."""
    index = {"weight_map": {"a": FIRST, "b": SECOND, "c": SECOND}}
    return {
        "config.json": b'{"model_type": "qwen2"}',
        "tokenizer.json": b"{}",
        "added_tokens.json": b"{}",
        INDEX: json.dumps(index).encode(),
        FIRST: os.urandom(10 * CHUNK),
        SECOND: os.urandom(40 * CHUNK),
        "LICENSE": b"do as you like",
        "pytorch_model.bin": b"a pickle",
        "modeling_dream.py": b"raise SystemExit('code of theirs ran')",
        "original/consolidated.safetensors": os.urandom(CHUNK),
        "README.md": b"# a network",
    }


WANTED = {"config.json", "tokenizer.json", "added_tokens.json", INDEX, FIRST, SECOND, "LICENSE"}


class Program:
    """The program with a hub and a cache of its own."""

    def __init__(self, hub: Hub, home: Path) -> None:
        self.hub, self.home = hub, home
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        self.env = inherited | {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1",
            "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "2",
        }  # fmt: skip

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, *arguments], env=self.env | env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*PROGRAM, *arguments], env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def refused(self, *arguments: str, status: int = 1, **env: str) -> str:
        """What it says when it cannot: one sentence on standard error, after what it announced."""
        done = self.run(*arguments, **env)
        assert (done.returncode, done.stdout) == (status, ""), done
        assert "Traceback" not in done.stderr
        *_, last = done.stderr.splitlines()
        assert last.startswith("infill-lsp: "), done.stderr
        return last.removeprefix("infill-lsp: ")

    def snapshot(self, id: str = KNOWN, revision: str = REVISION) -> Path:
        return self.home / "hub" / f"models--{id.replace('/', '--')}" / "snapshots" / revision

    def network(self, id: str = KNOWN) -> dict[str, object]:
        done = self.run("list", "--json")
        assert done.returncode == 0, done.stderr
        (found,) = [each for each in json.loads(done.stdout)["networks"] if each["id"] == id]
        return found


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with Hub() as hub:
        hub.repos[KNOWN] = Repo(published())
        yield Program(hub, tmp_path / "home")


def test_pull_fetches_weights_config_and_tokenizer_and_nothing_else(program: Program) -> None:
    done = program.run("pull", "open-dcoder-0.5b")
    assert done.returncode == 0, done.stderr
    folder = program.snapshot()
    assert {path.name for path in folder.iterdir()} == WANTED
    for name in WANTED:
        assert (folder / name).read_bytes() == program.hub.repos[KNOWN].files[name]
    assert str(folder) in done.stdout
    assert ": 3 MB in " in done.stdout
    assert "licence of fredzzp/open-dcoder-0.5B: Apache-2.0" in done.stderr
    assert "tqdm" not in done.stderr
    assert "Fetching" not in done.stderr  # the hub's own bars
    assert all(REVISION in path for _, path, _ in program.hub.asked)  # pinned, never "main"


def test_what_is_here_is_not_fetched_again_and_asks_no_one(program: Program) -> None:
    assert program.run("pull", KNOWN).returncode == 0
    program.hub.asked.clear()
    for env in ({}, {"HF_HUB_OFFLINE": "1"}):
        done = program.run("pull", KNOWN, **env)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{KNOWN} is already here: {program.snapshot()}\n"
    assert program.hub.asked == []


def test_a_line_that_breaks_is_taken_up_where_it_broke(program: Program) -> None:
    data = program.hub.repos[KNOWN].files[SECOND] = os.urandom(350 * CHUNK)
    program.hub.repos[KNOWN].cuts = {SECOND: 200 * CHUNK}
    done = program.run("pull", KNOWN)
    assert done.returncode == 0, done.stderr
    assert (program.snapshot() / SECOND).read_bytes() == data
    # The hub's client keeps what came in whole portions of 10 MiB.
    assert program.hub.fetched(SECOND) == [None, f"bytes={160 * CHUNK}-"]
    assert "Error while downloading" not in done.stderr


def test_after_a_break_the_same_command_keeps_what_is_complete(program: Program) -> None:
    program.hub.repos[KNOWN].stalls = {SECOND: 20 * CHUNK}
    process = program.start("pull", KNOWN)
    assert program.hub.stalled.wait(PATIENCE)
    wait_for(program.snapshot() / FIRST)
    process.kill()
    process.communicate()
    assert program.network()["on_disk"] is None
    program.hub.repos[KNOWN].stalls.clear()
    program.hub.asked.clear()
    done = program.run("pull", KNOWN)
    assert done.returncode == 0, done.stderr
    assert program.hub.fetched(FIRST) == []
    assert program.hub.fetched(SECOND) == [None]
    assert program.network()["on_disk"] == str(program.snapshot())


def test_ctrl_c_ends_a_pull_at_once_although_the_line_is_silent(program: Program) -> None:
    program.hub.repos[KNOWN].stalls = {SECOND: 20 * CHUNK}
    process = program.start("pull", KNOWN)
    assert program.hub.stalled.wait(PATIENCE)
    wait_for(program.snapshot() / FIRST)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.count("the same command goes on from there") == 1
    assert "Traceback" not in err


def test_halves_that_a_killed_pull_left_are_dropped_by_the_next(program: Program) -> None:
    blobs = program.snapshot().parent.parent / "blobs"
    blobs.mkdir(parents=True)
    program.snapshot().parent.mkdir()
    old, new = blobs / "a.1.incomplete", blobs / "b.2.incomplete"
    for half in (old, new):
        half.write_bytes(b"half")
    os.utime(old, (time.time() - 3600,) * 2)
    assert program.run("pull", KNOWN).returncode == 0
    assert not old.exists()
    assert new.exists()  # somebody else may be at it


@pytest.mark.parametrize(
    ("id", "trouble", "status", "said"),
    [
        ("Dream-org/DreamOn-v0-8B", "", 1, "shows no Dream-org/DreamOn-v0-8B: is the id right "
         "(did you mean Dream-org/DreamOn-v0-7B?)?"),
        ("some/thing", "", 1, "shows no some/thing: is the id right? If it is private, sign in by "
         "`hf auth login` (or set HF_TOKEN) and run this again"),
        (GATED, "private", 1, "If it is private, sign in by"),
        (GATED, "gated", 1, "is only given to those whom its owner has let in: ask at http"),
        (GATED, "gated files", 1, f"/{GATED}, then sign in by `hf auth login` (or set HF_TOKEN)"),
        ("dreamon-7b", "", 2, "did you mean Dream-org/DreamOn-v0-7B?"),
        ("bundled", "", 2, "neither fetched nor removed"),
        ("a/b/c", "", 2, "'a/b/c' is neither a known network nor an id of the hub (owner/name)"),
        ("a b/c", "", 1, "'a b/c' is no id of the hub"),
    ],
)  # fmt: skip
def test_an_id_that_cannot_be_fetched_is_one_sentence_that_says_why(
    program: Program, id: str, trouble: str, status: int, said: str
) -> None:
    if trouble:
        program.hub.repos[id] = Repo(published(), trouble=trouble)
    assert said in program.refused("pull", id, status=status)


def test_a_token_that_is_refused_is_not_told_to_be_missing(program: Program) -> None:
    program.hub.repos[GATED] = Repo(published(), trouble="gated")
    said = program.refused("pull", GATED, HF_TOKEN="hf_none")
    assert "with a token that may read it" in said
    assert "hf_none" not in said


def test_a_full_disk_is_told_before_anything_is_fetched(program: Program) -> None:
    program.hub.repos[KNOWN].claims = {FIRST: 10**18}
    said = program.refused("pull", KNOWN)
    assert said.startswith(f"{KNOWN} needs 1000000000.0 GB, ")
    assert f"GB are free in {program.home / 'hub'}: make room there, or set HF_HOME" in said
    assert [path for method, path, _ in program.hub.asked if method == "GET" and
            path.endswith(".safetensors")] == []  # fmt: skip


def test_a_folder_that_may_not_be_written_is_named(program: Program) -> None:
    program.home.write_text("a file stands where the folder should be")
    said = program.refused("pull", KNOWN)
    assert str(program.home) in said
    assert "HF_HOME" in said


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ((FIRST, SECOND, INDEX), "only as pytorch_model.bin, a format that can run code"),
        ((FIRST, SECOND, INDEX, "pytorch_model.bin"), "has no weights"),
        ((SECOND,), f"the hub has no {SECOND} of it"),
        (("config.json",), "the hub has no config.json of it"),
        (("tokenizer.json",), "the hub has no tokenizer.json or vocab.json of it"),
    ],
)
def test_a_repository_that_is_no_network_is_refused(
    program: Program, lost: tuple[str, ...], said: str
) -> None:
    for name in lost:
        del program.hub.repos[KNOWN].files[name]
    assert said in program.refused("pull", KNOWN)
    assert program.hub.fetched(".bin") == []


def test_offline_everything_but_a_pull_works(program: Program) -> None:
    said = program.refused("pull", KNOWN, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE forbids" in said
    assert program.run("list", HF_HUB_OFFLINE="1").returncode == 0
    assert program.run("info", KNOWN, HF_HUB_OFFLINE="1").returncode == 0
    assert program.hub.asked == []


def test_without_a_network_a_pull_says_what_could_not_be_reached(program: Program) -> None:
    url = program.hub.url.rpartition(":")[0] + ":1"  # where nobody listens
    said = program.refused("pull", KNOWN, HF_ENDPOINT=url)
    assert f"{url} cannot be reached (" in said
    assert "HTTPS_PROXY" in said


def test_what_is_not_in_the_catalog_is_fetched_from_main(program: Program) -> None:
    program.hub.repos["some/network"] = Repo(published())
    done = program.run("pull", "some/network")
    assert done.returncode == 0, done.stderr
    assert "no revision of it is pinned" in done.stderr
    assert "the catalog does not know some/network" in done.stderr
    assert str(program.snapshot("some/network", COMMIT)) in done.stdout


def test_info_says_where_a_network_lies_and_what_it_needs(program: Program) -> None:
    before = json.loads(program.run("info", KNOWN, "--json").stdout)
    assert (before["on_disk"], before["revision"]) == (None, REVISION)
    assert before["special_tokens"] == {"mask": 151665, "eos": 151643}
    assert before["memory"]["weights"] >= before["bytes"]
    assert program.run("pull", KNOWN).returncode == 0
    assert json.loads(program.run("info", KNOWN, "--json").stdout)["on_disk"] == str(
        program.snapshot()
    )
    read = program.run("info", "open-dcoder-0.5B").stdout
    assert "mask 151665" in read
    assert "of weights and about" in read
    assert "the catalog does not know some/thing" in program.refused("info", "some/thing", status=2)


def test_info_shows_a_network_as_the_keys_of_the_settings_would_have_it(program: Program) -> None:
    keys = {"length": "adjusted", "decoding": "published", "weights": "int8", "frozen": 4}
    told = ["info", KNOWN, "--model-keys", json.dumps(keys)]
    plain = json.loads(program.run("info", KNOWN, "--json").stdout)
    changed = json.loads(program.run(*told, "--json").stdout)
    assert (plain["length"], plain["decoding"]) == ("choose", "ours")
    assert {key: changed[key] for key in ("length", "decoding", "frozen")} == {
        "length": "adjusted", "decoding": "published", "frozen": 4,
    }  # fmt: skip
    assert changed["memory"]["weights"] < plain["memory"]["weights"]
    read = " ".join(program.run(*told).stdout.split())
    assert "adjusted (LR-DLLM in both stages" in read
    assert "published (as its authors do it" in read
    said = program.refused("info", KNOWN, "--model-keys", '{"length": "lr"}')
    assert "'length' must be one of 'grow', 'choose'" in said
    assert "adjusted" in program.run("info", "--help").stdout


def test_a_list_says_of_each_whether_it_is_here_and_what_auto_is(program: Program) -> None:
    assert program.run("pull", KNOWN).returncode == 0
    lines = program.run("list").stdout.splitlines()
    (ours,) = [line for line in lines if line.startswith("bundled ")]
    assert "ships" in ours
    (here,) = [line for line in lines if KNOWN in line]
    assert here.split()[-3:] == ["yes", "choose", "Apache-2.0"]
    assert "auto chose " in lines[-1]


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "by an older client"])
def test_files_that_another_program_left_half_are_not_on_disk(
    program: Program, listed: bool
) -> None:
    assert program.run("pull", KNOWN).returncode == 0
    (program.snapshot() / SECOND).unlink()
    if not listed:
        shutil.rmtree(program.snapshot().parent.parent / "trees")
    assert program.network()["on_disk"] is None


def test_rm_frees_what_was_fetched_and_says_how_much(program: Program) -> None:
    assert program.run("pull", KNOWN).returncode == 0
    (program.snapshot().parent.parent / "blobs" / "a.1.incomplete").write_bytes(bytes(10**7))
    asked = program.refused("rm", KNOWN, status=2)
    assert asked == f"removing {KNOWN} frees 13 MB; say so with --yes"
    assert program.snapshot().exists()
    done = program.run("rm", "open-dcoder-0.5B", "--yes")
    assert (done.returncode, done.stdout) == (0, f"{KNOWN}: 13 MB freed\n")
    assert not program.snapshot().parent.parent.exists()
    assert "nothing of" in program.refused("rm", KNOWN, "--yes")


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1)])
def test_rm_asks_at_a_terminal(program: Program, answer: bytes, status: int) -> None:
    assert program.run("pull", KNOWN).returncode == 0
    theirs, ours = pty.openpty()
    process = subprocess.Popen([*PROGRAM, "rm", KNOWN], env=program.env, stdin=ours,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    os.write(theirs, answer)
    out, err = process.communicate(timeout=PATIENCE)
    os.close(theirs)
    os.close(ours)
    assert process.returncode == status
    assert b"[y/N]" in out + err
    assert b"for all programs that use" in err
    assert program.snapshot().exists() == bool(status)


def test_what_a_pull_that_never_got_far_left_can_be_removed(program: Program) -> None:
    blobs = program.snapshot().parent.parent / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "a.1.incomplete").write_bytes(bytes(2 * 10**6))
    assert "2 MB freed" in program.run("rm", KNOWN, "--yes").stdout
    assert not blobs.parent.exists()


def wait_for(path: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.02)
