"""The life of one user's session: its connection, how it ends, and what who uses it is told of that.

The lowest of the layers that make up a `Client`: `Session`, `Sending`, `Asking`, `Receiving`. Each has its subject;
they are classes of one object because a call from one object to another, for every stanza, would cost too much.
"""

import asyncio
import copy
from types import TracebackType
from typing import Literal, Self

from amoc import metrics
from amoc.xmpp.errors import Disconnected, XmppError
from amoc.xmpp.settings import Options
from amoc.xmpp.transport.connection import Connection

__all__ = ["News", "Session"]

News = Literal["start tls", "ready", "lost"]


class Session:
    """A user's session, which has a connection from `attach` until it is over."""

    __slots__ = ("_connection", "_leaving", "_news", "_noticed", "_options", "_reason", "jid", "user_id")

    def __init__(self, user_id: int, options: Options) -> None:
        self.user_id = user_id
        self.jid = ""
        self._options = options
        self._connection: Connection | None = None
        self._reason: XmppError | None = None  # why the session is over
        self._leaving = False  # the scenario itself has ended it
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
    def options(self) -> Options:
        """The settings of this client."""
        return self._options

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

    def on_start_tls(self) -> None:
        """The login goes on with TLS."""
        self._tell("start tls")

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

    # -- why it is over --------------------------------------------------------------------------------

    def _over(self, reason: XmppError) -> None:
        """The session is over, if it was not."""
        if self._reason is not None:
            return
        self._reason = self._named(reason)
        if not self._leaving:
            if self.jid:
                metrics.increment("xmpp.disconnected")
            elif self._news is not None and not self._news.done():
                self._news.set_exception(self._error())
        self._deny()

    def _deny(self) -> None:
        """Tell everyone who waits for something of this session that it will not come."""

    def _begin_again(self) -> None:
        """Forget the old connection."""
        self.jid = ""
        self._reason = None
        self._leaving = False
        self._noticed = True
        self._news = None

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
