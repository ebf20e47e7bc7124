"""What is never shown to a model, decided on real folders and links."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infill.document import Document
from infill.privacy import refusal
from infill.reason import Reason
from infill.settings import Settings
from tests.strategies import documents


def reason_for(
    path: Path | PurePath | None, root: Path | None = None, text: str = "x = 1\n"
) -> Reason | None:
    return refusal(Document(path, "python", text), root=root, settings=Settings())


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    "name",
    [
        *(
            ".env",
            ".env.local",
            ".ENV",
            "prod.env",
            "server.pem",
            "tls.key",
            "id_rsa",
            "id_rsa.pub",
        ),
        *("id_ed25519", "a.p12", "a.pfx", "vault.kdbx", ".netrc", ".pgpass", ".npmrc", ".pypirc"),
        *("credentials", "credentials.json", "secrets.yaml", "prod.tfvars", "a.keystore"),
        *(".aws/config", ".ssh/config", ".git/config", "home/.kube/config"),
    ],
)
def test_a_file_named_like_a_secret_is_refused(tmp_path: Path, name: str) -> None:
    assert reason_for(tmp_path / name, tmp_path) is Reason.SECRET


@pytest.mark.parametrize(
    "name",
    ["env.py", "keys.py", "environment.ts", "secretary.py", "my_credentials.py", ".gitignore"],
)
def test_a_harmless_name_is_not(tmp_path: Path, name: str) -> None:
    assert reason_for(tmp_path / name, tmp_path) is None


def test_a_link_to_a_secret_is_refused_under_any_name(tmp_path: Path) -> None:
    write(tmp_path, {".env": "A=1\n"})
    (tmp_path / "notes.txt").symlink_to(tmp_path / ".env")
    assert reason_for(tmp_path / "notes.txt", tmp_path) is Reason.SECRET


SECRETS = [  # put together here, so that no scanner takes this file for a leak
    "-----BEGIN " + "PRIVATE KEY-----",
    "-----BEGIN " + "RSA PRIVATE KEY-----",
    "-----BEGIN " + "PGP PRIVATE KEY BLOCK-----",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345",
    "github_pat_" + "11ABCDEFG0abcdefghijkl",
    "xoxb-" + "123456789012-abcdef",
    "sk-" + "proj-abcDEF123456789012345",
    "glpat-" + "abcdefghij0123456789",
    "AIza" + "SyA-1234567890abcdefghijklmnopqrstu",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_text_that_holds_a_secret_is_refused(secret: str) -> None:
    assert reason_for(None, text=f"x = 1\nkey = '{secret}'\n") is Reason.SECRET


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "AKIA is how such a key begins",
        "ghp_short",
        ".task-list-item-checkbox-0A1B2C3D4E5F { }",
        "sk-fading-circle-with-a-long-name",
        "risk-" + "A1" * 20,
    ],
)
def test_a_text_that_only_looks_a_little_like_one_is_not(text: str) -> None:
    assert reason_for(None, text=text) is None


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a.log", Reason.IGNORED),
        ("src/a.log", Reason.IGNORED),
        ("src/keep.log", None),
        ("src/deep/keep.log", Reason.IGNORED),
        ("build/a.py", Reason.IGNORED),
        ("build/keep.py", Reason.IGNORED),
        ("src/build/a.py", Reason.IGNORED),
        ("only_here.py", Reason.IGNORED),
        ("src/only_here.py", None),
        ("src/private.py", Reason.IGNORED),
        ("src/deep/private.py", Reason.IGNORED),
        ("private.py", None),
        ("src/shown.gen.py", None),
        ("src/other.gen.py", Reason.IGNORED),
        ("a b.py", Reason.IGNORED),
        ("#hash.py", Reason.IGNORED),
        ("é.py", Reason.IGNORED),
        ("src/a.py", None),
    ],
)
def test_ignore_files_count_as_they_do_for_git(
    tmp_path: Path, path: str, reason: Reason | None
) -> None:
    write(
        tmp_path,
        {
            ".gitignore": (
                "# comment\n*.log\nbuild/\n/only_here.py\r\n*.gen.py\na\\ b.py\n\\#hash.py\né.py\n"
            ),
            "src/.gitignore": "!keep.log\n",
            "src/.infillignore": "private.py\n!shown.gen.py\n",
            "src/deep/.gitignore": "*.log\n",
            "build/.gitignore": "!keep.py\n",
        },
    )
    assert reason_for(tmp_path / path, tmp_path) is reason


def test_a_link_is_judged_by_where_it_stands_and_by_where_it_leads(tmp_path: Path) -> None:
    write(tmp_path, {"b.py": "", "real/a.py": "", ".gitignore": "hidden/\n"})
    (tmp_path / "hidden").symlink_to(tmp_path / "real")
    assert reason_for(tmp_path / "hidden" / "a.py", tmp_path) is Reason.IGNORED
    (tmp_path / "shown").symlink_to(tmp_path / "real")
    assert reason_for(tmp_path / "shown" / "a.py", tmp_path) is None
    write(tmp_path, {".gitignore": "real/\n#\n"})
    assert reason_for(tmp_path / "shown" / "a.py", tmp_path) is Reason.IGNORED


def test_an_ignore_file_that_changes_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    assert reason_for(path, tmp_path) is None
    write(tmp_path, {".infillignore": "a.py\n"})
    assert reason_for(path, tmp_path) is Reason.IGNORED
    write(tmp_path, {".infillignore": "b.py\n"})
    os.utime(tmp_path / ".infillignore", ns=(1, 1))
    assert reason_for(path, tmp_path) is None


def test_an_ignore_file_that_cannot_be_read_ignores_everything(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").symlink_to(tmp_path / ".gitignore")
    assert reason_for(tmp_path / "a.py", tmp_path) is Reason.IGNORED
    (tmp_path / "b" / ".infillignore").mkdir(parents=True)
    assert reason_for(tmp_path / "b" / "a.py", tmp_path / "b") is Reason.IGNORED


def test_ignore_files_above_the_root_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "*\n", "project/a.py": ""})
    assert reason_for(tmp_path / "project" / "a.py", tmp_path / "project") is None


def test_a_file_outside_the_root_is_judged_by_its_own_repository(tmp_path: Path) -> None:
    write(tmp_path, {"lib/.gitignore": "*.log\n", "lib/src/a.log": "", "project/a.py": ""})
    outside = tmp_path / "lib" / "src" / "a.log"
    assert reason_for(outside, tmp_path / "project") is None
    (tmp_path / "lib" / ".git").mkdir()
    assert reason_for(outside, tmp_path / "project") is Reason.IGNORED
    assert reason_for(outside, None) is Reason.IGNORED


def test_a_file_that_was_never_written_is_judged_by_its_name(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "out/\n"})
    assert reason_for(tmp_path / "out" / "new" / "a.py", tmp_path) is Reason.IGNORED
    assert reason_for(tmp_path / "new" / "a.py", tmp_path) is None


def test_size_and_zero_bytes_are_told_apart(tmp_path: Path) -> None:
    large = Document(None, "python", "x" * 11)
    assert refusal(large, root=None, settings=Settings(max_file_chars=10)) is Reason.TOO_LARGE
    assert reason_for(None, text="a\0b") is Reason.BINARY
    assert reason_for(tmp_path / ".env", tmp_path, text="a\0b") is Reason.SECRET


@given(documents(surrogates=True), st.sampled_from(SECRETS))
def test_a_secret_is_found_wherever_it_stands(document: Document, secret: str) -> None:
    text = f"{document.text} {secret} {document.text}"
    assert reason_for(None, text=text) is Reason.SECRET
