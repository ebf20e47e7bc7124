"""Gives every run of tests servers of its own, and sees to it that they end. Says at the end of a
whole run which kinds of test this machine could not run, and why."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from infill import statistics
from model import ModelError
from model.load import card_of
from tests import vscode
from tests.helix import find_helix
from tests.nvim import find_neovim
from tests.servers import environment, short_folder, swept

RUNTIME = short_folder()
os.environ.update(environment(RUNTIME))  # before anything is started, in each process of xdist
os.environ[statistics.FOLDER] = str(RUNTIME / "state")  # not what this user's own fills came to

REPOSITORY = Path(__file__).resolve().parent.parent
SUITES = ("INFILL_EVAL_SINGLE_LINE", "INFILL_EVAL_RANDOM_SPAN")


@pytest.fixture(scope="session", autouse=True)
def servers_of_this_run() -> Iterator[None]:
    """Fails the last test where a server of this run is left that should have ended."""
    with swept(RUNTIME):
        yield


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of the test's own, in whose servers nobody else has a part."""
    path = short_folder()
    for name, value in environment(path, exit_after=2).items():
        monkeypatch.setenv(name, value)
    with swept(path, 2):
        yield path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files go to whoever is free. Those that drive VS Code take a minute or two for a few
    tests each, so they begin first; then the files with the most tests."""
    sizes = Counter(item.path for item in items)

    def turn(item: pytest.Item) -> tuple[bool, int]:
        drives_vscode = "vscode" in item.path.name or item.path.name == "test_scenarios.py"
        return not drives_vscode, -sizes[item.path]

    items.sort(key=turn)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return  # someone runs a few tests by name
    for line in left_out():
        terminalreporter.write_line(f"left out: {line}")
    if vscode.CAPTURES.exists():
        terminalreporter.write_line(f"what the editors showed: {vscode.CAPTURES}")


def left_out() -> Iterator[str]:
    try:
        find_neovim(REPOSITORY)
    except LookupError as error:
        yield f"Neovim ({error})"
    try:
        find_helix(REPOSITORY)
    except LookupError as error:
        yield f"Helix ({error})"
    if vscode.MISSING:
        yield vscode.MISSING
    try:
        card_of("bundled")
    except ModelError as error:
        yield f"the bundled model ({error})"
    if not has_cuda():
        yield "GPU (no CUDA device)"
    for suite in SUITES:
        if suite not in os.environ:
            yield f"HumanEval-Infilling scoring ({suite} not set)"


def has_cuda() -> bool:
    if not find_spec("torch"):
        return False
    import torch  # only here, at the end: the tests themselves show that nothing else needs it

    return torch.cuda.is_available()
