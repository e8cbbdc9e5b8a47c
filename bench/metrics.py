"""What metrics cost: `python -m bench.metrics`.

CPU time per update, its share of the flush and of the encoding included: a batch of BATCH updates, then one
flush, as a worker does every second. The loop around the updates is measured empty and taken off. The best
of several rounds counts, and a plain `dict[k] += 1` is measured beside it: machines and hours differ, ratios
hardly do. Goals are those of docs/metrics.md.
"""

import random
import time
from collections.abc import Callable

import msgspec

from amoc import metrics
from amoc.metrics import Registry, Store, pack, unpack

BATCH = 1000
ROUNDS = 60
VALUES = 50  # batches with values of their own, so that no batch repeats the previous one's buckets
NODES = 1000
HISTOGRAMS = 20

COUNTER_GOAL = 150  # ns
HISTOGRAM_GOAL = 200  # ns
MASTER_GOAL = 30  # percent of a core

_encode = msgspec.msgpack.Encoder().encode


def main() -> None:
    """Measure everything and print a line for each."""
    registry = Registry()
    metrics.use(registry)
    flush = registry.flush
    counter, histogram = registry.counter("c"), registry.histogram("h")
    plain = {"k": 1000}
    batches = _batches(spread=1.0)

    def empty(batch: list[float]) -> None:
        for _ in batch:
            pass

    def baseline(batch: list[float]) -> None:
        for _ in batch:
            plain["k"] += 1

    def count(batch: list[float]) -> None:
        increment = counter.increment
        for _ in batch:
            increment()
        _encode(flush())

    def count_by_name(batch: list[float]) -> None:
        increment = metrics.increment
        for _ in batch:
            increment("c")
        _encode(flush())

    def record(batch: list[float]) -> None:
        add = histogram.record
        for value in batch:
            add(value)
        _encode(flush())

    def record_by_name(batch: list[float]) -> None:
        add = metrics.record
        for value in batch:
            add("h", value)
        _encode(flush())

    def time_block(batch: list[float]) -> None:
        for _ in batch:
            with metrics.timer("t"):
                pass
        _encode(flush())

    loop = _per_update(empty, batches)
    base = _per_update(baseline, batches) - loop
    print(f"{'dict[k] += 1, the baseline':48}{base:8.0f} ns")
    for text, run, goal in (
        ("counter.increment()", count, COUNTER_GOAL),
        ('metrics.increment("name")', count_by_name, 0),
        ("histogram.record(µs), widely spread values", record, HISTOGRAM_GOAL),
        ('metrics.record("name", µs)', record_by_name, 0),
        ('with metrics.timer("name")', time_block, 0),
    ):
        cost = _per_update(run, batches) - loop
        print(f"{text:48}{cost:8.0f} ns{cost / base:6.1f} x{_against(cost, goal, 'ns')}")
    narrow = _per_update(record, _batches(spread=0.2)) - loop
    goal_text = _against(narrow, HISTOGRAM_GOAL, "ns")
    print(f"{'histogram.record(µs), values close together':48}{narrow:8.0f} ns{narrow / base:6.1f} x{goal_text}")
    _flush_of_nothing(registry)
    _master()


def _flush_of_nothing(registry: Registry) -> None:
    for number in range(100):
        registry.histogram(f"more_{number}")
    registry.flush()
    cost = _best(registry.flush)
    print(f"{'flush of 100 metrics, nothing changed':48}{cost / 1000:8.1f} µs")


def _master() -> None:
    """A second of the master: a delta of every node, each with HISTOGRAMS histograms of 50 values."""
    source = Registry()
    for number in range(HISTOGRAMS):
        for value in _lognormal(50, 0.5):
            source.histogram(f"h{number}").record(value)
        source.counter(f"c{number}").increment(50)
    data, store = pack(source.flush()), Store()
    now = 1000.0

    def second() -> None:
        nonlocal now
        now += 1.0
        for node in range(NODES):
            store.apply(f"node{node}", unpack(data), now)

    share = _best(second, rounds=5) / 1e9
    goal = _against(share * 100, MASTER_GOAL, "%")
    print(f"{f'master, {NODES} nodes of {HISTOGRAMS} histograms a second':48}{share * 100:8.1f} % of a core{goal}")


def _against(cost: float, goal: float, unit: str) -> str:
    if not goal:
        return ""
    return f"   goal {goal:.0f} {unit}: {'met' if cost <= goal else 'MISSED'}"


def _per_update(run: Callable[[list[float]], None], batches: list[list[float]]) -> float:
    """Best ns per update over all rounds; each round takes the batches in turn."""
    best = float("inf")
    for _ in range(ROUNDS):
        before = time.process_time_ns()
        for batch in batches:
            run(batch)
        best = min(best, (time.process_time_ns() - before) / (len(batches) * BATCH))
    return best


def _best(run: Callable[[], object], rounds: int = 200) -> float:
    """Best ns per call."""
    best = float("inf")
    for _ in range(rounds):
        before = time.process_time_ns()
        run()
        best = min(best, float(time.process_time_ns() - before))
    return best


def _batches(spread: float) -> list[list[float]]:
    return [_lognormal(BATCH, spread) for _ in range(VALUES)]


def _lognormal(count: int, spread: float) -> list[float]:
    """Times around 8 ms, in µs, as latencies are spread."""
    return [random.lognormvariate(9.0, spread) for _ in range(count)]


if __name__ == "__main__":
    main()
