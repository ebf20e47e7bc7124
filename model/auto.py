"""Which model `auto` is: by device, free memory and what is on disk, with the reason in a sentence.

Nothing is fetched for it, and nothing loaded: it knows facts of the catalog and of this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.machine import Machine, machine
from model.published import hub
from model.published.catalog import Row, known
from model.published.hub import gb
from model.published.memory import Plan, plan_for

AUTO = "auto"
BUNDLED = "bundled"

# Share of HumanEval-Infilling's single lines that pass (%), as published, where nobody tells the
# network how long the missing line is: with its own length tokens, or at fixed lengths. So this
# orders the networks by themselves; what choosing lengths makes of them, `eval` measures.
PUBLISHED = {
    "Dream-org/DreamOn-v0-7B": 92.1,
    "Dream-org/Dream-Coder-v0-Base-7B": 55.5,
    "apple/DiffuCoder-7B-Base": 53.7,
    "GSAI-ML/LLaDA-8B-Base": 48.3,
    "Dream-org/Dream-v0-Base-7B": 48.2,
    "fredzzp/open-dcoder-0.5B": 32.5,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """`name` is what `load` takes; `why` ends the sentence "auto chose …: "."""

    name: str
    why: str

    @property
    def sentence(self) -> str:
        return f"auto chose {short(self.name)}: {self.why}"


def chosen(here: Machine, on_disk: Iterable[Row], rows: Iterable[Row] = ()) -> Choice:
    """The best on disk that fits a GPU; without a GPU, or where nothing fits, the bundled model.

    Better is what has the higher published figure; one without a figure comes after all that have
    one, and among equals the smaller. `rows` are those that may be recommended for fetching.
    """
    plans = plans_for(here, on_disk)
    if here.device == "cpu":
        why = (
            f"no GPU that torch can use, and on a {here.name} nothing larger answers while you type"
        )
        if plans:
            why += f"; {short(plans[0][0].id)} is on disk, to be named by those who can wait"
        return Choice(BUNDLED, why)
    room = f"{gb(here.free or 0)} free on {here.name}"
    if not plans:
        why = "no other network is on disk"
        fitting = (row for row, plan in plans_for(here, rows) if plan.fits)
        if (best := next(fitting, None)) is not None:
            why += (
                f"; the {room} have room for {short(best.id)}: `infill-lsp models pull {best.id}`"
            )
        return Choice(BUNDLED, why)
    fitting = [(row, plan) for row, plan in plans if plan.fits]
    if not fitting:
        least = min((plan for _, plan in plans), key=lambda plan: plan.needed)
        why = f"no other network on disk fits the {room}; {least.name} needs {gb(least.needed)}"
        return Choice(BUNDLED, why)
    row, plan = fitting[0]
    why = f"{merit(row, len(fitting))}, and it takes {gb(plan.needed)} of the {room}"
    if plans[0] != fitting[0]:
        better = plans[0][1]
        why += f"; {better.name} would be better and need {gb(better.needed)}"
    return Choice(row.id, why)


def plans_for(here: Machine, rows: Iterable[Row]) -> Sequence[tuple[Row, Plan]]:
    """The best first."""
    ordered = sorted(rows, key=lambda row: (-PUBLISHED.get(row.id, 0.0), row.bytes))
    return [(row, plan_for(row, None, here.device, here.dtype, free=here.free)) for row in ordered]


def merit(row: Row, fitting: int) -> str:
    if fitting == 1:
        return "no other network on disk fits"
    if row.id in PUBLISHED:
        figure = PUBLISHED[row.id]
        return f"of the {fitting} on disk that fit it is the best by published figures ({figure} %)"
    return f"of the {fitting} on disk that fit, none with a published figure, it is the smallest"


def choose_here(*, aside: bool = True) -> Choice:
    """What `auto` is on this machine, now. `aside`: see `machine`."""
    return chosen(machine(aside=aside), [row for row, _ in on_disk()], known())


def on_disk() -> list[tuple[Row, Path]]:
    """The known networks whose files are all here, and where."""
    try:
        found = [(row, hub.found(row.id, row.revision)) for row in known()]
    except ImportError:  # without huggingface_hub there is no cache of it to speak of
        return []
    return [(row, folder) for row, folder in found if folder]


def resolved(name: str, tell: Callable[[str], None] | None = None, *, loads: bool = False) -> str:
    """The name itself, or for "auto" what is chosen; `tell` hears why. `loads`: whoever asks will
    load the network, and so import torch anyway."""
    if name != AUTO:
        return name
    choice = choose_here(aside=not loads)
    if tell:
        tell(choice.sentence)
    return choice.name


def short(id: str) -> str:
    return id.rpartition("/")[2]
