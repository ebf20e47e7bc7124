"""What each part of the bundled model's evidence is worth: the same suite with one part less.

    python bench/ablation.py SUITE.jsonl[.gz] [--model FOLDER] [--limit N] [--only NAME ...]

Every variant is a copy of the model's folder with one thing changed, asked as `infill-lsp eval`
asks. Adds a table to bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from record import append
from rich.console import Console

from infill.code.definition import Standing
from infill.code.scope import Sense
from infill.judge import choose
from infill.judge.likeness import Likeness
from infill.measure.evaluate import pipeline, run
from infill.measure.figures import report_of
from infill.measure.suite import tasks_in
from infill.settings import Settings
from model.evidence.counts import arrays_from
from model.evidence.lexicon import FAMILIES, PLAIN
from model.evidence.mixture import EXPERTS, IN_PROJECT, TABLES
from model.load import BUNDLED, load

Change = Callable[[Path, dict[str, Any]], None]  # of a folder and its config
OF_PROJECT = TABLES - len(IN_PROJECT)
SILENT = -1e9  # a gate's bias that no input outweighs


def nothing(folder: Path, config: dict[str, Any]) -> None:
    del folder, config


def without_counts(folder: Path, config: dict[str, Any]) -> None:
    del folder, config["counts"], config["blend"]
    config["policy"]["threshold"] = 0.9


def without_network(folder: Path, config: dict[str, Any]) -> None:
    del folder
    config["blend"] |= {"network": 0.0, "share": 1.0}


def silenced(*experts: int) -> Change:
    """Without what some experts say; those that are left share their weight."""

    def change(folder: Path, config: dict[str, Any]) -> None:
        for name in config["counts"]:
            arrays = arrays_from((folder / name).read_bytes())
            if "gate_direct_bias" in arrays:
                arrays["gate_direct_bias"][list(experts)] = SILENT
                np.savez_compressed(folder / name, **arrays)
                config["counts"][name] = digest_of(folder / name)

    return change


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


CONTEXTS = range(len(PLAIN), FAMILIES)  # all that see more than the tokens before
VARIANTS: dict[str, Change] = {
    "all": nothing,
    "network alone, no counts": without_counts,
    "counts alone, no word of the network": without_network,
    "no shipped table": silenced(*range(FAMILIES), TABLES, TABLES + 1),
    "no counts of the file": silenced(
        *range(FAMILIES, OF_PROJECT), TABLES, *range(TABLES + 2, EXPERTS)
    ),
    "no contexts of words and lines": silenced(*CONTEXTS, TABLES),
}
# What is known of a text, and no weight on it; the other weights as they were fitted with it.
UNHEARD: dict[str, tuple[type, ...]] = {
    "no judgement of texts": (Sense, Standing, Likeness),
    "no judgement by names": (Sense,),
    "no judgement by the definition": (Standing,),
    "no judgement by the lines near": (Likeness,),
}
NOT_RETOLD = "no text told again"
NAMES = [*VARIANTS, *UNHEARD, NOT_RETOLD]


def unheard(*kinds: type) -> choose.Weights:
    names = [field.name for kind in kinds for field in fields(kind)]
    return replace(choose.Weights(), **dict.fromkeys(names, 0.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--model", type=Path, default=BUNDLED)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES)
    options = parser.parse_args()
    tasks = tasks_in(options.suite, options.limit)
    settings = replace(Settings(), deadline_ms=5000, min_confidence=0.0)
    lines = [
        f"{len(tasks)} tasks, gate open in the first three columns",
        "",
        "| | pass@1 | exact | parses | pass at the gate | precision there | ms p50 |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    most = choose.MOST_RETOLD
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "model"
            shutil.copytree(options.model, copy)
            config = json.loads((copy / "config.json").read_text())
            VARIANTS.get(name, nothing)(copy, config)
            (copy / "config.json").write_text(json.dumps(config))
            choose.FITTED = unheard(*UNHEARD.get(name, ()))
            choose.MOST_RETOLD = 0 if name == NOT_RETOLD else most
            denoiser = load(str(copy))
            rows = run(tasks, pipeline(denoiser, settings), Console(stderr=True))
            denoiser.close()
        report = report_of(rows, Settings().gate)
        opened = report["open"]
        cells = [opened["pass@1"], opened["exact"], opened["parses"], report["pass@1"],
                 report["precision"], opened["ms_p50"]]  # fmt: skip
        lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
        print(lines[-1], flush=True)
    append("ablation", f"python bench/ablation.py {options.suite.name}", lines)


if __name__ == "__main__":
    main()
