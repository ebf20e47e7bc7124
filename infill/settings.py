"""What the user may set, and its defaults. Options are what arrived; settings are what is used."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Settings:
    """Every field is an option of the same name in an editor's configuration."""

    # Or "auto", a folder with weights, an id of `infill-lsp models list`, "endpoint".
    model: str = "bundled"
    # What the catalog does not know of that model, or knows otherwise: see `catalog.Row`.
    model_keys: Mapping[str, Any] = field(default_factory=dict[str, Any])
    # Where the model is: "shared", in one server for all windows, which is started where none runs;
    # "inside" this process; or a server's address, "unix:PATH" or "https://HOST:PORT".
    server: str = "shared"
    # Seconds without a fill after which the shared server gives the model's memory back, until the
    # next fill; 0: never. Heeded by the window that starts the server.
    unload_after: int = 600
    deadline_ms: int = 1500  # the best draft so far is taken after this long
    # How readily fills are shown that nobody asked for: "quiet", "usual" or "eager". Quiet offers
    # a line at a time, too.
    eagerness: str = "usual"
    # How probable a fill must be to be shown, unless it was asked for, in place of what the
    # eagerness says. -1: as that says.
    min_confidence: float = -1.0
    context_chars: int = 0  # at most this much context; 0: as much as the model can see
    max_file_chars: int = 4_000_000  # larger files are left alone
    max_lines: int = 12  # a fill of more lines is cut
    multiline: bool = True  # offer blocks where the syntax says one is due
    other_files: bool = True  # look at other files of the project in the same language
    # Where the editor shows no ghost text ("auto"), or "always" in its place, or "never".
    menu: str = "auto"
    # Once a fill is shown: make the next one as if it were accepted, while the model has nothing
    # else to do. An endpoint is asked so only with `speculate` among its `model_keys`, too.
    speculate: bool = True
    # Count on this machine what becomes of fills: see `infill.statistics`. Nothing is sent away.
    statistics: bool = True
    seed: int = 0
    enabled: bool = True

    @property
    def gate(self) -> float:
        """How probable a fill must be that nobody asked for."""
        return GATES[self.eagerness] if self.min_confidence < 0 else self.min_confidence

    @property
    def unasked(self) -> Settings:
        """As they are for what nobody asked for."""
        return dataclasses.replace(self, multiline=False) if self.eagerness == "quiet" else self


GATES: Mapping[str, float] = {"quiet": 0.5, "usual": 0.2, "eager": 0.1}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "menu": ("auto", "always", "never"), "eagerness": tuple(GATES),
}  # fmt: skip


def settings_from(
    options: Mapping[str, Any], base: Settings | None = None
) -> tuple[Settings, list[str]]:
    """The settings that follow from the options, and one sentence for each option refused.

    A refused option leaves its setting as it was in `base`.
    """
    known = {field.name: field for field in dataclasses.fields(Settings)}
    accepted: dict[str, Any] = {}
    complaints: list[str] = []
    settings = base or Settings()
    for name, value in options.items():
        if name not in known:
            complaints.append(
                f"unknown setting {name!r} was ignored; known are {', '.join(sorted(known))}"
            )
            continue
        default: object = getattr(Settings(), name)
        wanted = type(default)
        if wanted is dict and value == []:  # an empty table from Lua
            value = dict[str, Any]()
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            complaints.append(
                f"setting {name!r} must be of type {wanted.__name__}, "
                f"not {type(value).__name__} ({value!r}); it stays {getattr(settings, name)!r}"
            )
            continue
        choices = CHOICES.get(name)
        if choices is not None and value not in choices:
            complaints.append(
                f"setting {name!r} must be one of {', '.join(map(repr, choices))}, "
                f"not {value!r}; it stays {getattr(settings, name)!r}"
            )
            continue
        accepted[name] = value
    return dataclasses.replace(settings, **accepted), complaints
