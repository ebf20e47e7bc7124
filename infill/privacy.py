"""Whether a file may be shown to a model at all; asked before any other work on it.

Knows file names, ignore files and the shapes of secrets; does not know syntax. In doubt, as with
an ignore file that cannot be read, the answer is no.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePath

from pathspec import GitIgnoreSpec

from infill.document import Document
from infill.reason import Reason
from infill.settings import Settings

IGNORE_FILES = (".gitignore", ".infillignore")  # in one folder the second has the last word

_SECRET_NAMES = (
    *(".env*", "*.env", ".netrc", "_netrc", ".pgpass", ".npmrc", ".pypirc"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "credentials*", "secrets.*"),
    *("*.tfvars", "*.tfvars.json", "*.tfstate", ".git-credentials", ".htpasswd", ".dockercfg"),
    *(".vault-token", "*.ovpn", ".my.cnf", "kubeconfig", "secret.y*ml"),
)
_SECRET_FOLDERS = frozenset((".git", ".ssh", ".aws", ".gnupg", ".kube"))
_TOKENS = {
    start: re.compile(re.escape(start) + rest)
    for start, rest in (
        ("-----BEGIN ", r"(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
        ("AKIA", r"[0-9A-Z]{16}\b"),
        ("ASIA", r"[0-9A-Z]{16}\b"),
        *((f"gh{kind}_", r"[0-9A-Za-z]{36}") for kind in "pousr"),
        ("github_pat_", r"\w{22}"),
        ("glpat-", r"[\w-]{20}"),
        *((f"xox{kind}-", r"[0-9A-Za-z-]{10}") for kind in "abeprs"),
        ("sk-", r"(?=[\w-]*\d)(?=[\w-]*[A-Z])[\w-]{20}"),
        ("sk_live_", r"[0-9A-Za-z]{16}"),
        ("rk_live_", r"[0-9A-Za-z]{16}"),
        ("AIza", r"[\w-]{35}"),
        ("npm_", r"[0-9A-Za-z]{36}"),
        ("pypi-", r"[\w-]{50}"),
        ("hf_", r"[0-9A-Za-z]{34}"),
    )
}


def refusal(document: Document, *, root: Path | None, settings: Settings) -> Reason | None:
    """Why the document must not be shown to a model, None if it may.

    Ignore files count from `root` down to the file's folder. A file outside `root` is judged by
    those of its own repository, or else of its own folder. A buffer without a path has only its
    text to be judged by.
    """
    if len(document.text) > settings.max_file_chars:
        return Reason.TOO_LARGE
    if document.path is not None and (reason := _reason_of_path(document.path, root)):
        return reason
    if "\0" in document.text:
        return Reason.BINARY
    return Reason.SECRET if _holds_secret(document.text) else None


def _reason_of_path(path: PurePath, root: Path | None) -> Reason | None:
    try:
        # A link with a harmless name may lead to a secret, and an ignored one to a harmless file.
        ways = {Path(os.path.abspath(path)), Path(path).resolve()}
        if any(_is_secret_path(way) for way in ways):
            return Reason.SECRET
        roots = {root.absolute(), root.resolve()} if root else set[Path]()
        ignored = any(_is_ignored(way, top_of(way, roots)) for way in ways)
        return Reason.IGNORED if ignored else None
    except (OSError, RuntimeError, ValueError):  # no access, a loop of links, a broken pattern
        return Reason.IGNORED


def _is_secret_path(path: PurePath) -> bool:
    name = path.name.lower()
    inside = not _SECRET_FOLDERS.isdisjoint(part.lower() for part in path.parts[:-1])
    return inside or any(fnmatchcase(name, pattern) for pattern in _SECRET_NAMES)


def top_of(path: Path, roots: set[Path]) -> Path:
    """The folder down from which ignore files count: that of `roots` which holds the path, or its
    repository's, or its own."""
    for root in roots:
        if root in path.parents:
            return root
    return next((folder for folder in path.parents if (folder / ".git").exists()), path.parent)


def _is_ignored(path: Path, top: Path) -> bool:
    """What git would say: the last matching pattern decides, the nearest file has the last word,
    and nothing below an ignored folder comes back."""
    below = path.relative_to(top).parts
    steps = [top.joinpath(*below[: n + 1]) for n in range(len(below))]
    return any(_is_named(step, steps[:n], top, step != path) for n, step in enumerate(steps))


def _is_named(step: Path, above: list[Path], top: Path, is_folder: bool) -> bool:
    verdict = False
    for folder in (top, *above):
        relative = step.relative_to(folder).as_posix() + ("/" if is_folder else "")
        for spec in _specs_in(folder):
            found = spec.check_file(relative).include
            verdict = verdict if found is None else found
    return verdict


def _specs_in(folder: Path) -> Iterator[GitIgnoreSpec]:
    for name in IGNORE_FILES:
        path = folder / name
        try:
            state = path.stat()
        except FileNotFoundError:
            continue
        yield _spec_from(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _spec_from(path: Path, changed: int, size: int) -> GitIgnoreSpec:
    # When it changed and how large it was are asked for only so that a new version is read anew.
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    return GitIgnoreSpec.from_lines(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"))


def _holds_secret(text: str) -> bool:
    return any(
        token.match(text, at) and not text[max(0, at - 1) : at].isalnum()
        for start, token in _TOKENS.items()
        for at in _occurrences(text, start)
    )


def _occurrences(text: str, word: str) -> Iterator[int]:
    # Far quicker on a large text than one regular expression for all.
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)
