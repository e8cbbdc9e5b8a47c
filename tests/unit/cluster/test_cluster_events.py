"""The stream of events: everybody hears, the run's history is bounded, a bad listener hurts nobody."""

import logging
from typing import Any

import pytest

from amoc.cluster.events import KEPT, Events
from amoc.control import Event


def test_listeners_hear_until_they_unsubscribe() -> None:
    events = Events()
    first: list[dict[str, Any]] = []
    second: list[dict[str, Any]] = []
    leave = events.subscribe(first.append)
    events.subscribe(second.append)
    events.say("run", "one")
    leave()
    leave()
    events.say("run", "two", "ERROR", "a")
    assert [e["text"] for e in first] == ["one"]
    assert [e["text"] for e in second] == ["one", "two"]
    assert second[1] | {"time": 0} == {
        "event": "run",
        "time": 0,
        "level": "ERROR",
        "text": "two",
        "node": "a",
        "worker": None,
        "logger": "",
    }


def test_log_lines_are_passed_on_and_not_kept() -> None:
    events = Events()
    heard: list[dict[str, Any]] = []
    events.subscribe(heard.append)
    events.publish(Event("log", 1.0, "INFO", "hello"))
    events.publish(Event("worker", 2.0, "INFO", "gone"))
    assert [e["event"] for e in heard] == ["log", "worker"]
    assert [e["text"] for e in events.history()] == ["gone"]
    events.forget()
    assert events.history() == []


def test_the_history_is_bounded() -> None:
    events = Events()
    for number in range(KEPT + 5):
        events.say("run", str(number))
    assert [e["text"] for e in events.history()] == [str(n) for n in range(5, KEPT + 5)]


def test_a_listener_that_raises_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    events = Events()
    heard: list[dict[str, Any]] = []
    calls: list[int] = []

    def bad(event: dict[str, Any]) -> None:
        calls.append(1)
        raise OSError("the console is gone")

    events.subscribe(bad)
    events.subscribe(heard.append)
    with caplog.at_level(logging.ERROR):
        events.say("run", "one")
        events.say("run", "two")
    assert len(heard) == 2
    assert len(calls) == 1
    assert "a listener of events failed" in caplog.text


def test_a_listener_may_leave_or_come_while_it_is_called() -> None:
    events = Events()
    heard: list[str] = []

    def once(event: dict[str, Any]) -> None:
        heard.append(event["text"])
        leave()
        events.subscribe(lambda e: heard.append("late " + e["text"]))

    leave = events.subscribe(once)
    events.say("run", "one")
    events.say("run", "two")
    assert heard == ["one", "late two"]
