"""What there is to see of this user's servers, and what a window tells its own for others to see.

It sends no code, and keeps no server alive by looking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx

from model.canvas import ModelError
from model.serving.reach import CONNECT, Reach, reach_from
from model.serving.runtime import Place, answers, has_unix_sockets, named_folder, places
from model.serving.supervise import reach_of
from model.serving.watch import told_in

ABSENT = "no server is there"
PATIENCE = 2.0  # seconds; a server that is well answers within a step


@dataclass(frozen=True, slots=True)
class Look:
    """What a server says of itself, or why it says nothing."""

    address: str
    state: Mapping[str, Any] | None
    trouble: str = ""


def looked(server: str | None = None) -> list[Look]:
    """At the server of that address, or at each of this user's that lives. Raises `ModelError` for
    an address that is none."""
    if server is not None:
        return [look_at(reach_from(server))]
    looks = [look_at(reach) for reach in reaches(named_folder())]
    return [look for look in looks if look.trouble != ABSENT]


def reaches(folder: Path) -> Iterator[Reach]:
    """Where servers of this user listen, or did."""
    notes = [] if has_unix_sockets() else sorted(folder.glob("*.json"))
    for place in (*places(folder), *(Place(folder, note.stem) for note in notes)):
        if reach := reach_of(place):
            yield reach


def look_at(reach: Reach) -> Look:
    if reach.socket and not answers(reach.socket):
        return Look(str(reach), None, ABSENT)
    try:
        with reach.client(httpx.Timeout(PATIENCE, connect=CONNECT)) as client:
            said = client.get("/v1/state")
            if not said.is_success:
                return Look(str(reach), None, f"it refuses ({said.status_code}): {told(said)}")
            state = said.json()
    except httpx.TimeoutException:
        return Look(str(reach), None, f"it says nothing for {PATIENCE:g} s")
    except httpx.TransportError:
        return Look(str(reach), None, ABSENT)
    except ValueError:
        state = None
    if not isinstance(state, dict) or "told" not in state:
        return Look(str(reach), None, "what answers there is no `infill-lsp serve`")
    return Look(str(reach), cast(dict[str, Any], state))


def told(said: httpx.Response) -> str:
    return told_in(said.content) if said.status_code != 401 else "set INFILL_TOKEN to its token"


def tell(reach: Reach, counts: Mapping[str, int], silences: Mapping[str, int]) -> bool:
    """Tells the server what became of fills. Whether it heard it makes no difference to anyone."""
    body = {**counts, "silences": dict(silences)}
    if reach.socket and not answers(reach.socket):
        return False
    try:
        with reach.client(httpx.Timeout(PATIENCE, connect=CONNECT)) as client:
            return client.post("/v1/told", json=body).is_success
    except (httpx.HTTPError, ModelError):
        return False
