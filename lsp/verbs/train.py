"""`infill-lsp corpus` and `infill-lsp train`, which read their own options once what they need is
there. Until then they have no more than a help.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lsp.verbs.ending import FAILED, complain, lacking
from lsp.verbs.options import Help, Verbs, described

CORPUS = Help(
    """\
Gathers the text that the bundled model is trained on into one file that can be carried: the
standard library, the project's installed dependencies, and pinned packages that pip downloads but
does not install. `infill-lsp corpus --help` shows its options once infill-lsp[train] is there.""",
    """\
  infill-lsp corpus --out corpus.jsonl.xz
  infill-lsp corpus --exclude SUITE.jsonl.gz   leave out what shares 13 words in a row with it""",
)

TRAIN = Help(
    """\
Trains the bundled model anew from Python source; a run that was stopped, in whatever way, goes on
from its last checkpoint. Needs torch and more: pip install 'infill-lsp[train]'. With that installed
`infill-lsp train --help` shows its options.""",
    """\
  infill-lsp train --minutes 60
  infill-lsp train --corpus corpus.jsonl.xz --size 20m --minutes 25 --slice 9
  infill-lsp train --finish 3          end a run that was cut short""",
)


def add(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("corpus", help="gather text to train on"), CORPUS)
    verb.set_defaults(verb=corpus_as_usual)
    verb = described(verbs.add_parser("train", help="train the bundled model anew"), TRAIN)
    verb.set_defaults(verb=train_as_usual)


def corpus_as_usual(options: argparse.Namespace) -> int:
    return corpus([])


def corpus(arguments: Sequence[str]) -> int:
    if lack := lacking(["packaging"], "gathering a corpus", "train"):
        return without("corpus", CORPUS, arguments, lack)
    from model.training.corpus import main

    return main(arguments)


def train_as_usual(options: argparse.Namespace) -> int:
    return train([])


def train(arguments: Sequence[str]) -> int:
    if lack := lacking(["torch", "tokenizers", "matplotlib"], "training", "train"):
        return without("train", TRAIN, arguments, lack)
    from model.training.command import main

    return main(arguments)


def without(verb: str, help: Help, arguments: Sequence[str], lack: str) -> int:
    """The verb's own help cannot be had without what it needs; ours can."""
    if {"-h", "--help"} & set(arguments):
        described(argparse.ArgumentParser(prog=f"infill-lsp {verb}"), help).parse_args(["--help"])
    return complain(lack, FAILED)
