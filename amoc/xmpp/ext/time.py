"""Entity time, XEP-0202 2.0: what does the other side's clock say?

    there = await time.time(client, "localhost")       # Time(utc=datetime(…), offset=timedelta(hours=1))
    client.send(time.answer(stanza, datetime.now().astimezone()))      # when asked (`time.is_request`)

Servers answer with whole seconds: clocks are compared no better than that.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from amoc.xmpp.core.element import Element
from amoc.xmpp.ext.delay import format_time, parse_time
from amoc.xmpp.ext.session import BadAnswer, Session, child_of, names_user

__all__ = ["NS", "Time", "answer", "is_request", "parse", "time"]

NS = "urn:xmpp:time"

_OFFSET = re.compile(r"([+-])(\d\d):([0-5]\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Time:
    """A clock's time, and how far its time zone is ahead of UTC."""

    utc: datetime
    offset: timedelta


@names_user
async def time(session: Session, to: str | None = None, *, timeout: float | None = None) -> Time:
    """The time at `to`, a server or a full address. Raises IqError, IqTimeout, BadAnswer."""
    return parse(await session.iq("get", to, Element(f"{{{NS}}}time"), timeout=timeout))


def parse(answer: Element) -> Time:
    """The time in an iq. Raises BadAnswer when there is none, or one that is no time."""
    found = child_of(answer, "time", NS)
    zone = found.findtext("tzo", default="").strip()
    offset = _OFFSET.fullmatch("+00:00" if zone == "Z" else zone)
    if offset is None:
        raise BadAnswer(answer, f"{zone[:40]!r} instead of a time zone")
    try:
        utc = parse_time(found.findtext("utc", default="").strip())
    except ValueError as error:
        raise BadAnswer(answer, str(error)) from None
    distance = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
    return Time(utc, -distance if offset[1] == "-" else distance)


def is_request(stanza: Element) -> bool:
    """Whether this asks for our time."""
    return stanza.name == "iq" and stanza.get("type") == "get" and stanza.find("time", NS) is not None


def answer(request: Element, now: datetime) -> Element:
    """The answer to who asks for our time. Raises ValueError for a `now` without time zone."""
    utc = format_time(now)
    minutes = int((now.utcoffset() or timedelta()).total_seconds()) // 60
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    found = Element(f"{{{NS}}}time", Element("tzo", f"{sign}{minutes // 60:02}:{minutes % 60:02}"), Element("utc", utc))
    return Element("iq", {"type": "result", "id": request.get("id"), "to": request.get("from")}, found)
