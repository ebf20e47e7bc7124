"""What a distribution's metadata says of its licence, and which licences ask for too much."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import Message
from typing import Protocol

RESTRICTED = re.compile(r"GPL|General Public License|MPL|Mozilla", re.IGNORECASE)


class Metadata(Protocol):
    """What is asked of an installed distribution's metadata, and of an archive's."""

    def get_all(self, name: str, /) -> list[str] | None: ...


def licence_of(told: Metadata) -> str:
    for key in ("License-Expression", "Classifier", "License"):
        lines = told.get_all(key) or ()
        words = [line.rsplit(" :: ", 1)[-1] for line in lines if said(key, line)]
        if words:
            return "; ".join(words).splitlines()[0][:80]
    return "not stated"


def said(key: str, line: str) -> bool:
    """Whether a line of metadata speaks of the licence: of the classifiers only some do."""
    return bool(line.strip()) and (key != "Classifier" or line.startswith("License ::"))


def restricted(licence: str) -> bool:
    return bool(RESTRICTED.search(licence))


def told_in(data: bytes) -> Message:
    """The metadata that stands in an archive, as bytes."""
    return message_from_bytes(data)
