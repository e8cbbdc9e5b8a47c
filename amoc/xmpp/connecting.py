"""The login of a user: resolve, connect, negotiate; counted, timed, and cancellable at every await.

Counted: `amoc.counters.connections`, or `amoc.counters.connection_failures` and failures by step and cause. Timed:
`amoc.times.connection`, from the first look-up to the session, and each step of it (`waterfall`). A login that is
cancelled is none of these.
"""

import asyncio
import ssl
from collections.abc import Generator
from types import TracebackType
from typing import Any

from amoc import metrics
from amoc.xmpp.client import Client
from amoc.xmpp.core.login import ClientStream, Login
from amoc.xmpp.errors import ConnectFailed, XmppError
from amoc.xmpp.inbox import forget
from amoc.xmpp.settings import Options, parse_address
from amoc.xmpp.transport.dial import dial, resolve
from amoc.xmpp.transport.tcp import Connection
from amoc.xmpp.transport.tls import client_context
from amoc.xmpp.waterfall import Waterfall, count_failure

__all__ = ["Connecting", "connect"]


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
    waterfall = Waterfall()
    login = Login(
        domain=options.domain,
        username=options.account(user_id),
        password=options.password.format(id=user_id),
        resource=options.resource,
        tls=options.tls,
        sasl=options.sasl,
    )
    stream = ClientStream(login, options.max_stanza_size)
    client = Client(user_id, options)
    try:
        await _log_in(client, stream, options, waterfall)
    except ConnectFailed as error:
        error.who = client.who
        count_failure(error)
        raise
    waterfall.record()
    metrics.increment("amoc.counters.connections")
    return client


async def _log_in(client: Client, stream: ClientStream, options: Options, waterfall: Waterfall) -> None:
    """Raises ConnectFailed, and leaves nothing open unless it returns."""
    host, port = parse_address(options.server(client.user_id))
    stream.notice = waterfall.ended
    connection = Connection(stream, client)
    client.attach(connection)
    news = client.news()
    step = "resolve"
    try:
        async with asyncio.timeout(options.login_timeout):
            addresses = await resolve(host, port)
            waterfall.ended(step)
            step = "connect"
            await dial(connection, host, port, addresses)
            step = ""
            while await news != "ready":
                news = client.news()
                await _start_tls(connection, options)
    except TimeoutError:
        connection.abort()
        reason = f"not done within {options.login_timeout:g} s"
        raise ConnectFailed(step or stream.step, reason, cause="timeout") from None
    except BaseException as error:
        connection.abort()
        forget(news)
        if isinstance(error, XmppError) and not isinstance(error, ConnectFailed):
            cause = "lost" if error.__cause__ is not None else "closed"
            raise ConnectFailed(step or stream.step, error.what(), cause=cause) from error
        raise


async def _start_tls(connection: Connection, options: Options) -> None:
    try:
        context = client_context(options.accept_any_certificate, options.ca_file)
        await connection.start_tls(context, hostname=options.domain, timeout=options.login_timeout)
    except ssl.SSLCertVerificationError as error:
        advice = "set xmpp_ca_file to its authority's certificate, or xmpp_accept_any_certificate"
        reason = f"the server's certificate is not valid: {error.verify_message}: {advice}"
        raise ConnectFailed("tls", reason) from error
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or str(error) or type(error).__name__
        raise ConnectFailed("tls", f"the TLS handshake failed: {reason}") from error
