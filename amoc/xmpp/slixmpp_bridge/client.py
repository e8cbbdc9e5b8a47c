"""slixmpp's client, with amoc told what becomes of it.

Theory of operation. `SlixmppClient` stands between slixmpp's class and the scenario's (`bridged`), so that the
scenario's `super()` leads here. It opens its one connection by amoc's own means: slixmpp would try for ever, and
with a TLS context for each client. Whatever ends the connection comes by here, and is told to `amoc`, the
session.
"""

import asyncio
import functools
import logging
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast
from xml.etree.ElementTree import Element

try:
    import slixmpp
except ModuleNotFoundError as missing:
    if missing.name != "slixmpp":
        raise
    raise ModuleNotFoundError("slixmpp is not installed: pip install 'amoc[slixmpp]'", name="slixmpp") from missing
from slixmpp.stanza import StreamError as StreamErrorStanza

from amoc.errors import BadInput
from amoc.xmpp.errors import ConnectFailed, Disconnected, SendOverflow, StreamError, XmppError
from amoc.xmpp.slixmpp_bridge.session import UserSession
from amoc.xmpp.transport.connection import MAX_UNSENT
from amoc.xmpp.transport.secure import secure
from amoc.xmpp.transport.tls import client_context, handshake_failure

__all__ = ["SlixmppClient", "bridged"]

C = TypeVar("C", bound=slixmpp.ClientXMPP)

_END_OF_STREAM: Final = "End of stream"  # slixmpp's disconnect_reason when the server has closed its stream
_IQ_SECONDS: Final = 120  # slixmpp's own patience with an iq that was sent without a timeout
_KEEPALIVE: Final = "Whitespace Keepalive"  # slixmpp's timer
_LOGGER = logging.getLogger("slixmpp")

# its INFO is some lines for each login, of which a worker has thousands
if _LOGGER.level == logging.NOTSET:
    _LOGGER.setLevel(logging.WARNING)


class SlixmppClient(slixmpp.ClientXMPP):
    """A slixmpp client of a scenario. `amoc` has the user's number (`amoc.user_id`) and settings (`amoc.options`)."""

    amoc: UserSession  # there before __init__, so that the scenario's can use it
    _run_out_filters = None  # slixmpp's __del__ looks at it, however far __init__ has come

    def __init__(self, jid: Any, password: str, *arguments: Any, **options: Any) -> None:
        options.setdefault("ssl_context", shared_context(self.amoc))
        super().__init__(jid, password, *arguments, **options)
        self.amoc.attach(self)

    # -- the connection: amoc's own ------------------------------------------------------------------------

    def connect(self, host: str | None = None, port: int | None = None) -> "asyncio.Future[Any]":
        """Not for scenarios: `amoc.xmpp.slixmpp_bridge.connect` does it, once."""
        raise BadInput("a slixmpp client is connected by `async with connect(user_id)`: enter that again instead")

    async def _connect_loop(self) -> None:
        """How slixmpp would connect, replaced."""
        await self.amoc.dial(self)

    def connection_made(self, transport: Any, send_event: bool = True) -> None:
        """There is a connection, or TLS is on."""
        session = self.amoc
        if session.ended:
            transport.abort()
            return
        transport.set_write_buffer_limits(MAX_UNSENT)
        if session.watch is not None:
            session.watch.connected()
        super().connection_made(transport, send_event)

    async def start_tls(self) -> bool:
        """Encrypt the connection, as the server has agreed to."""
        session, transport = self.amoc, self.transport
        if transport is None:
            return False
        try:
            upgrade = asyncio.ensure_future(secure(transport, shared_context(session), hostname=session.options.domain))
            self._current_connection_attempt = upgrade
            over = await upgrade
        except OSError as error:
            session.fail(_caused(handshake_failure(error), error))
            return False
        self.connection_made(over, send_event=False)
        over.begin(cast("asyncio.Protocol", self))  # it has what one has
        return True

    def start_stream_handler(self, xml: Element) -> None:
        """The server has opened its stream."""
        if self.amoc.watch is not None:
            self.amoc.fail(self.amoc.watch.opened(xml))
        super().start_stream_handler(xml)  # type: ignore[no-untyped-call]  # slixmpp leaves it untyped

    def recv_stanza(self, stanza: Any) -> None:
        """Take a stanza that came, or an element of the login."""
        if self.amoc.lets_in(stanza):
            try:
                super().recv_stanza(stanza)
            except Exception as error:
                self.amoc.raised(stanza.xml, error)

    # -- the end of it -------------------------------------------------------------------------------------

    def connection_lost(self, exception: BaseException | None) -> None:
        """The connection is gone."""
        session = self.amoc
        if self.disconnect_reason == _END_OF_STREAM:
            reason, exception = "the server closed the stream", None
        else:
            reason = f"the connection was lost: {exception}" if exception else "the server closed the connection"
        if session.watch is not None:
            if isinstance(exception, ssl.SSLError) and session.watch.step == "tls":
                failed = handshake_failure(exception)
            else:
                failed = session.watch.lost(exception, reason)
            session.fail(_caused(failed, exception))
        else:
            session.lose(_caused(Disconnected(reason), exception))
        super().connection_lost(exception)
        session.let_go()

    def pause_writing(self) -> None:
        """The server does not read."""
        self._over(SendOverflow(f"{MAX_UNSENT} bytes wait to be sent: the server does not read them"))

    def exception(self, exception: Exception) -> None:
        """A handler has raised: that ends the session, and the user is told."""
        reason = f"a handler raised {type(exception).__name__}: {exception}"
        self._over(_caused(Disconnected(reason), exception))

    def send(self, data: Any, use_filters: bool = True) -> None:
        """Send a stanza."""
        if type(data) is StreamErrorStanza:  # slixmpp has found that what the server sends is no XML
            self._over(StreamError(data["condition"], data["text"][:200], ours=True))
            return
        super().send(data, use_filters)

    def disconnect(
        self, wait: float = 2.0, reason: str | None = None, ignore_send_queue: bool = False
    ) -> "asyncio.Future[Any]":
        """End the session, at the scenario's wish or slixmpp's."""
        self._left("the session was closed by the scenario", reason)
        return super().disconnect(wait, reason, ignore_send_queue)

    def abort(self) -> None:
        """Cut the connection, at the scenario's wish or because the server has closed the stream."""
        if self.disconnect_reason != _END_OF_STREAM:
            self._left("the session was killed by the scenario", None)
        super().abort()

    def reconnect(self, wait: float = 2.0, reason: str = "Reconnecting") -> None:
        """End the session: a user that connects again enters `connect` again."""
        self._over(Disconnected(f"slixmpp wants to connect again: {reason}"))

    def _left(self, why: str, reason: str | None) -> None:
        if self.amoc.watch is not None:
            self.amoc.fail(self.amoc.watch.given_up(reason or ""))
        else:
            self.amoc.close(why)

    def _over(self, reason: XmppError) -> None:
        """The login has failed, or the session is over."""
        if self.amoc.watch is not None:
            self.amoc.fail(self.amoc.watch.failed(reason))
        else:
            self.amoc.lose(reason)

    # -- settings and metrics ------------------------------------------------------------------------------

    def schedule(
        self,
        name: str,
        seconds: float,
        callback: Callable[..., None],
        args: tuple[Any, ...] = (),
        kwargs: dict[Any, Any] = {},  # noqa: B006 - slixmpp's signature
        repeat: bool = False,
    ) -> None:
        """Call something later: nothing once the session has ended, and iq as long as the settings say."""
        options = self.amoc.options
        if self.amoc.ended or (name == _KEEPALIVE and not (options.keepalive and options.keepalive_by == "whitespace")):
            return
        if seconds == _IQ_SECONDS and name.startswith("IqTimeout_"):
            seconds = options.iq_timeout
        super().schedule(name, seconds, callback, args, kwargs, repeat)  # type: ignore[arg-type]  # fractions are fine

    def send_presence(
        self,
        pshow: Any = None,
        pstatus: str | None = None,
        ppriority: int | None = None,
        pto: Any = None,
        ptype: Any = None,
        pfrom: Any = None,
        pnick: str | None = None,
    ) -> None:
        """Send a presence. The first available one to everybody is timed: amoc.times.login.presence."""
        if not pto and not ptype:
            self.amoc.first_presence()
        super().send_presence(pshow, pstatus, ppriority, pto, ptype, pfrom, pnick)


def shared_context(session: UserSession) -> ssl.SSLContext:
    """The context for STARTTLS, shared by all users of the process with these settings. Raises ConnectFailed."""
    options = session.options
    try:
        return client_context(options.accept_any_certificate, options.ca_file, "", options.client_certificate)
    except OSError as error:
        reason = f"xmpp_ca_file or xmpp_client_certificate cannot be read: {error}"
        raise ConnectFailed("tls", reason) from error


@functools.lru_cache(maxsize=64)
def bridged(cls: type[C]) -> type[C]:
    """A class with the scenario's methods first, then ours, then slixmpp's."""
    if issubclass(cls, SlixmppClient):
        return cls
    bases = (SlixmppClient,) if cls is slixmpp.ClientXMPP else (cls, SlixmppClient)
    return type(cls.__name__, bases, {"__module__": cls.__module__})


E = TypeVar("E", bound=Exception)


def _caused(error: E, cause: BaseException | None) -> E:
    error.__cause__ = cause
    return error
