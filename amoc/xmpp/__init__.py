"""The XMPP client of scenarios, and what it stands on. Runs in workers; imports `amoc.metrics`, `amoc.config`.

    from amoc.xmpp import connect, jid_of, neighbours

    async def start(user_id):
        async with connect(user_id) as client:
            client.send_presence()
            for other in neighbours(user_id, 4):
                client.send_message(jid_of(other), "hello")
            stanza = await client.receive("message", timeout=10)

`core` is the protocol without I/O, `transport` moves bytes, `client` is what scenarios hold, `server` a small
server for tests and first runs (imported only by who wants it).
"""

from amoc.xmpp.accounts import jid_of, neighbours, rooms_of
from amoc.xmpp.client import Client
from amoc.xmpp.connecting import connect
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.jid import bare
from amoc.xmpp.errors import (
    AuthFailed,
    ConnectFailed,
    Disconnected,
    InvalidXml,
    IqError,
    IqTimeout,
    ReceiveTimeout,
    SendOverflow,
    StanzaError,
    StreamError,
    XmppError,
    XmppTimeout,
)
from amoc.xmpp.reconnecting import backoff, reconnect
from amoc.xmpp.registering import register
from amoc.xmpp.settings import SETTINGS

__all__ = [
    "SETTINGS",
    "AuthFailed",
    "Client",
    "ConnectFailed",
    "Disconnected",
    "Element",
    "InvalidXml",
    "IqError",
    "IqTimeout",
    "ReceiveTimeout",
    "SendOverflow",
    "StanzaError",
    "StreamError",
    "XmppError",
    "XmppTimeout",
    "backoff",
    "bare",
    "connect",
    "escape",
    "jid_of",
    "neighbours",
    "reconnect",
    "register",
    "rooms_of",
]
