"""Chat markers: the stanzas, and what is none."""

from typing import get_args

import pytest

from amoc.xmpp.ext import markers
from amoc.xmpp.ext.markers import Kind, Marker
from tests.unit.xmpp.ext.replay import xml

NASTY = "<&'\">\r\n\t"


def test_a_message_to_be_marked() -> None:
    stanza = xml(markers.message("crow@localhost/" + NASTY, NASTY, NASTY))
    assert stanza.attrs == {"to": "crow@localhost/" + NASTY, "type": "chat", "id": NASTY}
    assert stanza.findtext("body") == NASTY
    assert markers.is_markable(stanza)
    assert markers.parse(stanza) is None


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_marker(kind: Kind) -> None:
    stanza = xml(markers.marker("crow@localhost", kind, NASTY, type="groupchat", thread=NASTY))
    assert stanza.attrs == {"to": "crow@localhost", "type": "groupchat"}
    assert stanza.findtext("thread") == NASTY
    assert markers.parse(stanza) == Marker(kind, NASTY)
    assert not markers.is_markable(stanza)


@pytest.mark.parametrize(
    "stanza",
    [
        "<message><body>plain</body></message>",
        "<message><displayed xmlns='urn:example:other' id='1'/></message>",
        "<message><displayed xmlns='urn:xmpp:chat-markers:0'/></message>",
        "<message><displayed xmlns='urn:xmpp:chat-markers:0' id=''/></message>",
        "<message><burnt xmlns='urn:xmpp:chat-markers:0' id='1'/></message>",
        "<message type='error'><displayed xmlns='urn:xmpp:chat-markers:0' id='1'/></message>",
        "<message type='error'><markable xmlns='urn:xmpp:chat-markers:0'/></message>",
    ],
)
def test_no_marker(stanza: str) -> None:
    assert markers.parse(xml(stanza)) is None
    assert not markers.is_markable(xml(stanza))


def test_a_kind_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="'burnt' is not a chat marker: choose of received, displayed, "):
        markers.marker("a@b", "burnt", "1")  # type: ignore[arg-type]  # a wrong one, on purpose
