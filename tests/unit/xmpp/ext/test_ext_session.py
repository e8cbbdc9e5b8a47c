"""What extensions have in common: complaints about answers, and who may speak for the user's account."""

import pytest

from amoc.xmpp import Client, connect
from amoc.xmpp.ext.session import BadAnswer, Session, child_of, is_own_account, number
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import xml

ANSWER = xml("<iq type='result' from='service.localhost' id='7'><query xmlns='urn:a' n='x'/></iq>")


def test_a_child_that_has_to_be_there() -> None:
    assert child_of(ANSWER, "query", "urn:a").get("n") == "x"
    with pytest.raises(BadAnswer) as raised:
        child_of(ANSWER, "query", "urn:b")
    assert str(raised.value) == f"service.localhost answered with no <query xmlns='urn:b'/>: {ANSWER}"
    assert raised.value.answer is ANSWER


@pytest.mark.parametrize(("text", "value"), [(None, None), ("", None), (" 0 ", 0), ("12", 12), ("9" * 19, 10**19 - 1)])
def test_a_number(text: str | None, value: int | None) -> None:
    assert number(ANSWER, text) == value


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "9" * 20, "1e3", "\u0661"])
def test_no_number(text: str) -> None:
    with pytest.raises(BadAnswer, match="instead of a number"):
        number(ANSWER, text)


async def test_a_client_is_a_session_and_knows_its_account(embedded: EmbeddedServer) -> None:
    async with connect(1) as client:
        session: Session = client
        assert isinstance(client, Client)
        for own in (None, "user_1@localhost", "USER_1@localhost"):
            assert is_own_account(session, own)
        for other in ("localhost", "user_1@localhost/res1", "user_2@localhost", ""):
            assert not is_own_account(session, other)
