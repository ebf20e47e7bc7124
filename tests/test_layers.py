"""The architecture as imports tell it: lsp → infill → model, and who may know which library."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest

from infill.code.languages import LANGUAGES

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("lsp", "infill", "model")  # each may import those to its right
FILES = [
    path.relative_to(ROOT) for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))
]

# Who alone may import what: a folder or a file.
ONLY = {
    "pygls": "lsp",
    "lsprotocol": "lsp",
    "tree_sitter": "infill/code/syntax.py",
    "xxhash": "infill/memory.py",
    "torch": "model",
    "transformers": "model",
    "tokenizers": "model",
    "safetensors": "model",
    "huggingface_hub": "model",
    "numpy": "model",
}
HEAVY = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "matplotlib",
         "huggingface_hub")  # fmt: skip


def imports_of(file: Path) -> Iterator[str]:
    """The top-level names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case _:
                pass


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_run_one_way(file: Path) -> None:
    allowed = LAYERS[LAYERS.index(file.parts[0]) :]
    assert [name for name in imports_of(file) if name in LAYERS and name not in allowed] == []


@pytest.mark.parametrize("file", FILES, ids=str)
def test_each_library_is_known_where_it_belongs_and_nowhere_else(file: Path) -> None:
    strangers = [
        name
        for name in imports_of(file)
        for library, owner in ONLY.items()
        if (name == library or name.startswith(f"{library}_")) and not file.is_relative_to(owner)
    ]
    assert strangers == []


def test_what_is_imported_is_asked_for_by_name() -> None:
    """What only comes along with another package may stay away with its next version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    declared = {normal(re.split(r"[<>=\[;]", each)[0]) for each in wanted}
    ours = {*LAYERS, "infill_lsp", *sys.stdlib_module_names}
    from_others = {name for file in FILES for name in imports_of(file)} - ours
    brought = metadata.packages_distributions()
    undeclared = [
        name for name in sorted(from_others)
        if not declared.intersection(map(normal, brought.get(name, [name])))
    ]  # fmt: skip
    assert undeclared == []


def test_what_is_asked_for_is_imported() -> None:
    """A dependency that nothing imports is one more package to fetch, to audit and to break."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    declared = {normal(re.split(r"[<>=\[;]", each)[0]) for each in wanted} - {"infill-lsp"}
    imported = {name for file in FILES for name in imports_of(file)}
    # Grammars are imported by their names, once a file of the language is opened.
    grammars = {normal(language.grammar) for language in LANGUAGES.values()}
    idle = declared - {normal(name) for name in imported} - grammars
    assert idle == set()


def normal(name: str) -> str:
    return name.strip().casefold().replace("_", "-")


def test_nobody_imports_relatively() -> None:
    """Relative imports would slip past the tests above."""
    relative = [
        file
        for file in FILES
        for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


@pytest.mark.parametrize(
    "start",
    ["model", "model.load", "infill", "infill.fill", "lsp.handlers", "lsp.command", "lsp.models"],
)
def test_what_an_editor_starts_loads_no_torch(start: str) -> None:
    program = f"import sys, {start}; print(*(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize("library", ["rich", "pygls", "tree_sitter"])
def test_the_version_is_told_without_loading_much(library: str) -> None:
    program = (
        f"import sys, infill_lsp; infill_lsp.main(['--version']); print({library!r} in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("infill-lsp ")
    assert done.stdout.split()[-1] == "False", done.stderr


def test_all_three_are_regular_packages() -> None:
    """A namespace package loses to any folder of its name on the path."""
    assert all((ROOT / layer / "__init__.py").is_file() for layer in LAYERS)
