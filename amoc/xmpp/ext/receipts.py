"""Delivery receipts, XEP-0184 1.4: the receiving client confirms a message.

    client.send(receipts.message("user_2@localhost", "hello", id="m1"))     # asks for a receipt
    await receipts.deliver(client, "user_2@localhost", "hello", timeout=5)    # ... and waits for it

    def on_message(stanza):                       # the other side
        receipt = receipts.answer(stanza)         # None for messages that ask for none
        if receipt is not None:
            client.send(receipt)
        confirmed = receipts.received(stanza)     # "m1" for a receipt

Templates and look-ups: a microsecond each.
"""

import random

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.jid import bare, normal
from amoc.xmpp.errors import StanzaError
from amoc.xmpp.ext.session import WAIT, Session, expect, names_user

__all__ = ["NS", "REQUEST", "answer", "deliver", "message", "receipt", "received", "wants_receipt"]

NS = "urn:xmpp:receipts"
REQUEST = f"<request xmlns='{NS}'/>"
"""What a message holds whose sender wants a receipt."""


def message(to: str, body: str, id: str, *, type: str = "chat") -> str:
    """A message that asks for a receipt, which will name it by `id`."""
    return (
        f"<message to='{escape(to)}' type='{escape(type)}' id='{escape(id)}'>"
        f"<body>{escape(body)}</body>{REQUEST}</message>"
    )


def receipt(to: str, id: str, *, type: str = "chat") -> str:
    """The message that confirms message `id`."""
    return f"<message to='{escape(to)}' type='{escape(type)}'><received xmlns='{NS}' id='{escape(id)}'/></message>"


def wants_receipt(stanza: Element) -> bool:
    """Whether the message asks for a receipt: to be given only for one with an id, and never to a room (5.3)."""
    attrs = stanza.attrs
    return bool(
        attrs.get("id")
        and attrs.get("type") not in ("error", "groupchat")
        and stanza.find("request", NS) is not None
        and stanza.find("received", NS) is None  # a receipt is not confirmed, or it would never end
    )


def answer(stanza: Element) -> str | None:
    """The receipt for a message that came, None if it asks for none."""
    attrs = stanza.attrs
    sender = attrs.get("from")
    if sender is None or not wants_receipt(stanza):
        return None
    return receipt(sender, attrs["id"], type=attrs.get("type", "normal"))


def received(stanza: Element) -> str | None:
    """The id of the message that this one confirms; None if it is no receipt."""
    child = stanza.find("received", NS)
    if child is None or stanza.attrs.get("type") == "error":
        return None
    return child.attrs.get("id") or None


@names_user
async def deliver(
    session: Session, to: str, body: str, *, id: str | None = None, type: str = "chat", timeout: float = WAIT
) -> Element:
    """Send a message and wait until the addressee has confirmed it; returns the receipt.

    Raises ReceiveTimeout after `timeout` seconds, StanzaError when the message came back as an error. The receipt
    is taken ahead of any handler.
    """
    if id is None:
        id = f"{random.getrandbits(64):016x}"
    wanted = bare(normal(to))

    def confirms(stanza: Element) -> bool:
        attrs = stanza.attrs
        if stanza.name != "message" or bare(normal(attrs.get("from", ""))) != wanted:
            return False
        return attrs.get("id") == id if attrs.get("type") == "error" else received(stanza) == id

    what = f"{to} did not confirm message {id}"
    answered = await expect(session, what, confirms, timeout, message(to, body, id, type=type))
    if answered.attrs.get("type") == "error":
        raise StanzaError(answered)
    return answered
