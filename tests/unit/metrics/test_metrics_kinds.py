"""Counters, spirals, gauges, histograms and timers as a process uses them, from threads too."""

import asyncio
import logging
import math
import sys
import threading
from collections.abc import Iterator

import pytest

from amoc.errors import BadInput
from amoc.metrics import Counter, Delta, Gauge, Histogram, MetricError, Registry, Spiral, Timer


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Have the interpreter switch threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("kind", [Counter, Spiral])
def test_a_count_is_taken_once(kind: type[Counter]) -> None:
    metric = kind("c")
    metric.increment()
    metric.increment(41)
    assert metric.take() == 42
    assert metric.take() is None
    metric.increment(0)
    assert metric.take() is None
    metric.increment()
    assert metric.take() == 1


def test_a_new_metric_is_announced_with_zero_once() -> None:
    counter, gauge, histogram = Counter("c"), Gauge("g"), Histogram("h")
    assert counter.take() == 0
    assert gauge.take() == 0
    taken = histogram.take()
    assert taken is not None
    assert taken.count == 0
    assert (counter.take(), gauge.take(), histogram.take()) == (None, None, None)


@pytest.mark.parametrize("wrong", [-1, 1.5, 1.0, "1", None, math.nan])
def test_a_counter_refuses_what_is_not_a_whole_number_above_zero(wrong: int) -> None:
    counter = Counter("messages_sent")
    with pytest.raises(MetricError, match=r"counter messages_sent: .*whole number >= 0"):
        counter.increment(wrong)
    assert counter.take() == 0


def test_a_gauge_goes_up_and_down_and_is_sent_when_it_changed() -> None:
    gauge = Gauge("g")
    gauge.set(5)
    gauge.increment(2.5)
    gauge.decrement()
    assert gauge.take() == 6.5
    gauge.set(6.5)
    assert gauge.take() is None
    gauge.decrement(10)
    assert gauge.take() == -3.5


@pytest.mark.parametrize("wrong", [math.nan, math.inf, "5", None, 10**400])
def test_a_gauge_refuses_what_is_not_a_finite_number(wrong: float) -> None:
    gauge = Gauge("g")
    for change in (gauge.set, gauge.increment, gauge.decrement):
        with pytest.raises(MetricError, match=r"gauge g: .*finite number"):
            change(wrong)
    assert gauge.take() == 0


def test_metric_errors_are_bad_input() -> None:
    assert issubclass(MetricError, BadInput)


def test_a_histogram_takes_what_was_recorded_since_the_last_take() -> None:
    histogram = Histogram("h")
    histogram.record(10)
    histogram.record(20.5)
    first = histogram.take()
    assert first is not None
    assert (first.count, first.sum, first.min, first.max) == (2, 30.5, 10, 20.5)
    histogram.record(15)
    second = histogram.take()
    assert second is not None
    assert (second.count, second.min, second.max) == (1, 15, 15)


def test_unusable_values_are_left_out_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    histogram = Histogram("message_ttd")
    with caplog.at_level(logging.WARNING):
        for value in (1.0, -7, "fast"):
            histogram.record(value)  # type: ignore[arg-type]  # one is no number, on purpose
        first = histogram.take()
        histogram.record(-8)
        second = histogram.take()
    assert first is not None
    assert first.count == 1
    assert second is not None
    assert second.count == 0
    assert [record.getMessage() for record in caplog.records] == [
        "histogram message_ttd: -7 is not a number >= 0; such values are left out"
    ]


def test_a_timer_records_the_time_of_its_block_in_microseconds() -> None:
    histogram = Histogram("h")
    with Timer(histogram):
        threading.Event().wait(0.02)
    taken = histogram.take()
    assert taken is not None
    assert taken.count == 1
    assert 20_000 <= taken.sum < 10_000_000


def test_a_timer_does_not_record_a_block_that_failed() -> None:
    histogram = Histogram("h")
    timer = Timer(histogram)
    with pytest.raises(ZeroDivisionError), timer:
        1 / 0  # noqa: B018
    with timer:
        pass
    taken = histogram.take()
    assert taken is not None
    assert taken.count == 1


async def test_a_timer_does_not_record_a_user_who_was_removed() -> None:
    histogram = Histogram("h")
    inside = asyncio.Event()

    async def user() -> None:
        with Timer(histogram):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(user())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    taken = histogram.take()
    assert taken is not None
    assert taken.count == 0


@pytest.mark.usefixtures("hasty_threads")
def test_threads_lose_nothing_while_another_flushes() -> None:
    registry = Registry()
    counter, spiral = registry.counter("c"), registry.spiral("s")
    gauge, histogram = registry.gauge("g"), registry.histogram("h")
    each, threads = 20_000, 4
    running = threading.Barrier(threads + 1)

    def work() -> None:
        running.wait()
        for i in range(each):
            counter.increment()
            spiral.increment(2)
            gauge.increment()
            histogram.record(i)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    running.wait()
    total, flushes = Delta(), 0
    while any(worker.is_alive() for worker in workers):
        total.add(registry.flush())
        flushes += 1
    for worker in workers:
        worker.join()
    total.add(registry.flush())
    assert flushes > 3, "the flushes did not run beside the threads"
    assert total.counters == {"c": each * threads}
    assert total.spirals == {"s": 2 * each * threads}
    assert total.gauges == {"g": each * threads}
    assert total.histograms["h"].count == each * threads
    assert total.histograms["h"].sum == threads * each * (each - 1) / 2


@pytest.mark.usefixtures("hasty_threads")
def test_flushes_beside_each_other_share_what_was_recorded() -> None:
    registry = Registry()
    histogram, counter = registry.histogram("h"), registry.counter("c")
    done = threading.Event()
    taken: list[Delta] = []

    def flush() -> None:
        while not done.is_set():
            taken.append(registry.flush())

    flushers = [threading.Thread(target=flush) for _ in range(3)]
    for flusher in flushers:
        flusher.start()
    for i in range(50_000):
        histogram.record(i)
        counter.increment()
    done.set()
    for flusher in flushers:
        flusher.join()
    total = registry.flush()
    for delta in taken:
        total.add(delta)
    assert total.histograms["h"].count == total.counters["c"] == 50_000


def test_kinds_say_what_they_are() -> None:
    assert repr(Counter("messages_sent")) == "<counter messages_sent>"
    assert repr(Histogram("message_ttd")) == "<histogram message_ttd>"
