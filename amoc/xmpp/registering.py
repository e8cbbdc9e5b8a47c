"""Making a user's account, on a connection of its own that does not log in (XEP-0077, 3.1).

    created = await register(user_id)      # False: it was there already
    async with connect(user_id) as client: ...

See `ext.registration` for what a user that is logged in can do with its account.
"""

from typing import Any

from amoc.xmpp.client import Client
from amoc.xmpp.connecting import _log_in
from amoc.xmpp.core.address import parse_address
from amoc.xmpp.core.login import Login
from amoc.xmpp.core.registration import RegistrationStream
from amoc.xmpp.errors import ConnectFailed
from amoc.xmpp.settings import Options
from amoc.xmpp.transport.tcp import TcpConnection

__all__ = ["register"]


async def register(user_id: int, **overrides: Any) -> bool:
    """Make the account of user `user_id`, as the xmpp_ settings name it; return whether it is a new one.

    `overrides` are settings without that prefix, as for `connect`. An account that was there keeps its password.
    Raises ConnectFailed: step "register" when the server refuses, which `said` explains. Nothing stays open.
    """
    options = Options.read(overrides)
    client = Client(user_id, options)
    login = Login(
        domain=options.domain,
        username=options.account(user_id),
        password=options.password.format(id=user_id),
        tls=options.tls,
    )
    server = parse_address(options.server(user_id))
    try:
        if server.scheme not in ("tcp", "tls"):
            raise ConnectFailed("register", f"accounts are made over TCP, not {server.scheme}", cause="not-offered")
        stream = RegistrationStream(login, options.max_stanza_size, secure=server.secure)
        connection = TcpConnection(stream, client)
        client.attach(connection)
        await _log_in(client, connection, server, options)
    except ConnectFailed as error:
        error.who = client.who
        raise
    try:
        await client.close()
    finally:
        client.kill()
    return stream.created
