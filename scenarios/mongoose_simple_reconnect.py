"""As mongoose_simple, but a user that loses its connection comes back.

Five seconds (`reconnect_after`) after a failure, whether the login failed or the connection was lost, the
user connects again and goes on with the rounds that are left. Use it to restart or to break a server under
load and to see how the users return.

    reconnects   how often users had to connect again

    amoc run mongoose_simple_reconnect --users 100 --server 127.0.0.1:5222
"""

import asyncio

from amoc import config, metrics
from amoc.config import Setting, at_least
from amoc.xmpp import Client, ReceiveTimeout, XmppError, connect, jid_of, neighbours

SETTINGS = [
    Setting("settle", float, 5.0, "seconds between becoming available and the next round", at_least(0)),
    Setting("rounds", int, 5, "how often a user writes to each of its neighbours", at_least(0)),
    Setting("pause", float, 20.0, "seconds after each round", at_least(0)),
    Setting("neighbours", int, 4, "how far away, in user numbers, a user writes", at_least(1)),
    Setting("linger", float, 10.0, "seconds between the last round and leaving", at_least(0)),
    Setting("reconnect_after", float, 5.0, "seconds between a failure and the next login", at_least(0)),
]

reconnects = metrics.counter("reconnects")


async def stay(client: Client, seconds: float) -> None:
    """Wait; raise Disconnected as soon as the connection is lost."""
    try:
        await client.receive(lambda stanza: False, timeout=seconds)
    except ReceiveTimeout:
        pass


async def start(user_id: int) -> None:
    """The life of one user, however many connections it takes; it runs again after `repeat_interval`."""
    done = 0
    while True:
        try:
            async with connect(user_id) as client:
                client.ignore("message", "presence")  # nobody looks at them: do not keep them
                client.send_presence()
                await stay(client, config.get("settle"))
                while done < config.get("rounds"):
                    for neighbour in neighbours(user_id, config.get("neighbours")):
                        client.send_message(jid_of(neighbour), f"Hello from user {user_id}!")
                    done += 1
                    await stay(client, config.get("pause"))
                await stay(client, config.get("linger"))
                return
        except XmppError:
            reconnects.increment()
            await asyncio.sleep(config.get("reconnect_after"))
