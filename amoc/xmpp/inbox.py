"""The stanzas of one connection that nobody has taken yet, and those who wait for one.

A stanza goes to the first waiter whose match wants it, else into the inbox; nothing is queued while somebody
waits for it. The inbox is bounded: when it is full the oldest stanza makes room, and is counted.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from amoc.xmpp.core.element import Element
from amoc.xmpp.errors import ReceiveTimeout

__all__ = ["Inbox", "Match", "forget"]

Match = Callable[[Element], object] | str | None
"""Which stanzas: those for which the function is true, those of that name, or any."""


class Inbox:
    """`overflowed` counts the stanzas that were dropped because nobody received them."""

    __slots__ = ("_limit", "_stanzas", "_waiters", "overflowed")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._stanzas: list[Element] = []
        self._waiters: list[tuple[Match, asyncio.Future[Element]]] = []
        self.overflowed = 0

    def __len__(self) -> int:
        return len(self._stanzas)

    def put(self, stanza: Element) -> bool:
        """Hand the stanza to who waits for it, or keep it; False when an older one had to be dropped."""
        if self._waiters and self.offer(stanza, everything=True):
            return True
        self._stanzas.append(stanza)
        if len(self._stanzas) <= self._limit:
            return True
        del self._stanzas[0]
        self.overflowed += 1
        return False

    def offer(self, stanza: Element, *, everything: bool) -> bool:
        """Hand the stanza to a waiter; False if none wants it. Who waits for anything counts if `everything`."""
        for entry in self._waiters:
            match, future = entry
            if future.done():
                continue
            try:
                wanted = everything if match is None else _matches(match, stanza)
            except Exception as error:  # the scenario's own match: its mistake surfaces where it waits
                future.set_exception(error)
                continue
            if wanted:
                self._waiters.remove(entry)
                future.set_result(stanza)
                return True
        return False

    def take(self, match: Match) -> Element | None:
        """The oldest kept stanza that matches."""
        for index, stanza in enumerate(self._stanzas):
            if _matches(match, stanza):
                return self._stanzas.pop(index)
        return None

    async def wait(self, match: Match, timeout: float | None) -> Element:
        """The next stanza to come that matches. Raises ReceiveTimeout, or what `fail` was given."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Element] = loop.create_future()
        entry = (match, future)
        timer = None
        if timeout is not None:
            timer = loop.call_later(timeout, _expire, future, timeout)
        self._waiters.append(entry)
        try:
            return await future
        except asyncio.CancelledError:
            if forget(future) is None and future.done() and not future.cancelled():
                self._stanzas.insert(0, future.result())  # given, but not received: keep it
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if entry in self._waiters:
                self._waiters.remove(entry)

    def fail(self, error: Callable[[], Exception]) -> None:
        """Nothing comes any more: everyone who waits gets an error of his own."""
        for _, future in self._waiters:
            if not future.done():
                future.set_exception(error())


def forget(future: "asyncio.Future[Any]") -> BaseException | None:
    """The future's exception, if it has one: nobody will await it, and asyncio must not complain of that."""
    return future.exception() if future.done() and not future.cancelled() else None


def _matches(match: Match, stanza: Element) -> bool:
    if match is None:
        return True
    return stanza.name == match if isinstance(match, str) else bool(match(stanza))


def _expire(future: "asyncio.Future[Element]", timeout: float) -> None:
    if not future.done():
        future.set_exception(ReceiveTimeout(f"no such stanza came within {timeout:g} s"))
