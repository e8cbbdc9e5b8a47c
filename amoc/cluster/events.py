"""The stream of what happens, for consoles and logs, and the run's own event log."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from amoc.control import Event

__all__ = ["Events"]

KEPT = 100  # events of a run in `status`; log lines are not kept, only passed on

Listener = Callable[[dict[str, Any]], None]


class Events:
    """Passes every event on to its listeners at once; remembers those that belong to the run's history."""

    def __init__(self) -> None:
        self._listeners: dict[int, Listener] = {}
        self._next = 0
        self._history: deque[Event] = deque(maxlen=KEPT)

    def __repr__(self) -> str:
        return f"<Events {len(self._history)} kept, {len(self._listeners)} listeners>"

    def subscribe(self, callback: Listener) -> Callable[[], None]:
        """Have `callback` called with every event, as a plain dict, until the returned function is called."""
        key, self._next = self._next, self._next + 1
        self._listeners[key] = callback

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Tell everybody. A listener that raises is dropped: it must not end the test that it watches."""
        if event.event != "log":
            self._history.append(event)
        plain: dict[str, Any] = msgspec.to_builtins(event)
        for key, callback in list(self._listeners.items()):
            try:
                callback(plain)
            except Exception:
                self._listeners.pop(key, None)
                logging.getLogger(__name__).exception("a listener of events failed and gets no more of them")

    def say(self, event: str, text: str, level: str = "INFO", node: str = "") -> None:
        """Publish an event of the master's own, with the present time."""
        self.publish(Event(event, time.time(), level, text, node))

    def history(self) -> list[dict[str, Any]]:
        """The run's events so far, oldest first."""
        return [msgspec.to_builtins(event) for event in self._history]

    def kept(self) -> list[Event]:
        """The run's events so far, for the master's file."""
        return list(self._history)

    def restore(self, events: Iterable[Event]) -> None:
        """The run's events that were kept; nobody is told again."""
        self._history.extend(events)

    def forget(self) -> None:
        """A new run begins its own history."""
        self._history.clear()
