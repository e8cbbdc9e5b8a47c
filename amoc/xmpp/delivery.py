"""Time to delivery: a message says when it was sent, and who receives it measures.

    from amoc.xmpp.delivery import stamp, time_to_delivery

    client.send_message(jid_of(2), "hello", extra=stamp())          # the sender

    def arrived(stanza):                                            # the other side
        took = time_to_delivery(stanza)
        if took is not None:
            ttd.record(took)                                        # ttd = metrics.histogram("message_ttd")

The time travels in an element of the message, `<sent xmlns='urn:amoc:sent' at='…'/>`, as microseconds since 1970. So
between users on two machines the difference of their clocks is part of what is measured.
"""

import time

from amoc.xmpp.core.element import Element
from amoc.xmpp.ext.delay import is_delayed

__all__ = ["NS", "stamp", "time_to_delivery"]

NS = "urn:amoc:sent"


def stamp() -> str:
    """The element that says that a message is sent now."""
    return f"<sent xmlns='{NS}' at='{time.time_ns() // 1000}'/>"


def time_to_delivery(stanza: Element) -> int | None:
    """The microseconds since the message was sent, by this machine's clock.

    None if it has no stamp that makes sense (others send messages, too), was returned as an error, or was stored on its
    way, and if its sender's clock is ahead of ours.
    """
    sent = stanza.find("sent", NS)
    if sent is None or stanza.attrs.get("type") == "error" or is_delayed(stanza):
        return None
    at = sent.attrs.get("at", "")
    if not (at.isascii() and at.isdigit() and len(at) < 20):
        return None
    took = time.time_ns() // 1000 - int(at)
    return took if took >= 0 else None
