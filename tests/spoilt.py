"""Published checkpoints with something amiss, one way each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.published import (
    KINDS,
    published_network,
    published_weights,
    write_checkpoint,
    write_weights,
)


def spoilt(tmp_path: Path, how: Callable[[Path], object], name: str = "dreamon") -> Path:
    kind = KINDS[name]
    folder = write_checkpoint(tmp_path / kind.id.rpartition("/")[2], kind, published_network(kind))
    how(folder)
    return folder


def truncated(folder: Path) -> None:
    path = folder / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def only_pickles(folder: Path) -> None:
    for path in folder.glob("model*"):
        path.unlink()
    (folder / "pytorch_model-00001-of-00001.bin").write_bytes(b"\x80\x04")


def without_a_tensor(folder: Path) -> None:
    kind, network = KINDS["dreamon"], published_network(KINDS["dreamon"])
    weights = published_weights(kind, network)
    del weights["model.layers.0.self_attn.q_proj.bias"]
    for path in folder.glob("model*"):
        path.unlink()
    write_weights(folder, weights, 2)


def with_a_tensor_more(folder: Path) -> None:
    kind, network = KINDS["dreamon"], published_network(KINDS["dreamon"])
    weights = published_weights(kind, network)
    weights["model.layers.0.self_attn.q_norm.weight"] = torch.ones(4)
    for path in folder.glob("model*"):
        path.unlink()
    write_weights(folder, weights, 1)


def with_config(**changes: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({k: v for k, v in config.items() if v != "gone"}))

    return change


def deleted(*names: str) -> Callable[[Path], object]:
    return lambda folder: [(folder / name).unlink() for name in names]


def written(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)
