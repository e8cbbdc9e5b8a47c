"""What tests of managed sessions ask: the counters, what has come, and whether more has."""

import pytest

from amoc import metrics
from amoc.xmpp import Client, Element

__all__ = ["PING", "STALL", "bodies", "counts", "nothing_more"]

PING = Element("{urn:xmpp:ping}ping")
STALL = 30.0  # seconds: what ejabberd asks for acknowledgements may be on its way, too, when a WebSocket is cut


def counts() -> dict[str, int]:
    """The counters of stream management that are not zero."""
    counters = metrics.current().flush().counters
    return {name.removeprefix("xmpp.sm."): count for name, count in counters.items() if name.startswith("xmpp.sm.")}


async def bodies(client: Client, number: int) -> list[str]:
    return [(await client.receive("message", timeout=STALL)).findtext("body", default="") for _ in range(number)]


async def nothing_more(client: Client) -> None:
    """What the server has sent before the answer is there by then."""
    await client.iq("get", None, PING)
    with pytest.raises(TimeoutError):
        await client.receive("message", timeout=0)
