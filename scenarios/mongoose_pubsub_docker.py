"""Users with odd numbers publish, users with even numbers subscribe to what they find (XEP-0060).

A user with an odd number makes a node, waits for subscribers, publishes `rounds` items, `pause` seconds apart,
and deletes the node in the end. A user with an even number looks, after half of `settle`, which nodes there are,
subscribes to those of users whose number is at most `neighbours` away, and counts what it is sent.

    pubsub_nodes    nodes that users have made, or found from a run that was cut off
    subscriptions   nodes that users have subscribed to
    items_sent      items that users have published, and that the service has taken
    items_received  items that subscribers were sent
    pubsub_retries  requests to make or to delete a node that were made once more, because the service had failed

Needs a server with a publish-subscribe service that lets users make nodes, as ejabberd's and MongooseIM's do.
The environment variable AMOC_XMPP_SERVERS names the servers, separated by spaces.

    AMOC_XMPP_SERVERS="xmpp-1 xmpp-2:5223" amoc run mongoose_pubsub_docker --users 100
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from amoc import config, metrics
from amoc.config import Setting, at_least
from amoc.xmpp import Client, Element, IqError, backoff, connect, neighbours
from amoc.xmpp.ext import disco, pubsub

SETTINGS = [
    Setting("pubsub_service", str, "", "address of the service; empty: pubsub. and the domain"),
    Setting("settle", float, 5.0, "seconds between making a node and the first item", at_least(0)),
    Setting("rounds", int, 10, "how many items a user publishes", at_least(0)),
    Setting("pause", float, 5.0, "seconds after each item", at_least(0)),
    Setting("payload", int, 100, "characters in an item", at_least(0)),
    Setting("neighbours", int, 4, "how far away, in user numbers, a user subscribes", at_least(1)),
    Setting("linger", float, 10.0, "seconds between the last item and leaving", at_least(0)),
    Setting("retries", int, 10, "how often a user asks again for a node to be made or deleted", at_least(0)),
]

nodes = metrics.counter("pubsub_nodes")
subscriptions = metrics.counter("subscriptions")
sent = metrics.counter("items_sent")
received = metrics.counter("items_received")
retried = metrics.counter("pubsub_retries")


def service() -> str:
    """The address of the publish-subscribe service."""
    return config.get("pubsub_service") or f"pubsub.{config.get('xmpp_domain')}"


def node_of(user_id: int) -> str:
    """The name of a user's node."""
    return f"amoc-{user_id}"


def count(stanza: Element) -> None:
    """Handle what a subscriber receives."""
    event = pubsub.parse_event(stanza)
    if event is not None and event.items:
        received.increment(len(event.items))


async def insist(
    request: Callable[[Client, str, str], Awaitable[object]], client: Client, node: str, done: str
) -> None:
    """Ask for a node to be made or deleted, and again if the service fails; `done` says that it has been already.

    A service that fails for a moment says "wait" (RFC 6120, 8.3.2). ejabberd 23.01 does so when its transactions for
    two users block each other, which mnesia alone would try again; or it takes the owner of a node for a stranger then.
    """
    delays = backoff(0.05, 2.0, random.random)
    for left in reversed(range(config.get("retries") + 1)):
        try:
            await request(client, service(), node)
        except IqError as error:
            if error.condition == done:
                return
            failed = error.type == "wait" or (request is pubsub.delete and error.condition == "forbidden")
            if not failed or not left:
                raise
        else:
            return
        retried.increment()
        await asyncio.sleep(next(delays))


async def publish(client: Client, user_id: int) -> None:
    """The life of a user with an odd number."""
    node = node_of(user_id)
    await insist(pubsub.create, client, node, "conflict")  # it is left from a run that was cut off
    nodes.increment()
    await asyncio.sleep(config.get("settle"))
    for _ in range(config.get("rounds")):
        item = Element("{urn:amoc:item}item", "x" * config.get("payload"))
        await pubsub.publish(client, service(), node, item)
        sent.increment()
        await asyncio.sleep(config.get("pause"))
    await asyncio.sleep(config.get("linger"))
    await insist(pubsub.delete, client, node, "item-not-found")


async def subscribe(client: Client, user_id: int) -> None:
    """The life of a user with an even number."""
    client.on("message", count)
    await asyncio.sleep(config.get("settle") / 2)
    wanted = {node_of(other) for other in neighbours(user_id, config.get("neighbours"))}
    for item in await disco.items(client, service()):
        if item.node in wanted:
            await pubsub.subscribe(client, service(), item.node)
            subscriptions.increment()
    await asyncio.sleep(config.get("settle") / 2 + config.get("rounds") * config.get("pause") + config.get("linger"))


async def start(user_id: int) -> None:
    """The life of one user; it runs again after `repeat_interval`."""
    async with connect(user_id) as client:
        client.ignore("presence")
        client.send_presence()
        await (publish if user_id % 2 else subscribe)(client, user_id)
