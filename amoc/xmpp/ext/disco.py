"""Service discovery, XEP-0030 2.5, and the hash of entity capabilities, XEP-0115 1.6.

info = await disco.info(client, "localhost")
if "urn:xmpp:mam:2" in info.features: ...
for item in await disco.items(client, "localhost"): ...
room_service = await disco.find_service(client, "localhost", "conference", "text")

me = disco.Info.of([disco.Identity("client", "bot", "amoc")], ["urn:xmpp:ping"])
client.send(f"<presence>{disco.caps(me, 'https://example.org/amoc')}</presence>")
client.send(disco.answer(request, me))                 # to who asks what stands behind that hash
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from amoc.xmpp.core.element import Element
from amoc.xmpp.errors import IqError
from amoc.xmpp.ext.forms import NS as FORM
from amoc.xmpp.ext.forms import Form, parse
from amoc.xmpp.ext.session import Session, child_of, names_user

__all__ = [
    "CAPS",
    "INFO",
    "ITEMS",
    "Identity",
    "Info",
    "Item",
    "answer",
    "caps",
    "find_service",
    "info",
    "is_request",
    "items",
    "parse_info",
    "parse_items",
    "verification",
]

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
CAPS = "http://jabber.org/protocol/caps"


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """What somebody is: "conference" / "text", "pubsub" / "service", …"""

    category: str
    type: str
    name: str = ""
    lang: str = ""


@dataclass(frozen=True, slots=True)
class Info:
    """What somebody is and can do; `forms` says more about it (XEP-0128)."""

    identities: tuple[Identity, ...]
    features: frozenset[str]
    forms: tuple[Form, ...] = ()

    @classmethod
    def of(cls, identities: Iterable[Identity], features: Iterable[str]) -> Self:
        """The info of somebody who can be asked for it."""
        return cls(tuple(identities), frozenset(features) | {INFO})

    def is_a(self, category: str, type: str | None = None) -> bool:
        """Whether it has an identity of that category (and type)."""
        return any(identity.category == category and type in (None, identity.type) for identity in self.identities)


@dataclass(frozen=True, slots=True)
class Item:
    """Something that belongs to who was asked: a service, a room, a node."""

    jid: str
    node: str
    name: str


@names_user
async def info(session: Session, to: str, node: str | None = None, *, timeout: float | None = None) -> Info:
    """What `to` (or its `node`) is and can do. Raises IqError, IqTimeout, BadAnswer."""
    query = Element(f"{{{INFO}}}query", {"node": node})
    return parse_info(await session.iq("get", to, query, timeout=timeout))


@names_user
async def items(
    session: Session, to: str, node: str | None = None, *, timeout: float | None = None
) -> tuple[Item, ...]:
    """What belongs to `to` (or its `node`). Raises IqError, IqTimeout, BadAnswer."""
    query = Element(f"{{{ITEMS}}}query", {"node": node})
    return parse_items(await session.iq("get", to, query, timeout=timeout))


@names_user
async def find_service(
    session: Session, domain: str, category: str, type: str | None = None, *, timeout: float | None = None
) -> str | None:
    """The first service of `domain` with such an identity, None if there is none.

    Asks the services one after the other; those that refuse to say what they are do not count.
    """
    for item in await items(session, domain, timeout=timeout):
        try:
            found = await info(session, item.jid, item.node or None, timeout=timeout)
        except IqError:
            continue
        if found.is_a(category, type):
            return item.jid
    return None


def parse_info(stanza: Element) -> Info:
    """The info in an iq. Raises BadAnswer."""
    query = child_of(stanza, "query", INFO)
    return Info(
        identities=tuple(
            Identity(
                category=item.get("category", ""),
                type=item.get("type", ""),
                name=item.get("name", ""),
                lang=item.get("xml:lang", ""),
            )
            for item in query.find_all("identity", INFO)
        ),
        features=frozenset(item.get("var", "") for item in query.find_all("feature", INFO)),
        forms=tuple(map(parse, query.find_all("x", FORM))),
    )


def parse_items(stanza: Element) -> tuple[Item, ...]:
    """The items in an iq. Raises BadAnswer."""
    query = child_of(stanza, "query", ITEMS)
    return tuple(
        Item(jid=item.get("jid", ""), node=item.get("node", ""), name=item.get("name", ""))
        for item in query.find_all("item", ITEMS)
    )


def is_request(stanza: Element) -> bool:
    """Whether this asks for our info."""
    return stanza.name == "iq" and stanza.get("type") == "get" and stanza.find("query", INFO) is not None


def answer(request: Element, info: Info) -> Element:
    """The answer to a request for our info."""
    asked = request.find("query", INFO)
    query = Element(f"{{{INFO}}}query", {"node": asked.get("node") if asked is not None else None})
    for item in info.identities:
        attributes = {"category": item.category, "type": item.type, "name": item.name or None}
        query.add(Element("identity", attributes, {"xml:lang": item.lang or None}))
    query.add(*(Element("feature", {"var": feature}) for feature in sorted(info.features)))
    return Element("iq", {"type": "result", "id": request.get("id"), "to": request.get("from")}, query)


# -- entity capabilities -----------------------------------------------------------------------------


def caps(info: Info, node: str) -> Element:
    """The `<c/>` for our presence; `node` is a URI that names the client (XEP-0115, 4)."""
    return Element(f"{{{CAPS}}}c", {"hash": "sha-1", "node": node, "ver": verification(info)})


def verification(info: Info, hash: str = "sha-1") -> str:
    """The hash that stands for the info (XEP-0115, 5.1). Raises ValueError for an unknown hash function."""
    pieces = sorted(f"{item.category}/{item.type}/{item.lang}/{item.name}" for item in info.identities)
    pieces += sorted(info.features)
    for form in sorted(info.forms, key=lambda form: form.form_type):
        pieces.append(form.form_type)
        for name in sorted(form.fields):
            if name != "FORM_TYPE":
                pieces += [name, *sorted(form.fields[name].values)]
    text = "".join(f"{piece}<" for piece in pieces)
    return base64.b64encode(hashlib.new(hash.replace("-", "", 1), text.encode()).digest()).decode()
