"""Chat states: the stanzas, and what is none."""

from typing import get_args

import pytest

from amoc.xmpp.ext import chat_states
from amoc.xmpp.ext.chat_states import State
from tests.unit.xmpp.ext.replay import xml

NASTY = "<&'\">\r\n\t"


@pytest.mark.parametrize("state", get_args(State))
def test_there_and_back(state: State) -> None:
    stanza = xml(chat_states.state("crow@localhost/" + NASTY, state, type="groupchat", thread=NASTY))
    assert stanza.attrs == {"to": "crow@localhost/" + NASTY, "type": "groupchat"}
    assert stanza.findtext("thread") == NASTY
    assert chat_states.parse(stanza) == state
    assert [child.name for child in stanza] == [state, "thread"], "nothing else: it is no message to read"

    stanza = xml(chat_states.message("crow@localhost", NASTY, NASTY, state=state))
    assert stanza.attrs == {"to": "crow@localhost", "type": "chat", "id": NASTY}
    assert stanza.findtext("body") == NASTY
    assert chat_states.parse(stanza) == state


def test_a_message_is_active_by_default() -> None:
    assert chat_states.parse(xml(chat_states.message("a@b", "hello", "1"))) == "active"
    assert xml(chat_states.state("a@b", "gone")).find("thread") is None


@pytest.mark.parametrize(
    "stanza",
    [
        "<message><body>no state</body></message>",
        "<message><composing xmlns='urn:example:other'/></message>",
        "<message><dancing xmlns='http://jabber.org/protocol/chatstates'/></message>",
        "<message type='error'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
    ],
)
def test_no_state(stanza: str) -> None:
    assert chat_states.parse(xml(stanza)) is None


def test_a_state_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="'dancing' is not a chat state: choose of active, "):
        chat_states.state("a@b", "dancing")  # type: ignore[arg-type]  # a wrong one, on purpose
