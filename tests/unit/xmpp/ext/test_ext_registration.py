"""Registration: the fresh stream by scripts, and the requests of a session by recorded exchanges."""

import pytest

from amoc.xmpp import ConnectFailed, connect
from amoc.xmpp.core.effects import Ended, Ready, StartTls, Write
from amoc.xmpp.core.login import Login, TlsPolicy
from amoc.xmpp.core.registration import RegistrationStream
from amoc.xmpp.ext import registration
from amoc.xmpp.registering import register
from amoc.xmpp.server import EmbeddedServer
from tests.unit.xmpp.ext.replay import replay, xml

OPEN = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='localhost' "
    b"id='1' version='1.0'>"
)
PLAIN = b"<stream:features><register xmlns='http://jabber.org/features/iq-register'/></stream:features>"
TLS = b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"
ASKED = "<iq type='set' id='register'><query xmlns='jabber:iq:register'><username>crow</username><password>&lt;s&gt;"


def stream(tls: TlsPolicy = "optional") -> RegistrationStream:
    made = RegistrationStream(Login(domain="localhost", username="crow", password="<s>", tls=tls))
    made.start()
    return made


def error(condition: str) -> bytes:
    return (
        f"<iq type='error' id='register'><error type='cancel'><{condition} "
        "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    ).encode()


@pytest.mark.parametrize(
    ("answer", "created"), [(b"<iq type='result' id='register'/>", True), (error("conflict"), False)]
)
def test_the_account_is_there_in_the_end(answer: bytes, created: bool) -> None:
    made = stream()
    effects = made.receive(OPEN + PLAIN)
    assert len(effects) == 1
    assert isinstance(effects[0], Write)
    assert effects[0].data.decode().startswith(ASKED)
    assert made.receive(answer) == [Ready("crow@localhost")]
    assert made.created is created
    assert made.step == "ready"


def test_over_tls_when_that_is_offered() -> None:
    made = stream()
    made.receive(OPEN + TLS)
    assert StartTls() in made.receive(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    made.tls_started()
    effects = made.receive(OPEN + PLAIN)
    assert isinstance(effects[0], Write)
    assert effects[0].data.decode().startswith(ASKED)


def test_no_password_without_the_tls_that_is_required() -> None:
    made = stream("required")
    effects = made.receive(OPEN + PLAIN)
    assert not any(isinstance(effect, Write) and b"password" in effect.data for effect in effects)
    (ended,) = [effect for effect in effects if isinstance(effect, Ended)]
    assert isinstance(ended.error, ConnectFailed)
    assert ended.error.step == "starttls"


def test_a_server_that_refuses() -> None:
    made = stream()
    made.receive(OPEN + PLAIN)
    (ended,) = [effect for effect in made.receive(error("not-allowed")) if isinstance(effect, Ended)]
    assert isinstance(ended.error, ConnectFailed)
    assert (ended.error.step, ended.error.said) == ("register", "not-allowed")


async def test_the_embedded_server_makes_no_accounts(embedded: EmbeddedServer) -> None:
    with pytest.raises(ConnectFailed, match=r"^user 1 \(user_1@localhost at .*\): login failed at step register"):
        await register(1)
    assert embedded.counters.logins == 0


async def test_a_session_and_its_account(embedded: EmbeddedServer) -> None:
    ask = "<query xmlns='jabber:iq:register'>{}</query></iq>"
    async with connect(1) as client:
        played = replay(
            embedded,
            [
                "<iq type='get' id='*'>" + ask.format(""),
                "> <iq type='result' id='*'>"
                + ask.format("<registered/><username>user_1</username><instructions>Do!</instructions>"),
                "<iq type='set' to='localhost' id='*'>"
                + ask.format("<username>user_1</username><password>a&amp;b</password>"),
                "> <iq type='result' id='*' from='localhost'/>",
                "<iq type='set' id='*'>" + ask.format("<remove/>"),
                "> <iq type='result' id='*'/>",
            ],
        )
        got = await registration.fields(client)
        assert (got.registered, got.instructions, dict(got.values), got.form) == (
            True,
            "Do!",
            {"username": "user_1"},
            None,
        )
        await registration.change_password(client, "a&b")
        await registration.remove(client)
        played.done()


def test_fields_with_a_form() -> None:
    got = registration.parse(
        xml(
            "<iq><query xmlns='jabber:iq:register'><email>a@b</email><x xmlns='jabber:x:data'>"
            "<field var='captcha'/></x></query></iq>"
        )
    )
    assert not got.registered
    assert dict(got.values) == {"email": "a@b"}
    assert got.form is not None
    assert "captcha" in got.form.fields
