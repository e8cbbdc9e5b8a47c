"""Every user logs in and writes to its neighbours, round after round.

A user connects, becomes available, waits until its neighbours are there too, then sends one message to
each user whose number is at most `neighbours` away, `rounds` times, `pause` seconds apart. Then it waits
for what is still on its way, and leaves.

    amoc run mongoose_simple --users 100 --server 127.0.0.1:5222
    amoc run mongoose_simple --users 20 --server embedded --set rounds=2 --set pause=1

User N is `user_N` with the password `password_N`; the settings `xmpp_username`, `xmpp_password`,
`xmpp_domain` and `xmpp_servers` change that. See mongoose_simple_with_metrics for a scenario that measures.
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
