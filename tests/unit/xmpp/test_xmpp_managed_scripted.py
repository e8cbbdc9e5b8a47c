"""Enabling and resuming against a server that is played from a script: what it may say, and what must not work."""

import pytest

from amoc.xmpp import ConnectFailed
from amoc.xmpp.core.accept import Policy, ServerStream
from amoc.xmpp.core.effects import Ended, Ready, Write
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.login import ClientStream
from amoc.xmpp.core.management import Management
from tests.unit.xmpp.test_xmpp_stream_scripted import (
    AUTH,
    BIND,
    BOUND,
    CROW,
    HEADER,
    HELLO,
    SASL,
    TO_BIND,
    TO_SASL,
    features,
    play,
    written,
)  # fmt: skip

SM = "xmlns='urn:xmpp:sm:3'"
OFFER = f"<sm {SM}/>"
TO_ENABLE = (*TO_SASL, f"<success {SASL}/>", HEADER, features(BIND, OFFER), BOUND)
TO_RESUME = TO_ENABLE[:-1]
ENABLED = f"<enabled {SM} id='abc' resume='true' max='60'/>"


def managed(mode: str = "resume", *, waiting: int = 0) -> tuple[Management, ClientStream]:
    """A client's counters, of a session of before with so many stanzas not acknowledged, and its stream."""
    management = Management(resume=mode == "resume")
    if waiting:
        management.enabled("old", None, "crow@localhost/old")
        for _ in range(waiting):
            management.sent(b"<message/>")
        for _ in range(7):
            management.received()
    return management, ClientStream(CROW, management=management)


def failure(stream: ClientStream, *script: str) -> ConnectFailed:
    effects = play(stream, *script)
    (end,) = [effect for effect in effects if isinstance(effect, Ended)]
    assert isinstance(end.error, ConnectFailed)
    return end.error


def test_enable() -> None:
    management, stream = managed()
    effects = play(stream, *TO_ENABLE, ENABLED + "<message id='first'/>")
    assert f"<enable {SM} resume='true'/>" in written(effects)
    assert management.active
    assert (management.ident, management.timeout, management.jid) == ("abc", 60, "crow@localhost/nest")
    kinds = [effect for effect in effects if not isinstance(effect, Write)]
    assert kinds[0] == Ready("crow@localhost/nest")
    assert isinstance(kinds[1], Element)


def test_enable_without_resumption() -> None:
    management, stream = managed("on")
    effects = play(stream, *TO_ENABLE, f"<enabled {SM}/>")
    assert f"<enable {SM}/>" in written(effects)
    assert isinstance(effects[-1], Ready)
    assert (management.active, management.ident, management.timeout) == (True, "", None)


def test_a_stanza_that_comes_before_enabled_is_not_lost() -> None:
    _, stream = managed()
    effects = play(stream, *TO_ENABLE, "<message id='early'/>" + ENABLED)
    kinds = [type(effect) for effect in effects if not isinstance(effect, Write)]
    assert kinds == [Element, Ready]


@pytest.mark.parametrize(
    ("mode", "script", "cause", "words"),
    [
        ("on", (*TO_BIND[:4], features(BIND), BOUND), "not-offered", "the server does not offer it"),
        ("on", (*TO_ENABLE, f"<failed {SM}/>"), "other", "refused stream management"),
        (
            "on",
            (*TO_ENABLE, f"<failed {SM}><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"),
            "unexpected-request",
            "refused stream management (the server said: unexpected-request)",
        ),
        ("on", (*TO_ENABLE, f"<resumed {SM}/>"), "nonsense", "neither yes nor no"),
        ("on", (*TO_ENABLE, f"<a {SM} h='0'/>"), "nonsense", "neither yes nor no"),
        ("on", (*TO_ENABLE, "<enabled/>" + "</stream:stream>"), "closed", "closed the stream"),
        ("resume", (*TO_ENABLE, f"<enabled {SM}/>"), "not-offered", "does not let sessions be resumed"),
        ("resume", (*TO_ENABLE, f"<enabled {SM} id='a'/>"), "not-offered", "does not let sessions be resumed"),
        ("resume", (*TO_ENABLE, f"<enabled {SM} resume='true'/>"), "not-offered", "does not let sessions be resumed"),
    ],
)
def test_a_server_that_does_not_enable(mode: str, script: tuple[str, ...], cause: str, words: str) -> None:
    management, stream = managed(mode)
    error = failure(stream, *script)
    assert (error.step, error.cause) == ("enable", cause)
    assert words in str(error)
    assert not management.active


def test_resume() -> None:
    management, stream = managed(waiting=5)
    effects = play(stream, *TO_RESUME, f"<resumed {SM} previd='old' h='2'/><message id='missed'/>")
    assert f"<resume {SM} previd='old' h='7'/>" in written(effects)
    assert "<bind" not in written(effects)
    kinds = [effect for effect in effects if not isinstance(effect, Write)]
    assert kinds[0] == Ready("crow@localhost/old")
    assert isinstance(kinds[1], Element)
    assert management.resumed
    assert (len(management), management.acknowledged, management.handled) == (3, 2, 7)


@pytest.mark.parametrize(("h", "acknowledged", "lost"), [("", 0, 5), (" h='2'", 2, 3)])
def test_a_resumption_that_is_refused_becomes_a_new_session(h: str, acknowledged: int, lost: int) -> None:
    management, stream = managed(waiting=5)
    heard: list[str] = []
    stream.notice = heard.append
    refusal = f"<failed {SM}{h}><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
    effects = play(stream, *TO_RESUME, refusal, BOUND, ENABLED)
    assert effects[-1] == Ready("crow@localhost/nest")
    assert heard[-3:] == ["resume", "bind", "enable"]
    assert not management.resumed
    assert (management.acknowledged, management.lost, management.handled) == (acknowledged, lost, 0)
    assert management.ident == "abc"


@pytest.mark.parametrize(
    "lie",
    ["<message/>", f"<enabled {SM}/>", f"<resumed {SM}/>", f"<resumed {SM} h='6'/>", f"<resumed {SM} h='x'/>",
     f"<failed {SM} h='6'/>"],
)  # fmt: skip
def test_a_server_that_lies_about_a_session(lie: str) -> None:
    management, stream = managed(waiting=5)
    error = failure(stream, *TO_RESUME, lie)
    assert (error.step, error.cause) == ("resume", "nonsense")
    assert not management.resumed
    assert (len(management), management.lost) == (5, 0)


def test_a_server_that_no_longer_offers_it_gets_a_new_session_without() -> None:
    management, stream = managed(waiting=5)
    error = failure(stream, *TO_RESUME[:-1], features(BIND), BOUND)
    assert (error.step, error.cause) == ("enable", "not-offered")
    assert len(management) == 5


# -- the server's side ---------------------------------------------------------------------------------


class One:
    """A server's only session that can be resumed."""

    def __init__(self, management: Management) -> None:
        self._management = management

    def find(self, username: str, ident: str) -> Management | None:
        return self._management if (username, ident) == ("crow", "old") else None


@pytest.mark.parametrize(
    ("previd", "answer"),
    [("old", f"<resumed {SM} previd='old' h='7'/>"), ("other", f"<failed {SM}><item-not-found ")],
)
def test_a_server_answers_a_resumption(previd: str, answer: str) -> None:
    management, _ = managed(waiting=5)
    stream = ServerStream(Policy(suspended=One(management)))
    effects = play(stream, HELLO, AUTH, HELLO, f"<resume {SM} previd='{previd}' h='2'/>")
    assert OFFER.replace("/>", "></sm>") in written(effects)
    assert answer in written(effects)
    assert (stream.resumed is management) == (previd == "old") == (effects[-1] == Ready("crow@localhost/old"))


def test_a_server_without_it_refuses_the_request() -> None:
    effects = play(ServerStream(Policy()), HELLO, AUTH, HELLO, f"<resume {SM} previd='old' h='2'/>")
    assert "<sm" not in written(effects)
    assert isinstance(effects[-1], Ended)
