"""Who gets what comes for a user's session: who asked, a collection, a handler, or the inbox."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from amoc import metrics
from amoc.xmpp.asking import Asking
from amoc.xmpp.collecting import Collected
from amoc.xmpp.core.element import Element
from amoc.xmpp.errors import Disconnected, ReceiveTimeout
from amoc.xmpp.inbox import Inbox, Match
from amoc.xmpp.sending import REFLECTED
from amoc.xmpp.settings import Options
from amoc.xmpp.waterfall import record_presence

__all__ = ["Handler", "Receiving"]

Handler = Callable[[Element], object]

STANZAS: Final = ("message", "presence", "iq")


class Receiving(Asking):
    """The layer that receives."""

    __slots__ = ("_collections", "_handlers", "_inbox")

    def __init__(self, user_id: int, options: Options) -> None:
        super().__init__(user_id, options)
        self._inbox = Inbox(options.inbox)
        self._handlers: dict[str, Handler | None] | None = None
        self._collections: tuple[Collected, ...] = ()  # the newest first

    @property
    def overflowed(self) -> int:
        """How many stanzas were dropped because the inbox was full."""
        return self._inbox.overflowed

    async def receive(self, match: Match = None, timeout: float | None = None) -> Element:
        """The next stanza that nobody else took: any, of a name ("message"), or for which `match` is true.

        Answers to `iq`, stanzas of a kind that has a handler or is ignored, and requests that the client
        answers by itself (ping, roster pushes, what nobody here knows) are taken. Raises ReceiveTimeout after
        `timeout` seconds, Disconnected when the session is over and nothing that matches is left.
        """
        return await self._receive(self._inbox, match, timeout)

    async def expect(
        self, match: Match, timeout: float | None = None, send: Element | str | bytes | None = None
    ) -> Element:
        """Send something, and return the first stanza from then on that matches, whatever else would take it.

        As `receive`, but ahead of handlers and filters; what came before does not count. A request has to be
        answered by who expected it.
        """
        collected = Collected(match, 1, self._receive, self._dropped, once=True)
        self._collections = (collected, *self._collections)
        try:
            if send is not None:
                self.send(send)
            return await collected.get(timeout)
        finally:
            self._end(collected)

    @contextmanager
    def collect(self, match: Match) -> Iterator[Collected]:
        """Collect every stanza that matches, from now to the end of the block, whatever else would take it.

            with client.collect("presence") as collected:
                client.send(...)
                stanza = await collected.get(timeout=5)
                others = collected.taken()

        Of blocks within each other the innermost takes a stanza first; answers to `iq` go to who asked. Requests
        (an iq of type get or set) have to be answered by who takes them. More than xmpp_inbox stanzas are not kept:
        the oldest are dropped, and counted. What the block has not taken goes, at its end, to handlers, filters and
        `receive` as if it had just come. An exception of the match is raised by `get`, or at the end of the block.
        """
        collected = Collected(match, self._options.inbox, self._receive, self._dropped)
        self._collections = (collected, *self._collections)
        try:
            yield collected
        finally:
            self._end(collected)
        collected.check()

    def on(self, name: str, handler: Handler) -> None:
        """Give every stanza of that name ("message", "presence", "iq") to `handler`, at once.

        The handler is a plain function, and takes the stanza: `receive` does not see it. An exception that
        it raises ends the session, and is the cause of the Disconnected that whoever uses the client next is
        given, the end of its `async with` at the latest. An "iq" handler gets the requests, and answers them;
        those for which it returns False are treated as if it was not there.
        """
        if inspect.iscoroutinefunction(handler):
            raise TypeError(f"a handler of {name} is called, not awaited: it has to be a plain def, not an async def")
        if self._handlers is None:
            self._handlers = {}
        self._handlers[name] = handler

    def ignore(self, *names: str) -> None:
        """Drop stanzas of these names ("presence"), or of all, as they come; requests are answered with an error."""
        for name in names or STANZAS:
            if self._handlers is None:
                self._handlers = {}
            self._handlers[name] = None

    def off(self, name: str) -> None:
        """Neither handle nor ignore stanzas of that name: they go to `receive` again."""
        if self._handlers is not None:
            self._handlers.pop(name, None)

    async def _receive(self, inbox: Inbox, match: Match, timeout: float | None) -> Element:
        if inbox.stanzas:
            kept = inbox.take(match)
            if kept is not None:
                return kept
        if self._reason is not None:
            raise self._error()
        future = inbox.wait(match, timeout)
        try:
            return await future
        except asyncio.CancelledError:
            inbox.give_up(future)
            raise
        except ReceiveTimeout as error:
            error.who = self.who
            raise

    def _end(self, collected: Collected) -> None:
        """Let everybody else have what was collected and not taken."""
        self._collections = tuple(other for other in self._collections if other is not collected)
        for stanza in collected.end():
            Receiving.on_stanza(self, stanza)  # not a subclass's, which has counted it

    def _dropped(self, stanza: Element) -> None:
        """It had to make room in an inbox."""
        metrics.increment("xmpp.inbox_overflow")
        if stanza.name == "iq" and stanza.get("type") in ("get", "set"):
            self._answer(stanza)

    # -- what comes ------------------------------------------------------------------------------------

    def on_stanza(self, stanza: Element) -> None:
        """Hand a stanza to who waits for it."""
        name = stanza.name
        handlers = self._handlers
        asked = False
        if name == "iq":
            if stanza.attrs.get("type") in ("result", "error"):
                if self._questions and self._questions.answered(stanza, self.jid):
                    return
            else:
                asked = True
        elif name == "presence" and self._presence > 0 and stanza.attrs.get("from") == self.jid:
            record_presence(self._presence)
            self._presence = REFLECTED
        if self._collections and self._collected(stanza):
            return
        if handlers is not None and name in handlers:
            handler = handlers[name]
            if handler is None:
                if asked:
                    self._answer(stanza)
                return
            try:
                taken = handler(stanza)
            except Exception as error:
                self._fail(name, error)
                return
            if not asked or taken is not False:
                return
        if asked:
            if not self._inbox.offer(stanza, everything=False):
                self._answer(stanza)
        else:
            dropped = self._inbox.put(stanza)
            if dropped is not None:
                self._dropped(dropped)

    def _collected(self, stanza: Element) -> bool:
        return any(collection.offer(stanza) for collection in self._collections)

    def _fail(self, name: str, error: Exception) -> None:
        """A handler has raised: that must not reach the loop, which would only log it; the scenario finds it here."""
        if self._reason is not None and isinstance(error, Disconnected):
            return  # it wanted to answer what came while the session was being closed
        reason = Disconnected(f"the handler of {name} raised {type(error).__name__}: {error}")
        reason.__cause__ = error
        self._noticed = False
        self._over(reason)
        self._reason = self._named(reason)  # also if the session was over
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
            self._tell("lost")

    def _deny(self) -> None:
        super()._deny()
        self._inbox.fail(self._error)
        for collection in self._collections:
            collection.fail(self._error)
