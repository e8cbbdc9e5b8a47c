"""The registry: every metric of a process by its name, and the functions that use the current one.

A metric is made once per name; asking again gives the same object, asking for another kind is an error.
Names become paths in Graphite and labels in Prometheus, so they consist of letters, digits, `_`, `-`, and
`.` between parts. They are fixed by the code of a scenario, never made per user: `LIMIT` holds that.
"""

import re
import threading
from typing import TypeVar

from amoc.metrics.delta import Delta
from amoc.metrics.kinds import Counter, Gauge, Histogram, Metric, MetricError, Spiral, Timer

__all__ = [
    "LIMIT",
    "Registry",
    "counter",
    "current",
    "gauge",
    "histogram",
    "increment",
    "record",
    "set",
    "spiral",
    "timer",
    "use",
]

LIMIT = 1000
"""Metrics per process: each is sent, kept for a minute by the second, and drawn."""

LONGEST_NAME = 200
"""Characters: with a prefix it must still be a file name in Graphite's store (255)."""

_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")

_M = TypeVar("_M", bound=Metric)


class Registry:
    """Metrics of one process by name."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}
        self._lock = threading.Lock()

        self.find = self._metrics.get  # the metric of a name, or None

    def __repr__(self) -> str:
        return f"<Registry of {len(self._metrics)} metrics>"

    def counter(self, name: str) -> Counter:
        """The counter of this name, made when it is new."""
        return self._get(Counter, name)

    def spiral(self, name: str) -> Spiral:
        """The spiral of this name, made when it is new."""
        return self._get(Spiral, name)

    def gauge(self, name: str) -> Gauge:
        """The gauge of this name, made when it is new."""
        return self._get(Gauge, name)

    def histogram(self, name: str) -> Histogram:
        """The histogram of this name, made when it is new."""
        return self._get(Histogram, name)

    def increment(self, name: str, n: int = 1) -> None:
        """Increment a counter, spiral or gauge by name; a new name becomes a counter."""
        metric = self._metrics.get(name)
        if metric is None:
            metric = self.counter(name)
        if not isinstance(metric, Counter | Gauge):
            raise MetricError(f"metric {name} is a {metric.kind}, which cannot be incremented: use record")
        metric.increment(n)

    def flush(self) -> Delta:
        """What changed since the last flush; new metrics are in it with zero. One flush at a time."""
        delta = Delta()
        with self._lock:
            for name, metric in self._metrics.items():
                if isinstance(metric, Histogram):
                    distribution = metric.take()
                    if distribution is not None:
                        delta.histograms[name] = distribution
                elif isinstance(metric, Gauge):
                    level = metric.take()
                    if level is not None:
                        delta.gauges[name] = level
                elif isinstance(metric, Counter):
                    amount = metric.take()
                    if amount is not None:
                        amounts = delta.spirals if isinstance(metric, Spiral) else delta.counters
                        amounts[name] = amount
        return delta

    def _get(self, kind: type[_M], name: str) -> _M:
        metric = self._metrics.get(name)
        if metric is None:
            metric = self._make(kind, name)
        if type(metric) is not kind:
            raise MetricError(f"metric {name} is a {metric.kind} already and cannot be a {kind.kind} too")
        return metric

    def _make(self, kind: type[_M], name: str) -> Metric:
        if not isinstance(name, str) or len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
            raise MetricError(
                f"metric name {name!r}: use letters, digits, _ and -, with . between parts, "
                f"at most {LONGEST_NAME} characters"
            )
        with self._lock:
            if name not in self._metrics and len(self._metrics) >= LIMIT:
                raise MetricError(
                    f"metric {name}: there are {LIMIT} metrics already; make names in advance, not per user"
                )
            return self._metrics.setdefault(name, kind(name))


_current = Registry()


def current() -> Registry:
    """The registry that this process counts with."""
    return _current


def use(registry: Registry) -> None:
    """Count with another registry from now on. Metrics made before stay with the old one."""
    global _current
    _current = registry


def counter(name: str) -> Counter:
    """The counter of this name in the current registry."""
    return _current.counter(name)


def spiral(name: str) -> Spiral:
    """The spiral of this name in the current registry: a counter that also shows its last minute."""
    return _current.spiral(name)


def gauge(name: str) -> Gauge:
    """The gauge of this name in the current registry."""
    return _current.gauge(name)


def histogram(name: str) -> Histogram:
    """The histogram of this name in the current registry."""
    return _current.histogram(name)


def timer(name: str) -> Timer:
    """A context manager that records elapsed µs in the histogram of this name (see `Timer`)."""
    metric = _current.find(name)
    if type(metric) is not Histogram:
        metric = _current.histogram(name)
    return Timer(metric)


def increment(name: str, n: int = 1) -> None:
    """Increment the counter, spiral or gauge of this name; a new name becomes a counter."""
    metric = _current.find(name)
    if type(metric) is Counter or type(metric) is Spiral:  # the fast way of the usual case
        metric.increment(n)
    else:
        _current.increment(name, n)


def set(name: str, value: float) -> None:
    """Set the gauge of this name."""
    _current.gauge(name).set(value)


def record(name: str, microseconds: float) -> None:
    """Record a value in the histogram of this name."""
    metric = _current.find(name)
    if type(metric) is not Histogram:
        metric = _current.histogram(name)
    metric.record(microseconds)
