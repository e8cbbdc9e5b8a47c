"""Publish-subscribe, XEP-0060 1.26: nodes, items, subscriptions, and the events that subscribers are sent.

    await pubsub.create(client, "pubsub.localhost", "news", {"pubsub#max_items": 10})
    id = await pubsub.publish(client, "pubsub.localhost", "news", Element("{urn:example:news}entry", "hello"))

    await pubsub.subscribe(other, "pubsub.localhost", "news")
    event = await pubsub.next_event(other, timeout=5)      # or, in a handler: pubsub.parse_event(stanza)
    for item in event.items:
        print(event.node, item.id, item.payload)

`service` is the address of the service, or of a user for a node of theirs (see `pep`); None is the user's own
account. Not here: collection nodes, subscription options after the fact, pending subscribers.

What a service refuses raises IqError; where it says why in terms of this extension (section 14), PubSubError, an
IqError whose `detail` is, say, "closed-node" or "unsupported", with the missing `feature`. No answer in time
raises IqTimeout, an answer that makes no sense BadAnswer. `build_…` and `parse_…` are explained where they are
made, in `pubsub_stanzas`.
"""

from collections.abc import Iterable, Mapping

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.jid import bare
from amoc.xmpp.errors import IqError
from amoc.xmpp.ext import forms
from amoc.xmpp.ext.forms import Form, Value
from amoc.xmpp.ext.pubsub_stanzas import (
    EVENT,
    NS,
    OWNER,
    Event,
    EventKind,
    Item,
    Subscription,
    affiliations_of,
    build_affiliate,
    build_configure,
    build_create,
    build_items,
    build_owner,
    build_publish,
    build_retract,
    build_subscribe,
    build_unsubscribe,
    parse_event,
    parse_items,
    parse_subscription,
    parse_subscriptions,
)
from amoc.xmpp.ext.session import BadAnswer, Session, child_of, expect, names_user

__all__ = [
    "ERRORS",
    "EVENT",
    "NS",
    "OWNER",
    "Event",
    "EventKind",
    "Item",
    "PubSubError",
    "Subscription",
    "affiliate",
    "affiliations",
    "build_affiliate",
    "build_configure",
    "build_create",
    "build_items",
    "build_owner",
    "build_publish",
    "build_retract",
    "build_subscribe",
    "build_unsubscribe",
    "configuration",
    "configure",
    "create",
    "delete",
    "items",
    "next_event",
    "parse_event",
    "parse_items",
    "parse_subscription",
    "parse_subscriptions",
    "publish",
    "purge",
    "retract",
    "subscribe",
    "subscriptions",
    "unsubscribe",
]

ERRORS = NS + "#errors"


class PubSubError(IqError):
    """A refusal in the extension's own terms: `detail`, and `feature` when that is "unsupported"."""

    def __init__(self, error: IqError, detail: Element) -> None:
        super().__init__(error.stanza, error.asked)
        self.detail = detail.name
        self.feature = detail.get("feature", "")

    def what(self) -> str:  # noqa: D102 - inherited
        return f"{super().what()}: {self.detail}{f' {self.feature}' if self.feature else ''}"


# -- nodes ---------------------------------------------------------------------------------------------


@names_user
async def create(
    session: Session,
    service: str | None,
    node: str | None = None,
    config: Mapping[str, Value] | None = None,
    *,
    timeout: float | None = None,
) -> str:
    """Make a node, return its name, which the service chooses if `node` is None.

    IqError: conflict (there is one of that name), forbidden (not for this user), …
    """
    answer = await _ask(session, "set", service, build_create(node, config), timeout)
    if node is not None:
        return node
    given = child_of(child_of(answer, "pubsub", NS), "create", NS).get("node")
    if not given:
        raise BadAnswer(answer, "a new node without name")
    return given


@names_user
async def configuration(session: Session, service: str | None, node: str, *, timeout: float | None = None) -> Form:
    """The settings of a node of the user's own, with all that they could be."""
    answer = await _ask(session, "get", service, build_owner("configure", node), timeout)
    form = forms.find(child_of(child_of(answer, "pubsub", OWNER), "configure", OWNER))
    if form is None:
        raise BadAnswer(answer, "no form")
    return form


@names_user
async def configure(
    session: Session, service: str | None, node: str, config: Mapping[str, Value], *, timeout: float | None = None
) -> None:
    """Change settings of a node, as in {"pubsub#access_model": "open"}."""
    await _ask(session, "set", service, build_configure(node, config), timeout)


@names_user
async def delete(session: Session, service: str | None, node: str, *, timeout: float | None = None) -> None:
    """Delete a node. IqError: item-not-found (there is none), forbidden (it is somebody else's)."""
    await _ask(session, "set", service, build_owner("delete", node), timeout)


@names_user
async def purge(session: Session, service: str | None, node: str, *, timeout: float | None = None) -> None:
    """Remove all items of a node."""
    await _ask(session, "set", service, build_owner("purge", node), timeout)


@names_user
async def affiliations(
    session: Session, service: str | None, node: str, *, timeout: float | None = None
) -> dict[str, str]:
    """Who is what to a node of the user's own: owner, publisher, …, by address."""
    return affiliations_of(await _ask(session, "get", service, build_owner("affiliations", node), timeout))


@names_user
async def affiliate(
    session: Session, service: str | None, node: str, changes: Mapping[str, str], *, timeout: float | None = None
) -> None:
    """Make others owner, publisher, publish-only, member, none or outcast of a node, by address."""
    await _ask(session, "set", service, build_affiliate(node, changes), timeout)


# -- items ---------------------------------------------------------------------------------------------


@names_user
async def publish(
    session: Session,
    service: str | None,
    node: str,
    payload: Element | None = None,
    *,
    id: str | None = None,
    options: Mapping[str, Value] | None = None,
    timeout: float | None = None,
) -> str:
    """Publish an item, return its id, which the service chooses if `id` is None, "" if it does not say.

    `options` are what the node has to be like, as in {"pubsub#persist_items": True}; if it is not, PubSubError
    "precondition-not-met". The payload needs a namespace.
    """
    answer = await _ask(session, "set", service, build_publish(node, payload, id, options), timeout)
    if id is not None:
        return id
    given: Element | None = answer
    for name in ("pubsub", "publish", "item"):
        given = None if given is None else given.find(name, NS)
    return "" if given is None else given.get("id", "")


@names_user
async def retract(
    session: Session,
    service: str | None,
    node: str,
    id: str,
    *,
    notify: bool = True,
    timeout: float | None = None,
) -> None:
    """Take an item back; `notify`: and tell the subscribers."""
    await _ask(session, "set", service, build_retract(node, id, notify=notify), timeout)


@names_user
async def items(
    session: Session,
    service: str | None,
    node: str,
    *,
    max: int | None = None,
    ids: Iterable[str] = (),
    timeout: float | None = None,
) -> tuple[Item, ...]:
    """The items of a node: all that the service gives at once, the newest `max`, or those with these ids."""
    return parse_items(await _ask(session, "get", service, build_items(node, max=max, ids=ids), timeout))


# -- subscriptions -------------------------------------------------------------------------------------


@names_user
async def subscribe(
    session: Session,
    service: str | None,
    node: str,
    jid: str | None = None,
    options: Mapping[str, Value] | None = None,
    *,
    timeout: float | None = None,
) -> Subscription:
    """Be told what happens to the node, at `jid` (default the user's bare address). `state` may be pending."""
    request = build_subscribe(node, jid or bare(session.jid), options)
    return parse_subscription(await _ask(session, "set", service, request, timeout))


@names_user
async def unsubscribe(
    session: Session,
    service: str | None,
    node: str,
    jid: str | None = None,
    subid: str = "",
    *,
    timeout: float | None = None,
) -> None:
    """Be told no more. PubSubError: "not-subscribed", or "subid-required" with several subscriptions."""
    await _ask(session, "set", service, build_unsubscribe(node, jid or bare(session.jid), subid), timeout)


@names_user
async def subscriptions(
    session: Session, service: str | None, node: str | None = None, *, timeout: float | None = None
) -> tuple[Subscription, ...]:
    """The user's own subscriptions, to one node or to all of the service."""
    request = Element(f"{{{NS}}}pubsub", Element("subscriptions", {"node": node}))
    return parse_subscriptions(await _ask(session, "get", service, request, timeout))


@names_user
async def next_event(session: Session, *, timeout: float | None = None) -> Event:
    """The next event, taken ahead of any handler. Only what comes while this waits is seen. Raises ReceiveTimeout."""
    event = parse_event(await expect(session, "no event came", parse_event, timeout))
    assert event is not None
    return event


async def _ask(session: Session, type: str, service: str | None, payload: Element, timeout: float | None) -> Element:
    try:
        return await session.iq(type, service, payload, timeout=timeout)
    except IqError as error:
        detail = next((child for child in error.stanza.find("error") or () if child.ns == ERRORS), None)
        if detail is None:
            raise
        raise PubSubError(error, detail) from None
