"""Every user writes to its neighbours; messages are counted, and every 10th user measures their delivery.

As mongoose_simple, with 73 rounds, and with these metrics:

    messages_sent      messages that users sent
    messages_received  messages that reached a user
    messages_bounced   messages that the server sent back as errors, mostly because a neighbour was not there
    message_ttd        time to delivery in microseconds, from the sender's `send` to the receiver's handler;
                       measured by users whose number is a multiple of `checker_every`

The time of sending travels in the message (see `amoc.xmpp.delivery`). So with users on several machines, message_ttd
contains the difference of their clocks.

    amoc run mongoose_simple_with_metrics --users 1000 --server 127.0.0.1:5222 --set pause=5
"""

import asyncio

from amoc import config, metrics
from amoc.config import Setting, at_least
from amoc.xmpp import Element, connect, jid_of, neighbours
from amoc.xmpp.delivery import stamp, time_to_delivery

SETTINGS = [
    Setting("settle", float, 5.0, "seconds between becoming available and the first round", at_least(0)),
    Setting("rounds", int, 73, "how often a user writes to each of its neighbours", at_least(0)),
    Setting("pause", float, 20.0, "seconds after each round", at_least(0)),
    Setting("neighbours", int, 4, "how far away, in user numbers, a user writes", at_least(1)),
    Setting("linger", float, 10.0, "seconds between the last round and leaving", at_least(0)),
    Setting("checker_every", int, 10, "every how many-th user measures message_ttd", at_least(1)),
]

sent = metrics.counter("messages_sent")
received = metrics.counter("messages_received")
bounced = metrics.counter("messages_bounced")
message_ttd = metrics.histogram("message_ttd")


def count(stanza: Element) -> None:
    """Handle what any user receives."""
    if stanza.get("type") == "error":
        bounced.increment()
    else:
        received.increment()


def count_and_measure(stanza: Element) -> None:
    """Handle what a checker receives; measure unless others sent it, or it was bounced or stored."""
    took = time_to_delivery(stanza)
    if took is not None:
        message_ttd.record(took)
    count(stanza)


async def start(user_id: int) -> None:
    """The life of one user; it runs again after `repeat_interval`."""
    is_checker = user_id % config.get("checker_every") == 0
    async with connect(user_id) as client:
        client.on("message", count_and_measure if is_checker else count)
        client.send_presence()
        await asyncio.sleep(config.get("settle"))
        for _ in range(config.get("rounds")):
            for neighbour in neighbours(user_id, config.get("neighbours")):
                client.send_message(jid_of(neighbour), f"Hello from user {user_id}!", extra=stamp())
                sent.increment()
            await asyncio.sleep(config.get("pause"))
        await asyncio.sleep(config.get("linger"))
