"""Delayed delivery, XEP-0203 2.0: when a stanza that was stored on its way was sent; times as in XEP-0082 1.1.

    delayed = delay.parse(stanza)          # None for most: they came at once
    if delayed is not None:
        age = datetime.now(UTC) - delayed.stamp

Servers add the element to offline messages, archives, room history and last published items. A measure of
delivery time must leave such stanzas out: `is_delayed` says which, in a fraction of a microsecond.

Pure: no I/O, no clock.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from amoc.xmpp.core.element import Element

__all__ = ["NS", "Delay", "element", "format_time", "is_delayed", "parse", "parse_time"]

NS = "urn:xmpp:delay"


@dataclass(frozen=True, slots=True)
class Delay:
    """`stamp`: when the stanza was first sent; `by`: the address that stored it, "" if not said; `reason`."""

    stamp: datetime
    by: str = ""
    reason: str = ""


def is_delayed(stanza: Element) -> bool:
    """Whether the stanza was stored on its way."""
    return stanza.find("delay", NS) is not None


def parse(stanza: Element, by: str | None = None) -> Delay | None:
    """When the stanza was sent, if it was stored on its way; `by`: heed only what that address says of it.

    Each that stores a stanza may say so: without `by` the first element counts. An element whose stamp is no
    time counts as if it were not there: anybody may put one into a message.
    """
    for child in stanza.children:
        if type(child) is Element and child.name == "delay" and child.ns == NS:
            attrs = child.attrs
            if by is not None and attrs.get("from") != by:
                continue
            try:
                return Delay(parse_time(attrs["stamp"]), attrs.get("from", ""), child.text)
            except (KeyError, ValueError):
                continue
    return None


def element(stamp: datetime, by: str | None = None, reason: str = "") -> Element:
    """The element to add to a stanza. `stamp` needs a time zone."""
    return Element(f"{{{NS}}}delay", {"from": by, "stamp": format_time(stamp)}, *([reason] if reason else ()))


def parse_time(text: str) -> datetime:
    """A DateTime of XEP-0082, as in 2026-11-24T03:15:00.123Z, in UTC. Raises ValueError for anything else."""
    if text[10:11] != "T" or text[4:5] != "-" or text[7:8] != "-" or text[13:14] != ":":
        raise ValueError(f"{text!r} is not a time as in 2026-11-24T03:15:00Z")
    stamp = datetime.fromisoformat(text)
    if stamp.tzinfo is UTC:
        return stamp
    if stamp.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: Z is missing at its end")
    return stamp.astimezone(UTC)


def format_time(stamp: datetime) -> str:
    """A DateTime of XEP-0082, in UTC, with microseconds unless they are 0. Raises ValueError without time zone."""
    if stamp.tzinfo is None:
        raise ValueError(f"{stamp} has no time zone: use datetime.now(UTC)")
    return stamp.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
