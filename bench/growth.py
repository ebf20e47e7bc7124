"""How quality grows with training: the same suites asked of several models, and a plot.

    python bench/growth.py --models FOLDER... --suites SUITE... [--limit N] [--out FOLDER]

How many tokens a model was trained on is read from its config.json; for one that does not say it,
write FOLDER=TOKENS. Writes the rows of each model, growth.json and tokens.png. A model that has
been asked there before is not asked again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from plots import OUT, growth_figure, save
from record import ROOT, output_of

from infill.measure.figures import report_of, rows_in


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", required=True, metavar="FOLDER[=TOKENS]")
    parser.add_argument("--suites", nargs="+", required=True, metavar="SUITE")
    parser.add_argument("--limit", metavar="N")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    folders = dict(folder_and_tokens(it) for it in options.models)
    limit = ["--limit", options.limit] if options.limit else []
    tokens = {name_of(folder): count for folder, count in folders.items()}
    for folder in folders:
        rows = options.out / f"{name_of(folder)}.jsonl"
        if not rows.exists() or not rows.stat().st_size:
            suites = [*options.suites, *limit, "--samples", str(rows), "--model", str(folder)]
            output_of([sys.executable, "-I", str(ROOT / "infill_lsp.py"), "eval", *suites])
    reports = {name: report_of(rows_in(options.out / f"{name}.jsonl")) for name in tokens}
    facts = {name: {"tokens": tokens[name], **reports[name]["open"]} for name in tokens}
    (options.out / "growth.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(save(growth_figure(tokens, reports), options.out / "tokens.png"))
    return 0


def name_of(folder: Path) -> str:
    return folder.resolve().name


def folder_and_tokens(argument: str) -> tuple[Path, float]:
    name, told, tokens = argument.partition("=")
    folder = Path(name)
    if told:
        return folder, float(tokens)
    config = json.loads((folder / "config.json").read_text())
    try:
        return folder, float(config["training"]["state"]["tokens"])
    except KeyError as error:
        sys.exit(
            f"{folder}/config.json does not say how many tokens it was trained on (no {error}): "
            f"write {folder}=TOKENS"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
