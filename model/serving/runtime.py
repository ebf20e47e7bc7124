"""Where the servers of one user are found: a private folder, and in it the files of each server,
named by a digest of what it serves. Knows no model and opens no connection.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from model.canvas import ModelError
from model.serving.wire import PROTOCOL

FOLDER = "INFILL_RUNTIME_DIR"  # names the folder in place of the system's
# What says which GPUs a process sees, and which is the first of them.
DEVICES = (
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
)  # fmt: skip
LONGEST = 100  # bytes of a socket's path: Linux takes 107, macOS 103, and others less


@dataclass(frozen=True, slots=True)
class Note:
    """What a server writes down beside its socket. `url` and `token` are for systems without Unix
    sockets; empty elsewhere."""

    pid: int
    url: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one server, there or not."""

    folder: Path
    digest: str

    @property
    def socket(self) -> Path:
        return self.folder / f"{self.digest}.sock"

    @property
    def lock(self) -> Path:
        """Held by a window while it looks for the server and starts it."""
        return self.folder / f"{self.digest}.lock"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.digest}.log"

    @property
    def note(self) -> Path:
        return self.folder / f"{self.digest}.json"

    def noted(self) -> Note | None:
        """What the server wrote down; None where there is nothing that can be read."""
        try:
            said = json.loads(self.note.read_bytes())
            return Note(int(said["pid"]), str(said.get("url", "")), str(said.get("token", "")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def write_note(self, note: Note) -> None:
        """Readable by this user alone from the first byte, and never half written. Raises `OSError`
        where it cannot be written and windows need it, to find the server."""
        handle, new = tempfile.mkstemp(prefix=f".{self.digest}", dir=self.folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(asdict(note), file)
            os.replace(new, self.note)
        except OSError:  # a full disk
            Path(new).unlink(missing_ok=True)
            if note.url:
                raise

    def forget(self) -> None:
        """Removes what a server leaves behind. The lock stays: one that is held must not go."""
        for path in (self.socket, self.note):
            path.unlink(missing_ok=True)


def place_for(name: str, keys: Mapping[str, Any], seed: int) -> Place:
    """Where the server of this model is found, in a folder that is there and private. Raises
    `ModelError`."""
    place = Place(folder(), digest_of(name, keys, seed))
    if has_unix_sockets():
        fitting(place.socket)
    return place


def socket_for(name: str, keys: Mapping[str, Any], seed: int) -> Path:
    """The socket of this model's server. Raises `ModelError`."""
    return place_for(name, keys, seed).socket


def digest_of(name: str, keys: Mapping[str, Any], seed: int) -> str:
    """What a server serves, in which protocol and version, from which files and on which device:
    another one has another digest."""
    named = absolute(name)
    files = "" if named == "bundled" or Path(named).is_absolute() else hub_cache()
    devices = [os.environ.get(each) for each in DEVICES]
    told = [PROTOCOL, version(), named, dict(keys), seed, files, devices]
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def hub_cache() -> str:
    """Where huggingface_hub, which no window imports, looks for a network: by its own rules, and
    from there where a server runs."""
    told = os.environ.get
    home = told("HF_HOME", os.path.join(told("XDG_CACHE_HOME", "~/.cache"), "huggingface"))
    cache = told("HF_HUB_CACHE", told("HUGGINGFACE_HUB_CACHE", os.path.join(home, "hub")))
    return os.path.expandvars(os.path.expanduser(cache))


def absolute(name: str) -> str:
    """The model's name as every process understands it: a folder by its whole path."""
    try:
        named = Path(name).expanduser()
        return str(named.resolve()) if named.is_dir() and name not in ("bundled", "auto") else name
    except (OSError, RuntimeError, ValueError):  # no home, or no path at all
        return name


def folder() -> Path:
    """The folder of this user's servers, made where it is not there. Raises `ModelError` where
    others could put a server into it that would be sent this user's code."""
    path = named_folder()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        above = path.parent.stat()
    except OSError as error:
        raise ModelError(
            f"the folder {path} for the model's server cannot be made ({error.strerror}): set "
            f'{FOLDER} to one that can, or the setting `server` to "inside"'
        ) from error
    if trouble := exposure(path, found, above):
        raise ModelError(f"{trouble}, so its model's server is not trusted with your code")
    return path


def named_folder() -> Path:
    if named := os.environ.get(FOLDER):
        return Path(named).expanduser().absolute()
    import platformdirs  # only here: a window that asks elsewhere does without

    with warnings.catch_warnings(action="ignore"):  # it falls back on /tmp, which is looked at here
        return Path(platformdirs.user_runtime_dir("infill-lsp", appauthor=False))


def exposure(path: Path, found: os.stat_result, above: os.stat_result) -> str | None:
    """How another user could reach into the folder, and what to do; None where none can."""
    if not hasattr(os, "getuid"):
        return None  # on Windows it lies in the user's profile, which is private
    mine = os.getuid()
    if not stat.S_ISDIR(found.st_mode):
        return f"{path} is no folder: remove it"
    if found.st_uid != mine:
        return f"the folder {path} belongs to another user (uid {found.st_uid}): set {FOLDER}"
    if found.st_mode & 0o077:
        return f"the folder {path} is open to other users: chmod 700 {path}"
    if above.st_uid not in (mine, 0):
        return f"{path.parent} belongs to another user (uid {above.st_uid}): set {FOLDER}"
    if above.st_mode & 0o002 and not above.st_mode & stat.S_ISVTX:
        return f"anyone may replace what is in {path.parent}: chmod o-w {path.parent}"
    return None


def fitting(path: Path) -> Path:
    """Raises `ModelError` for a socket's path that the system would cut off or refuse."""
    length = len(os.fsencode(path))
    if length > LONGEST:
        raise ModelError(
            f"the path of the socket {path} has {length} bytes and may have {LONGEST}: set "
            f"{FOLDER} to a shorter folder"
        )
    return path


def has_unix_sockets() -> bool:
    """Whether Python can serve on them here; on Windows asyncio cannot."""
    import socket

    return hasattr(socket, "AF_UNIX") and os.name == "posix"


def answers(path: Path) -> bool:
    """Whether a process listens on the socket."""
    import socket

    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
        return True


def tidy(path: Path) -> None:
    """Removes what servers of other versions and models left that have died. Never raises."""
    for place in places(path):
        try:
            left = place.socket.exists() and not answers(place.socket)
            if left and cleared(place):
                place.log.unlink(missing_ok=True)
        except OSError:
            continue


def cleared(place: Place) -> bool:
    """Whether the dead server's files were removed; not while a window starts one there."""
    import filelock

    try:
        with filelock.FileLock(place.lock, timeout=0):
            if answers(place.socket):
                return False
            place.forget()
            return True
    except filelock.Timeout:
        return False


def places(path: Path) -> Iterator[Place]:
    """Those of all servers in the folder, dead or alive."""
    for socket in sorted(path.glob("*.sock")):
        yield Place(path, socket.stem)


def version() -> str:
    try:
        return metadata.version("infill-lsp")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
