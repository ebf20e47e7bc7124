"""Ghost text in a real Neovim, from the real server, set up as editors/README.md tells users to.

Most tests play a script in the model's place, so that what is shown is known to the letter.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import sysconfig
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model import ModelError
from model.load import card_of
from tests.nvim import Neovim, find_neovim

REPOSITORY = Path(__file__).resolve().parent.parent


def found() -> tuple[str, str]:
    """The program of Neovim, or why there is none."""
    try:
        return find_neovim(REPOSITORY), ""
    except LookupError as why:
        return "", f"Neovim {why}"


PROGRAM, MISSING = found()

pytestmark = [pytest.mark.editor, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


def readme_configuration() -> str:
    """The lines that editors/README.md tells users to put into their init.lua."""
    readme = (REPOSITORY / "editors/README.md").read_text(encoding="utf-8")
    found = re.search(r"```lua\n(.*?)```", readme, re.DOTALL)
    assert found, "editors/README.md shows no configuration for Neovim"
    return found[1]


def init_with(**options: object) -> str:
    """The users' configuration and these settings; notes what the server is asked and answers."""
    return f"""{readme_configuration()}
    Asked, Answered, Loaded = {{}}, {{}}, false
    vim.api.nvim_create_autocmd('LspProgress', {{
      pattern = 'end',
      callback = function() Loaded = true end,
    }})
    vim.lsp.config('infill', {{
      init_options = vim.json.decode({json.dumps(json.dumps(options))}),
      on_init = function(client)
        local request = client.rpc.request
        client.rpc.request = function(method, params, callback, ...)
          if method ~= 'textDocument/inlineCompletion' then
            return request(method, params, callback, ...)
          end
          local number = #Asked + 1
          Asked[number] = params.position.character
          return request(method, params, function(err, result)
            Answered[number] = err and 'error' or result and #result.items or 'null'
            callback(err, result)
          end, ...)
        end
      end,
    }})"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory in which the repository has been cloned where the README says."""
    (tmp_path / "infill-lsp").symlink_to(REPOSITORY)
    return tmp_path


def open_file(home: Path, file: Path | None, **options: object) -> Neovim:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    init = init_with(**options)
    return Neovim(PROGRAM, home, init=init, file=file, env={"PATH": path})


def script(text: str, **more: object) -> str:
    """The name of a model that always answers with this text."""
    return "scripted:" + json.dumps({"text": text, **more})


def check(home: Path, before: str, answer: str, *, typed: str = "") -> None:
    """With the cursor at ‸ and this answer, Tab gives exactly the answer at exactly that place.

    It is the file on disk that is compared, so line ends and all other text count, too.
    """
    file = home / "sample.py"
    file.write_bytes(before.replace("‸", "").encode())
    row, column = place_of("‸", before)
    with open_file(home, file, model=script(answer)) as neovim:
        neovim.wait_for_client("infill")
        neovim.insert_at(row, column)
        neovim.type_text(typed)
        ghost = neovim.wait_for_ghost(answer)
        assert (ghost.row, ghost.column) == (row, column + len(typed.encode()))
        neovim.accept()
        neovim.save()
    expected = before.replace("‸", typed + answer.replace("\n", line_end_of(before)))
    assert file.read_bytes().decode() == expected


def wait_for_answers(neovim: Neovim, number: int) -> list[str | int]:
    """Waits until so many requests have been answered; for each "null", or how many items."""
    answered = "return vim.tbl_count(Answered)"
    neovim.until(lambda: neovim.lua(answered) >= number, f"{number} requests are answered")
    return neovim.lua("return Answered")


def place_of(mark: str, text: str) -> tuple[int, int]:
    """Row and column of the mark, from 0, in bytes, as Neovim counts."""
    lines = text[: text.index(mark)].replace("\r\n", "\n").split("\n")
    return len(lines) - 1, len(lines[-1].encode())


def line_end_of(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


SEVERAL_LINES = "if a > b:\n        return a\n    return b"


@pytest.mark.parametrize(
    ("before", "answer"),
    [
        pytest.param("def add(a, b):\n    return ‸\n", "a + b", id="the rest of a line"),
        pytest.param("def add(a, b):\n    return (‸) % 7\n", "a + b", id="text behind"),
        pytest.param("def most(a, b):\n    ‸\n", SEVERAL_LINES, id="several lines"),
        pytest.param("face = '🙂🏽é' + str(‸)\n", "len(face)", id="emoji in front"),
        pytest.param("def add(a, b):\r\n    return ‸\r\n", "a + b", id="CRLF"),
        pytest.param("def most(a, b):\r\n    ‸\r\n", SEVERAL_LINES, id="CRLF, several lines"),
        pytest.param("import os\n\f\ndef f(a, b):\n    return ‸\n", "a + b", id="form feed above"),
        pytest.param(
            "x = '\u2028'\r\n\f\r\ndef f(a):  # 🙂\r\n    return '🙂', ‸\r\n", "a", id="all at once"
        ),
    ],
)
def test_accepted_ghost_text_stands_at_the_cursor_and_nothing_else_changes(
    home: Path, before: str, answer: str
) -> None:
    check(home, before, answer)


def test_ghost_text_follows_a_pause_in_typing(home: Path) -> None:
    check(home, "def add(a, b):\n    ‸\n", "turn a + b", typed="re")


def test_ghost_text_is_seen_on_the_screen_before_what_stands_behind(home: Path) -> None:
    file = home / "sample.py"
    file.write_text("total = '🙂', () * 2\n", encoding="utf-8")
    with open_file(home, file, model=script("1 + 1")) as neovim:
        neovim.wait_for_client("infill")
        neovim.insert_at(0, len("total = '🙂', (".encode()))
        neovim.wait_for_ghost("1 + 1")
        assert neovim.screen()[0] == "total = '🙂', (1 + 1) * 2"
        assert neovim.lines() == ["total = '🙂', () * 2"]


@pytest.fixture
def adding(home: Path) -> Iterator[Neovim]:
    """Neovim in insert mode behind `return `, with ghost text `alpha + beta`."""
    file = home / "sample.py"
    file.write_text("def add(alpha, beta):\n    return \n", encoding="utf-8")
    with open_file(home, file, model=script("alpha + beta")) as neovim:
        neovim.wait_for_client("infill")
        neovim.insert_at(1, len("    return "))
        neovim.wait_for_ghost("alpha + beta")
        yield neovim


def test_accepting_before_the_next_answer_keeps_what_was_typed_along(adding: Neovim) -> None:
    adding.type("alp<Tab>")
    adding.until(lambda: len(adding.lines()[1]) > len("    return alp"), "it is accepted")
    assert adding.lines()[1] == "    return alpha + beta"


def test_an_answer_to_other_text_than_was_typed_is_not_inserted(adding: Neovim) -> None:
    adding.type("x<Tab>")
    adding.until(lambda: adding.ghost() is None, "the ghost text has been taken away")
    assert adding.lines()[1] == "    return x"


def test_ghost_text_goes_when_the_server_has_nothing_for_the_new_place(adding: Neovim) -> None:
    adding.type_text("alpha  # al")
    wait_for_answers(adding, 2)
    adding.until(lambda: adding.ghost() is None, "the ghost text has been taken away")


@pytest.mark.parametrize("keys", ["x", "<CR>", "<Down>"], ids=["text", "a line end", "an arrow"])
def test_ghost_text_that_does_not_belong_goes_before_the_server_says_anything(
    adding: Neovim, keys: str
) -> None:
    adding.call("nvim_buf_set_lines", 0, -1, -1, True, ["", ""])
    adding.wait_for_ghost("alpha + beta")
    with stopped(adding.children()):
        adding.type(keys)
        adding.until(lambda: adding.ghost() is None, "the ghost text has been taken away")
        adding.type("y")  # which makes Neovim's client draw what it still has
        adding.until(lambda: any("y" in line for line in adding.lines()), "y is typed")
        assert adding.ghost() is None


def test_ghost_text_stays_while_it_is_typed_before_the_server_says_anything(
    adding: Neovim,
) -> None:
    with stopped(adding.children()):
        adding.type_text("alp")
        assert adding.wait_for_ghost("ha + beta").column == len("    return alp")


def test_ghost_text_is_grey_without_24_bit_colours_too_unless_the_user_says_otherwise(
    adding: Neovim,
) -> None:
    colour = "return vim.api.nvim_get_hl(0, { name = 'ComplHint', link = false }).ctermfg"
    assert adding.lua(colour) == 8
    adding.call("nvim_command", "colorscheme habamax")
    assert adding.lua(colour) not in (None, 8)  # its own
    adding.call("nvim_command", "colorscheme default")
    assert adding.lua(colour) == 8
    adding.call("nvim_command", "highlight ComplHint ctermfg=5 | doautocmd ColorScheme")
    assert adding.lua(colour) == 5


@contextmanager
def stopped(processes: list[int]) -> Generator[None]:
    """They do nothing meanwhile."""
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def test_infill_why_tells_why_there_is_no_ghost_text(adding: Neovim) -> None:
    adding.type_text("'al")
    wait_for_answers(adding, 2)
    adding.type("<Esc>:InfillWhy<CR>")
    adding.until(lambda: "inside a string" in adding.screen()[-1], "the reason is shown")


def test_checkhealth_finds_every_part_in_order(adding: Neovim) -> None:
    report = adding.checkhealth("infill")
    print(report)
    assert re.search(r"OK Neovim .*0\.\d+", report)
    assert "OK inline completion is enabled" in report
    assert re.search(r"OK infill-lsp .*infill-lsp`", report)
    assert "OK it runs for 1 buffer(s) and offers inline completion" in report
    assert "is loaded" in report
    assert re.search(r"OK a fill: .+", report)
    assert "ERROR" not in report
    assert "WARNING" not in report


def test_checkhealth_says_what_to_do_about_a_missing_program(home: Path) -> None:
    nowhere = "vim.lsp.config('infill', { cmd = { 'infill-lsp-that-is-not-there' } })"
    with Neovim(PROGRAM, home, init=readme_configuration() + nowhere) as neovim:
        report = neovim.checkhealth("infill")
    assert "ERROR `infill-lsp-that-is-not-there` is not on $PATH" in report
    assert "make demo" in report


def test_checkhealth_says_what_is_wrong_with_the_model(home: Path) -> None:
    with open_file(home, None, model=str(home / "no-weights")) as neovim:
        report = neovim.checkhealth("infill")
    assert re.search(r"ERROR model: .*no-weights", report)


def test_checkhealth_asks_for_the_model_with_the_keys_of_the_settings(home: Path) -> None:
    """Without keys an unknown id is refused before one looks whether it is on disk."""
    keys = {"mask": "<M>", "shift": True, "context": 512}
    with open_file(home, None, model="nobody/knows-it", model_keys=keys) as neovim:
        report = neovim.checkhealth("infill")
    assert re.search(r"ERROR model: nobody/knows-it is not on this disk", report)


def no_bundled_model() -> str:
    try:
        card_of("bundled")
    except ModelError as error:
        return f"there is no bundled model: {error}"
    return ""


needs_bundled = pytest.mark.skipif(bool(no_bundled_model()), reason=no_bundled_model())


@needs_bundled
@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param("auto", r"^- auto chose .+: .+", id="what auto chose, and why"),
        pytest.param(
            "no/such", r"WARNING .*no/such.*Until then the bundled", id="what fills instead"
        ),
    ],
)
def test_checkhealth_says_what_the_running_server_fills_with(
    home: Path, model: str, said: str
) -> None:
    file = home / "sample.py"
    file.write_text("x = \n", encoding="utf-8")
    with open_file(home, file, model=model) as neovim:
        neovim.wait_for_client("infill")
        neovim.until(lambda: neovim.lua("return Loaded"), "a model is loaded")
        report = neovim.checkhealth("infill")
    print(report)
    assert re.search(said, report, re.MULTILINE)
    assert "Failed to run" not in report


def test_the_newest_request_wins_and_no_request_stays_unanswered(home: Path) -> None:
    file = home / "sample.py"
    file.write_text("def add(a, b):\n    \n", encoding="utf-8")
    slow = script("b", seconds_a_step=0.3, steps_a_fill=4)
    with open_file(home, file, model=slow, deadline_ms=20_000) as neovim:
        neovim.wait_for_client("infill")
        neovim.insert_at(1, 4)
        for number, typed in enumerate(["return", " ", "a +", " "], 1):
            neovim.type_text(typed)
            neovim.until(lambda n=number: neovim.lua("return #Asked") >= n, f"request {number}")
        ghost = neovim.wait_for_ghost("b")
        assert (ghost.row, ghost.column) == (1, len("    return a + "))
        asked = neovim.lua("return Asked")
        answered = wait_for_answers(neovim, len(asked))
        assert answered == ["null"] * (len(asked) - 1) + [1]
        neovim.accept()
        assert neovim.lines() == ["def add(a, b):", "    return a + b"]


def test_neovim_outlives_a_server_that_was_killed(adding: Neovim) -> None:
    for server in adding.children():
        os.kill(server, signal.SIGKILL)
    adding.until(lambda: not adding.lua("return #vim.lsp.get_clients()"), "the client is gone")
    adding.type_text("alpha")
    assert adding.lines()[1] == "    return alpha"
    adding.type("<Esc>")
    adding.call("nvim_command", "silent edit!")  # what a person does to start it again
    adding.wait_for_client("infill")
    adding.insert_at(1, len("    return "))
    adding.wait_for_ghost("alpha + beta")


def test_a_cursor_that_waited_for_the_model_is_served(adding: Neovim) -> None:
    """Loading ends with a progress report; here one is made up, as a script loads at once."""
    asked = adding.lua("return #Asked")
    loaded = "{ client_id = vim.lsp.get_clients()[1].id, params = { value = { kind = 'end' } } }"
    adding.lua(f"vim.api.nvim_exec_autocmds('LspProgress', {{ pattern = 'end', data = {loaded} }})")
    wait_for_answers(adding, asked + 1)


def test_the_server_ends_with_neovim(adding: Neovim) -> None:
    servers = adding.children()
    assert servers
    adding.close()
    for server in servers:
        wait_until_ended(server)


def wait_until_ended(process: int) -> None:
    """A process that nobody has waited for yet counts as ended."""
    status, end = Path(f"/proc/{process}/status"), time.monotonic() + 30
    while status.exists() and "\nState:\tZ" not in status.read_text():
        assert time.monotonic() < end, f"process {process} still runs"
        time.sleep(0.05)


# What is deleted from the standard library's textwrap.py: from ‸ to the end of the line.
PLACES = [
    "    return w.‸wrap(text)",
    "        self.width = ‸width",
    "        chunks = self.‸_split_chunks(text)",
    "        chunks = [c for c in ‸chunks if c]",
    "        chunks.‸reverse()",
    "        self.break_long_words = ‸break_long_words",
]
VARIANTS = ["as it is", "emoji in front", "CRLF", "form feed above"]


def varied(line: str, variant: str) -> str:
    """The line, or something of the same meaning that is harder to get right."""
    indent = line[: len(line) - len(line.lstrip())]
    match variant:
        case "emoji in front":
            return f"{indent}'🙂'; {line.lstrip()}"
        case "form feed above":
            return f"\f\n{line}"
        case _:
            return line


def opened_at(place: str, variant: str) -> str:
    """textwrap.py with ‸ where the rest of a line is missing."""
    source = Path(sysconfig.get_path("stdlib"), "textwrap.py").read_text(encoding="utf-8")
    line = place.replace("‸", "")
    assert f"\n{line}\n" in source, f"textwrap.py of this Python has no line {line!r}"
    text = source.replace(line, varied(place[: place.index("‸") + 1], variant), 1)
    return text.replace("\n", "\r\n") if variant == "CRLF" else text


@needs_bundled
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_bundled_model_fills_a_line_of_the_standard_library(home: Path, variant: str) -> None:
    """At the first of the places where it has something to say; nothing else may change."""
    assert any(bundled_model_fills(home, opened_at(place, variant)) for place in PLACES)


def bundled_model_fills(home: Path, before: str) -> bool:
    """False when no ghost text was shown; what was shown has been accepted and is right."""
    file = home / "textwrap.py"
    file.write_bytes(before.replace("‸", "").encode())
    row, column = place_of("‸", before)
    # However unsure it is: what is tested is where the text goes.
    with open_file(home, file, min_confidence=0.0) as neovim:
        neovim.wait_for_client("infill")
        neovim.until(lambda: neovim.lua("return Loaded"), "the bundled model is loaded")
        neovim.insert_at(row, column)
        if wait_for_answers(neovim, 1)[-1] != 1:
            return False
        ghost = neovim.wait_for_ghost()
        assert (ghost.row, ghost.column) == (row, column)
        neovim.accept()
        neovim.save()
    text = ghost.text.replace("\n", line_end_of(before))
    assert file.read_bytes().decode() == before.replace("‸", text)
    print(before.split("\n")[row].replace("‸", f"‸{ghost.text}"))
    return True
