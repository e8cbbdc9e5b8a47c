"""Stanzas that are taken ahead of handlers, filters and `receive`, while a block of the scenario lasts.

    with client.collect("message") as collected:
        client.send(request)
        first = await collected.get(timeout=5)
        others = collected.taken()

The client offers each stanza that comes to its collections before it goes anywhere else.
"""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from amoc.xmpp.core.element import Element
from amoc.xmpp.inbox import Inbox, Match, matches

__all__ = ["Collected"]

Receive = Callable[[Inbox, Match, float | None], Coroutine[Any, Any, Element]]


class Collected:
    """What a block has collected: made by `Client.collect`, which also ends it. Iterate over it to empty it.

    `receive` waits for the next stanza of an inbox; `drop` is told which had to make room for others.
    `once`: one stanza is enough.
    """

    __slots__ = ("_drop", "_ended", "_failure", "_inbox", "_match", "_receive", "_untold", "_wanted")

    def __init__(
        self, match: Match, limit: int, receive: Receive, drop: Callable[[Element], None], *, once: bool = False
    ) -> None:
        self._match = match
        self._inbox = Inbox(limit, of=match)
        self._receive = receive
        self._drop = drop
        self._wanted = 1 if once else -1  # how many more; below zero: all
        self._failure: Exception | None = None  # what the scenario's match has raised
        self._untold = False
        self._ended = False

    def __repr__(self) -> str:
        return f"<Collected {len(self)} of {self._match!r}>"

    def __len__(self) -> int:
        return len(self._inbox.stanzas)

    def __bool__(self) -> bool:
        return True  # also an empty one

    def __iter__(self) -> Iterator[Element]:
        """Take what is there, the oldest first, and what comes meanwhile."""
        while (stanza := self._inbox.take(None)) is not None:
            yield stanza

    @property
    def overflowed(self) -> int:
        """How many stanzas were dropped because more than xmpp_inbox were not taken."""
        return self._inbox.overflowed

    async def get(self, timeout: float | None = None) -> Element:
        """Take the oldest stanza, or wait for the next.

        Raises ReceiveTimeout after `timeout` seconds, Disconnected, and what the scenario's own match has raised.
        """
        if self._ended:
            raise RuntimeError("the block that collects has ended")
        if self._failure is not None and not self._inbox.stanzas:
            raise self._tell()
        return await self._receive(self._inbox, None, timeout)

    def taken(self) -> list[Element]:
        """Take all that is there, the oldest first."""
        return self._inbox.take_all()

    # -- for the client --------------------------------------------------------------------------------

    def offer(self, stanza: Element) -> bool:
        """Whether the stanza is collected."""
        if not self._wanted or self._failure is not None:
            return False
        try:
            if not matches(self._match, stanza):
                return False
        except Exception as error:  # the scenario's own: it surfaces where it waits, or at the end of its block
            self._failure = error
            self._untold = True
            self._inbox.fail(self._tell)
            return False
        self._wanted -= 1
        dropped = self._inbox.put(stanza)
        if dropped is not None:
            self._drop(dropped)
        return True

    def fail(self, error: Callable[[], Exception]) -> None:
        """The session is over: who waits is told so."""
        self._inbox.fail(error)

    def end(self) -> list[Element]:
        """Collect no more; what was not taken."""
        self._ended = True
        self._inbox.fail(lambda: RuntimeError("the block that collects has ended"))
        return self._inbox.take_all()

    def check(self) -> None:
        """Raise what the scenario's match has raised, unless that was done already."""
        if self._untold:
            raise self._tell()

    def _tell(self) -> Exception:
        assert self._failure is not None
        self._untold = False
        return self._failure
