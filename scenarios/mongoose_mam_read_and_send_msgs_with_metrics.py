"""Every user reads its newest archived messages (XEP-0313), then writes to its neighbours; some measure delivery.

    mam_last_10_read   microseconds until the newest messages (`archived`, 10 by default) were there
    mam_messages_read  messages that users read in their archives
    messages_sent      messages that users sent
    messages_received  messages that reached a user
    messages_bounced   messages that the server sent back as errors
    message_ttd        time to delivery in microseconds, from the sender's `send` to the receiver's handler;
                       measured by users whose number is a multiple of `checker_every`

The time of sending travels in the message (see `amoc.xmpp.delivery`). So with users on several machines, message_ttd
contains the difference of their clocks.

The server has to archive messages, as MongooseIM does by default; a user whose archive cannot be read fails.

    amoc run mongoose_mam_read_and_send_msgs_with_metrics --users 1000 --server 127.0.0.1:5222
"""

import asyncio

from amoc import config, metrics
from amoc.config import Setting, at_least
from amoc.xmpp import Client, Element, connect, jid_of, neighbours
from amoc.xmpp.delivery import stamp, time_to_delivery
from amoc.xmpp.ext import mam

SETTINGS = [
    Setting("archived", int, 10, "how many archived messages a user reads", at_least(1)),
    Setting("settle", float, 5.0, "seconds between reading and the first round", at_least(0)),
    Setting("rounds", int, 10, "how often a user writes to each of its neighbours", at_least(0)),
    Setting("pause", float, 20.0, "seconds after each round", at_least(0)),
    Setting("neighbours", int, 4, "how far away, in user numbers, a user writes", at_least(1)),
    Setting("linger", float, 10.0, "seconds between the last round and leaving", at_least(0)),
    Setting("checker_every", int, 10, "every how many-th user measures message_ttd", at_least(1)),
]

read_time = metrics.histogram("mam_last_10_read")
read = metrics.counter("mam_messages_read")
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


async def read_archive(client: Client) -> None:
    """Read the newest messages of the user's archive."""
    with metrics.timer("mam_last_10_read"):
        page = await mam.last(client, config.get("archived"))
    read.increment(len(page.messages))


async def start(user_id: int) -> None:
    """The life of one user; it runs again after `repeat_interval`."""
    is_checker = user_id % config.get("checker_every") == 0
    async with connect(user_id) as client:
        client.ignore("presence")
        client.on("message", count_and_measure if is_checker else count)
        await read_archive(client)
        client.send_presence()
        await asyncio.sleep(config.get("settle"))
        for _ in range(config.get("rounds")):
            for neighbour in neighbours(user_id, config.get("neighbours")):
                client.send_message(jid_of(neighbour), f"Hello from user {user_id}!", extra=stamp())
                sent.increment()
            await asyncio.sleep(config.get("pause"))
        await asyncio.sleep(config.get("linger"))
