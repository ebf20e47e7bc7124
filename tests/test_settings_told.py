"""Wherever settings are told to users, all of them are, with the defaults that hold."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from infill.settings import Settings

ROOT = Path(__file__).resolve().parent.parent


def in_readme() -> dict[str, Any]:
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    return {name: json.loads(default) for name, default in rows}


def in_neovim() -> dict[str, Any]:
    text = (ROOT / "editors" / "nvim" / "doc" / "infill.txt").read_text()
    rows = re.findall(r"^    (\w+)  +((?:.+\n)(?: {20}.+\n)*)", text, re.MULTILINE)
    told = {name: said.strip().rpartition("(")[2].removesuffix(")") for name, said in rows}
    return {name: json.loads(default) for name, default in told.items()}


def in_vscode() -> dict[str, Any]:
    package = json.loads((ROOT / "editors" / "vscode" / "package.json").read_text())
    properties = package["contributes"]["configuration"]["properties"]
    names = (ROOT / "editors" / "vscode" / "src" / "options.ts").read_text()
    renamed = dict(re.findall(r"^  (\w+): '(\w+)',$", names, re.MULTILINE))
    return {option: properties[f"infill.{name}"]["default"] for name, option in renamed.items()}


@pytest.mark.parametrize("told", [in_readme, in_neovim, in_vscode])
def test_every_setting_is_told_with_its_default(told: Callable[[], dict[str, Any]]) -> None:
    assert told() == asdict(Settings())
