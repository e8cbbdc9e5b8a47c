"""Message carbons, XEP-0280 1.0: a user's other resources get copies of what one of them sends and receives.

    await carbons.enable(client)
    carbon = carbons.parse(stanza, client.jid)      # Carbon(direction="sent", message=…), or None
    client.send(Element("message", {...}, Element("body", "for you alone"), *carbons.private()))

Parsing costs a microsecond; nothing is copied.
"""

from dataclasses import dataclass
from typing import Literal

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.jid import bare, normal
from amoc.xmpp.ext.session import Session, names_user

__all__ = ["NS", "Carbon", "Direction", "disable", "enable", "parse", "private"]

NS = "urn:xmpp:carbons:2"
FORWARD = "urn:xmpp:forward:0"  # XEP-0297
HINTS = "urn:xmpp:hints"  # XEP-0334

Direction = Literal["sent", "received"]


@dataclass(frozen=True, slots=True)
class Carbon:
    """A copy of `message`, which another resource of the user's own has sent or received."""

    direction: Direction
    message: Element


@names_user
async def enable(session: Session, *, timeout: float | None = None) -> None:
    """Ask for copies of what the user's other resources send and receive. Raises IqError, IqTimeout."""
    await session.iq("set", None, Element(f"{{{NS}}}enable"), timeout=timeout)


@names_user
async def disable(session: Session, *, timeout: float | None = None) -> None:
    """Ask for no more copies. Raises IqError, IqTimeout."""
    await session.iq("set", None, Element(f"{{{NS}}}disable"), timeout=timeout)


def parse(stanza: Element, own: str) -> Carbon | None:
    """What was copied, if the stanza is a carbon for the user whose address is `own`, bare or full; else None.

    A copy that does not come from the user's own account is forged (XEP-0280, 11): it is none either.
    """
    for child in stanza.children:
        if type(child) is Element and child.ns == NS and child.name in ("sent", "received"):
            sender = stanza.attrs.get("from")
            if sender is not None and normal(sender) != bare(normal(own)):
                return None
            forwarded = child.find("forwarded", FORWARD)
            message = None if forwarded is None else forwarded.find("message")
            return None if message is None else Carbon(child.name, message)  # type: ignore[arg-type]  # one of the two
    return None


def private() -> tuple[Element, Element]:
    """What to put into a message that is to be copied to nobody (section 8)."""
    return Element(f"{{{NS}}}private"), Element(f"{{{HINTS}}}no-copy")
