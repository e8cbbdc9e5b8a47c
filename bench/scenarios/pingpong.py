"""Pairs of users who answer each other as fast as they can: what a login and a message cost.

The user with the odd place in its pair sends first; each sends again when it has received, until it has received
`messages`; with a `gap` it waits that long before. All of a worker's users wait until `users` of them have logged
in, and `idle` seconds more; and likewise before they leave, so that no logout falls among the messages.
"""

import asyncio
from dataclasses import dataclass, field

from amoc import config, metrics
from amoc.config import Setting
from amoc.xmpp import Client, Element, connect

SETTINGS = [
    Setting("prefix", str, "user_", "user names are this and the user's id"),
    Setting("users", int, 2, "how many users this worker has"),
    Setting("messages", int, 0, "how many messages each user receives"),
    Setting("idle", float, 0.0, "seconds between the last login and the first message"),
    Setting("gap", float, 0.0, "seconds between a message and the answer"),
    Setting("by_handler", bool, False, "take messages by a handler instead of awaiting each"),
    Setting("tls", str, "never", "xmpp_tls"),
    Setting("sasl", str, "PLAIN", "xmpp_sasl"),
]
BODY = "a line of text as people write it to each other"


@dataclass
class Gate:
    """Opens when everybody has come and the pause is over."""

    users: int
    idle: float
    come: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self) -> None:
        """One more is here."""
        self.come += 1
        if self.come == self.users:
            asyncio.get_running_loop().call_later(self.idle, self.opened.set)


def init() -> tuple[Gate, Gate]:
    """The gates of this worker: before the game and behind it."""
    users, idle = config.get("users"), config.get("idle")
    return Gate(users, idle), Gate(users, idle)


async def start(user_id: int, gates: tuple[Gate, Gate]) -> None:
    """Log in, wait for the others, play, wait for the others."""
    before, behind = gates
    name = config.get("prefix")
    peer_id = user_id + 1 if user_id % 2 else user_id - 1
    peer = f"{name}{peer_id}@{config.get('xmpp_domain')}/res1"
    async with connect(user_id, username=name + "{id}", tls=config.get("tls"), sasl=config.get("sasl")) as client:
        client.ignore("presence")
        client.send_presence()
        before.enter()
        await before.opened.wait()
        messages = config.get("messages")
        if messages:
            play = by_handler if config.get("by_handler") else by_receive
            await play(client, peer, messages, first=bool(user_id % 2))
            behind.enter()
            await behind.opened.wait()


async def by_receive(client: Client, peer: str, messages: int, first: bool) -> None:
    """The style of most scenarios: await each message."""
    received = metrics.counter("received")
    gap = config.get("gap")
    if first:
        client.send_message(peer, BODY)
    for number in range(1, messages + 1):
        await client.receive("message")
        received.increment()
        if not first or number < messages:
            if gap:
                await asyncio.sleep(gap)
            client.send_message(peer, BODY)


async def by_handler(client: Client, peer: str, messages: int, first: bool) -> None:
    """The cheapest style: a function that the parser calls."""
    received = metrics.counter("received")
    gap = config.get("gap")
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    number = 0

    def answer() -> None:
        client.send_message(peer, BODY)

    def got(_: Element) -> None:
        nonlocal number
        number += 1
        received.increment()
        if not first or number < messages:
            if gap:
                loop.call_later(gap, answer)
            else:
                answer()
        if number == messages:
            loop.call_later(gap, done.set)  # the last answer goes first

    client.on("message", got)
    if first:
        client.send_message(peer, BODY)
    await done.wait()
