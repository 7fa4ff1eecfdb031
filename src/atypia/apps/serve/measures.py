"""What a server measures of itself, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BATCHES = (1, 2, 4, 8, 16, 24, 32, 64, 128, 256)


class Measures:
    """Counters of a server: of its own, so that two in a process do not share them."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        """Begin with 0; `waiting` tells how many crops have no answer yet."""
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "atypia_requests",
            "Answers, by route and status.",
            ["route", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "atypia_request_seconds", "Time to an answer, by route.", ["route"], registry=registry
        )
        self.crops = Counter(
            "atypia_crops", "Crops, by what became of them.", ["result"], registry=registry
        )
        self.batch = Histogram(
            "atypia_batch_crops",
            "Crops computed together.",
            buckets=_BATCHES,
            registry=registry,
        )
        Gauge("atypia_waiting_crops", "Crops without an answer.", registry=registry).set_function(
            waiting
        )

    def render(self) -> bytes:
        """Return all of them in Prometheus's text format."""
        return generate_latest(self._registry)
