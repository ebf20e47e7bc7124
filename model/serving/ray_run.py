"""`infill-lsp serve --ray`: Ray on this machine and the application in it, until it is told to end.

For a cluster that is there already, `serve run infill_lsp:ray_application` needs none of this.
Ray looks at its environment when it is imported, so that happens late.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# ray is only partly typed.

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from model.canvas import ModelError
from model.serving.listening import Listener
from model.serving.reach import TOKEN
from model.serving.run import Serving, listener_of, note_of

NAME = "infill-lsp"  # of the application


def serve(serving: Serving, least: int | None = None, most: int | None = None) -> int:
    """Serves with from `least` to `most` replicas, until it is told to end; returns the exit
    status. Without `most` there is one for each GPU. Raises `ModelError` where it cannot."""
    os.umask(0o077)
    if serving.socket is not None:
        raise ModelError("Ray's proxy listens on TCP: name --listen HOST:PORT in place of --socket")
    serving = replace(serving, listen=serving.listen or ("127.0.0.1", 0))
    listener = listener_of(serving)
    noted = note_of(serving, listener)
    if serving.token_env is None:
        os.environ[TOKEN] = listener.token  # which the replicas inherit
    try:
        with ray_here(most or 1):
            begin(serving, listener, least, most)
            print(f"infill-lsp: {serving.model} on {listener.url} (Ray, pid {os.getpid()})",
                  file=sys.stderr, flush=True)  # fmt: skip
            until_told_to_end()
            drain()
    finally:
        listener.close()
        noted()
    return 0


@contextmanager
def ray_here(most: int) -> Generator[None]:
    """A Ray of our own: one that runs here already is not joined."""
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",  # it reports to nobody
        # Its processes do what other processes tell them: none on other machines, and here those
        # that know a word.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    os.environ.setdefault("RAY_worker_niceness", "0")  # by itself it puts them behind all else here
    import ray

    try:
        ray.init(
            address="local", include_dashboard=False, log_to_driver=False,
            num_cpus=max(cores(), most), logging_level=logging.ERROR,
        )  # fmt: skip
    except Exception as error:  # of many kinds, plain `Exception` among them
        ray.shutdown()
        folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
        raise ModelError(
            f"Ray does not start here ({error}): {folder}/ray/session_latest/logs may say why"
        ) from error
    try:
        yield
    finally:
        from ray import serve

        serve.shutdown()
        ray.shutdown()


def begin(serving: Serving, listener: Listener, least: int | None, most: int | None) -> None:
    """Returns once the replicas are there. Raises `ModelError` where they do not start."""
    import ray
    from ray import serve

    from model.serving.ray_app import Replicas, application

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    gpus = int(ray.cluster_resources().get("GPU", 0))
    most = most or max(1, gpus)
    replicas = Replicas(
        serving.model, serving.keys, serving.seed, serving.token_env or TOKEN,
        queue=serving.limits.queue, memory=(serving.limits.memory or 0) / 1e9,
        min_replicas=least or most, max_replicas=most,
        gpus=float(gpus > 0), cpus=max(1, cores() // most),
    )  # fmt: skip
    host, port = listener.socket.getsockname()[:2]
    listener.close()  # Ray's proxy takes the port; it can take no open socket
    tls = serving.tls
    quiet = {"enable_access_log": False, "log_level": "WARNING"}
    serve.start(
        proxy_location="HeadOnly", logging_config=quiet,
        http_options={
            "host": host, "port": port,
            "ssl_certfile": str(tls.cert) if tls else None,
            "ssl_keyfile": str(tls.key or tls.cert) if tls else None,
        },
    )  # fmt: skip
    try:
        serve.run(application(replicas), name=NAME, logging_config=quiet)
    except RuntimeError as error:
        # What they failed with is the last line of the trace that Ray tells.
        deployments = serve.status().applications[NAME].deployments.values()
        traces = [each.message.strip().rpartition("\n")[2] for each in deployments]
        reasons = [trace.partition(": ")[2] or trace for trace in traces]
        raise ModelError(f"the replicas do not start: {' '.join(reasons) or error}") from error


def until_told_to_end() -> None:
    told = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        told.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    told.wait()


def drain() -> None:
    """Lets the replicas finish what they have in hand, and take no more. Ray's proxy is still there
    for it; at Serve's own end it is the first to go, with all its connections."""
    from ray import serve

    serve.delete(NAME)


def cores() -> int:
    return os.cpu_count() or 1
