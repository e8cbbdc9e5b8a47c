"""Making a user's account, on a connection of its own that does not log in (XEP-0077, 3.1).

    created = await register(user_id)      # False: it was there already
    async with connect(user_id) as client: ...

See `ext.registration` for what a user that is logged in can do with its account.
"""

from typing import Any

from amoc.xmpp.client import Client
from amoc.xmpp.connecting import negotiate
from amoc.xmpp.core.registration import RegistrationStream
from amoc.xmpp.settings import Options

__all__ = ["register"]


async def register(user_id: int, **overrides: Any) -> bool:
    """Make the account of user `user_id`, as the xmpp_ settings name it; return whether it is a new one.

    `overrides` are settings without that prefix, as for `connect`. An account that was there keeps its password.
    Raises ConnectFailed: step "register" when the server refuses, which `said` explains. Nothing stays open.
    """
    client = Client(user_id, Options.read(overrides))
    try:
        stream = await negotiate(client, RegistrationStream)
        await client.close()
    finally:
        client.kill()
    return stream.created
