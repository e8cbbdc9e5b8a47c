"""Every user joins rooms (XEP-0045), says something in each of them, round after round, and counts what arrives.

A user joins `rooms_per_user` rooms, in which it meets others: `users_per_room` users whose numbers are close, not
the same ones in each room. Who comes first makes the room. A room that is still locked is tried again after
`retry` seconds, ten times.

    muc_rooms_joined       joins that succeeded
    muc_rooms_created      ... of rooms that did not exist before
    muc_joins_refused      refusals, each of those of a locked room included
    muc_join_time          microseconds from asking to join to the room's word that the user is in
    muc_messages_sent      messages that users sent to rooms
    muc_messages_received  messages that reached a user from a room, its own included
    muc_messages_bounced   messages that came back as errors
    message_ttd            time to delivery in microseconds, from the sender's `send` to the receiver's handler;
                           measured by users whose number is a multiple of `checker_every`

The time of sending travels in the message (see `amoc.xmpp.delivery`). So with users on several machines, message_ttd
contains the difference of their clocks.

    amoc run mongoose_muc --users 100 --server 127.0.0.1:5222 --set muc_service=conference.localhost

On ejabberd and Prosody the service is usually conference. and the domain.
"""

import asyncio
import time

from amoc import config, metrics
from amoc.config import Setting, at_least
from amoc.xmpp import Client, Element, connect, rooms_of
from amoc.xmpp.delivery import stamp, time_to_delivery
from amoc.xmpp.ext import muc, muc_admin

SETTINGS = [
    Setting("muc_service", str, "", "address of the room service; empty: muc. and the domain"),
    Setting("rooms_per_user", int, 10, "how many rooms a user joins", at_least(1)),
    Setting("users_per_room", int, 5, "how many users meet in a room", at_least(1)),
    Setting("retry", float, 0.5, "seconds until a locked room is tried again", at_least(0)),
    Setting("settle", float, 5.0, "seconds between joining and the first round", at_least(0)),
    Setting("rounds", int, 5, "how often a user writes to each of its rooms", at_least(0)),
    Setting("pause", float, 20.0, "seconds after each round", at_least(0)),
    Setting("linger", float, 10.0, "seconds between the last round and leaving", at_least(0)),
    Setting("checker_every", int, 10, "every how many-th user measures message_ttd", at_least(1)),
]

ATTEMPTS = 10

joined = metrics.counter("muc_rooms_joined")
created = metrics.counter("muc_rooms_created")
refused = metrics.counter("muc_joins_refused")
join_time = metrics.histogram("muc_join_time")
sent = metrics.counter("muc_messages_sent")
received = metrics.counter("muc_messages_received")
bounced = metrics.counter("muc_messages_bounced")
message_ttd = metrics.histogram("message_ttd")


def addresses(user_id: int) -> list[str]:
    """The addresses of a user's rooms."""
    service = config.get("muc_service") or f"muc.{config.get('xmpp_domain')}"
    return [
        f"{room}@{service}" for room in rooms_of(user_id, config.get("rooms_per_user"), config.get("users_per_room"))
    ]


def count(stanza: Element) -> bool:
    """Handle what any user receives; whether it was said in a room just now."""
    if stanza.get("type") == "error":
        bounced.increment()
        return False
    talk = muc.parse_message(stanza)
    if talk is None or talk.delayed or not talk.body:
        return False
    received.increment()
    return True


def count_and_measure(stanza: Element) -> None:
    """Handle what a checker receives; measure what users of a test have said just now."""
    took = time_to_delivery(stanza)
    if count(stanza) and took is not None:
        message_ttd.record(took)


async def enter(client: Client, room: str, nick: str) -> None:
    """Join a room; make it usable for others if it is new."""
    for attempt in range(ATTEMPTS):
        began = time.perf_counter()
        try:
            stay = await muc.join(client, room, nick, history=0)
        except muc.JoinRefused as error:
            refused.increment()
            if error.condition != "item-not-found" or attempt == ATTEMPTS - 1:  # that is: locked
                raise
            await asyncio.sleep(config.get("retry"))
        else:
            join_time.record((time.perf_counter() - began) * 1e6)
            joined.increment()
            if stay.created:
                created.increment()
                await muc_admin.unlock(client, room)
            return


async def start(user_id: int) -> None:
    """The life of one user; it runs again after `repeat_interval`."""
    is_checker = user_id % config.get("checker_every") == 0
    rooms = addresses(user_id)
    async with connect(user_id) as client:
        client.on("message", count_and_measure if is_checker else count)
        client.ignore("presence")  # nobody looks at it: do not keep it
        client.send_presence()
        for room in rooms:
            await enter(client, room, f"user_{user_id}")
        await asyncio.sleep(config.get("settle"))
        for _ in range(config.get("rounds")):
            for room in rooms:
                client.send_message(room, f"Hello from user {user_id}!", type="groupchat", extra=stamp())
                sent.increment()
            await asyncio.sleep(config.get("pause"))
        await asyncio.sleep(config.get("linger"))
