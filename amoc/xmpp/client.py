"""What scenarios use: one user's connection to its server.

    async with connect(user_id) as client:
        client.send_presence()
        client.send_message(jid_of(user_id + 1), "hello")
        stanza = await client.receive("message", timeout=5)

A client belongs to the task that opened it. Its sends are plain calls: what is sent within a tick of the loop
leaves in one write. Nothing here makes a task; what waits are futures, and they are gone when whoever waits is
cancelled.

Counted, besides what `connecting` counts: `xmpp.disconnected` (sessions that the scenario did not end itself),
`xmpp.inbox_overflow` (stanzas dropped because nobody received them), `xmpp.answers_dropped` (answers to requests
that a server which does not read was not sent).
"""

import asyncio
import copy
import inspect
import itertools
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from types import TracebackType
from typing import Final, Literal, Self

from amoc import metrics
from amoc.xmpp.collecting import Collected
from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape, needs_escape
from amoc.xmpp.core.management import Management
from amoc.xmpp.errors import (
    Disconnected,
    InvalidXml,
    IqError,
    IqTimeout,
    ReceiveTimeout,
    SendOverflow,
    XmppError,
)
from amoc.xmpp.inbox import Inbox, Match
from amoc.xmpp.keepalive import Keepalive
from amoc.xmpp.questions import Questions, automatic_answer, recording
from amoc.xmpp.settings import Options
from amoc.xmpp.transport.connection import Connection
from amoc.xmpp.transport.tcp import TcpConnection
from amoc.xmpp.waterfall import record_presence

__all__ = ["Client", "Handler", "News"]

Handler = Callable[[Element], object]
News = Literal["start tls", "ready", "lost"]

STANZAS: Final = ("message", "presence", "iq")

_ids = itertools.count(1)
_NOT_SENT, _REFLECTED = 0.0, -1.0
_PREFIX = secrets.token_hex(4) + "-"  # so that ids differ between the processes of a test


class Client:
    """A user's session. Made by `connect`; `jid` is its full address, `user_id` the user's number."""

    __slots__ = (
        "_collections", "_connection", "_handlers", "_inbox", "_keepalive", "_leaving", "_news", "_noticed",
        "_options", "_presence", "_questions", "_reason", "jid", "user_id",
    )  # fmt: skip

    def __init__(self, user_id: int, options: Options) -> None:
        self.user_id = user_id
        self.jid = ""
        self._options = options
        self._inbox = Inbox(options.inbox)
        self._handlers: dict[str, Handler | None] | None = None
        self._collections: tuple[Collected, ...] = ()  # the newest first
        self._questions: Questions | None = None
        self._presence = _NOT_SENT  # when the first one left, until the server has reflected it
        self._connection: Connection | None = None
        self._reason: XmppError | None = None  # why the session is over
        self._leaving = False  # the scenario itself has ended it
        self._keepalive: Keepalive | None = None
        self._noticed = True  # False: a handler has failed, and nobody has been told
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

    @property
    def options(self) -> Options:
        """The settings of this client."""
        return self._options

    @property
    def management(self) -> Management | None:
        """The counters of stream management (XEP-0198), None when the setting xmpp_stream_management is off."""
        return None

    # -- sending ---------------------------------------------------------------------------------------

    def send(self, stanza: Element | str | bytes) -> None:
        """Send an element, or XML as text or bytes, as it is.

        Raises Disconnected, SendOverflow (the server does not read), InvalidXml.
        """
        if not isinstance(stanza, bytes):
            try:
                stanza = stanza.encode()
            except ValueError as error:
                raise self._unsendable(error) from None
        self._transmit(stanza)

    def _transmit(self, stanza: bytes) -> None:
        """Send one stanza, or what is none."""
        connection = self._connection
        if self._reason is not None or connection is None:
            raise self._error()
        try:
            connection.send(stanza)
        except SendOverflow as error:
            error.who = self.who
            raise

    def send_presence(self, type: str | None = None, to: str | None = None) -> None:
        """Send a presence: available, to everybody who is subscribed, unless told otherwise.

        The first available one is timed until the server reflects it (RFC 6121, 4.2.2): amoc.times.login.presence.
        """
        try:
            attributes = (f" type='{escape(type)}'" if type else "") + (f" to='{escape(to)}'" if to else "")
        except InvalidXml as error:
            raise self._named(error) from None
        if self._presence == _NOT_SENT and not type and not to:
            self._presence = perf_counter()
        self._transmit(f"<presence{attributes}/>".encode())

    def send_message(self, to: str, body: str, *, type: str = "chat", id: str | None = None, extra: str = "") -> str:
        """Send a message, return its id. `extra` is XML to stand behind its body, as it is."""
        if id is None:
            id = f"{_PREFIX}{next(_ids)}"
        if needs_escape(f"{to}{type}{id}{body}"):  # one search costs less than four
            try:
                to, type, written, body = map(escape, (to, type, id, body))
            except InvalidXml as error:
                raise self._named(error) from None
        else:
            written = id
        self._transmit(f"<message to='{to}' type='{type}' id='{written}'><body>{body}</body>{extra}</message>".encode())
        return id

    async def acknowledged(self, timeout: float | None = None) -> None:
        """Wait until the server has acknowledged all that was sent so far: see `ManagedClient`."""
        raise ValueError("nothing is acknowledged while xmpp_stream_management is off")

    async def drain(self) -> None:
        """Wait until the server has read most of what was sent. Raises Disconnected."""
        if self._connection is not None:
            await self._connection.drain()
        if self._reason is not None:
            raise self._error()

    # -- asking ----------------------------------------------------------------------------------------

    async def iq(
        self,
        stanza: Element | str,
        to: str | None = None,
        payload: Element | None = None,
        *,
        timeout: float | None = None,
        timed: str | None = None,
    ) -> Element:
        """Send an iq and return its result: `iq(element)`, or `iq("get", to, payload)`.

        `timeout` in seconds, default the setting xmpp_iq_timeout. `timed` names a histogram that is given the
        microseconds from the sending to the result's arrival. Raises IqError for an error in answer, IqTimeout,
        Disconnected.
        """
        if isinstance(stanza, str):
            stanza = Element("iq", {"type": stanza, "to": to}, *([payload] if payload is not None else ()))
        if stanza.name != "iq" or stanza.get("type") not in ("get", "set"):
            raise ValueError(f"only an iq of type get or set is answered, not {stanza!r}")
        stanza.attrs.setdefault("id", _PREFIX + str(next(_ids)))
        try:
            seconds = self._options.iq_timeout if timeout is None else timeout
            arrived = None if timed is None else recording(timed)
            answer = await self._asked().ask(stanza, self.send, seconds, arrived)
        except IqTimeout as error:
            error.who = self.who
            raise
        if answer.get("type") == "error":
            raise self._named(IqError(answer, asked=next((child.name for child in stanza), "")))
        return answer

    def _asked(self) -> Questions:
        if self._questions is None:
            self._questions = Questions()
        return self._questions

    # -- receiving -------------------------------------------------------------------------------------

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
            Client.on_stanza(self, stanza)  # not a subclass's, which has counted it

    def _dropped(self, stanza: Element) -> None:
        """It had to make room in an inbox."""
        metrics.increment("xmpp.inbox_overflow")
        if stanza.name == "iq" and stanza.get("type") in ("get", "set"):
            self._answer(stanza)

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

    # -- coming back -----------------------------------------------------------------------------------

    async def resume(self) -> bool:
        """Connect again, cutting the connection if there still is one.

        True if the session goes on where it was (XEP-0198): what the server had not acknowledged is sent again, in
        front of everything else. False if it is a new one, because the setting xmpp_stream_management is not
        "resume", or because the server did not let the old one go on: presence and the like are to be sent again.
        The inbox and the handlers stay; who waited has been given Disconnected. Raises ConnectFailed: there is no
        connection then, and `resume` may be tried again.
        """
        from amoc.xmpp.connecting import log_in  # which imports this module

        self.kill()
        jid = self.jid
        self._begin_again()
        try:
            await log_in(self)
        except BaseException as error:
            self.jid = jid
            self._connection = None
            self._leaving = True
            self._over(error if isinstance(error, XmppError) else Disconnected("not connected"))
            raise
        return False

    def _begin_again(self) -> None:
        """Forget the old connection."""
        self.jid = ""
        self._reason = None
        self._leaving = False
        self._noticed = True
        self._news = None
        self._presence = _NOT_SENT

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Exception):
            self.kill()  # cancelled
            return
        await self.close()
        if error is None and not self._noticed:
            raise self._error()

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
        if self._options.keepalive:
            self._keepalive = Keepalive(self._options.keepalive, self._sign, self._silent)
        self._tell("ready")

    def on_start_tls(self) -> None:
        """The login goes on with TLS."""
        self._tell("start tls")

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
            self._presence = _REFLECTED
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

    def on_ended(self, error: XmppError | None) -> None:
        """The server's stream is over."""
        self._over(error or Disconnected("the server closed the stream"))
        self._tell("lost")  # who waits for the server's goodbye has it, whatever becomes of the connection

    def on_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        reason = Disconnected(f"the connection was lost: {error}" if error else "the server closed the connection")
        reason.__cause__ = error
        self._over(reason)
        self._connection = None
        self._tell("lost")

    def _tell(self, news: News) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(news)

    def _over(self, reason: XmppError) -> None:
        if self._reason is not None:
            return
        self._reason = self._named(reason)
        if self._keepalive is not None:
            self._keepalive.stop()
            self._keepalive = None
        if not self._leaving:
            if self.jid:
                metrics.increment("xmpp.disconnected")
            elif self._news is not None and not self._news.done():
                self._news.set_exception(self._error())
        if self._questions is not None:
            self._questions.fail(self._error)
        self._inbox.fail(self._error)
        for collection in self._collections:
            collection.fail(self._error)

    def _leave(self, why: str) -> None:
        self._leaving = True
        self._over(Disconnected(why))

    def _error(self) -> XmppError:
        """A new exception saying why there is no session."""
        self._noticed = True
        if self._reason is None:
            return self._named(Disconnected("not connected"))
        error = copy.copy(self._reason)
        error.__cause__ = self._reason.__cause__
        return error

    def _named(self, error: XmppError) -> XmppError:
        error.who = self.who
        return error

    def _unsendable(self, error: ValueError) -> XmppError:
        """What to raise for something that cannot be encoded."""
        if isinstance(error, UnicodeEncodeError):  # half a surrogate pair
            wrong = f"U+{ord(error.object[error.start]):04X} at position {error.start}"
            error = InvalidXml(f"{wrong} cannot be sent in XML: remove it")
        assert isinstance(error, InvalidXml)
        return self._named(error)

    # -- stanzas ---------------------------------------------------------------------------------------

    def _answer(self, stanza: Element) -> None:
        """Answer a request that nobody here wants."""
        if self.connected:
            try:
                self._transmit(automatic_answer(stanza, self.jid).encode())
            except SendOverflow:
                metrics.increment("xmpp.answers_dropped")

    # -- signs of life ---------------------------------------------------------------------------------

    def _sign(self) -> "asyncio.Future[Element] | None":
        """Send a sign of life; its answer to come, if it has one. Raises SendOverflow."""
        if self._options.keepalive_by == "whitespace" and type(self._connection) is TcpConnection:
            self._connection.send(b" ")
            return None
        ping = Element("iq", {"type": "get", "id": _PREFIX + str(next(_ids))}, Element(f"{{{ns.PING}}}ping"))
        return self._asked().put(ping, self.send)

    def _silent(self) -> None:
        """The server has not answered a ping: it is gone."""
        connection, self._connection = self._connection, None
        self._over(Disconnected(f"the server did not answer a ping within {self._options.keepalive:g} s"))
        if connection is not None:
            connection.abort()

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
