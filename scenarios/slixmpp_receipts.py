# /// script
# dependencies = ["slixmpp>=1.17"]
# ///
"""Users that are slixmpp clients: they write to their neighbours and ask for receipts (XEP-0184).

A scenario for whom slixmpp's plugins do what is to be tested: here xep_0184 asks for a receipt with every message and
gives those that others ask for. A user logs in, becomes available, waits until its neighbours are there, writes to each
of them `rounds` times, and leaves when the last receipts have had time to come. With slixmpp a user costs several
times what it costs with amoc's own client: docs/xmpp.md says how much.

    messages_sent       by the users
    messages_received   from other users
    messages_bounced    came back as an error
    receipts_received   for messages that were sent
    receipt_time        µs from the sending of a message to its receipt

    amoc run slixmpp_receipts --users 100 --server 127.0.0.1:5222
    amoc run slixmpp_receipts --users 20 --server embedded --set settle=1 --set rounds=3 --set pause=1
"""

import asyncio
from time import perf_counter

import slixmpp

from amoc import config, metrics
from amoc.config import Setting, at_least
from amoc.xmpp import jid_of, neighbours
from amoc.xmpp.slixmpp_bridge import connect

SETTINGS = [
    Setting("settle", float, 5.0, "seconds between becoming available and the first round", at_least(0)),
    Setting("rounds", int, 5, "how often a user writes to each of its neighbours", at_least(0)),
    Setting("pause", float, 20.0, "seconds after each round", at_least(0)),
    Setting("neighbours", int, 4, "how far away, in user numbers, a user writes", at_least(1)),
    Setting("linger", float, 10.0, "seconds between the last round and leaving", at_least(0)),
]

sent = metrics.counter("messages_sent")
received = metrics.counter("messages_received")
bounced = metrics.counter("messages_bounced")
receipts = metrics.counter("receipts_received")
receipt_time = metrics.histogram("receipt_time")


class Writer(slixmpp.ClientXMPP):
    """A client as slixmpp's manual writes it. `write` sends a message; the handlers count what comes."""

    def __init__(self, jid: slixmpp.JID, password: str) -> None:
        super().__init__(jid, password)
        self._written: dict[str, float] = {}  # by id, when a message was sent whose receipt has not come
        self.add_event_handler("message", self._on_message)
        self.add_event_handler("message_error", self._on_error)
        self.add_event_handler("receipt_received", self._on_receipt)

    def write(self, to: str, body: str) -> None:
        """Send a message."""
        message = self.make_message(mto=slixmpp.JID(to), mbody=body, mtype="chat")
        self._written[message["id"]] = perf_counter()
        message.send()
        sent.increment()

    def _on_message(self, message: slixmpp.Message) -> None:
        if message["type"] != "error":  # a message that came back with its body is one for slixmpp
            received.increment()

    def _on_error(self, message: slixmpp.Message) -> None:
        self._written.pop(message["id"], None)
        bounced.increment()

    def _on_receipt(self, message: slixmpp.Message) -> None:
        written = self._written.pop(message["receipt"], None)
        if written is not None:  # one of another run, or given twice
            receipts.increment()
            receipt_time.record((perf_counter() - written) * 1e6)


async def start(user_id: int) -> None:
    """The life of one user; it runs again after `repeat_interval`."""
    async with connect(user_id, Writer, plugins={"xep_0184": {"auto_request": True}}) as client:
        client.send_presence()
        await asyncio.sleep(config.get("settle"))
        for _ in range(config.get("rounds")):
            for neighbour in neighbours(user_id, config.get("neighbours")):
                client.write(jid_of(neighbour), f"Hello from user {user_id}!")
            await asyncio.sleep(config.get("pause"))
        await asyncio.sleep(config.get("linger"))
