"""Two real Neovims and one bare client on one machine: one model in memory, and at the end none."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from tests.nvim import Neovim
from tests.raw_client import RawClient, server_command
from tests.servers import servers, until
from tests.test_nvim import MISSING, REPOSITORY, open_file
from tests.test_shared import MOST_MB, PATIENT, TEXT, URI, WHERE, begin, fill_in, status_of

pytestmark = [
    pytest.mark.editor,
    pytest.mark.skipif(bool(MISSING), reason=MISSING),
    pytest.mark.skipif(not find_spec("torch"), reason="torch is not installed"),
]


def opened(home: Path) -> Neovim:
    home.mkdir()
    (home / "infill-lsp").symlink_to(REPOSITORY)
    file = home / "area.py"
    file.write_text(TEXT)
    return open_file(home, file, **PATIENT)


def window_of(neovim: Neovim) -> psutil.Process:
    """The language server that this Neovim has started."""
    (pid,) = neovim.children()
    return psutil.Process(pid)


def test_two_neovims_and_a_bare_client_have_one_model_and_it_goes_with_the_last(
    folder: Path, tmp_path: Path
) -> None:
    with (
        opened(tmp_path / "one") as one,
        opened(tmp_path / "two") as two,
        RawClient(server_command()) as bare,
    ):
        begin(bare).when_ready()
        for neovim in (one, two):
            neovim.wait_for_client("infill")
            neovim.until(lambda: neovim.lua("return Loaded"), "the model is loaded")  # noqa: B023
            neovim.insert_at(*WHERE)
            neovim.wait_for_ghost()
        assert fill_in(bare, URI)
        (server,) = servers(folder)
        assert status_of(bare)["server"]["pid"] == server.pid
        windows = [window_of(one), window_of(two), psutil.Process(bare.process.pid)]
        sizes = [window.memory_info().rss / 1e6 for window in windows]
        print("a window's memory in MB:", *(f"{size:.1f}" for size in sizes))
        print(f"the server's: {server.memory_info().rss / 1e6:.1f}")
        assert max(sizes) < MOST_MB
        mapped = [entry.path for window in windows for entry in window.memory_maps()]
        assert not [path for path in mapped if "torch" in path]
        assert bare.leave() == 0
        one.close()
        assert server.is_running()
    until(lambda: not server.is_running(), "the server has ended by itself")
    assert not list(folder.glob("*.sock"))
    assert not [window for window in windows if window.is_running()]
