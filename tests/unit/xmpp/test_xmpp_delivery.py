"""Time to delivery: what is measured, and what is left out."""

import time

import pytest

from amoc.xmpp import Element, connect
from amoc.xmpp.delivery import stamp, time_to_delivery
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import xml

DELAY = "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"


@pytest.mark.parametrize("management", ["off", "on"])
async def test_from_sender_to_receiver(embedded: EmbeddedServer, management: str) -> None:
    async with connect(1, stream_management=management) as one, connect(2) as two:
        began = time.perf_counter()
        one.send_message(two.jid, "<hello>", type="normal", id="m1", extra=stamp())
        stanza = await two.receive("message", timeout=5)
        took = time_to_delivery(stanza)
        assert (stanza.get("id"), stanza.get("type"), stanza.findtext("body")) == ("m1", "normal", "<hello>")
        assert took is not None
        assert 0 <= took <= (time.perf_counter() - began) * 1e6 + 2
        one.send_message(two.jid, "no stamp")
        assert time_to_delivery(await two.receive("message", timeout=5)) is None


@pytest.mark.parametrize(
    "message",
    [
        "<message><body>of another client</body></message>",
        "<message><sent xmlns='urn:amoc:sent'/></message>",
        "<message><sent xmlns='urn:amoc:sent' at='yesterday'/></message>",
        "<message><sent xmlns='urn:amoc:sent' at='-5'/></message>",
        "<message><sent xmlns='urn:amoc:sent' at='\u0661'/></message>",
        f"<message><sent xmlns='urn:amoc:sent' at='{'9' * 5000}'/></message>",
        f"<message><sent xmlns='urn:amoc:sent' at='{2**62}'/></message>",  # a clock that is ahead
        f"<message type='error'>{stamp()}</message>",
        f"<message>{stamp()}{DELAY}</message>",
        "<message><sent xmlns='urn:other' at='1'/></message>",
    ],
    ids=range(10),  # the times in them differ from process to process
)
def test_what_is_not_measured(message: str) -> None:
    assert time_to_delivery(xml(message)) is None


def test_an_element_can_have_a_stamp() -> None:
    built = Element("message", {"to": "a@b"}, xml(stamp()))
    took = time_to_delivery(xml(str(built)))
    assert took is not None
    assert 0 <= took < 5_000_000
