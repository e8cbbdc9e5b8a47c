"""What `amoc scenarios new NAME` writes. Pure: a text; `{name}` stands for the scenario's name."""

__all__ = ["TEMPLATE"]

TEMPLATE = '''\
"""{name}: every user logs in, writes to its neighbours and counts what arrives.

Run it:  amoc run {name} --users 20 --duration 30s --server embedded
"""

import asyncio

from amoc import config, metrics
from amoc.config import Setting, at_least
from amoc.xmpp import connect, jid_of, neighbours

# What may be changed without touching the code: --set rounds=10, AMOC_rounds=10, app.config.
# Name, type, default, meaning, and a check that refuses what makes no sense.
SETTINGS = [
    Setting("rounds", int, 3, "how often a user writes to each of its neighbours", check=at_least(0)),
    Setting("pause", float, 1.0, "seconds between two rounds", check=at_least(0)),
]


def init():
    """Once in every worker process, before its first user. Every user gets what this returns as `state`."""
    return {
        "sent": metrics.counter("messages_sent"),
        "received": metrics.counter("messages_received"),
    }


async def start(user_id, state):
    """The life of one user, whose number is `user_id`; other users run while this one awaits something.

    When it returns, it runs again after `repeat_interval`. An exception ends this user only, and is counted.
    """

    def arrived(message):
        if message.get("type") != "error":  # as the server answers for a neighbour that is not there
            state["received"].increment()

    async with connect(user_id) as client:  # logs in; counts and times it
        client.on("message", arrived)
        client.send_presence()
        for _ in range(config.get("rounds")):
            for neighbour in neighbours(user_id, 2):
                client.send_message(jid_of(neighbour), f"Hello from user {user_id}!")
                state["sent"].increment()
            await asyncio.sleep(config.get("pause"))


def terminate(state):
    """Once in every worker process, when the test ends."""
'''
