"""`infill-lsp eval`: how good fills are; with `--cut`, suites to measure that on."""

from __future__ import annotations

import argparse
from pathlib import Path

from infill.settings import Settings
from infill.source import InputError
from lsp.verbs.ending import FAILED, complain, lacking
from lsp.verbs.options import Help, Verbs, at_least_one, described, settings_of, with_model

HELP = Help(
    """\
Measures how good fills are, on suites in the format of HumanEval-Infilling: one JSON object a line
with task_id, prompt, suffix, canonical_solution, test and entry_point. Suites that --cut makes have
no tests, and say of each task its kind, its package, and where several holes are.

Each task goes the way of an editor's request: the document is prompt + suffix, the cursor stands
between them, on a line of its own where the suite took out whole lines. Where several lines are
missing the hole is said to be of several lines, which a cursor cannot say unless it stands behind a
header; several holes of a file are filled jointly. The result is run with the task's test in a
process of its own, with limits on time and memory, in an empty folder. That is a guard against
accidents, not against malice: run suites and models that you trust.

  pass@1         the tests run clean, and something was filled
  exact          the fill is the missing text, spaces at both ends apart
  right          pass@1 where there is a test, exact where there is none
  precision      right among those shown
  similarity     1 where the fill is the missing text, 0 where nothing was filled
  parses         prompt + fill + suffix is valid Python, all tasks
  shown parses   the same among fills shown in files that parsed before; should be 100 %

Everything is asked for once with min_confidence at 0. From the confidence of each fill follows what
the editor shows at its own min_confidence (the gate), and at any other. --samples keeps a row for
each hole, from which bench/plots.py draws.

--renamed gives every name that a task's code defines another one, in the test too: a model that
knows code rather than these very files does about as well.

--cut makes suites out of the files of a corpus (`infill-lsp corpus`) that no model is trained on:
dev-KIND.jsonl.gz to choose settings by and test-KIND.jsonl.gz to report, of other packages, with a
renamed copy of each. The kinds are
  line, margin   a line of a function, the cursor behind the indentation or at the margin
  rest           from a token to the line's end
  expression     an expression within a line
  word           from the middle of a name to its end
  block          two to five lines, whole statements
  several        two to four holes on lines near each other""",
    """\
  infill-lsp eval HumanEval-SingleLineInfilling.jsonl.gz --limit 50
  infill-lsp eval suite.jsonl --json --samples rows.jsonl >report.json
  infill-lsp eval suite.jsonl --gold           do the suite's own solutions pass?
  infill-lsp eval --cut corpus.jsonl.xz --out suites
  infill-lsp eval suites/test-*.jsonl.gz       all kinds in one report""",
)


def add(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("eval", help="measure how good fills are"), HELP)
    verb.add_argument(
        "suites", type=Path, nargs="*", metavar="SUITE", help="a .jsonl or .jsonl.gz file"
    )
    verb.add_argument(
        "--limit", type=at_least_one, metavar="N", help="only the first N tasks of each suite"
    )
    verb.add_argument(
        "--gold", action="store_true", help="score the suite's own solutions: checks the scorer"
    )
    verb.add_argument(
        "--renamed", action="store_true", help="give the names that a task defines other ones"
    )
    verb.add_argument("--samples", type=Path, metavar="FILE", help="write a row for each task")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.add_argument(
        "--deadline-ms", type=at_least_one, metavar="MS", default=Settings().deadline_ms,
        help="time for a fill (default: %(default)s, as in the editor)",
    )  # fmt: skip
    verb.add_argument(
        "--cut", type=Path, metavar="CORPUS",
        help="measure nothing, cut suites out of a corpus's held-out files",
    )  # fmt: skip
    verb.add_argument("--out", type=Path, metavar="FOLDER", help="where --cut writes them")
    verb.add_argument(
        "--each", type=at_least_one, metavar="N", default=400,
        help="at most so many tasks of a kind are cut (default: %(default)s)",
    )  # fmt: skip
    with_model(verb)
    verb.set_defaults(verb=evaluate)


def evaluate(options: argparse.Namespace) -> int:
    if options.cut:
        return cut_suites(options)
    if not options.suites:
        raise InputError(
            "eval needs a suite to measure on, or --cut CORPUS --out FOLDER to make some"
        )
    from infill.measure.evaluate import evaluate_suites

    return evaluate_suites(
        options.suites, settings_of(options), limit=options.limit, gold=options.gold,
        renamed=options.renamed, samples=options.samples, as_json=options.json,
        deadline_ms=options.deadline_ms,
    )  # fmt: skip


def cut_suites(options: argparse.Namespace) -> int:
    if options.suites or not options.out:
        raise InputError("eval --cut CORPUS needs --out FOLDER, and no suite")
    if lack := lacking(["packaging"], "reading a corpus", "train"):
        return complain(lack, FAILED)
    from infill.measure.cut import cut

    for path, count in cut(options.cut, options.out, each=options.each):
        print(f"{path}: {count} tasks", flush=True)
    return 0
