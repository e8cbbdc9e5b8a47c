"""As mongoose_simple, against the servers that the environment names: for containers.

The environment variable AMOC_XMPP_SERVERS holds the servers, separated by spaces, each host or host:port; the
users are spread over them by their numbers. Every scenario heeds that variable; this one refuses to start when
no servers are named at all, instead of looking for one in its own container.

    AMOC_XMPP_SERVERS="xmpp-1 xmpp-2:5223" amoc run mongoose_simple_docker --users 100
"""

import asyncio

from amoc import config
from amoc.config import Setting, at_least
from amoc.xmpp import connect, jid_of, neighbours

SETTINGS = [
    Setting("settle", float, 5.0, "seconds between becoming available and the first round", at_least(0)),
    Setting("rounds", int, 5, "how often a user writes to each of its neighbours", at_least(0)),
    Setting("pause", float, 20.0, "seconds after each round", at_least(0)),
    Setting("neighbours", int, 4, "how far away, in user numbers, a user writes", at_least(1)),
    Setting("linger", float, 10.0, "seconds between the last round and leaving", at_least(0)),
]


def init() -> None:
    """Refuse to start without servers."""
    if config.all()["xmpp_servers"].source == "default":
        raise ValueError('no servers are named: set AMOC_XMPP_SERVERS, as in AMOC_XMPP_SERVERS="xmpp-1 xmpp-2:5223"')


async def start(user_id: int) -> None:
    """The life of one user; it runs again after `repeat_interval`."""
    async with connect(user_id) as client:
        client.ignore("message", "presence")  # nobody looks at them: do not keep them
        client.send_presence()
        await asyncio.sleep(config.get("settle"))
        for _ in range(config.get("rounds")):
            for neighbour in neighbours(user_id, config.get("neighbours")):
                client.send_message(jid_of(neighbour), f"Hello from user {user_id}!")
            await asyncio.sleep(config.get("pause"))
        await asyncio.sleep(config.get("linger"))
