"""What a server counts, as Prometheus reads it. Knows no code and nobody's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from model.serving.ceiling import resident

STEPS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)  # seconds
FILLS = (0.05, 0.1, 0.2, 0.5, 1, 1.5, 2, 5, 10, 30)


class Seen(Protocol):
    """What is looked at when someone asks."""

    @property
    def queued(self) -> int: ...
    @property
    def running(self) -> int: ...
    @property
    def counted(self) -> tuple[int, int, int, int]:
        """Steps, boards in them, tokens, loads of the weights."""
        ...


class Metrics:
    """In a registry of its own: the global one would double with a second server in a process."""

    def __init__(self, seen: Seen) -> None:
        self.registry = CollectorRegistry()
        self._fills = Counter(
            "infill_fills", "Fills by how they ended", ["outcome"], registry=self.registry
        )
        self._fill_seconds = Histogram(
            "infill_fill_seconds", "From asking to the end", buckets=FILLS, registry=self.registry
        )
        self._step_seconds = Histogram(
            "infill_step_seconds",
            "From one draft of a fill to its next: a step, and the turns of others before it",
            buckets=STEPS, registry=self.registry,
        )  # fmt: skip
        self._drafts = Counter("infill_drafts", "Drafts of all fills", registry=self.registry)
        self._refused = Counter(
            "infill_refused", "Requests refused, by status", ["status"], registry=self.registry
        )
        self._gauge("infill_queue", "Fills without a draft yet", lambda: seen.queued)
        self._gauge("infill_running", "Fills that are being stepped", lambda: seen.running)
        self._gauge("infill_resident_bytes", "Memory of this process", resident)
        self.registry.register(Counts(seen))

    def fill(self, outcome: str, seconds: float) -> None:
        self._fills.labels(outcome).inc()
        self._fill_seconds.observe(seconds)

    def step(self, seconds: float) -> None:
        self._step_seconds.observe(seconds)

    def draft(self) -> None:
        self._drafts.inc()

    def refused(self, status: int) -> None:
        self._refused.labels(str(status)).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def _gauge(self, name: str, help: str, value: Callable[[], float]) -> None:
        Gauge(name, help, registry=self.registry).set_function(value)


class Counts(Collector):
    """What the engine counts itself."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self):
        steps, boards, tokens, loads = self._seen.counted
        yield CounterMetricFamily("infill_steps", "Forwards of the network", value=steps)
        yield CounterMetricFamily("infill_boards_stepped", "Boards in them", value=boards)
        yield CounterMetricFamily("infill_tokens", "Tokens that were committed", value=tokens)
        yield CounterMetricFamily("infill_loads", "Times the weights were loaded", value=loads)
