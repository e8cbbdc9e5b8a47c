"""Metrics: counters, spirals, gauges and histograms that scenarios and amoc itself count with.

Every process that counts has one current `Registry`; its deltas (`Registry.flush`) travel to the
master, where a `Store` merges them exactly. Runs in workers (registry) and on the master (store).
May import: errors.

    from amoc import metrics

    sent = metrics.counter("messages_sent")          # once, at the top of the scenario
    sent.increment()
    with metrics.timer("page_time"):                 # µs, when the block ends without an exception
        await fetch()
    metrics.record("message_ttd", 1234.5)            # by name; creates the metric when it is new

Threads: every function and method here may be called from any thread; see `amoc.metrics.kinds`.
"""

from amoc.metrics.delta import Delta, merge
from amoc.metrics.histogram import Distribution
from amoc.metrics.kinds import Counter, Gauge, Histogram, MetricError, Spiral, Timer
from amoc.metrics.packed import PackedDelta, PackedDistribution, pack, unpack
from amoc.metrics.registry import (
    Registry,
    counter,
    current,
    gauge,
    histogram,
    increment,
    record,
    set,
    spiral,
    timer,
    use,
)
from amoc.metrics.store import SavedStore, Store

__all__ = [
    "Counter",
    "Delta",
    "Distribution",
    "Gauge",
    "Histogram",
    "MetricError",
    "PackedDelta",
    "PackedDistribution",
    "Registry",
    "SavedStore",
    "Spiral",
    "Store",
    "Timer",
    "counter",
    "current",
    "gauge",
    "histogram",
    "increment",
    "merge",
    "pack",
    "record",
    "set",
    "spiral",
    "timer",
    "unpack",
    "use",
]
