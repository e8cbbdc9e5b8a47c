"""What publish-subscribe (XEP-0060) says on the wire: requests to build, answers and events to take apart.

Scenarios use `amoc.xmpp.ext.pubsub`, which has all of these names. Requests here are payloads of an iq; send
them by `client.iq("set", service, payload)`, or, without waiting for the answer, as part of an iq of your own.

Pure: elements to values and back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from amoc.xmpp.core.element import Element
from amoc.xmpp.ext import forms
from amoc.xmpp.ext.forms import Form, Value
from amoc.xmpp.ext.session import BadAnswer, child_of

__all__ = [
    "EVENT",
    "NS",
    "OWNER",
    "Event",
    "EventKind",
    "Item",
    "Subscription",
    "affiliations_of",
    "build_affiliate",
    "build_configure",
    "build_create",
    "build_items",
    "build_owner",
    "build_publish",
    "build_retract",
    "build_subscribe",
    "build_unsubscribe",
    "parse_event",
    "parse_items",
    "parse_subscription",
    "parse_subscriptions",
]

NS = "http://jabber.org/protocol/pubsub"
EVENT = NS + "#event"
OWNER = NS + "#owner"
CONFIG = NS + "#node_config"
PUBLISH_OPTIONS = NS + "#publish-options"
SUBSCRIBE_OPTIONS = NS + "#subscribe_options"

EventKind = Literal["items", "purge", "delete", "configuration", "subscription"]
_KINDS = frozenset(("items", "purge", "delete", "configuration", "subscription"))


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a node. `payload` is None if the service sends none; `publisher` "" if it does not say."""

    id: str
    payload: Element | None = None
    publisher: str = ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who is subscribed to what. `state` is none, pending, unconfigured or subscribed; `subid` may be ""."""

    node: str
    jid: str
    state: str = "subscribed"
    subid: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a node.

    `kind` is items (`items` were published, those with the ids `retracted` were taken back), purge (all items
    are gone), delete (the node is gone, `redirect` may say where to), configuration (`form`, if the service
    sends it), subscription (`subscription` is what it is now).
    """

    kind: EventKind
    node: str
    items: tuple[Item, ...] = ()
    retracted: tuple[str, ...] = ()
    redirect: str = ""
    form: Form | None = None
    subscription: Subscription | None = None


# -- requests ------------------------------------------------------------------------------------------


def build_create(node: str | None, config: Mapping[str, Value] | None = None) -> Element:
    """A request for a node; without a name the service makes one up. `config` as in `build_configure`."""
    request = Element(f"{{{NS}}}pubsub", Element("create", {"node": node}))
    return request.add(Element("configure", forms.submit(config, CONFIG))) if config else request


def build_configure(node: str, config: Mapping[str, Value]) -> Element:
    """New settings of a node, as in {"pubsub#max_items": 10}. Those that are not named stay."""
    return Element(f"{{{OWNER}}}pubsub", Element("configure", {"node": node}, forms.submit(config, CONFIG)))


def build_owner(what: Literal["configure", "delete", "purge", "affiliations", "subscriptions"], node: str) -> Element:
    """What an owner asks for by name: the settings of a node, its end, …"""
    return Element(f"{{{OWNER}}}pubsub", Element(what, {"node": node}))


def build_affiliate(node: str, affiliations: Mapping[str, str]) -> Element:
    """New affiliations by address: owner, publisher, publish-only, member, none, outcast."""
    entries = (
        Element("affiliation", {"jid": jid, "affiliation": affiliation}) for jid, affiliation in affiliations.items()
    )
    return Element(f"{{{OWNER}}}pubsub", Element("affiliations", {"node": node}, *entries))


def build_publish(
    node: str, payload: Element | None = None, id: str | None = None, options: Mapping[str, Value] | None = None
) -> Element:
    """A request to publish an item. `options` are what the node has to be like (section 7.1.5)."""
    item = Element("item", {"id": id})
    if payload is not None:
        if payload.ns is None:
            raise ValueError(f"the payload of an item needs a namespace of its own: {payload!r}")
        item.add(payload)
    request = Element(f"{{{NS}}}pubsub", Element("publish", {"node": node}, item))
    return request.add(Element("publish-options", forms.submit(options, PUBLISH_OPTIONS))) if options else request


def build_retract(node: str, id: str, *, notify: bool = True) -> Element:
    """A request to take an item back; `notify`: and to tell the subscribers."""
    retract = Element("retract", {"node": node, "notify": "true" if notify else None}, Element("item", {"id": id}))
    return Element(f"{{{NS}}}pubsub", retract)


def build_subscribe(node: str, jid: str, options: Mapping[str, Value] | None = None) -> Element:
    """A request to tell `jid` what happens to the node."""
    request = Element(f"{{{NS}}}pubsub", Element("subscribe", {"node": node, "jid": jid}))
    return request.add(Element("options", forms.submit(options, SUBSCRIBE_OPTIONS))) if options else request


def build_unsubscribe(node: str, jid: str, subid: str = "") -> Element:
    """A request to tell `jid` no more."""
    return Element(f"{{{NS}}}pubsub", Element("unsubscribe", {"node": node, "jid": jid, "subid": subid or None}))


def build_items(node: str, *, max: int | None = None, ids: Iterable[str] = ()) -> Element:
    """A request for the items of a node: all, the newest `max`, or those with these ids."""
    limit = str(max) if max is not None else None
    wanted = (Element("item", {"id": id}) for id in ids)
    return Element(f"{{{NS}}}pubsub", Element("items", {"node": node, "max_items": limit}, *wanted))


# -- answers -------------------------------------------------------------------------------------------


def parse_items(answer: Element) -> tuple[Item, ...]:
    """The items in the answer to a request for items. Raises BadAnswer."""
    return _items(child_of(child_of(answer, "pubsub", NS), "items", NS))


def parse_subscription(answer: Element) -> Subscription:
    """The subscription in the answer to a request to subscribe. Raises BadAnswer."""
    return _subscription(child_of(child_of(answer, "pubsub", NS), "subscription", NS))


def parse_subscriptions(answer: Element) -> tuple[Subscription, ...]:
    """The subscriptions in an answer. Raises BadAnswer."""
    found = child_of(child_of(answer, "pubsub", NS), "subscriptions", NS)
    node = found.get("node", "")
    return tuple(_subscription(entry, node) for entry in found.find_all("subscription"))


def affiliations_of(answer: Element) -> dict[str, str]:
    """Affiliations by address in the answer to an owner. Raises BadAnswer."""
    found = child_of(child_of(answer, "pubsub", OWNER), "affiliations", OWNER)
    return {entry.get("jid", ""): entry.get("affiliation", "") for entry in found.find_all("affiliation")}


def parse_event(stanza: Element) -> Event | None:
    """What the message says has happened; None if it is no event, or one that makes no sense."""
    event = stanza.find("event", EVENT)
    if event is None or stanza.attrs.get("type") == "error":
        return None
    for child in event:
        if child.name in _KINDS and child.ns == EVENT:
            node = child.get("node", "")
            if child.name == "items":
                retracted = tuple([entry.get("id", "") for entry in child.find_all("retract")])
                return Event("items", node, _items(child), retracted)
            if child.name == "delete":
                redirect = child.find("redirect")
                return Event("delete", node, redirect="" if redirect is None else redirect.get("uri", ""))
            if child.name == "configuration":
                return Event("configuration", node, form=forms.find(child))
            if child.name == "subscription":
                if not child.get("jid"):
                    return None
                return Event("subscription", node, subscription=_subscription(child))
            return Event("purge", node)
    return None


def _items(parent: Element) -> tuple[Item, ...]:
    return tuple(
        [
            Item(item.get("id", ""), next(iter(item), None), item.get("publisher", ""))
            for item in parent.find_all("item")
        ]
    )


def _subscription(entry: Element, node: str = "") -> Subscription:
    jid = entry.get("jid")
    if not jid:
        raise BadAnswer(entry, "a subscription without jid")
    return Subscription(entry.get("node", node), jid, entry.get("subscription", "subscribed"), entry.get("subid", ""))
