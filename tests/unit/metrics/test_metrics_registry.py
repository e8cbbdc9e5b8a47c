"""The registry, its names, and the functions that scenarios call."""

from collections.abc import Iterator

import pytest

from amoc import metrics
from amoc.metrics import MetricError, Registry
from amoc.metrics.registry import LIMIT


@pytest.fixture(autouse=True)
def registry() -> Iterator[Registry]:
    before, fresh = metrics.current(), Registry()
    metrics.use(fresh)
    yield fresh
    metrics.use(before)


def test_a_metric_is_made_once_by_its_name() -> None:
    assert metrics.counter("a") is metrics.counter("a")
    assert metrics.histogram("b") is metrics.histogram("b")


@pytest.mark.parametrize("first", ["counter", "spiral", "gauge", "histogram"])
@pytest.mark.parametrize("second", ["counter", "spiral", "gauge", "histogram"])
def test_a_name_has_one_kind(registry: Registry, first: str, second: str) -> None:
    made = getattr(registry, first)("a")
    if first == second:
        assert getattr(registry, second)("a") is made
    else:
        with pytest.raises(MetricError, match=f"metric a is a {first} already and cannot be a {second}"):
            getattr(registry, second)("a")


@pytest.mark.parametrize("name", ["a", "messages_sent", "amoc.times.connection", "http-2", "0", "A.b-c_D.9"])
def test_good_names(name: str) -> None:
    assert metrics.counter(name).name == name


@pytest.mark.parametrize("name", ["", "a b", "a..b", ".a", "a.", "a/b", "a\n", "größe", "a" * 201, 7, None])
def test_bad_names_are_refused_with_the_rule(registry: Registry, name: str) -> None:
    with pytest.raises(MetricError, match="use letters, digits"):
        metrics.counter(name)
    assert not registry.flush()


def test_names_made_per_user_end_in_an_error_not_in_a_full_memory() -> None:
    for user in range(LIMIT):
        metrics.increment(f"user_{user}")
    with pytest.raises(MetricError, match=f"there are {LIMIT} metrics already"):
        metrics.increment("one_more")
    metrics.increment("user_0")  # those that exist go on


def test_functions_by_name(registry: Registry) -> None:
    metrics.increment("sent")
    metrics.increment("sent", 2)
    metrics.spiral("rounds")
    metrics.increment("rounds", 5)
    metrics.set("level", 1.5)
    metrics.increment("level", 1)
    metrics.record("ttd", 100)
    with metrics.timer("page"):
        pass
    delta = registry.flush()
    assert delta.counters == {"sent": 3}
    assert delta.spirals == {"rounds": 5}
    assert delta.gauges == {"level": 2.5}
    assert {name: d.count for name, d in delta.histograms.items()} == {"ttd": 1, "page": 1}


def test_functions_refuse_the_wrong_kind() -> None:
    metrics.histogram("ttd")
    metrics.counter("sent")
    with pytest.raises(MetricError, match="ttd is a histogram, which cannot be incremented: use record"):
        metrics.increment("ttd")
    with pytest.raises(MetricError, match="sent is a counter already"):
        metrics.record("sent", 5)
    with pytest.raises(MetricError, match="sent is a counter already"):
        metrics.set("sent", 5)


def test_a_flush_has_only_what_changed(registry: Registry) -> None:
    for kind in ("counter", "spiral", "gauge", "histogram"):
        getattr(registry, kind)(kind)
    first = registry.flush()
    assert (first.counters, first.spirals, first.gauges) == ({"counter": 0}, {"spiral": 0}, {"gauge": 0.0})
    assert first.histograms["histogram"].count == 0
    assert not registry.flush()
    metrics.increment("counter")
    second = registry.flush()
    assert (second.counters, second.spirals, second.gauges, second.histograms) == ({"counter": 1}, {}, {}, {})


def test_functions_use_the_current_registry(registry: Registry) -> None:
    other = Registry()
    old = metrics.counter("a")
    metrics.use(other)
    assert metrics.counter("a") is not old
    metrics.increment("a")
    assert other.flush().counters == {"a": 1}
    assert registry.flush().counters == {"a": 0}
