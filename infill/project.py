"""The other files of a project that are counted beside a document: those in its language that lie
nearest to it, none that is ignored or secret. Knows folders and files, no syntax.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from time import monotonic

from infill.code.languages import language_of
from infill.document import Document
from infill.privacy import refusal, top_of
from infill.settings import Settings
from infill.source import InputError, source_at
from model.evidence.kin import LARGEST, MOST, fitting

AGE = 15  # seconds for which what was found is good enough
MOST_FOLDERS, MOST_FILES = 200, 400  # that are looked at, however large a project is
MOST_BYTES = 4 * LARGEST  # what has more has more characters, too
OTHERS = frozenset({"node_modules", "site-packages", "venv"})  # folders of other people's code


def project_of(
    document: Document, beside: Sequence[Document], *, root: Path | None, settings: Settings
) -> tuple[str, ...]:
    """The texts to count: those of the open files `beside` it, which may be shown, then the
    nearest on disk (`model.evidence.kin` says how many). Reads files: not on the event loop."""
    texts = [it.text for it in beside]
    if document.path is not None and settings.other_files:
        path = Path(document.path)
        top = top_of(path, {root} if root else set())
        known = {path, *(it.path for it in beside)}
        found = files_round(
            path.parent, top, document.language, settings.max_file_chars, int(monotonic() / AGE)
        )
        texts += [it.text for it in found if it.path not in known]
    return tuple(fitting(texts))


@lru_cache(maxsize=16)
def files_round(
    folder: Path, top: Path, language: str, longest: int, time: int
) -> tuple[Document, ...]:
    """What there is at this `time`, which is asked for only so that it is read anew some day."""
    del time
    settings = Settings(max_file_chars=longest)
    found: list[Document] = []
    room = MOST
    for path in islice(paths_round(folder, top, language, settings), MOST_FILES):
        if document := shown(path, top, language, settings):
            room -= len(document.text)
            found.append(document)
        if room <= 0:
            break
    return tuple(found)


def shown(path: Path, top: Path, language: str, settings: Settings) -> Document | None:
    """The file as it is on disk, if it can be read and may be shown to a model."""
    if refused(path, top, settings):  # what is secret is not even read
        return None
    try:
        state = path.stat()
        if state.st_size > MOST_BYTES:
            return None
        text = unchanged(path, state.st_mtime_ns, state.st_size)
    except (OSError, InputError):
        return None
    # Its path was asked about; what is left to ask is the text.
    amiss = refusal(Document(None, language, text), root=top, settings=settings)
    return None if amiss else Document(path, language, text)


@lru_cache(maxsize=512)
def unchanged(path: Path, changed: int, size: int) -> str:
    # When it changed and how large it was are asked for only so that a new version is read anew.
    del changed, size
    return source_at(path).text.replace("\r\n", "\n")


def paths_round(folder: Path, top: Path, language: str, settings: Settings) -> Iterator[Path]:
    """Files of the language below `top`, by how many folders up and down they are away."""
    seen, waiting = {folder}, deque([folder])
    while waiting and len(seen) <= MOST_FOLDERS:
        here = waiting.popleft()
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError:  # no access, or gone meanwhile
            entries = []
        folders = [here.parent] if here != top and top in here.parents else []
        for entry in entries:
            path = here / entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif entry.is_file(follow_symlinks=False) and language_of(path) == language:
                yield path
        for near in folders:
            if near not in seen and not foreign(near, settings, top):
                seen.add(near)
                waiting.append(near)


def foreign(folder: Path, settings: Settings, top: Path) -> bool:
    """Whether a folder holds what is not the project's own."""
    hidden = folder.name.startswith(".") or folder.name in OTHERS
    return folder != top and (hidden or refused(folder / "any", top, settings))


def refused(path: Path, top: Path, settings: Settings) -> bool:
    """Whether its name alone keeps a file from being shown to a model."""
    return refusal(Document(path, "", ""), root=top, settings=settings) is not None
