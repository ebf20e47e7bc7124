"""What can go wrong between here and the hub, each in one sentence with what to do about it."""

from __future__ import annotations

import errno
from difflib import get_close_matches


def in_words(error: Exception, id: str, revision: str) -> str:
    """The sentence for what huggingface_hub raised when `id` was fetched."""
    from httpx2 import ConnectError, HTTPError, ProxyError, TimeoutException
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        DryRunError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    while isinstance(error, DryRunError | LocalEntryNotFoundError):  # they hide what it was
        if not isinstance(error.__cause__, Exception):
            break
        error = error.__cause__
    hub = constants.ENDPOINT
    again = "What is complete is kept: the same command goes on from there."
    match error:
        case HFValidationError():
            return f"{id!r} is no id of the hub: those look like owner/name"
        case OfflineModeIsEnabled():
            return (
                f"{id} is not on this disk, and HF_HUB_OFFLINE forbids to fetch it: unset that "
                "and run this again, or name a folder that holds its files"
            )
        case GatedRepoError():
            return (
                f"{id} is only given to those whom its owner has let in: ask at {hub}/{id}, then "
                f"{signed_in()} and run this again"
            )
        case RepositoryNotFoundError():
            return (
                f"the hub ({hub}) shows no {id}: is the id right{near(id)}? If it is private, "
                f"{signed_in()} and run this again"
            )
        case RevisionNotFoundError():
            return f"{id} has no revision {revision} (any more): see {hub}/{id}/commits/main"
        case HfHubHTTPError(response=response) if response.status_code in (401, 403):
            return f"the hub ({hub}) refuses {id}: {signed_in()} and run this again"
        case HfHubHTTPError(response=response):
            return (
                f"the hub ({hub}) answered {response.status_code} {response.reason_phrase} for "
                f"{id}: try again later. {again}"
            )
        case ProxyError():
            return f"the proxy does not let us through to {hub} ({error}): see HTTPS_PROXY. {again}"
        case ConnectError() | TimeoutException():
            return (
                f"{hub} cannot be reached ({str(error) or type(error).__name__}), so {id} cannot "
                f"be fetched: is there a network, or a proxy to be named in HTTPS_PROXY? {again}"
            )
        case HTTPError():
            return f"the line to {hub} broke ({error}). {again}"
        case OSError(errno=errno.ENOSPC):
            return f"the disk of {constants.HF_HUB_CACHE} is full: make room. {again}"
        case OSError() if error.filename and error.strerror:
            return (
                f"{error.filename} cannot be written: {error.strerror}. "
                "Set HF_HOME to a folder that is yours."
            )
        case _:
            return f"{id} could not be fetched: {' '.join(str(error).split())}. {again}"


def signed_in() -> str:
    from huggingface_hub import get_token

    if get_token():
        return "sign in by `hf auth login` with a token that may read it"
    return "sign in by `hf auth login` (or set HF_TOKEN)"


def near(id: str) -> str:
    """A known id that is spelt like it."""
    from model.published.catalog import known

    likely = get_close_matches(id, [row.id for row in known()], 1, 0.8)
    return f" (did you mean {likely[0]}?)" if likely and likely[0] != id else ""
