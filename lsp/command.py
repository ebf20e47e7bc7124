"""The command line: what each verb takes, and whom it calls. No verb's work is done here.

Without a verb the program is a language server, so everything else is imported only when asked for.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from infill.settings import Settings
from infill.source import InputError
from lsp.helps import (
    BENCH,
    CORPUS,
    DOCTOR,
    EVAL,
    FILL,
    MODELS,
    MODELS_INFO,
    MODELS_LIST,
    MODELS_PULL,
    MODELS_RM,
    SERVE,
    SERVER,
    TOP,
    TRAIN,
    Help,
)
from model import ModelError
from model.published.keys import with_keys

FAILED = 1  # the work was done, and what came of it is not what was wanted
MISUSED = 2  # what argparse ends with, too: nothing was done, since what was asked made no sense
INTERRUPTED = 130  # what a shell expects after ctrl-c


def run(arguments: Sequence[str]) -> int:
    """Does what the arguments say and returns the exit status. Ends by `SystemExit` where argparse
    does: after `--help`, and on arguments that cannot be understood."""
    try:
        match arguments[:1]:  # these two read their own options
            case ["train"]:
                return train(arguments[1:])
            case ["corpus"]:
                return corpus(arguments[1:])
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
    top = described(argparse.ArgumentParser(prog="infill-lsp"), SERVER)
    top.add_argument("--version", action="store_true", help="print the version and end")
    with_model(top, Settings().model, Settings().model_keys, Settings().seed)
    top.add_argument("--log-file", type=Path, metavar="FILE", help="append the log to FILE")
    top.add_argument(
        "--log-level", default="warning", choices=("debug", "info", "warning", "error"),
        help="how much is logged; never the code that is edited (default: warning)",
    )  # fmt: skip
    # Clients in the manner of VS Code add these two; stdio is what we speak anyway.
    top.add_argument("--stdio", action="store_true", help=argparse.SUPPRESS)
    top.add_argument("--clientProcessId", help=argparse.SUPPRESS)
    top.set_defaults(verb=no_verb)
    verbs = top.add_subparsers(title="verbs", metavar="VERB")
    for add in (
        add_fill, add_serve, add_top, add_doctor, add_models, add_eval, add_bench, add_corpus,
        add_train,
    ):  # fmt: skip
        add(verbs)
    return top


class Verbs(Protocol):
    """What `add_subparsers` returns; argparse has no public name for it."""

    def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser: ...


def add_fill(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("fill", help="fill the holes of a file"), FILL)
    verb.add_argument("place", metavar="FILE[:LINE:COL]", help="the file, or a place in it")
    verb.add_argument("--write", action="store_true", help="change the file")
    verb.add_argument("--watch", action="store_true", help="show the canvas resolving step by step")
    verb.add_argument("--json", action="store_true", help="print one JSON object and no diff")
    with_model(verb)
    verb.set_defaults(verb=fill)


def add_serve(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("serve", help="keep a model for many windows"), SERVE)
    place = verb.add_mutually_exclusive_group()
    place.add_argument("--socket", type=Path, metavar="PATH", help="listen on this Unix socket")
    place.add_argument(
        "--listen",
        type=host_and_port,
        metavar="HOST:PORT",
        help="listen on TCP (port 0: any)",
    )
    verb.add_argument("--tls-cert", type=Path, metavar="FILE", help="its certificate, in PEM")
    verb.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key, in PEM")
    verb.add_argument(
        "--token-env",
        metavar="NAME",
        help="the variable that holds the token to ask for",
    )
    verb.add_argument(
        "--unload-after", type=at_least_zero, metavar="S", default=600.0,
        help="without a fill for so long, weights are given back (default: %(default)g, 0: never)",
    )  # fmt: skip
    verb.add_argument(
        "--exit-after", type=at_least_zero, metavar="S",
        help="without a client for so long, it ends (default: 60 on a socket, 0: never, on TCP)",
    )  # fmt: skip
    verb.add_argument(
        "--memory", type=at_least_zero, metavar="GB", default=0.0,
        help="a ceiling of memory; what goes beyond is refused (default: none)",
    )  # fmt: skip
    verb.add_argument(
        "--queue", type=at_least_one, metavar="N", default=64,
        help="so many fills at once, in work or waiting (default: %(default)s)",
    )  # fmt: skip
    verb.add_argument("--ray", action="store_true", help="serve with replicas, by Ray Serve")
    verb.add_argument(
        "--replicas", type=least_and_most, metavar="N[-M]",
        help="with --ray: so many, or as many as the queue asks for (default: one for each GPU)",
    )  # fmt: skip
    with_model(verb)
    verb.set_defaults(verb=serve_model)


def add_top(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("top", help="see what the servers are doing"), TOP)
    verb.add_argument(
        "--server", metavar="ADDRESS",
        help="unix:PATH or https://HOST:PORT (default: all of yours on this machine)",
    )  # fmt: skip
    verb.add_argument(
        "--days", type=at_least_one, metavar="N", help="what became of fills, day by day, too"
    )
    verb.add_argument("--once", action="store_true", help="show it once and end")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(verb=top)


def add_doctor(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("doctor", help="say what works and what does not"), DOCTOR)
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    with_model(verb)
    verb.set_defaults(verb=doctor)


def add_models(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("models", help="list, fetch and remove networks"), MODELS)
    inner = verb.add_subparsers(title="verbs", metavar="VERB", required=True)
    one = described(inner.add_parser("list", help="what there is, and what fits here"), MODELS_LIST)
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one.set_defaults(verb=models_list)
    one = described(inner.add_parser("info", help="all that is known of one"), MODELS_INFO)
    one.add_argument("id", metavar="ID", help='owner/name; the name is enough; or "bundled"')
    one.add_argument("--json", action="store_true", help="print one JSON object")
    with_keys(one, argparse.SUPPRESS)
    one.set_defaults(verb=models_info)
    one = described(inner.add_parser("pull", help="fetch its weights"), MODELS_PULL)
    one.add_argument("id", metavar="ID", help="owner/name; the name is enough for a known one")
    one.set_defaults(verb=models_pull)
    one = described(inner.add_parser("rm", help="remove its weights"), MODELS_RM)
    one.add_argument("id", metavar="ID", help="owner/name; the name is enough for a known one")
    one.add_argument("--yes", action="store_true", help="do not ask")
    one.set_defaults(verb=models_rm)


def add_eval(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("eval", help="measure how good fills are"), EVAL)
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


def add_bench(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("bench", help="measure how fast fills are"), BENCH)
    verb.add_argument(
        "--fills", type=at_least_one, metavar="N", default=40, help="so many (default: %(default)s)"
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    with_model(verb)
    verb.set_defaults(verb=bench)


def add_corpus(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("corpus", help="gather text to train on"), CORPUS)
    verb.set_defaults(verb=corpus_as_usual)


def add_train(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("train", help="train the bundled model anew"), TRAIN)
    verb.set_defaults(verb=train_as_usual)


def with_model(
    to: argparse.ArgumentParser,
    model: str = argparse.SUPPRESS,
    keys: object = argparse.SUPPRESS,
    seed: object = argparse.SUPPRESS,
) -> None:
    """The verbs' own have no default, or it would overrule `infill-lsp --model NAME fill FILE`."""
    to.add_argument(
        "--model",
        default=model,
        metavar="NAME",
        help='"bundled" (default), "auto", a folder of weights, or an id of `models list`',
    )
    with_keys(to, keys)
    to.add_argument(
        "--seed", type=int, default=seed, metavar="N", help="same seed, same fills (default: 0)"
    )


def no_verb(options: argparse.Namespace) -> int:
    if options.version:
        print("infill-lsp", version())
        return 0
    return serve(options)


def serve(options: argparse.Namespace) -> int:
    if sys.stdin.isatty():
        print(
            "infill-lsp: waiting for an editor on standard input (ctrl-c ends it); "
            "`infill-lsp --help` shows what else there is",
            file=sys.stderr,
        )
    if options.log_file:
        check_appendable(options.log_file)
    from lsp.server import serve_stdio

    return serve_stdio(settings(options), log_file=options.log_file, log_level=options.log_level)


def serve_model(options: argparse.Namespace) -> int:
    extra = "ray" if options.ray else "local"
    wanted = ("starlette", "uvicorn", "prometheus_client", *(["ray"] if options.ray else []))
    missing = [name for name in wanted if not importable(name)]
    if missing:
        return complain(
            f"serving needs {', '.join(missing)}, which is not installed: "
            f"pip install 'infill-lsp[{extra}]'",
            FAILED,
        )
    if bool(options.tls_cert) < bool(options.tls_key):
        raise InputError("--tls-key needs --tls-cert")
    if options.replicas and not options.ray:
        raise InputError("--replicas needs --ray")
    if options.log_file:
        check_appendable(options.log_file)
    from model.serving.run import Limits, Serving, Tls, serve

    serving = Serving(
        options.model, options.model_keys, options.seed,
        socket=options.socket, listen=options.listen,
        tls=Tls(options.tls_cert, options.tls_key) if options.tls_cert else None,
        token_env=options.token_env,
        unload_after=options.unload_after, exit_after=options.exit_after,
        limits=Limits(queue=options.queue, memory=round(options.memory * 1e9) or None),
        log_file=options.log_file, log_level=options.log_level,
    )  # fmt: skip
    if not options.ray:
        from infill.between import chosen_between

        return serve(serving, choose=chosen_between)
    from model.serving.ray_run import serve as serve_by_ray

    return serve_by_ray(serving, *options.replicas or (None, None))


def fill(options: argparse.Namespace) -> int:
    from infill.verbs.fill_file import fill_file

    return fill_file(
        options.place, settings(options), write=options.write, watch=options.watch,
        as_json=options.json,
    )  # fmt: skip


def top(options: argparse.Namespace) -> int:
    from lsp.top import show

    return show(
        server=options.server, days=options.days, once=options.once, as_json=options.json
    )  # fmt: skip


def doctor(options: argparse.Namespace) -> int:
    from infill.verbs.doctor import examine

    return examine(settings(options), as_json=options.json)


def models_list(options: argparse.Namespace) -> int:
    from lsp.models import show_list

    return show_list(as_json=options.json)


def models_info(options: argparse.Namespace) -> int:
    from lsp.models import show_info

    return show_info(options.id, keys=options.model_keys, as_json=options.json)


def models_pull(options: argparse.Namespace) -> int:
    from lsp.pull import fetch

    return fetch(options.id)


def models_rm(options: argparse.Namespace) -> int:
    from lsp.pull import remove

    return remove(options.id, yes=options.yes)


def evaluate(options: argparse.Namespace) -> int:
    if options.cut:
        return cut(options)
    if not options.suites:
        raise InputError(
            "eval needs a suite to measure on, or --cut CORPUS --out FOLDER to make some"
        )
    from infill.measure.evaluate import evaluate_suites

    return evaluate_suites(
        options.suites, settings(options), limit=options.limit, gold=options.gold,
        renamed=options.renamed, samples=options.samples, as_json=options.json,
        deadline_ms=options.deadline_ms,
    )  # fmt: skip


def cut(options: argparse.Namespace) -> int:
    if options.suites or not options.out:
        raise InputError("eval --cut CORPUS needs --out FOLDER, and no suite")
    if not importable("packaging"):
        return complain(
            "reading a corpus needs packaging, which is not installed: "
            "pip install 'infill-lsp[train]'",
            FAILED,
        )
    from infill.measure.cut import cut

    for path, count in cut(options.cut, options.out, each=options.each):
        print(f"{path}: {count} tasks", flush=True)
    return 0


def bench(options: argparse.Namespace) -> int:
    from lsp.benchmark import measure

    return measure(settings(options), fills=options.fills, as_json=options.json)


def corpus_as_usual(options: argparse.Namespace) -> int:
    return corpus([])


def corpus(arguments: Sequence[str]) -> int:
    if not importable("packaging"):
        if {"-h", "--help"} & set(arguments):
            parser().parse_args(["corpus", "--help"])
        return complain(
            "gathering a corpus needs packaging, which is not installed: "
            "pip install 'infill-lsp[train]'",
            FAILED,
        )
    from model.training.corpus import main

    return main(arguments)


def train_as_usual(options: argparse.Namespace) -> int:
    return train([])


def train(arguments: Sequence[str]) -> int:
    missing = [name for name in ("torch", "tokenizers", "matplotlib") if not importable(name)]
    if not missing:
        from model.training.command import main

        return main(arguments)
    if {"-h", "--help"} & set(arguments):  # the trainer's own help cannot be had without torch
        parser().parse_args(["train", "--help"])
    return complain(
        f"training needs {', '.join(missing)}, which is not installed: "
        "pip install 'infill-lsp[train]'",
        FAILED,
    )


def check_appendable(path: Path) -> None:
    try:
        path.open("a").close()
    except OSError as error:
        raise InputError(f"cannot write the log to {path}: {error.strerror}") from error


def importable(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def settings(options: argparse.Namespace) -> Settings:
    return Settings(model=options.model, model_keys=options.model_keys, seed=options.seed)


def version() -> str:
    from importlib import metadata  # slow to import; the server should not wait for it

    try:
        return metadata.version("infill-lsp")
    except metadata.PackageNotFoundError:
        return "(a checkout that is not installed)"


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def least_and_most(text: str) -> tuple[int, int]:
    least, _, most = text.partition("-")
    bounds = at_least_one(least), at_least_one(most or least)
    if bounds[0] > bounds[1]:
        raise argparse.ArgumentTypeError(f"{text!r}: the first number is above the second")
    return bounds


def at_least_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8500")
    return host.removeprefix("[").removesuffix("]"), int(port)


def described(made: argparse.ArgumentParser, help: Help) -> argparse.ArgumentParser:
    made.description = help.what
    made.epilog = f"examples:\n{help.examples}"
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.allow_abbrev = False  # a script's `--mod` would change its meaning with a new option
    return made


def complain(message: str, status: int) -> int:
    print(f"infill-lsp: {message}", file=sys.stderr)
    return status
