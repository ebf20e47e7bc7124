"""The server as an application of Ray Serve: the same app in replicas, each with its own model.

Ray starts them, routes to them, counts, replaces and drains; here is what it is told. Knows no
process and no address: an application is for any cluster.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUntypedFunctionDecorator=false
# pyright: reportUnknownArgumentType=false
# ray is only partly typed.

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import ray
from ray import serve

from model.auto import BUNDLED
from model.canvas import ModelError
from model.fallback import Loaded
from model.load import Progress, load
from model.serving.app import Guard, app_of
from model.serving.ceiling import hold
from model.serving.listening import SHORTEST
from model.serving.reach import TOKEN
from model.serving.service import Limits, Service
from model.serving.wire import Refused

if TYPE_CHECKING:
    from starlette.applications import Starlette

STICKY = "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"
OPEN = 1000  # requests at a replica, watches included: fills have a limit of their own
HEALTH = 2.0  # seconds between two looks at a replica
HUNG = 30.0  # seconds after which one that does not say how it is has ended
DRAIN = 10.0  # seconds for fills in hand at a replica that is taken away
ATTEMPTS = 3  # to start a replica, before the application has failed


@dataclass(frozen=True, slots=True)
class Replicas:
    """What is served, and by how many. `token_env` names the variable, in the environment of the
    replicas, that holds the token; without one they do not start."""

    model: str = BUNDLED
    model_keys: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seed: int = 0
    token_env: str = TOKEN
    queue: int = 64  # fills at once at each
    memory: float = 0.0  # GB, a ceiling for each; 0: none
    min_replicas: int = 1
    max_replicas: int = 1
    target_ongoing_requests: float = 4.0  # fills in hand at each, above which there are to be more
    upscale_delay_s: float = 30.0  # for which there have to be too few before there are more
    gpus: float | None = None  # of each; None: one where the cluster has any
    cpus: float = 1.0  # of each


def replicas_from(told: Mapping[str, Any]) -> Replicas:
    """From what a configuration says, or a command line, where all is text. Raises `ModelError`."""
    names = [each.name for each in fields(Replicas)]
    if strange := [name for name in told if name not in names]:
        raise ModelError(f"{', '.join(strange)}: not known; what can be told is {', '.join(names)}")
    values: dict[str, Any] = {}
    for name, value in told.items():
        try:
            is_text = isinstance(value, str) and name not in ("model", "token_env")
            values[name] = json.loads(value) if is_text else value
        except ValueError as error:
            raise ModelError(f"{name}={value}: not understood ({error})") from error
    replicas = Replicas(**values)
    if not 0 < replicas.min_replicas <= replicas.max_replicas:
        raise ModelError(
            f"min_replicas is {replicas.min_replicas} and max_replicas {replicas.max_replicas}: "
            "they must be 1 or more, and the second no less than the first"
        )
    if replicas.upscale_delay_s <= 0:
        raise ModelError(f"upscale_delay_s is {replicas.upscale_delay_s:g} and must be above 0")
    return replicas


def application(replicas: Replicas) -> serve.Application:
    """What `serve.run` takes.

    Ray sends a replica what is nested in here as it is written, not by its name. So it names
    nothing of ours before the names are tied to this project: in a replica, too, a stranger's
    `model` may come first.
    """
    told = asdict(replicas)

    def asgi() -> Starlette:
        import infill_lsp

        infill_lsp.tie()
        from model.serving.ray_app import app_of_replica, replicas_from

        return app_of_replica(replicas_from(told))

    class Replica:
        app: Starlette  # what `asgi` returned

        async def check_health(self) -> None:
            self.app.state.check_health()

        async def record_autoscaling_stats(self) -> dict[str, float]:
            return {"fills": len(self.app.state.service.visits)}

    deployment = serve.deployment(
        name="infill",
        ray_actor_options={"num_cpus": replicas.cpus, "num_gpus": gpus_of(replicas)},
        max_ongoing_requests=OPEN,
        autoscaling_config={
            "min_replicas": replicas.min_replicas,
            "max_replicas": replicas.max_replicas,
            "target_ongoing_requests": replicas.target_ongoing_requests,
            "upscale_delay_s": replicas.upscale_delay_s,
            "look_back_period_s": replicas.upscale_delay_s,
            "metrics_interval_s": replicas.upscale_delay_s / 3,
            "policy": {"policy_function": by_fills},
        },
        request_router_config={"request_router_class": STICKY},
        health_check_period_s=HEALTH,
        health_check_timeout_s=HUNG,
        graceful_shutdown_timeout_s=DRAIN,
        max_constructor_retry_count=ATTEMPTS,
    )
    return deployment(serve.ingress(asgi)(Replica)).bind()


def by_fills(context: Any) -> tuple[float, dict[str, Any]]:
    """How many replicas there should be. Ray's own rule counts requests, and would take every open
    window, which holds a watch, for work. Ray sends it as it is written, so it names nothing."""
    fills = sum((context.aggregated_metrics or {}).get("fills", {}).values())
    waiting = context.total_queued_requests or 0
    return (fills + waiting) / context.config.target_ongoing_requests, {}


def gpus_of(replicas: Replicas) -> float:
    if replicas.gpus is not None:
        return replicas.gpus
    return float(ray.is_initialized() and ray.cluster_resources().get("GPU", 0) >= 1)


def app_of_replica(replicas: Replicas) -> Starlette:
    """The app as one replica runs it. It counts as started only once its model is loaded, since
    from then on it is asked. Raises `ModelError`."""
    memory = round(replicas.memory * 1e9) or None

    def loaded(tell: Progress) -> Loaded:
        if memory is not None:
            hold(memory)
        try:
            denoiser = load(
                replicas.model, keys=replicas.model_keys, seed=replicas.seed,
                on_progress=tell, on_choice=service.chosen,
            )  # fmt: skip
        except ModelError as error:  # the bundled one is no help: others serve the right one
            return Loaded(None, str(error))
        return Loaded(denoiser)

    # Its weights stay: what nobody needs is a whole replica, and Ray takes that away.
    limits = Limits(queue=replicas.queue, memory=memory)
    service = Service(loaded, limits=limits, name=replicas.model)
    app = app_of(service, guard=Guard(token_in(replicas.token_env)))
    serving = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with serving(app):
            with suppress(Refused):  # `check_health` says so, right afterwards
                await service.card()
            yield

    def check_health() -> None:
        check(service)

    app.router.lifespan_context = lifespan
    app.state.service = service
    app.state.check_health = check_health
    return app


def check(service: Service) -> None:
    """Raises `ModelError` where a replica is to be replaced."""
    if trouble := service.weights.trouble:
        raise ModelError(trouble)


def token_in(variable: str) -> str:
    token = os.environ.get(variable, "")
    if len(token) < SHORTEST:
        raise ModelError(
            f"the environment of the replicas has no token of {SHORTEST} or more characters in "
            f"{variable or 'the variable that token_env names'}: without one anyone who reaches "
            "the cluster could have code filled"
        )
    return token
