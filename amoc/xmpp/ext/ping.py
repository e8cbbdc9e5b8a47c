"""Ping, XEP-0199 2.0: is the other side there, and how long does its answer take?

    seconds = await ping.ping(client)                     # the user's own server
    seconds = await ping.ping(client, "user_2@localhost/res1")

A client answers pings by itself, unless the scenario handles requests (`client.on("iq", …)`): its handler returns
False for a ping, or answers it by `answer`.
"""

import time

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.errors import IqError
from amoc.xmpp.ext.session import Session, names_user

__all__ = ["NS", "answer", "is_ping", "ping"]

NS = "urn:xmpp:ping"

# who does not know pings says so, and is there all the same (XEP-0199, 4.2)
_ANSWERED = ("service-unavailable", "feature-not-implemented")


@names_user
async def ping(session: Session, to: str | None = None, *, timeout: float | None = None) -> float:
    """Ask `to`, or the user's own server; return the seconds until the answer came.

    An answer of somebody who does not know this extension counts as well, unless it is a server that answers for
    an address where nobody is: for a full address those errors are raised. Raises IqError, IqTimeout.
    """
    began = time.perf_counter()
    try:
        await session.iq("get", to, Element(f"{{{NS}}}ping"), timeout=timeout)
    except IqError as error:
        if error.condition not in _ANSWERED or "/" in (to or ""):
            raise
    return time.perf_counter() - began


def is_ping(stanza: Element) -> bool:
    """Whether this is a ping that wants an answer."""
    return stanza.name == "iq" and stanza.get("type") == "get" and stanza.find("ping", NS) is not None


def answer(stanza: Element) -> str:
    """The answer to a ping."""
    to = f" to='{escape(stanza.attrs['from'])}'" if "from" in stanza.attrs else ""
    return f"<iq type='result' id='{escape(stanza.get('id', ''))}'{to}/>"
