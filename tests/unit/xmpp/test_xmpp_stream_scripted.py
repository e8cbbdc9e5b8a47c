"""Each side of a stream against a peer that is played from a script: what must not work, and when."""

import base64

import pytest

from amoc.xmpp import AuthFailed, ConnectFailed, StreamError
from amoc.xmpp.core.accept import Policy, ServerStream
from amoc.xmpp.core.effects import Effect, Ended, Ready, StartTls, Write
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.login import ClientStream, Login
from amoc.xmpp.core.stream import Stream, stream_header

CROW = Login(domain="localhost", username="crow", password="secret", resource="tree")
HEADER = stream_header(**{"from": "localhost", "id": "x"}).decode()
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
PLAIN = f"<mechanisms {SASL}><mechanism>PLAIN</mechanism></mechanisms>"
SHA_1 = PLAIN.replace("PLAIN", "SCRAM-SHA-1")
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
BIND = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
SESSION = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"
BOUND = "<iq type='result' id='bind'>" + BIND.replace("/>", "><jid>crow@localhost/nest</jid></bind>") + "</iq>"


def features(*content: str) -> str:
    return f"<stream:features>{''.join(content)}</stream:features>"


TO_SASL = (HEADER, features(PLAIN))
TO_BIND = (*TO_SASL, f"<success {SASL}/>", HEADER, features(BIND, SESSION))
TO_SESSION = (*TO_BIND, BOUND)


def play(stream: Stream, *script: str | None) -> list[Effect]:
    """Feed the script's texts; None says that TLS has started. What the stream wanted."""
    effects = stream.start()
    for text in script:
        effects += stream.tls_started() if text is None else stream.receive(text.encode())
    return effects


def failure(*script: str | None, login: Login = CROW) -> ConnectFailed:
    """The error that a client ends with."""
    effects = play(ClientStream(login), *script)
    (end,) = [effect for effect in effects if isinstance(effect, Ended)]
    assert not any(isinstance(effect, Ready) for effect in effects)
    assert isinstance(end.error, ConnectFailed)
    return end.error


def written(effects: list[Effect]) -> str:
    return b"".join(effect.data for effect in effects if isinstance(effect, Write)).decode()


def test_a_login_by_the_script() -> None:
    effects = play(ClientStream(CROW), *TO_SESSION, "<iq type='result' id='session'/>")
    assert [effect for effect in effects if not isinstance(effect, Write)] == [Ready("crow@localhost/nest")]


def test_stanzas_that_come_before_the_login_is_done_are_not_lost() -> None:
    early = "<message><body>early</body></message><iq type='result' id='other'/>"
    stream = ClientStream(CROW)
    stream.deliver = lambda stanza: pytest.fail(f"{stanza} overtakes")
    effects = play(stream, *TO_BIND, early + BOUND, early + "<iq type='result' id='session'/>" + early)
    names = [effect.name if isinstance(effect, Element) else type(effect).__name__ for effect in effects]
    assert [name for name in names if name != "Write"] == [*["message", "iq"] * 2, "Ready", *["message", "iq"]]


CLOSE = "</stream:stream>"
ERROR = (
    "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
    "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>bye</text></stream:error>"
)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (CLOSE, "the server closed the stream"),
        (ERROR, "the server ended the stream with an error (the server said: system-shutdown, bye)"),
        ("<<<", "the server sent what makes no sense here: not-well-formed"),
        ("<a xmlns='urn:example'><b/></c>", "not-well-formed"),
        ("<!-- -->", "restricted-xml"),
    ],
)
@pytest.mark.parametrize(
    ("step", "script"),
    [
        ("features", (HEADER,)),
        ("sasl", TO_SASL),
        ("stream", TO_BIND[:3]),
        ("features", TO_BIND[:4]),
        ("bind", TO_BIND),
        ("session", TO_SESSION),
        ("starttls", (HEADER, features(STARTTLS))),
    ],
)  # fmt: skip
def test_the_stream_ends_at_each_step(step: str, script: tuple[str, ...], end: str, words: str) -> None:
    if step == "stream" and end != "<<<":
        end = HEADER + end  # these need a stream to be in
        step = "features"
    error = failure(*script, end)
    assert error.step == step
    assert words in str(error)


def challenge(text: str) -> str:
    return f"<challenge {SASL}>{base64.b64encode(text.encode()).decode()}</challenge>"


@pytest.mark.parametrize(
    ("script", "step", "words"),
    [
        (("<html>",), "stream", "the answer is no XMPP stream"),
        (("<stream xmlns='jabber:client'>",), "stream", "the answer is no XMPP stream"),
        ((HEADER.replace("version='1.0' xml", "xml"),), "stream", "unsupported-version"),
        ((HEADER.replace("version='1.0' xml", "version='0.9' xml"),), "stream", "unsupported-version"),
        ((HEADER, "<message/>"), "features", "<message/> instead of features"),
        ((HEADER, features(BIND)), "sasl", "the server offers nothing"),
        ((HEADER, features(STARTTLS), PROCEED.replace("proceed", "failure")), "starttls", "does not start"),
        ((HEADER, features(STARTTLS), PROCEED, "<message/>"), "tls", "data after the end of step tls"),
        ((HEADER, features(STARTTLS), PROCEED + "<message/>"), "tls", "data after the end of step tls"),
        ((HEADER, features(STARTTLS), PROCEED + HEADER), "tls", "data after the end of step tls"),
        ((*TO_SASL, f"<success {SASL}/>" + HEADER), "sasl", "data after the end of step sasl"),
        ((*TO_SASL, f"<success {SASL}/>" + "<message/>"), "sasl", "data after the end of step sasl"),
        ((*TO_SASL, "<message/>"), "sasl", "<message/> instead of an answer to PLAIN"),
        ((*TO_SASL, f"<abort {SASL}/>"), "sasl", "<abort/> instead of an answer to PLAIN"),
        ((*TO_SASL, f"<failure {SASL}><a/><text>no</text></failure>"), "sasl", "(the server said: a, no)"),
        ((HEADER, features(SHA_1), f"<success {SASL}/>"), "sasl", "without proving that it knows the password"),
        ((HEADER, features(SHA_1), f"<success {SASL}>dj1YWA==</success>"), "sasl", "SCRAM-SHA-1: the server's nonce"),
        ((HEADER, features(SHA_1), challenge("r=x,s=QQ==,i=1")), "sasl", "the server's nonce does not continue ours"),
        ((HEADER, features(SHA_1), f"<challenge {SASL}>?</challenge>"), "sasl", "not base64"),
        ((*TO_BIND[:4], features()), "bind", "does not offer to bind"),
        ((*TO_BIND[:4], features(PLAIN)), "bind", "does not offer to bind"),
        ((*TO_BIND, BOUND.replace("crow@localhost/nest", "")), "bind", "no full address"),
        ((*TO_BIND, "<iq type='result' id='bind'/>"), "bind", "no full address"),
        (
            (*TO_BIND, "<iq type='error' id='bind'><error type='cancel'>"
             "<conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"),
            "bind", "the server refused (the server said: conflict)",
        ),
        ((*TO_SESSION, "<iq type='error' id='session'><error type='wait'/></iq>"), "session", "undefined-condition"),
    ],
)  # fmt: skip
def test_a_server_that_lies(script: tuple[str, ...], step: str, words: str) -> None:
    error = failure(*script)
    assert (error.step, words in str(error)) == (step, True), str(error)
    assert isinstance(error, AuthFailed) <= (step == "sasl")


def test_a_refused_mechanism_is_not_followed_by_a_weaker_one() -> None:
    both = f"<mechanisms {SASL}><mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms>"
    effects = play(ClientStream(CROW), HEADER, features(both), f"<failure {SASL}><not-authorized/></failure>")
    assert "mechanism='SCRAM-SHA-1'" in written(effects)
    assert "mechanism='PLAIN'" not in written(effects)


def test_starttls_stripped_on_the_way_is_noticed_when_it_is_required() -> None:
    strict = Login(domain="localhost", username="crow", password="secret", tls="required")
    assert "does not offer TLS" in str(failure(HEADER, features(PLAIN), login=strict))
    effects = play(ClientStream(strict), HEADER, features(STARTTLS, PLAIN), PROCEED)
    assert isinstance(effects[-1], StartTls)
    assert "<auth" not in written(effects)


def test_no_second_tls_inside_tls() -> None:
    effects = play(ClientStream(CROW), HEADER, features(STARTTLS), PROCEED, None, HEADER, features(STARTTLS, PLAIN))
    assert sum(isinstance(effect, StartTls) for effect in effects) == 1
    assert "<auth" in written(effects)


# -- the server's side ---------------------------------------------------------------------------------

HELLO = stream_header(to="localhost").decode()
AUTH = f"<auth {SASL} mechanism='PLAIN'>AGNyb3cAc2VjcmV0</auth>"
WANT_BIND = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
WANT_SESSION = f"<iq type='set' id='2'>{SESSION}</iq>"
PING = "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"


def test_a_strict_server_answers_nothing_before_the_session() -> None:
    stream = ServerStream(Policy(strict=True))
    heard: list[str] = []
    stream.deliver = lambda stanza: heard.append(stanza.get("id", ""))
    play(stream, HELLO, AUTH, HELLO, WANT_BIND)
    assert stream.receive(PING.encode()) == []
    assert stream.receive(b"<presence/><message id='m'/>") == []
    answer, ready = stream.receive(WANT_SESSION.encode())
    assert isinstance(answer, Write)
    assert answer.data == b"<iq type='result' id='2'/>"
    assert isinstance(ready, Ready)
    assert stream.receive(PING.replace("'p'", "'q'").encode()) == []
    assert heard == ["q"]


@pytest.mark.parametrize(
    ("script", "condition"),
    [
        (("<stream:stream xmlns:stream='urn:example' to='localhost'>",), "invalid-namespace"),
        ((HELLO.replace("jabber:client", "jabber:server"),), "invalid-namespace"),
        ((HELLO.replace("localhost", "elsewhere"),), "host-unknown"),
        ((HELLO.replace("version='1.0' xml", "xml"),), "unsupported-version"),
        ((HELLO, "<message/>"), "not-authorized"),
        ((HELLO, PING), "not-authorized"),
        ((HELLO, WANT_BIND), "not-authorized"),
        ((HELLO, WANT_SESSION), "not-authorized"),
        ((HELLO, AUTH + HELLO), "policy-violation"),
        ((HELLO, AUTH + "<presence/>"), "policy-violation"),
        ((HELLO, AUTH, HELLO, AUTH), "not-authorized"),
        ((HELLO, AUTH, HELLO, WANT_SESSION), "not-authorized"),
        ((HELLO, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"), "not-authorized"),
        (("GET / HTTP/1.1\r\n",), "not-well-formed"),
    ],
)  # fmt: skip
def test_a_client_that_does_not_keep_the_order(script: tuple[str, ...], condition: str) -> None:
    effects = play(ServerStream(Policy()), *script)
    end = effects[-1]
    assert isinstance(end, Ended)
    assert isinstance(end.error, StreamError)
    assert end.error.condition == condition
    assert f"<{condition} " in written(effects)
    assert not any(isinstance(effect, Element | Ready) for effect in effects)


def test_no_password_before_tls_where_tls_is_required() -> None:
    stream = ServerStream(Policy(tls=True, tls_required=True))
    effects = play(stream, HELLO)
    assert "<mechanisms" not in written(effects)
    effects = stream.receive(AUTH.encode())
    assert isinstance(effects[-1], Ended)


def test_plain_text_behind_starttls_is_refused() -> None:
    stream = ServerStream(Policy(tls=True))
    effects = play(stream, HELLO, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + AUTH)
    assert isinstance(effects[-1], Ended)
    assert "success" not in written(effects)


def test_a_second_try_after_a_wrong_password() -> None:
    stream = ServerStream(Policy(password={"crow": "secret"}.get))
    wrong = f"<auth {SASL} mechanism='PLAIN'>AGNyb3cAcm9vaw==</auth>"
    effects = play(stream, HELLO, wrong, f"<auth {SASL} mechanism='OTHER'/>", AUTH)
    assert "<not-authorized/>" in written(effects)
    assert "<invalid-mechanism/>" in written(effects)
    assert f"<success {SASL}>" in written(effects)
