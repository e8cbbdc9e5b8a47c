"""The watchdog's eye on the loop. That it ends its process with the agent is tested with real workers."""

import pytest

from amoc.worker import watchdog
from amoc.worker.watchdog import LONG, TICK, Watchdog


class Clock:
    """Seconds, moved by the test."""

    def __init__(self) -> None:
        self.now = 50.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watchdog, "time", clock)
    return clock


@pytest.fixture
def dog(clock: Clock) -> Watchdog:
    return Watchdog(None, 0, lambda held: None)  # type: ignore[arg-type]  # it is not started


def test_lag_is_the_longest_hold_up_since_last_asked(dog: Watchdog, clock: Clock) -> None:
    for pause in (TICK, TICK + 0.3, TICK + 0.1):
        clock.now += pause
        dog.tick()
    assert dog.take_lag() == pytest.approx(0.3)
    assert dog.take_lag() == 0.0


def test_a_hold_up_that_goes_on_counts_already(dog: Watchdog, clock: Clock) -> None:
    clock.now += TICK + 2.0
    assert dog.take_lag() == pytest.approx(2.0)


def test_one_place_is_not_reported_over_and_over(dog: Watchdog, clock: Clock) -> None:
    assert dog._worth_saying("a.py:1 f")
    clock.now += LONG - 0.1
    assert not dog._worth_saying("a.py:1 f")
    assert dog._worth_saying("b.py:2 g")
    clock.now += LONG
    assert dog._worth_saying("b.py:2 g")
