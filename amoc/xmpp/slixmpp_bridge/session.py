"""What amoc knows of one slixmpp client: whose it is, how far it has come, why it ended, and what to clean up."""

import asyncio
import copy
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast
from xml.etree.ElementTree import Element

from amoc import metrics
from amoc.xmpp.core.address import ServerAddress, parse_address
from amoc.xmpp.core.stream import Stream
from amoc.xmpp.errors import Disconnected, XmppError
from amoc.xmpp.patterns import fill
from amoc.xmpp.settings import Options
from amoc.xmpp.slixmpp_bridge.custody import Custody
from amoc.xmpp.slixmpp_bridge.watch import LoginWatch, stream_error
from amoc.xmpp.transport.dial import resolve
from amoc.xmpp.transports import dialer
from amoc.xmpp.waterfall import record_presence

if TYPE_CHECKING:
    from amoc.xmpp.slixmpp_bridge.client import SlixmppClient

__all__ = ["UserSession"]

# What of slixmpp leads back to its client. The workers' collector leaves alone what has become old: a client has to
# be free of cycles in order to be freed.
_TABLES = ("_XMLStream__handlers", "_XMLStream__event_handlers", "_stream_feature_handlers")
_FILTERS = "_XMLStream__filters"
_OWNERS = ("_run_out_filters", "api", "client_roster", "plugin", "roster")


class UserSession:
    """The session of user `user_id`, `client.amoc` to its client.

    `account` is the user's, `options` are the xmpp_ settings it was made with, domain and certificate being its own.
    `ready` is done when the login is, well or not; `reason` is why the session is over.
    """

    __slots__ = (
        "_client", "_ended", "_failure", "_presence", "_task", "account", "custody", "interrupted", "options", "ready",
        "reason", "server", "user_id", "watch",
    )  # fmt: skip

    def __init__(self, user_id: int, options: Options) -> None:
        self.user_id = user_id
        self.account = account = options.own(user_id)
        if options.client_certificate or account.domain != options.domain:
            certificate = fill(options.client_certificate, user_id)
            options = replace(options, domain=account.domain, client_certificate=certificate)
        self.options = options
        self.server: ServerAddress = parse_address(options.server(user_id))
        self.custody = Custody()
        self.watch: LoginWatch | None = None  # while the login lasts
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failure: Exception | None = None  # of the login
        self.reason: XmppError | None = None
        self.interrupted = False  # the user was cancelled, because the session is over
        self._client: SlixmppClient | None = None
        self._task: asyncio.Task[Any] | None = None  # that of the user, while it is inside its block
        self._ended = False
        self._presence = 0.0  # when the first one left, until the server has reflected it

    def __repr__(self) -> str:
        return f"<UserSession {self.who} {'over' if self.over else 'open'}>"

    @property
    def who(self) -> str:
        """The user, the account and the server, as errors name them."""
        return self.options.who(self.user_id)

    @property
    def over(self) -> bool:
        """Whether nothing can be sent or received any more."""
        return self._ended or self.reason is not None

    @property
    def ended(self) -> bool:
        """Whether everything has been cleaned up: whatever slixmpp still begins is in vain."""
        return self._ended

    # -- the login -----------------------------------------------------------------------------------------

    def attach(self, client: "SlixmppClient") -> None:
        """Belong together with a client; before it has handlers of the scenario, so that ours come first."""
        self._client = client
        client.add_event_handler("auth_success", self._on_authenticated)
        client.add_event_handler("no_auth", self._on_no_mechanism)
        client.add_event_handler("session_start", self._on_session_start)
        client.add_event_handler("stream_error", self._on_stream_error)

    def begin(self) -> LoginWatch:
        """The login begins."""
        self.watch = LoginWatch(self.options, secure=self.server.secure)
        return self.watch

    async def dial(self, protocol: asyncio.BaseProtocol) -> None:
        """Connect `protocol` to the server; a failure is that of the login."""
        watch, server = self.watch, self.server
        if watch is None:
            return
        try:
            addresses = await resolve(server.host, server.port)
            watch.ended("resolve")
            dial = dialer(server, addresses, self.options)
            # it tells a stream of its steps: the watch takes that place
            await dial.open(cast("asyncio.Protocol", protocol), cast("Stream", watch))
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception | None) -> None:
        """The login has failed, unless `error` is None."""
        if error is not None and not self.ready.done():
            self._failure = error
            self.ready.set_result(None)
            self.end()

    def raise_failure(self) -> None:
        """Raise why the login has failed, if it has; only once, so that the error does not lead back to itself."""
        error, self._failure = self._failure, None
        try:
            if error is not None:
                raise error
        finally:
            del error

    def lets_in(self, stanza: Any) -> bool:
        """Whether slixmpp may be given what came, as far as the login is concerned."""
        watch, client = self.watch, self._client
        if watch is None:
            return True
        if self._ended or client is None:
            return False
        mechanism = client.plugin["feature_mechanisms"].mech
        watch.mechanism = mechanism.name if mechanism is not None else ""
        self.fail(watch.see(stanza.xml))
        stanza.exception = partial(self.raised, stanza.xml)  # slixmpp would log it, and wait
        return not self._ended

    def raised(self, element: Element, error: Exception) -> None:
        """What was given an element has raised."""
        if self.watch is not None:
            self.fail(self.watch.handled_badly(element, error))
        elif self._client is not None:
            self._client.exception(error)

    def _on_authenticated(self, _: object) -> None:
        if self.watch is not None:
            self.watch.authenticated()

    def _on_no_mechanism(self, _: object) -> None:
        if self.watch is not None:
            self.fail(self.watch.without_mechanism())

    def _on_session_start(self, _: object) -> None:
        watch, client = self.watch, self._client
        if self.ready.done() or watch is None or client is None:
            return
        self.watch = None
        watch.waterfall.record()
        metrics.increment("amoc.counters.connections")
        self.ready.set_result(None)

    # -- the session ---------------------------------------------------------------------------------------

    def enter(self) -> None:
        """The user is inside its block: it is interrupted from now on when the session ends. Raises Disconnected."""
        if self.reason is not None:
            raise self.error()
        self._task = asyncio.current_task()

    def exit(self) -> None:
        """The user has left its block."""
        self._task = None

    def first_presence(self) -> None:
        """Time how long the server takes to reflect the first presence."""
        if self._presence or self._client is None:
            return
        self._presence = perf_counter()
        self._client.add_event_handler("presence_available", self._on_presence)

    def _on_presence(self, presence: Any) -> None:
        client = self._client
        if client is not None and presence["from"] == client.boundjid:
            client.del_event_handler("presence_available", self._on_presence)
            record_presence(self._presence)

    def _on_stream_error(self, error: Any) -> None:
        self.lose(stream_error(error.xml))

    def lose(self, reason: XmppError) -> None:
        """The session is over, and nobody has asked for that: count it, and interrupt the user."""
        if self.over:
            return
        self._over(reason)
        metrics.increment("xmpp.disconnected")
        if self._client is not None and self._client.transport is not None:
            self._client.transport.abort()
        if self._task is not None:
            self.interrupted = True
            self._task.cancel()

    def close(self, why: str) -> None:
        """The session is over, because the scenario wanted it."""
        if not self.over:
            self._over(Disconnected(why))

    def error(self) -> XmppError:
        """A new exception that says why the session is over."""
        reason = self.reason or Disconnected("not connected")
        error = copy.copy(reason)
        error.__cause__ = reason.__cause__
        return error

    def _over(self, reason: XmppError) -> None:
        reason.who = self.who
        self.reason = reason

    # -- the end -------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Leave nothing: no connection, task or timer of slixmpp."""
        if self._ended:
            return
        self._ended = True
        client = self._client
        if client is not None:
            for name in list(client.scheduled_events):
                client.cancel_schedule(name)
            if client.transport is not None:
                client.transport.abort()
        self.custody.cancel(self.let_go)

    def let_go(self) -> None:
        """Break the cycles between slixmpp's objects, once the connection and the last task are gone."""
        client = self._client
        if client is None or not self._ended or len(self.custody) or client.transport is not None:
            return
        self._client = None
        holds = vars(client)
        owners: list[Any] = [client.plugin, client.roster]
        for part in [owner[name] for owner in owners for name in list(owner)]:
            vars(part).clear()
        for name in _TABLES:
            holds.get(name, {}).clear()
        for filters in holds.get(_FILTERS, {}).values():
            filters.clear()
        for name in _OWNERS:
            holds.pop(name, None)
