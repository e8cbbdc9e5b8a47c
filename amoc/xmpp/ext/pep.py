"""Personal eventing, XEP-0163 1.2: every account is a publish-subscribe service for those who may see its presence.

    await pep.publish(client, "urn:example:mood", Element("{urn:example:mood}mood", "cawing"))

    await pep.announce(other, ["urn:example:mood"])            # presence that says what interests `other`
    news = await pep.next_news(other, timeout=5)               # or, in a handler of "message": pep.parse(stanza)
    print(news.sender, news.event.node, news.event.items)

Contacts and the user's other resources are told without having subscribed to anything: the nodes that interest them
are named by their presence (`+notify`, XEP-0115). So that presence must reach the publisher: contacts are subscribed to
each other. A server that does not know the capabilities yet asks back, once for all users who say the same.

Errors are those of `pubsub`, whose other calls work here too, with None for the user's own account.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.jid import bare
from amoc.xmpp.errors import ReceiveTimeout
from amoc.xmpp.ext import disco, pubsub
from amoc.xmpp.ext.forms import Value
from amoc.xmpp.ext.session import Session, expect, names_user

__all__ = ["CURRENT", "Interests", "News", "announce", "items", "next_news", "parse", "publish", "retract"]

CURRENT = "current"
"""The id of the only item of a node that holds one (XEP-0163, 4.3.1 and XEP-0060, 12.20)."""
CLIENT = "urn:amoc:client"  # names this client in its capabilities


@dataclass(frozen=True, slots=True)
class News:
    """An event of the account `sender`, a bare address; "" for the user's own if the server does not say."""

    sender: str
    event: pubsub.Event


class Interests:
    """The nodes of which a user wants news.

    `announce` sends `presence`, and answers who asks at once. A handler of requests that comes later ones, of contacts
    say, answers them by `answer`.
    """

    __slots__ = ("info", "presence")

    def __init__(self, nodes: Iterable[str]) -> None:
        features = [pubsub.NS, *(f"{node}+notify" for node in nodes)]
        self.info = disco.Info.of([disco.Identity("client", "bot", "amoc")], features)
        self.presence = Element("presence", disco.caps(self.info, CLIENT))

    def asked(self, stanza: Element) -> bool:
        """Whether somebody wants to know what is behind the presence."""
        if not disco.is_request(stanza):
            return False
        query = stanza.find("query", disco.INFO)
        node = None if query is None else query.get("node")
        return node in (None, f"{CLIENT}#{disco.verification(self.info)}")

    def answer(self, stanza: Element) -> Element | None:
        """The answer, None if that is not what the stanza asks."""
        return disco.answer(stanza, self.info) if self.asked(stanza) else None


@names_user
async def announce(session: Session, nodes: Iterable[str], *, timeout: float = 1.0) -> bool:
    """Become available, with an interest in `nodes`; answer the server if it asks what that means.

    Returns whether it asked within `timeout` seconds: it does not if it knows from another user. The question is
    taken ahead of any handler.
    """
    interests = Interests(nodes)
    try:
        question = await session.expect(interests.asked, timeout, interests.presence)
    except ReceiveTimeout:
        return False
    session.send(disco.answer(question, interests.info))
    return True


@names_user
async def publish(
    session: Session,
    node: str,
    payload: Element | None = None,
    *,
    id: str = CURRENT,
    options: Mapping[str, Value] | None = None,
    timeout: float | None = None,
) -> str:
    """Publish an item of the user's own, return its id. The node is made when there is none."""
    return await pubsub.publish(session, None, node, payload, id=id, options=options, timeout=timeout)


@names_user
async def retract(session: Session, node: str, id: str = CURRENT, *, timeout: float | None = None) -> None:
    """Take an item of the user's own back, and tell those who are interested."""
    await pubsub.retract(session, None, node, id, timeout=timeout)


@names_user
async def items(
    session: Session, jid: str | None, node: str, *, max: int | None = None, timeout: float | None = None
) -> tuple[pubsub.Item, ...]:
    """The items that user `jid` has published, or with None the user's own. IqError if that is not allowed."""
    return await pubsub.items(session, jid, node, max=max, timeout=timeout)


@names_user
async def next_news(session: Session, *, timeout: float | None = None) -> News:
    """The next news, taken ahead of any handler. Only what comes while this waits is seen. Raises ReceiveTimeout."""
    news = parse(await expect(session, "no news came", parse, timeout))
    assert news is not None
    return news


def parse(stanza: Element) -> News | None:
    """The news that a message brings; None if it is none."""
    event = pubsub.parse_event(stanza)
    return None if event is None else News(bare(stanza.get("from", "")), event)
