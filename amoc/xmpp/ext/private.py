"""Private XML storage, XEP-0049 1.3: what a client keeps on its server for itself.

await private.store(client, Element("{urn:example:notes}notes", Element("note", "buy nuts")))
notes = await private.fetch(client, "notes", "urn:example:notes")     # an empty element if nothing was stored
"""

from amoc.xmpp.core.element import Element
from amoc.xmpp.ext.session import Session, child_of, names_user

__all__ = ["NS", "fetch", "store"]

NS = "jabber:iq:private"


@names_user
async def store(session: Session, element: Element, *, timeout: float | None = None) -> None:
    """Keep the element, instead of what was kept under its name and namespace. Raises IqError, IqTimeout.

    Raises ValueError for an element without a namespace of its own.
    """
    if not element.ns:
        raise ValueError(f"what is stored needs a namespace of its own: {element!r}")
    await session.iq("set", None, Element(f"{{{NS}}}query", element), timeout=timeout)


@names_user
async def fetch(session: Session, name: str, ns: str, *, timeout: float | None = None) -> Element:
    """What is kept under that name and namespace. Raises IqError, IqTimeout, BadAnswer."""
    answer = await session.iq("get", None, Element(f"{{{NS}}}query", Element(f"{{{ns}}}{name}")), timeout=timeout)
    return child_of(child_of(answer, "query", NS), name, ns)
