"""What the service tells of itself: metrics for Prometheus, lines of JSON for a log, and the numbers of its page."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections import deque

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from onebp_jax.service.ranker import Ranker
from onebp_jax.service.replica import Replica

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Telemetry:
    """Counts requests and events."""

    def __init__(self, replica: Replica, ranker: Ranker, log_requests: bool):
        self._replica, self._log_requests = replica, log_requests
        self._began = time.monotonic()
        self._latencies: deque[float] = deque(maxlen=2000)
        self._arrivals: deque[tuple[float, int]] = deque(maxlen=10_000)
        disable_created_metrics()
        self._registry = CollectorRegistry()
        self._requests = Counter("onebp_requests", "Requests.", ("route", "status"), registry=self._registry)
        self._seconds = Histogram(
            "onebp_request_seconds", "Time to answer.", ("route",), buckets=_SECONDS, registry=self._registry
        )
        self._events = Counter("onebp_events", "Events by what became of them.", ("became",), registry=self._registry)
        now = {
            "onebp_seq": ("Records of the log that the model has.", lambda: replica.model.seq),
            "onebp_live_users": ("Users with events since training.", lambda: len(replica.model.live)),
            "onebp_log_ready": ("1 if the log can be used.", lambda: float(replica.trouble is None)),
            "onebp_log_waiting": ("Requests that wait for the log.", lambda: replica.waiting),
            "onebp_ranker_waiting": ("Lists that wait for a product.", lambda: ranker.waiting),
            "onebp_ranker_lists": ("Lists since the start.", lambda: ranker.lists),
            "onebp_ranker_batches": ("Products since the start.", lambda: ranker.batches),
        }
        for name, (text, value) in now.items():
            Gauge(name, text, registry=self._registry).set_function(value)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts a request. `route` is a template, so nothing of a user is kept."""
        self._requests.labels(route, status).inc()
        self._seconds.labels(route).observe(seconds)
        if not route.startswith(("/health", "/metrics", "/status", "/static")):
            self._latencies.append(seconds)
        if self._log_requests:
            self.line("request", method=method, route=route, status=status, ms=round(1000 * seconds, 2))

    def events(self, became: dict[str, int]) -> None:
        """Counts events."""
        for word, count in became.items():
            self._events.labels(word).inc(count)
        self._arrivals.append((time.monotonic(), sum(became.values())))

    def line(self, event: str, **values: object) -> None:
        """Writes one line of JSON to standard error."""
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            sys.stderr.write(json.dumps({"time": round(time.time(), 3), "event": event} | values) + "\n")

    def numbers(self) -> dict:
        """Events a second in the last ten seconds, milliseconds of the last 2,000 requests, seconds since the start."""
        now, times = time.monotonic(), sorted(self._latencies)
        recent = sum(count for at, count in self._arrivals if now - at < 10)
        at = lambda share: round(1000 * times[min(int(share * len(times)), len(times) - 1)], 2) if times else 0.0
        return {
            "events": int(sum(self._replica.applied.values())),
            "events_per_second": round(recent / min(10, max(now - self._began, 1)), 2),
            "latency_ms": {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99)},
            "uptime_s": round(now - self._began, 1),
        }

    def prometheus(self) -> bytes:
        """The metrics as text."""
        return generate_latest(self._registry)
