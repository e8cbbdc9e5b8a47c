"""What scenarios use: one user's connection to its server.

    async with connect(user_id) as client:
        client.send_presence()
        client.send_message(jid_of(user_id + 1), "hello")
        stanza = await client.receive("message", timeout=5)

A client belongs to the task that opened it. Its sends are plain calls: what is sent within a tick of the loop
leaves in one write. Nothing here makes a task; what waits are futures, and they are gone when whoever waits is
cancelled.
"""

import asyncio
import copy
import itertools
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Self

from amoc import metrics
from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.jid import bare, normal
from amoc.xmpp.errors import Disconnected, IqError, IqTimeout, ReceiveTimeout, SendOverflow, XmppError
from amoc.xmpp.inbox import Inbox, Match, forget
from amoc.xmpp.settings import Options
from amoc.xmpp.transport.tcp import Connection

__all__ = ["Client", "Handler", "News"]

Handler = Callable[[Element], object]
News = Literal["start tls", "ready", "lost"]

_ids = itertools.count(1)
_PREFIX = secrets.token_hex(4) + "-"  # so that ids differ between the processes of a test


class Client:
    """A user's session. Made by `connect`; `jid` is its full address, `user_id` the user's number."""

    __slots__ = (
        "_connection", "_handlers", "_inbox", "_leaving", "_news", "_options", "_pending", "_reason",
        "jid", "user_id",
    )  # fmt: skip

    def __init__(self, user_id: int, options: Options) -> None:
        self.user_id = user_id
        self.jid = ""
        self._options = options
        self._inbox = Inbox(options.inbox)
        self._handlers: dict[str, Handler | None] | None = None
        self._pending: dict[str, tuple[str | None, asyncio.Future[Element]]] | None = None
        self._connection: Connection | None = None
        self._reason: XmppError | None = None  # why the session is over
        self._leaving = False  # the scenario itself has ended it
        self._news: asyncio.Future[News] | None = None  # somebody waits for what becomes of the connection

    def __repr__(self) -> str:
        return f"<Client {self.who} {'closed' if self._reason is not None else 'open'}>"

    @property
    def who(self) -> str:
        """The user, the account and the server, as errors name them."""
        return self._options.who(self.user_id)

    @property
    def connected(self) -> bool:
        """Whether the session is still there."""
        return self._reason is None

    @property
    def overflowed(self) -> int:
        """How many stanzas were dropped because the inbox was full."""
        return self._inbox.overflowed

    # -- sending ---------------------------------------------------------------------------------------

    def send(self, stanza: Element | str | bytes) -> None:
        """Send an element, or XML as text or bytes, as it is.

        Raises Disconnected, SendOverflow (the server does not read), InvalidXml.
        """
        if not isinstance(stanza, bytes):
            stanza = stanza.encode()
        connection = self._connection
        if self._reason is not None or connection is None:
            raise self._error()
        try:
            connection.send(stanza)
        except SendOverflow as error:
            error.who = self.who
            raise

    def send_presence(self, type: str | None = None, to: str | None = None) -> None:
        """Send a presence: available, to everybody who is subscribed, unless told otherwise."""
        attributes = f" type='{escape(type)}'" if type else ""
        if to:
            attributes += f" to='{escape(to)}'"
        self.send(f"<presence{attributes}/>")

    def send_message(self, to: str, body: str, *, type: str = "chat", id: str | None = None) -> str:
        """Send a message, return its id."""
        if id is None:
            id = _PREFIX + str(next(_ids))
        self.send(
            f"<message to='{escape(to)}' type='{escape(type)}' id='{escape(id)}'><body>{escape(body)}</body></message>"
        )
        return id

    async def drain(self) -> None:
        """Wait until the server has read most of what was sent."""
        if self._connection is not None:
            await self._connection.drain()

    # -- asking ----------------------------------------------------------------------------------------

    async def iq(
        self,
        stanza: Element | str,
        to: str | None = None,
        payload: Element | None = None,
        *,
        timeout: float | None = None,
    ) -> Element:
        """Send an iq and return its result: `iq(element)`, or `iq("get", to, payload)`.

        `timeout` in seconds, default the setting xmpp_iq_timeout. Raises IqError for an error in answer,
        IqTimeout, Disconnected.
        """
        if isinstance(stanza, str):
            stanza = Element("iq", {"type": stanza, "to": to}, *([payload] if payload is not None else ()))
        if stanza.name != "iq" or stanza.get("type") not in ("get", "set"):
            raise ValueError(f"only an iq of type get or set is answered, not {stanza!r}")
        ident = stanza.attrs.setdefault("id", _PREFIX + str(next(_ids)))
        pending = self._pending
        if pending is None:
            pending = self._pending = {}
        if ident in pending:
            raise ValueError(f"an iq with id {ident!r} is waiting for its answer already")
        self.send(stanza)
        if timeout is None:
            timeout = self._options.iq_timeout
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Element] = loop.create_future()
        pending[ident] = stanza.get("to"), future
        timer = loop.call_later(timeout, self._expire, stanza, future, timeout)
        try:
            answer = await future
        finally:
            timer.cancel()
            pending.pop(ident, None)
            forget(future)
        if answer.get("type") == "error":
            raise self._named(IqError(answer))
        return answer

    async def receive(self, match: Match = None, timeout: float | None = None) -> Element:
        """The next stanza that nobody else took: any, of a name ("message"), or for which `match` is true.

        Answers to `iq`, stanzas of a kind that has a handler or is ignored, and requests that the client
        answers by itself (ping, roster pushes, what nobody here knows) are taken. Raises ReceiveTimeout after
        `timeout` seconds, Disconnected when the session is over and nothing that matches is left.
        """
        kept = self._inbox.take(match)
        if kept is not None:
            return kept
        if self._reason is not None:
            raise self._error()
        try:
            return await self._inbox.wait(match, timeout)
        except ReceiveTimeout as error:
            error.who = self.who
            raise

    def on(self, name: str, handler: Handler) -> None:
        """Give every stanza of that name ("message", "presence", "iq") to `handler`, at once.

        The handler is a plain function, and takes the stanza: `receive` does not see it. An exception that
        it raises ends the session. An "iq" handler gets the requests and has to answer them.
        """
        if self._handlers is None:
            self._handlers = {}
        self._handlers[name] = handler

    def ignore(self, *names: str) -> None:
        """Drop stanzas of these names ("presence") as they come."""
        for name in names:
            if self._handlers is None:
                self._handlers = {}
            self._handlers[name] = None

    def off(self, name: str) -> None:
        """Neither handle nor ignore stanzas of that name: they go to `receive` again."""
        if self._handlers is not None:
            self._handlers.pop(name, None)

    # -- ending ----------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Say goodbye, wait for the server's, at most xmpp_close_timeout, and close the connection."""
        connection = self._connection
        if self._reason is not None or connection is None:
            self.kill()
            return
        self._leave("the session was closed by the scenario")
        connection.close_stream()
        try:
            async with asyncio.timeout(self._options.close_timeout):
                await self.news()
        except (TimeoutError, XmppError):
            pass
        finally:
            connection.abort()
            self._connection = None

    def kill(self) -> None:
        """Cut the connection without a word, as a crash or a dead network would."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._leave("the session was killed by the scenario")
            connection.abort()
            self._tell("lost")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Exception):
            await self.close()
        else:
            self.kill()

    # -- the connection's owner ------------------------------------------------------------------------

    def attach(self, connection: Connection) -> None:
        """Belong together with a connection that is about to be made."""
        self._connection = connection

    def news(self) -> "asyncio.Future[News]":
        """What becomes of the connection next. Fails with the reason when the login comes to its end."""
        self._news = asyncio.get_running_loop().create_future()
        return self._news

    def on_ready(self, jid: str) -> None:
        """The login is done."""
        self.jid = jid
        self._tell("ready")

    def on_start_tls(self) -> None:
        """The login goes on with TLS."""
        self._tell("start tls")

    def on_stanza(self, stanza: Element) -> None:
        """Hand a stanza to who waits for it."""
        name = stanza.name
        asked = False
        if name == "iq":
            if stanza.attrs.get("type") in ("result", "error"):
                if self._pending and self._answered(stanza):
                    return
            else:
                asked = True
        if self._handlers is not None and name in self._handlers:
            handler = self._handlers[name]
            if handler is not None:
                self._handle(handler, stanza)
            return
        if asked and (self._inbox.offer(stanza, everything=False) or self._answer(stanza)):
            return
        if not self._inbox.put(stanza):
            metrics.increment("xmpp.inbox_overflow")

    def on_ended(self, error: XmppError | None) -> None:
        """The server's stream is over."""
        self._over(error or Disconnected("the server closed the stream"))

    def on_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        text = f"the connection was lost: {error}" if error else "the server closed the connection"
        self._over(Disconnected(text))
        self._connection = None
        self._tell("lost")

    def _tell(self, news: News) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(news)

    def _over(self, reason: XmppError) -> None:
        if self._reason is not None:
            return
        self._reason = self._named(reason)
        if not self._leaving:
            if self.jid:
                metrics.increment("xmpp.disconnected")
            elif self._news is not None and not self._news.done():
                self._news.set_exception(self._error())
        for _, future in (self._pending or {}).values():
            if not future.done():
                future.set_exception(self._error())
        self._inbox.fail(self._error)

    def _leave(self, why: str) -> None:
        self._leaving = True
        self._over(Disconnected(why))

    def _error(self) -> XmppError:
        """A new exception saying why there is no session."""
        if self._reason is None:
            return self._named(Disconnected("not connected"))
        error = copy.copy(self._reason)
        error.__cause__ = self._reason.__cause__
        return error

    def _named(self, error: XmppError) -> XmppError:
        error.who = self.who
        return error

    # -- stanzas ---------------------------------------------------------------------------------------

    def _answered(self, stanza: Element) -> bool:
        """Whether it was the answer to an iq of ours: the id alone does not do (RFC 6120, 8.1.2.1)."""
        assert self._pending is not None
        entry = self._pending.get(stanza.attrs.get("id", ""))
        if entry is None or entry[1].done() or not self._from(entry[0], stanza.attrs.get("from")):
            return False
        entry[1].set_result(stanza)
        return True

    def _from(self, asked: str | None, answering: str | None) -> bool:
        if asked is None or answering is None:
            own = bare(self.jid)
            other = answering if asked is None else asked
            return other is None or normal(other) in (own, own.partition("@")[2], normal(self.jid))
        return normal(asked) == normal(answering)

    def _answer(self, stanza: Element) -> bool:
        """Answer a request that nobody here wants: servers drop clients that do not (RFC 6120, 8.2.3)."""
        payload = next(iter(stanza), None)
        answer = Element("iq", {"type": "result", "to": stanza.get("from"), "id": stanza.get("id")})
        push = payload is not None and payload.ns == ns.ROSTER and self._from(None, stanza.get("from"))
        if not push and (payload is None or payload.ns != ns.PING):
            answer.attrs["type"] = "error"
            answer.add(Element("error", {"type": "cancel"}, Element(f"{{{ns.STANZAS}}}service-unavailable")))
        if self._connection is not None:
            try:
                self._connection.send(answer.encode())
            except SendOverflow:
                metrics.increment("xmpp.answers_dropped")
        return True

    def _handle(self, handler: Handler, stanza: Element) -> None:
        try:
            handler(stanza)
        except Exception as error:
            # it must not reach the loop, which would only log it: the scenario finds it where it waits
            reason = Disconnected(f"the handler of {stanza.name} raised {type(error).__name__}: {error}")
            reason.__cause__ = error
            self._over(reason)
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.abort()

    def _expire(self, stanza: Element, future: "asyncio.Future[Any]", timeout: float) -> None:
        if not future.done():
            asked = next((f" ({child.name})" for child in stanza), "")
            text = f"no answer to iq {stanza.get('id')}{asked} from {stanza.get('to') or 'the server'}"
            future.set_exception(self._named(IqTimeout(f"{text} within {timeout:g} s")))
