"""The stanzas of one connection that nobody has taken yet, and those who wait for one.

A stanza goes to the first waiter whose match wants it, else into the inbox; nothing is queued while somebody
waits for it. The inbox is bounded: when it is full the oldest stanza makes room, and is counted.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from amoc.xmpp.core.element import Element
from amoc.xmpp.deadlines import Deadlines
from amoc.xmpp.errors import ReceiveTimeout

__all__ = ["Inbox", "Match", "forget", "matches"]

Match = Callable[[Element], object] | str | None
"""Which stanzas: those for which the function is true, those of that name, or any."""


class Inbox(Deadlines):
    """`stanzas` are kept, the oldest first; `overflowed` counts those that were dropped because nobody took them.

    `of` says which stanzas are put into it.
    """

    __slots__ = ("_limit", "_of", "_waiters", "overflowed", "stanzas")

    def __init__(self, limit: int, of: Match = None) -> None:
        super().__init__()
        self._limit = limit
        self._of = of
        self.stanzas: list[Element] = []
        # with the seconds, None without limit, and the deadline
        self._waiters: list[tuple[Match, asyncio.Future[Element], float | None, float]] = []
        self.overflowed = 0

    def put(self, stanza: Element) -> Element | None:
        """Hand the stanza to who waits for it, or keep it; the older one that had to be dropped for it."""
        if self._waiters and self.offer(stanza, everything=True):
            return None
        self.stanzas.append(stanza)
        if len(self.stanzas) <= self._limit:
            return None
        self.overflowed += 1
        return self.stanzas.pop(0)

    def offer(self, stanza: Element, *, everything: bool) -> bool:
        """Hand the stanza to a waiter; False if none wants it. Who waits for anything counts if `everything`."""
        for entry in self._waiters:
            match, future, _, _ = entry
            if future.done():  # cancelled, and not given up yet
                continue
            try:
                wanted = everything if match is None else matches(match, stanza)
            except Exception as error:  # the scenario's own match: its mistake surfaces where it waits
                self._waiters = [other for other in self._waiters if other is not entry]
                future.set_exception(error)
                continue
            if wanted:
                self._waiters.remove(entry)
                future.set_result(stanza)
                return True
        return False

    def take(self, match: Match) -> Element | None:
        """The oldest kept stanza that matches."""
        for index, stanza in enumerate(self.stanzas):
            if matches(match, stanza):
                return self.stanzas.pop(index)
        return None

    def take_all(self) -> list[Element]:
        """All kept stanzas, the oldest first."""
        stanzas, self.stanzas = self.stanzas, []
        return stanzas

    def wait(self, match: Match, timeout: float | None) -> "asyncio.Future[Element]":
        """The next stanza to come that matches: to be awaited at once, or given to `give_up`.

        It fails with a ReceiveTimeout after `timeout` seconds, or with what `fail` was given.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Element] = loop.create_future()
        deadline = self._deadline(loop, timeout) if timeout is not None else 0.0
        self._waiters.append((match, future, timeout, deadline))
        return future

    def give_up(self, future: "asyncio.Future[Element]") -> None:
        """Nobody awaits this any more; a stanza that it was given already is kept."""
        self._waiters = [entry for entry in self._waiters if entry[1] is not future]
        if forget(future) is None and future.done() and not future.cancelled():
            self.stanzas.insert(0, future.result())

    def fail(self, error: Callable[[], Exception]) -> None:
        """Nothing comes any more: everyone who waits gets an error of his own."""
        self._silence()
        waiters, self._waiters = self._waiters, []
        for _, future, _, _ in waiters:
            if not future.done():
                future.set_exception(error())

    def _expire(self, now: float) -> float | None:
        late = [entry for entry in self._waiters if entry[2] is not None and entry[3] <= now]
        for entry in late:
            self._waiters.remove(entry)
            if not entry[1].done():
                entry[1].set_exception(_late(self._of if entry[0] is None else entry[0], entry[2]))
        return min((entry[3] for entry in self._waiters if entry[2] is not None), default=None)


def _late(match: Match, timeout: float | None) -> ReceiveTimeout:
    what = match if isinstance(match, str) else "stanza" if match is None else "such stanza"
    return ReceiveTimeout(f"no {what} came within {timeout:g} s")


def forget(future: "asyncio.Future[Any]") -> BaseException | None:
    """The future's exception, if it has one: nobody will await it, and asyncio must not complain of that."""
    return future.exception() if future.done() and not future.cancelled() else None


def matches(match: Match, stanza: Element) -> bool:
    """Whether it is such a stanza. Raises what the scenario's function raises."""
    if type(match) is str:
        return stanza.name == match
    return match is None or bool(match(stanza))  # type: ignore[operator]  # not a str: a function
