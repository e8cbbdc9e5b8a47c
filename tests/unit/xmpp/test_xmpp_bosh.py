"""A BOSH session against a connection manager, without I/O: logins, order, repetition, the end."""

import random
import re

import pytest

from amoc.xmpp import ConnectFailed, Element, StreamError
from amoc.xmpp.core.bosh import BoshSession, Request
from amoc.xmpp.core.effects import Effect, Ended, Ready, Write
from amoc.xmpp.core.framing import standalone
from amoc.xmpp.core.login import ClientStream
from amoc.xmpp.core.parser import parse_elements
from amoc.xmpp.errors import XmppError
from tests.unit.xmpp.bosh_manager import Manager
from tests.unit.xmpp.pair import CROW
from tests.unit.xmpp.samples import STANZAS

BODY = "<body xmlns='http://jabber.org/protocol/httpbind'"


class User:
    """The client's side. `network` holds the responses that are on their way."""

    def __init__(self, manager: Manager | None = None, seed: int | None = None) -> None:
        self.session = BoshSession()
        self.stream = ClientStream(CROW, 10_000, self.session)
        self.stanzas: list[Element] = []
        self.stream.deliver = self.stanzas.append
        self.manager = manager or Manager()
        self.requests: list[Request] = []
        self.network: list[tuple[int, bytes]] = []
        self.jid = ""
        self.ended = False
        self.error: XmppError | None = None
        self._chance = random.Random(seed) if seed is not None else None
        self.perform(self.stream.start())

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Write):
                if effect.data:
                    self.session.send(standalone(effect.data))
            elif isinstance(effect, Ready):
                self.jid = effect.jid
            elif isinstance(effect, Ended):
                self.ended, self.error = True, effect.error
            elif isinstance(effect, Element):
                self.stanzas.append(effect)

    def ask(self) -> None:
        """Send the requests that the session wants to be sent."""
        while self.session.wants():
            request = self.session.next()
            self.requests.append(request)
            self.network += self.manager.request(request.body)

    def deliver(self, rid: int, body: bytes) -> None:
        for taken in self.session.answered(rid, body):
            self.perform(self.stream.receive(taken))

    def run(self) -> "User":
        """Until nothing moves any more; responses overtake one another if there is a seed."""
        self.ask()
        while self.network:
            index = self._chance.randrange(len(self.network)) if self._chance else 0
            self.deliver(*self.network.pop(index))
            self.ask()
        return self

    def send(self, text: str) -> None:
        self.session.send(standalone(text.encode()))


def test_a_login_and_what_is_said_after_it() -> None:
    user = User().run()
    assert user.jid == "crow@localhost/tree"
    assert len(user.manager.held) == 1, "the server holds one request"
    user.requests.clear()
    for text in STANZAS:
        user.send(text)
    user.run()
    assert len(user.requests) == 1, "what is sent at once leaves in one request"
    assert [stanza.name for stanza in user.manager.heard] == [re.findall(r"\w+", text)[0] for text in STANZAS]
    for text in STANZAS:
        user.network += user.manager.say(text.encode())
        user.run()
    alone = [parse_elements(text.encode(), 10_000)[0] for text in STANZAS]
    assert user.stanzas == alone
    # ElementTree cannot say xmlns='' below a stream's default namespace
    assert [one for one, text in zip(user.manager.heard, STANZAS, strict=True) if "xmlns=''" not in text] == [
        one for one, text in zip(alone, STANZAS, strict=True) if "xmlns=''" not in text
    ]


@pytest.mark.parametrize("seed", range(30))
def test_responses_that_overtake_one_another(seed: int) -> None:
    user = User(seed=seed).run()
    chance = random.Random(seed)
    said = 0
    for number in range(100):
        if chance.random() < 0.5:
            user.send(f"<message id='{number}'/>")
        else:
            user.network += user.manager.say(b"<message id='%d'/>" % said)
            said += 1
        if chance.random() < 0.6:
            user.ask()
        if user.network and chance.random() < 0.5:
            user.deliver(*user.network.pop(chance.randrange(len(user.network))))
    user.run()
    assert [stanza.get("id") for stanza in user.stanzas] == [str(number) for number in range(said)]
    heard = [int(stanza.get("id", "")) for stanza in user.manager.heard]
    assert heard == sorted(heard)
    assert len(heard) == 100 - said
    assert len(user.manager.held) == 1


def test_a_session_ends_when_the_client_says_so() -> None:
    user = User().run()
    user.send("<presence type='unavailable'/>")
    assert user.stream.close() == b""
    assert user.stream.close() is None
    user.run()
    assert "type='terminate'" in user.requests[-1].body.decode()
    assert user.manager.heard[-1].get("type") == "unavailable"
    assert (user.ended, user.error, user.session.over) == (True, None, True)
    assert not user.session.wants()


@pytest.mark.parametrize(
    ("attributes", "condition"),
    [
        ("condition='item-not-found'", "item-not-found"),
        ("condition='system-shutdown'", "system-shutdown"),
        ("condition='&lt;bad>'", "undefined-condition"),
    ],
)
def test_the_server_ends_the_session(attributes: str, condition: str) -> None:
    user = User().run()
    user.deliver(user.manager.held[0], f"{BODY} type='terminate' {attributes}/>".encode())
    assert isinstance(user.error, StreamError)
    assert (user.error.condition, user.error.ours) == (condition, False)
    assert not user.session.wants()


def test_a_stream_error_comes_through() -> None:
    user = User().run()
    error = (
        f"{BODY} type='terminate' condition='remote-stream-error' xmlns:stream='http://etherx.jabber.org/streams'>"
        "<message xmlns='jabber:client'/><stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        "</stream:error></body>"
    )
    user.deliver(user.manager.held[0], error.encode())
    assert [stanza.name for stanza in user.stanzas] == ["message"]
    assert isinstance(user.error, StreamError)
    assert user.error.condition == "conflict"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"{BODY}/>", "the server has opened no session"),
        (f"{BODY} sid='1' hold='0'/>", "polling"),
        (f"{BODY} type='terminate' condition='host-unknown'/>", "host-unknown"),
        ("<html xmlns='http://www.w3.org/1999/xhtml'/>", "no <body/> of BOSH"),
        ("<body/>", "no <body/> of BOSH"),
        ("hello", "bad-format"),
        ("", "no <body/> of BOSH"),
        (f"{BODY} sid='1'>", "not-well-formed"),
        (f"{BODY} sid='1'>text</body>", "text between stanzas"),
    ],
)
def test_sessions_that_are_not_opened(body: str, words: str) -> None:
    user = User()
    request = user.session.next()
    user.deliver(request.rid, body.encode())
    assert isinstance(user.error, ConnectFailed)
    assert words in str(user.error)
    assert user.error.step in ("stream", "features")


def test_a_request_whose_connection_broke_is_sent_once_more() -> None:
    user = User().run()
    user.send("<message/>")
    request = user.session.next()
    assert user.session.failed(request.rid)
    assert user.session.wants()
    again = user.session.next()
    assert again is request, "the same number and the same bytes"
    assert not user.session.failed(request.rid)


def test_a_recoverable_error_sends_again_what_was_not_answered() -> None:
    user = User().run()
    held = user.manager.held[0]
    user.send("<message/>")
    request = user.session.next()
    user.deliver(held, f"{BODY} type='error'/>".encode())
    assert user.session.next() is request
    user.deliver(request.rid, f"{BODY} type='error'/>".encode())
    assert not user.ended


def test_no_more_than_two_at_once_and_not_too_much_in_one() -> None:
    user = User().run()
    for _ in range(20):
        user.send(f"<message><body>{'x' * 9000}</body></message>")
    first = user.session.next()
    assert 60_000 < len(first.body) < 70_000
    assert not user.session.wants()
    assert user.session.queued > 100_000


def test_ids_are_not_to_be_guessed() -> None:
    firsts = {BoshSession()._rid for _ in range(100)}
    assert len(firsts) == 100
    assert max(firsts) < 2**52 + 1
