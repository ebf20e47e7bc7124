"""`infill-lsp serve`: one model for many windows, by one process or by Ray Serve."""

from __future__ import annotations

import argparse
from pathlib import Path

from infill.source import InputError
from lsp.verbs.ending import FAILED, complain, lacking
from lsp.verbs.options import (
    Help,
    Verbs,
    at_least_one,
    at_least_zero,
    check_appendable,
    described,
    with_model,
)

HELP = Help(
    """\
Keeps one model in memory for all windows of a user, or of a team. An editor's window starts it by
itself and it ends by itself once the last one is closed, so there is rarely a reason to start it by
hand.

It listens on a Unix socket that no other user can connect to. With --listen it listens on TCP and
wants a token, sent as `Authorization: Bearer TOKEN`: that of --token-env, else one that is made
anew and written into the server's file in the runtime folder, readable by you alone. An address
that other machines can reach is refused unless a certificate and a token are given.

  POST /v1/fill     a canvas; one line of JSON for each draft
  GET  /v1/card     what the model is      GET  /v1/watch   whether it is loaded, each change a line
  GET  /healthz     whether it lives       GET  /metrics    for Prometheus
  GET  /v1/state    clients, queue, speed, memory
  POST /v1/completions, /v1/fim/completions, /infill   for clients of other servers

A client that leaves is worked for no more from the next step on. Too much at once is refused: a
body over 16 MB or 256 holes (413), more fills than --queue, or of one client more than it leaves
free for others (429), more memory than --memory (503). The log, beside the socket, holds no code.

With --ray it is several of these behind one address, each with its own model: one for each GPU, or
as many as --replicas says. With --replicas 1-4 there are as many as the fills in hand ask for. One
that dies is replaced. On a cluster: `serve run infill_lsp:ray_application model=bundled`.""",
    """\
  infill-lsp serve                             for the windows of this machine
  infill-lsp serve --model auto --memory 8
  INFILL_TOKEN=… infill-lsp serve --listen 0.0.0.0:8500 --token-env INFILL_TOKEN \\
      --tls-cert cert.pem --tls-key key.pem    for a team
  infill-lsp serve --ray --replicas 2          two models behind one address
  curl --unix-socket PATH http://server/v1/state""",
)


def add(verbs: Verbs) -> None:
    verb = described(verbs.add_parser("serve", help="keep a model for many windows"), HELP)
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
        help="a ceiling of its memory, and one as high for torch on the GPU (default: none)",
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
    verb.set_defaults(verb=serve)


def serve(options: argparse.Namespace) -> int:
    wanted = ("starlette", "uvicorn", "prometheus_client", *(["ray"] if options.ray else []))
    if lack := lacking(wanted, "serving", "ray" if options.ray else "local"):
        return complain(lack, FAILED)
    if bool(options.tls_cert) < bool(options.tls_key):
        raise InputError("--tls-key needs --tls-cert")
    if options.replicas and not options.ray:
        raise InputError("--replicas needs --ray")
    if options.log_file:
        check_appendable(options.log_file)
    from model.serving.run import Limits, Serving, Tls
    from model.serving.run import serve as serve_alone

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

        return serve_alone(serving, choose=chosen_between)
    from model.serving.ray_run import serve as serve_by_ray

    return serve_by_ray(serving, *options.replicas or (None, None))


def host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8500")
    return host.removeprefix("[").removesuffix("]"), int(port)


def least_and_most(text: str) -> tuple[int, int]:
    least, _, most = text.partition("-")
    bounds = at_least_one(least), at_least_one(most or least)
    if bounds[0] > bounds[1]:
        raise argparse.ArgumentTypeError(f"{text!r}: the first number is above the second")
    return bounds
