"""The store with an explicit clock: totals, the last minute, rates that do not flicker, bounded memory."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.metrics import Delta, Distribution, Registry, Store
from amoc.metrics.store import KEPT


def counted(n: int, name: str = "c") -> Delta:
    return Delta(counters={name: n})


def recorded(*values: float) -> Delta:
    distribution = Distribution()
    distribution.fold(values)
    return Delta(histograms={"h": distribution})


def test_counts_of_all_sources_add_up() -> None:
    store = Store()
    store.apply("w0", Delta(counters={"c": 3}, spirals={"s": 2}), 100.0)
    store.apply("w1", Delta(counters={"c": 4}, spirals={"s": 5}), 100.2)
    assert store.points(100.5) == {
        "c": {"type": "counter", "value": 7},
        "s": {"type": "spiral", "one": 7, "count": 7},
    }


def test_metrics_that_recorded_nothing_appear_with_zeros() -> None:
    registry, store = Registry(), Store()
    for kind in ("counter", "spiral", "gauge", "histogram"):
        getattr(registry, kind)(kind)
    store.apply("w", registry.flush(), 0.0)
    assert store.points(0.0) == {
        "counter": {"type": "counter", "value": 0},
        "gauge": {"type": "gauge", "value": 0},
        "histogram": {"type": "histogram", "count": 0, "mean": 0, "min": 0, "max": 0}
        | {"median": 0, "95": 0, "99": 0, "999": 0},
        "spiral": {"type": "spiral", "one": 0, "count": 0},
    }
    assert store.rates(0.0) == {"counter": 0, "spiral": 0}


def test_a_spiral_forgets_after_a_minute_but_its_count_does_not() -> None:
    store = Store()
    store.apply("w", Delta(spirals={"s": 10}), 1000.5)
    store.apply("w", Delta(spirals={"s": 1}), 1030.0)
    assert store.points(1059.9)["s"] == {"type": "spiral", "one": 11, "count": 11}
    assert store.points(1060.0)["s"] == {"type": "spiral", "one": 1, "count": 11}
    assert store.points(2000.0)["s"] == {"type": "spiral", "one": 0, "count": 11}


def test_gauges_are_kept_per_source_and_summed() -> None:
    store = Store()
    store.apply("w0", Delta(gauges={"g": 5.0}), 0.0)
    store.apply("w1", Delta(gauges={"g": 7.0}), 0.1)
    store.apply("w0", Delta(gauges={"g": 6.0}), 1.0)
    assert store.points(1.0)["g"]["value"] == 13.0
    store.forget("w1")
    store.forget("unknown")
    assert store.points(1.0)["g"]["value"] == 6.0
    store.forget("w0")
    assert store.points(1.0)["g"]["value"] == 0


def test_histograms_merge_by_buckets_not_by_percentiles() -> None:
    store = Store()
    store.apply("w0", recorded(*[100.0] * 99), 0.0)
    store.apply("w1", recorded(9_000.0), 0.0)
    points = store.points(0.0)["h"]
    assert (points["count"], points["min"], points["max"], points["mean"]) == (100, 100, 9000, 189)
    assert points["99"] == pytest.approx(100, rel=0.01)
    assert points["999"] == pytest.approx(9000, rel=0.01)


def test_recent_percentiles_cover_the_window_only() -> None:
    store = Store()
    store.apply("w", recorded(5_000_000.0), 10.0)
    for second in range(11, 31):
        store.apply("w", recorded(1_000.0), float(second))
    assert store.points(30.0)["h"]["max"] == 5_000_000
    assert store.recent("h", 30.0, 10) == {
        "count": 10,
        **dict.fromkeys(("mean", "min", "max", "median", "95", "99", "999"), 1_000),
    }
    assert store.recent("h", 30.0, 60)["count"] == 21
    assert store.recent("h", 500.0)["count"] == 0
    assert store.recent("unknown", 30.0)["count"] == 0


@given(
    per_second=st.integers(1, 1000),
    phases=st.lists(st.floats(0, 0.999), min_size=1, max_size=4),
    asked=st.floats(0, 0.999),
    seed=st.integers(0, 1000),
)
def test_a_steady_rate_is_shown_steadily(per_second: int, phases: list[float], asked: float, seed: int) -> None:
    """Each source counts steadily and flushes about once a second, a little early or late."""
    store, jitter = Store(), random.Random(seed)
    flushes = sorted(
        (second + phase + jitter.uniform(-0.05, 0.05), f"w{index}")
        for index, phase in enumerate(phases)
        for second in range(100, 130)
    )
    last = {f"w{index}": 99.0 + phase for index, phase in enumerate(phases)}
    sent = dict.fromkeys(last, 0)
    for at, source in flushes:
        total = round((at - 99.0) * per_second)
        store.apply(source, counted(total - sent[source]), at)
        sent[source], last[source] = total, at
    true = per_second * len(phases)
    # a flush of one source may fall on the other side of an edge: a tenth of that source's share, and jitter
    for window, tolerance in ((10.0, 0.13), (20.0, 0.08)):
        assert store.rate("c", 129.0 + asked, window) == pytest.approx(true, rel=tolerance)


def test_a_single_steady_source_is_shown_exactly() -> None:
    store = Store()
    for i in range(60):
        store.apply("w", counted(100), 1000.0 + i * 1.0)
        if i > 12:
            assert store.rate("c", 1000.5 + i) == pytest.approx(100)


def test_a_rate_falls_to_zero_when_nothing_comes_any_more() -> None:
    store = Store()
    for second in range(100, 120):
        store.apply("w", counted(50), float(second))
    rates = []
    for second in range(120, 131):
        store.apply("w", Delta(), float(second))
        rates.append(store.rate("c", second + 0.5))
    assert rates == sorted(rates, reverse=True)
    assert rates[4] == pytest.approx(25)
    assert rates[-1] == 0


def test_a_rate_falls_when_the_workers_are_silent() -> None:
    store = Store()
    for second in range(100, 120):
        store.apply("w", counted(50), float(second))
    rates = [store.rate("c", now) for now in (119.5, 123.0, 126.0, 128.0, 140.0)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0


def test_a_rate_is_not_inflated_by_two_sources_that_arrive_together() -> None:
    store = Store()
    store.apply("w0", counted(100), 10.99)
    store.apply("w1", counted(100), 11.01)
    assert store.rate("c", 11.02) <= 100


def test_rates_are_of_counters_and_spirals() -> None:
    store = Store()
    for second in range(20):
        store.apply("w", Delta(counters={"c": 10}, spirals={"s": 20}, gauges={"g": 1.0}), 100.0 + second)
    assert store.rates(119.5) == {"c": pytest.approx(10), "s": pytest.approx(20)}
    assert store.rate("g", 119.5) == store.rate("unknown", 119.5) == 0


def test_a_name_keeps_the_kind_it_had_first() -> None:
    store = Store()
    store.apply("w0", counted(1, "x"), 0.0)
    store.apply("w1", Delta(gauges={"x": 5.0}), 0.0)
    store.apply("w0", counted(1, "x"), 1.0)
    assert store.points(1.0) == {"x": {"type": "counter", "value": 2}}


def test_memory_does_not_grow_with_time_or_sources() -> None:
    store = Store()

    def slots() -> int:
        by_name = [len(s) for s in store._amounts.values()] + [len(s) for s in store._recent.values()]
        return sum(by_name) + len(store._arrivals)

    for second in range(3 * KEPT):
        for source in range(5):
            delta = recorded(float(second))
            delta.counters["c"] = 1
            store.apply(f"w{source}", delta, 1000.0 + second)
    assert slots() <= 3 * (KEPT + 1)
    assert store.points(1000.0 + 3 * KEPT)["c"]["value"] == 15 * KEPT


def test_a_clock_that_stands_or_steps_back_does_no_harm() -> None:
    store = Store()
    store.apply("w", counted(1), 100.0)
    store.apply("w", counted(1), 99.0)
    store.apply("w", counted(1), 100.0)
    assert store.points(100.0)["c"]["value"] == 3
    assert store.rate("c", 100.0) >= 0
    assert store.rate("c", 98.0) >= 0
