"""Which transport a server's address asks for, and what the settings say about it."""

import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from amoc.xmpp.client import Client
from amoc.xmpp.core.address import ServerAddress
from amoc.xmpp.core.bosh import BoshSession
from amoc.xmpp.core.framing import DOCUMENT, FRAMES, Framing
from amoc.xmpp.core.login import ClientStream, Login
from amoc.xmpp.errors import ConnectFailed
from amoc.xmpp.settings import Options
from amoc.xmpp.transport.bosh import BoshConnection
from amoc.xmpp.transport.connection import Connection
from amoc.xmpp.transport.dial import Dialer
from amoc.xmpp.transport.tcp import TcpConnection
from amoc.xmpp.transport.tls import client_context, handshake_failure
from amoc.xmpp.transport.websocket import WebSocketConnection

__all__ = ["dialer", "make_connection", "start_tls"]

S = TypeVar("S", bound=ClientStream)


def make_connection(client: Client, server: ServerAddress, login: Login, kind: type[S]) -> tuple[Connection, S]:
    """A connection for `client`, not connected yet, and its stream of that kind. Raises ConnectFailed."""
    if not server.secure and server.scheme != "tcp":
        # STARTTLS must not be used there (RFC 7395, 3.9; XEP-0206, 7)
        if login.tls == "required":
            reason = f"xmpp_tls is required, but {server} has no TLS: use {server.scheme}s://"
            raise ConnectFailed("starttls", reason, cause="not-offered")
        login = replace(login, tls="never")

    def stream(framing: Framing) -> S:
        size = client.options.max_stanza_size
        return kind(login, size, framing, secure=server.secure, management=client.management)

    if server.scheme in ("tcp", "tls"):
        over_tcp = stream(DOCUMENT)
        return TcpConnection(over_tcp, client), over_tcp
    if server.scheme in ("ws", "wss"):
        over_websocket = stream(FRAMES)
        return WebSocketConnection(over_websocket, client), over_websocket
    session = BoshSession()
    over_http = stream(session)
    return BoshConnection(over_http, client, session), over_http


def dialer(server: ServerAddress, addresses: Sequence[str], options: Options) -> Dialer:
    """What opens connections to the server. Raises ConnectFailed."""
    if not server.secure:
        return Dialer(server, addresses, options.source_addresses)
    # the certificate of direct TLS is for the domain (XEP-0368, 3), that of a URL for its host (RFC 7395, 4)
    hostname, protocol = (options.domain, "xmpp-client") if server.scheme == "tls" else (server.host, "http/1.1")
    context = _context(options, protocol)
    return Dialer(server, addresses, options.source_addresses, context, hostname, options.login_timeout)


async def start_tls(connection: Connection, options: Options) -> None:
    """Do what STARTTLS has agreed on. Raises ConnectFailed."""
    assert isinstance(connection, TcpConnection)  # no other begins TLS later
    context = _context(options)
    try:
        await connection.start_tls(context, hostname=options.domain)
    except OSError as error:
        raise handshake_failure(error) from error


def _context(options: Options, protocol: str = "") -> ssl.SSLContext:
    try:
        return client_context(options.accept_any_certificate, options.ca_file, protocol, options.client_certificate)
    except OSError as error:
        raise ConnectFailed("tls", f"xmpp_ca_file or xmpp_client_certificate cannot be read: {error}") from error
