"""Weights on disk and on the hub, through huggingface_hub: its cache, its resuming, its token.

Only `pull` reaches for the network, and only because someone asked. It knows file names, no
networks, and speaks no HTTP of its own.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# huggingface_hub and tqdm are only partly typed.

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from model.canvas import ModelError

if TYPE_CHECKING:
    from huggingface_hub import CachedRepoInfo, HFCacheInfo

# All that is ever fetched. Weights in other formats may run code when they are opened, and code
# that lies beside them is never run.
WEIGHTS = "*.safetensors"
INDEX = "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "vocab.json")  # one of them is needed
FETCHED = (
    WEIGHTS, INDEX, "config.json", "generation_config.json", *TOKENIZERS, "merges.txt",
    "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json", "LICENSE*",
)  # fmt: skip
ELSEWHERE = ("*/*",)  # subfolders hold the same weights for other programs
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
UNPINNED = "main"
PATIENCE_S = 10  # for the hub's first answer
ABANDONED_S = 600  # a half-fetched file that nobody wrote to for so long has no one left

Progress = Callable[[int, int], None]  # bytes here, bytes in all
Stop = Callable[[], bool]


class Stopped(Exception):
    """Raised out of `pull` when its `stop` says so. What is complete stays."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What `execute` would take away: of one id, all that is in the cache."""

    bytes: int
    revisions: int
    folder: Path
    execute: Callable[[], None]


def found(id: str, revision: str = "") -> Path | None:
    """The folder with a network's files if all of them are on disk; asks no one. Never raises."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            id,
            revision=revision or UNPINNED,
            allow_patterns=list(FETCHED),
            ignore_patterns=list(ELSEWHERE),
            local_files_only=True,
        )
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    return None if lacking(Path(folder)) else Path(folder)


def lacking(folder: Path) -> list[str]:
    """The files without which the network cannot be loaded. An index says what weights there are;
    a cache that another program filled may hold some of them only."""
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if not any((folder / name).is_file() for name in TOKENIZERS):
        missing.append(" or ".join(TOKENIZERS))
    shards = shards_of(folder)
    if not shards:
        missing.append(WEIGHTS)
    return missing + [name for name in shards if not (folder / name).is_file()]


def shards_of(folder: Path) -> list[str]:
    try:
        index = json.loads((folder / INDEX).read_text("utf-8"))
        return sorted(set(cast(dict[str, str], index["weight_map"]).values()))
    except FileNotFoundError:
        return sorted(path.name for path in folder.glob(WEIGHTS))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return [INDEX + " (unreadable)"]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def cache() -> Path:
    """Where huggingface_hub keeps what it fetched: `HF_HOME` and its kin say."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def pull(id: str, revision: str, on_progress: Progress, stop: Stop = lambda: False) -> Path:
    """Fetches what is not here yet and returns the folder. Raises `ModelError` and `Stopped`.

    A file that is complete is kept whatever happens then, so the same call goes on where this one
    ended; a line that breaks in the middle of a file is taken up again within the call. `stop` is
    asked between two portions.
    """
    from huggingface_hub import model_info, snapshot_download
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # it would warn of each break, in the midst of our own lines
    options: dict[str, Any] = {
        "repo_id": id,
        "revision": revision or UNPINNED,
        "allow_patterns": list(FETCHED),
        "ignore_patterns": list(ELSEWHERE),
    }
    try:
        drop_abandoned(id)
        # Asked first, because it fails at once where `snapshot_download` tries for half a minute.
        listed = model_info(id, revision=options["revision"], timeout=PATIENCE_S).siblings or []
        check_weights(id, [file.rfilename for file in listed])
        bars = bars_for(lambda done: None, stop)
        files = snapshot_download(**options, dry_run=True, tqdm_class=bars)
        wanted = sum(file.file_size or 0 for file in files if file.will_download)
        check_disk(id, wanted)
        on_progress(0, wanted)
        bars = bars_for(lambda done: on_progress(min(done, wanted), wanted), stop)
        folder = Path(snapshot_download(**options, tqdm_class=bars))
    except ModelError:
        raise
    except Exception as error:  # the hub, the line and the disk fail in many ways
        if stop():
            raise Stopped from error
        from model.published.refused import in_words

        raise ModelError(in_words(error, id, revision)) from error
    if missing := lacking(folder):
        raise ModelError(
            f"{id} was fetched to {folder}, but the hub has no {', '.join(missing)} of it: "
            "it is not a network that can be loaded"
        )
    return folder


def check_weights(id: str, names: Sequence[str]) -> None:
    """Before gigabytes are fetched: are there weights that may be opened?"""
    if any(name.endswith(".safetensors") and "/" not in name for name in names):
        return
    pickles = [name for name in names if name.endswith(PICKLES)]
    raise ModelError(
        f"{id} has its weights only as {pickles[0]}, a format that can run code when it is opened; "
        "only safetensors are loaded. Look for another upload of it, or convert it."
        if pickles
        else f"{id} has no weights: nothing of it is named {WEIGHTS}. Is it the right id?"
    )


def check_disk(id: str, wanted: int) -> None:
    where = cache()
    there = next(folder for folder in (where, *where.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if wanted > free:
        raise ModelError(
            f"{id} needs {gb(wanted)}, {gb(free)} are free in {where}: make room there, or set "
            "HF_HOME to a folder on a larger disk"
        )


def bars_for(tell: Callable[[int], None], stop: Stop) -> type:
    """The class that huggingface_hub takes for its progress bars, telling us instead of a terminal.

    It draws two bars in bytes, one for what came over the line and one for what was written, which
    differ where the hub sends compressed parts; the one that got further is told.
    """
    from tqdm import tqdm

    furthest = 0

    class Told(tqdm):  # pyright: ignore[reportMissingTypeArgument, reportUntypedBaseClass]
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **{**options, "file": open(os.devnull, "w"), "miniters": 1})  # noqa: SIM115  # closed with the bar

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal furthest
            if stop():
                raise Stopped
            outcome = super().update(n)
            if self.unit == "B" and self.n > furthest:
                furthest = int(self.n)
                tell(furthest)
            return outcome

        def display(self, *args: Any, **options: Any) -> None:
            pass

        def close(self) -> None:
            super().close()
            self.fp.close()

    return Told


def removal_of(id: str) -> Removal | None:
    """What removing it would mean; None where nothing of it is there. Raises `ModelError`."""
    folder = folder_in_cache(id)
    if not folder.exists():
        return None
    scanned = scan()
    repo = repo_in(scanned, id)
    if repo is None or not repo.revisions:  # a first file that was cut off leaves such a thing
        left = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        return Removal(left, 0, folder, lambda: shutil.rmtree(folder))
    strategy = scanned.delete_revisions(*(revision.commit_hash for revision in repo.revisions))
    halves = sum(size for _, size in halves_of(scanned, repo.repo_path))

    def execute() -> None:
        strategy.execute()
        if folder.exists():
            raise ModelError(
                f"{folder} could not be removed whole; are you allowed to write there?"
            )

    return Removal(strategy.expected_freed_size + halves, len(repo.revisions), folder, execute)


def folder_in_cache(id: str) -> Path:
    from huggingface_hub.file_download import repo_folder_name

    return cache() / repo_folder_name(repo_id=id, repo_type="model")


def scan() -> HFCacheInfo:
    from huggingface_hub import scan_cache_dir

    return scan_cache_dir()


def repo_in(scanned: HFCacheInfo, id: str) -> CachedRepoInfo | None:
    repos = (repo for repo in scanned.repos if repo.repo_type == "model")
    return next((repo for repo in repos if repo.repo_id == id), None)


def halves_of(scanned: HFCacheInfo, folder: Path) -> list[tuple[Path, int]]:
    return [
        (file.file_path, file.size_on_disk)
        for file in scanned.incomplete_files
        if file.file_path.is_relative_to(folder)
    ]


def drop_abandoned(id: str) -> None:
    """Halves of files that a killed process left: nobody can go on with them, and they are large.
    One that was written to lately is another process's, at work."""
    folder = folder_in_cache(id)
    if not folder.exists():
        return
    for path, _ in halves_of(scan(), folder):
        try:
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                path.unlink()
        except OSError:
            continue  # finished or removed meanwhile, or not ours: `pull` itself will tell


def gb(count: float) -> str:
    """Bytes for a reader: in GB of 10^9 as the hub and disks count, small ones in MB."""
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:.0f} MB" if count < 1e8 else f"{count / 1e9:.1f} GB"
