"""`make demo`: the shipped example by the shipped model."""

from __future__ import annotations

from pathlib import Path

from lsp.command import run

EXAMPLE = Path(__file__).parent.parent / "examples" / "words.py"
FILLS = ("path", "word", "word", "if", "1", "main()")


def test_the_example_is_filled_as_a_programmer_would(tmp_path: Path) -> None:
    path = tmp_path / EXAMPLE.name
    source = EXAMPLE.read_text()
    path.write_text(source)
    assert run(["fill", str(path), "--write"]) == 0
    for fill in FILLS:
        source = source.replace("__HOLE__", fill, 1)
    assert path.read_text() == source
