"""The command line: whose turn it is by the first word, and with which status that ends.

Without a verb the program is a language server, so everything else is imported only when asked for:
a file of `lsp/verbs/` knows what its verb takes, and imports what does the work once it is called.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from infill.source import InputError
from lsp.verbs import bench, doctor, editor, evaluate, fill, models, serve, top, train
from lsp.verbs.ending import FAILED, INTERRUPTED, MISUSED, complain
from model import ModelError


def run(arguments: Sequence[str]) -> int:
    """Does what the arguments say and returns the exit status. Ends by `SystemExit` where argparse
    does: after `--help`, and on arguments that cannot be understood."""
    try:
        match arguments[:1]:  # these two read their own options
            case ["train"]:
                return train.train(arguments[1:])
            case ["corpus"]:
                return train.corpus(arguments[1:])
            case _:
                pass
        options = parser().parse_args(arguments)
        verb: Callable[[argparse.Namespace], int] = options.verb
        return verb(options)
    except InputError as error:
        return complain(str(error), MISUSED)
    except ModelError as error:
        return complain(str(error), FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output, `head` for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def parser() -> argparse.ArgumentParser:
    made = editor.parser()
    verbs = made.add_subparsers(title="verbs", metavar="VERB")
    for verb in (fill, serve, top, doctor, models, evaluate, bench, train):
        verb.add(verbs)
    return made
