"""The login of a user: resolve, connect, negotiate; counted, timed, and cancellable at every await.

Counted: `amoc.counters.connections`, or `amoc.counters.connection_failures` and failures by step and cause. Timed:
`amoc.times.connection`, from the first look-up to the session, and each step of it (`waterfall`). A login that is
cancelled is none of these.
"""

import asyncio
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from amoc import metrics
from amoc.xmpp.client import Client
from amoc.xmpp.core.address import ServerAddress, parse_address
from amoc.xmpp.core.login import ClientStream, Login
from amoc.xmpp.errors import ConnectFailed, XmppError
from amoc.xmpp.inbox import forget
from amoc.xmpp.managed import ManagedClient
from amoc.xmpp.patterns import fill
from amoc.xmpp.settings import Options
from amoc.xmpp.transport.binding import channel_bindings
from amoc.xmpp.transport.connection import Connection
from amoc.xmpp.transport.dial import resolve
from amoc.xmpp.transports import dialer, make_connection, start_tls
from amoc.xmpp.waterfall import Waterfall, count_failure

__all__ = ["Connecting", "connect", "log_in", "negotiate"]

S = TypeVar("S", bound=ClientStream)


def connect(user_id: int, **overrides: Any) -> "Connecting":
    """Log user `user_id` in, as the xmpp_ settings say, `overrides` being settings without that prefix.

    `client = await connect(7)`, or `async with connect(7) as client`, which also closes it: cleanly, or at
    once when the user is cancelled. Raises ConnectFailed, whose `step` says how far it came, AuthFailed, and
    ConfigError for a wrong override.
    """
    return Connecting(user_id, Options.read(overrides))


class Connecting:
    """A login that begins when it is awaited or entered."""

    def __init__(self, user_id: int, options: Options) -> None:
        self._user_id = user_id
        self._options = options
        self._client: Client | None = None

    def __await__(self) -> Generator[Any, None, Client]:
        return _connect(self._user_id, self._options).__await__()

    async def __aenter__(self) -> Client:
        self._client = await self
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.__aexit__(kind, error, trace)


async def _connect(user_id: int, options: Options) -> Client:
    client = (Client if options.stream_management == "off" else ManagedClient)(user_id, options)
    try:
        await log_in(client)
    except BaseException:
        client.kill()  # it may have been ready, with a timer for its signs of life, when its user was cancelled
        raise
    return client


async def log_in(client: Client) -> None:
    """Log a client in that has no connection. Raises ConnectFailed, and leaves nothing open unless it returns."""
    waterfall = Waterfall()
    try:
        await negotiate(client, ClientStream, waterfall.ended)
    except ConnectFailed as error:
        count_failure(error)
        raise
    waterfall.record()
    metrics.increment("amoc.counters.connections")


async def negotiate(client: Client, kind: type[S], notice: Callable[[str], None] | None = None) -> S:
    """Connect a client that has no connection, and go through the negotiation of a stream of this kind.

    `notice` is told each step that ends. Raises ConnectFailed, and leaves nothing open unless it returns.
    """
    options, user_id = client.options, client.user_id
    account = options.own(user_id)
    if options.client_certificate or account.domain != options.domain:
        certificate = fill(options.client_certificate, user_id)
        options = replace(options, domain=account.domain, client_certificate=certificate)
    login = Login(
        domain=account.domain,
        username=account.username,
        password=account.password,
        resource=account.resource,
        tls=options.tls,
        sasl=options.sasl,
        token=fill(options.token, user_id),
        certificate=bool(options.client_certificate),
        scram_cache=options.scram_cache,
    )
    server = parse_address(options.server(user_id))
    try:
        connection, stream = make_connection(client, server, login, kind)
        stream.notice = notice
        stream.bindings = partial(_bindings, connection)
        client.attach(connection)
        await _establish(client, connection, server, options)
    except ConnectFailed as error:
        error.who = client.who
        raise
    return stream


def _bindings(connection: Connection) -> dict[str, bytes]:
    transport = connection.transport
    return channel_bindings(transport.get_extra_info("ssl_object") if transport is not None else None)


async def _establish(client: Client, connection: Connection, server: ServerAddress, options: Options) -> None:
    """Raises ConnectFailed, and leaves nothing open unless it returns."""
    stream = connection.stream
    news = client.news()
    try:
        async with asyncio.timeout(options.login_timeout):
            stream.step = "resolve"
            addresses = await resolve(server.host, server.port)
            stream.ended("resolve")
            await connection.connect(dialer(server, addresses, options))
            while await news != "ready":
                news = client.news()
                await start_tls(connection, options)
    except TimeoutError:
        connection.abort()
        reason = f"not done within {options.login_timeout:g} s"
        raise ConnectFailed(stream.step, reason, cause="timeout") from None
    except BaseException as error:
        connection.abort()
        forget(news)
        if isinstance(error, XmppError) and not isinstance(error, ConnectFailed):
            cause = "lost" if error.__cause__ is not None else "closed"
            raise ConnectFailed(stream.step, error.what(), cause=cause) from error
        raise
