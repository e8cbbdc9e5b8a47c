"""Software version, XEP-0092 1.1: what runs there?

found = await version.version(client, "localhost")          # Version(name="ejabberd", version="23.01", os="…")
client.send(version.answer(stanza, version.Version("amoc", "0.1.0")))    # when asked (`version.is_request`)
"""

from dataclasses import dataclass

from amoc.xmpp.core.element import Element
from amoc.xmpp.ext.session import Session, child_of, names_user

__all__ = ["NS", "Version", "answer", "is_request", "parse", "version"]

NS = "jabber:iq:version"


@dataclass(frozen=True, slots=True)
class Version:
    """A program, its version and its operating system, each "" if not said."""

    name: str
    version: str = ""
    os: str = ""


@names_user
async def version(session: Session, to: str | None = None, *, timeout: float | None = None) -> Version:
    """What runs at `to`, a server or a full address. Raises IqError, IqTimeout, BadAnswer."""
    return parse(await session.iq("get", to, Element(f"{{{NS}}}query"), timeout=timeout))


def parse(answer: Element) -> Version:
    """The version in an iq. Raises BadAnswer."""
    query = child_of(answer, "query", NS)
    return Version(*(query.findtext(name, default="") for name in ("name", "version", "os")))


def is_request(stanza: Element) -> bool:
    """Whether this asks for our version."""
    return stanza.name == "iq" and stanza.get("type") == "get" and stanza.find("query", NS) is not None


def answer(request: Element, own: Version) -> Element:
    """The answer to who asks for our version."""
    query = Element(f"{{{NS}}}query", Element("name", own.name), Element("version", own.version))
    if own.os:
        query.add(Element("os", own.os))
    return Element("iq", {"type": "result", "id": request.get("id"), "to": request.get("from")}, query)
