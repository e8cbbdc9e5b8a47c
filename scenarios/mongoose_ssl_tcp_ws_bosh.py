"""As mongoose_simple, with the users on three transports, each of them encrypted.

Of the users' numbers those that are divisible by 3 come by TCP with STARTTLS, those that leave 1 by BOSH over TLS,
those that leave 2 by WebSocket over TLS. So each user writes to neighbours on all three.

    messages_sent      messages that users sent
    messages_received  messages that reached a user

    amoc run mongoose_ssl_tcp_ws_bosh --users 99 --server 127.0.0.1:5222 --set xmpp_ca_file=authority.pem \\
        --set bosh_servers=https://127.0.0.1:5281/bosh --set websocket_servers=wss://127.0.0.1:5281/ws

Certificates are checked: of STARTTLS for the domain, of the others for the host of the URL. For servers with a
certificate that nobody knows there is `xmpp_accept_any_certificate`.
"""

import asyncio

from amoc import config, metrics
from amoc.config import Setting, at_least, not_empty
from amoc.xmpp import Element, connect, jid_of, neighbours

SETTINGS = [
    Setting("bosh_servers", list[str], ["https://127.0.0.1:5285/http-bind"], "where BOSH is spoken", not_empty),
    Setting("websocket_servers", list[str], ["wss://127.0.0.1:5285/ws-xmpp"], "where WebSocket is spoken", not_empty),
    Setting("settle", float, 5.0, "seconds between becoming available and the first round", at_least(0)),
    Setting("rounds", int, 5, "how often a user writes to each of its neighbours", at_least(0)),
    Setting("pause", float, 20.0, "seconds after each round", at_least(0)),
    Setting("neighbours", int, 4, "how far away, in user numbers, a user writes", at_least(1)),
    Setting("linger", float, 10.0, "seconds between the last round and leaving", at_least(0)),
]

sent = metrics.counter("messages_sent")
received = metrics.counter("messages_received")


def server(user_id: int) -> str:
    """The user's server: the transport by its number, and of the servers for that one after the other."""
    transport, turn = user_id % 3, user_id // 3
    if transport == 0:
        servers = config.get("xmpp_servers")
    elif transport == 1:
        servers = config.get("bosh_servers")
    else:
        servers = config.get("websocket_servers")
    return str(servers[turn % len(servers)])


def count(stanza: Element) -> None:
    """Handle a message; those that the server sends back are none."""
    if stanza.get("type") != "error":
        received.increment()


async def start(user_id: int) -> None:
    """The life of one user; it runs again after `repeat_interval`."""
    async with connect(user_id, servers=[server(user_id)], tls="required") as client:
        client.ignore("presence")
        client.on("message", count)
        client.send_presence()
        await asyncio.sleep(config.get("settle"))
        for _ in range(config.get("rounds")):
            for neighbour in neighbours(user_id, config.get("neighbours")):
                client.send_message(jid_of(neighbour), f"Hello from user {user_id}!")
                sent.increment()
            await asyncio.sleep(config.get("pause"))
        await asyncio.sleep(config.get("linger"))
