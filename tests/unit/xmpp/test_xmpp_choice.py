"""Which mechanism is taken, by the client alone and in pairs; downgrades are noticed and named."""

from dataclasses import replace
from pathlib import Path

import pytest

from amoc.xmpp import AuthFailed
from amoc.xmpp.core.accept import Policy, ServerStream
from amoc.xmpp.core.choice import Choice, choose
from amoc.xmpp.core.features import Feature
from amoc.xmpp.core.login import ClientStream, Login
from amoc.xmpp.core.sasl import MECHANISMS, PLUS, STRENGTH, Credentials
from tests.unit.xmpp.pair import CROW, Pair

EXPORTER = {"tls-exporter": b"e"}
UNIQUE = {"tls-unique": b"u"}
END_POINT = {"tls-server-end-point": b"p"}
WHO = Credentials("crow", "secret")
TOKEN = Credentials("crow", "secret", token="t0ken")
CERTIFICATE = Credentials("crow", "secret", certificate=True)


@pytest.mark.parametrize(
    ("wanted", "offered", "who", "ours", "theirs", "choice"),
    [
        ("", STRENGTH, WHO, {}, None, Choice("SCRAM-SHA-512")),
        ("PLAIN", STRENGTH, WHO, {}, None, Choice("PLAIN")),
        ("", STRENGTH, WHO, UNIQUE, None, Choice("SCRAM-SHA-512", able=True)),
        ("SCRAM-SHA-1", STRENGTH, WHO, UNIQUE, None, Choice("SCRAM-SHA-1", able=True)),
        # a server that names none is taken to know what the RFCs demand, but not more than that
        ("", (*STRENGTH, *PLUS), WHO, UNIQUE, None, Choice("SCRAM-SHA-512-PLUS", ("tls-unique", b"u"))),
        ("", (*STRENGTH, *PLUS), WHO, END_POINT, None, Choice("SCRAM-SHA-512")),
        ("", (*STRENGTH, *PLUS), WHO, END_POINT, ["tls-server-end-point"],
         Choice("SCRAM-SHA-512-PLUS", ("tls-server-end-point", b"p"))),
        ("SCRAM-SHA-1-PLUS", (*STRENGTH, *PLUS), WHO, END_POINT, None,
         Choice("SCRAM-SHA-1-PLUS", ("tls-server-end-point", b"p"))),
        ("", (*STRENGTH, *PLUS), WHO, END_POINT | UNIQUE | EXPORTER, ["x", "tls-unique", "tls-exporter"],
         Choice("SCRAM-SHA-512-PLUS", ("tls-exporter", b"e"))),
        ("", ("SCRAM-SHA-1-PLUS", "SCRAM-SHA-256"), WHO, UNIQUE, None,
         Choice("SCRAM-SHA-1-PLUS", ("tls-unique", b"u"))),
        ("", MECHANISMS, TOKEN, {}, None, Choice("OAUTHBEARER")),
        ("", MECHANISMS, CERTIFICATE, {}, None, Choice("EXTERNAL")),
        ("", STRENGTH, CERTIFICATE, {}, None, Choice("SCRAM-SHA-512")),
        ("ANONYMOUS", MECHANISMS, WHO, {}, None, Choice("ANONYMOUS")),
        ("", ("PLAIN", "ANONYMOUS", "EXTERNAL", "OAUTHBEARER"), WHO, {}, None, Choice("PLAIN")),
    ],
)  # fmt: skip
def test_choices(
    wanted: str,
    offered: tuple[str, ...],
    who: Credentials,
    ours: dict[str, bytes],
    theirs: list[str] | None,
    choice: Choice,
) -> None:
    assert choose(wanted, offered, who, lambda: ours, theirs, secure=bool(ours)) == choice


@pytest.mark.parametrize(
    ("wanted", "offered", "who", "ours", "theirs", "words"),
    [
        ("SCRAM-SHA-1", ("PLAIN",), WHO, {}, None, "xmpp_sasl is SCRAM-SHA-1, but the server offers PLAIN: no weaker"),
        ("SCRAM-SHA-1-PLUS", STRENGTH, WHO, UNIQUE, None, "xmpp_sasl is SCRAM-SHA-1-PLUS, but the server offers PLAIN"),
        ("SCRAM-SHA-1-PLUS", PLUS, WHO, UNIQUE, ["tls-exporter"],
         "SCRAM-SHA-1-PLUS binds to TLS: we have tls-unique, the server names tls-exporter"),
        ("SCRAM-SHA-1-PLUS", PLUS, WHO, {}, None, "SCRAM-SHA-1-PLUS binds to TLS: we have none, the server names none"),
        ("", ("PLAIN",), TOKEN, {}, None, "xmpp_token is set, but the server offers PLAIN: no password is tried"),
        ("", ("ANONYMOUS",), WHO, {}, None, "no mechanism in common: the server offers ANONYMOUS"),
        ("", PLUS, WHO, {}, None, "no mechanism in common"),
        ("", (), WHO, {}, None, "the server offers nothing"),
    ],
)  # fmt: skip
def test_refusals(
    wanted: str,
    offered: tuple[str, ...],
    who: Credentials,
    ours: dict[str, bytes],
    theirs: list[str] | None,
    words: str,
) -> None:
    with pytest.raises(AuthFailed) as refused:
        choose(wanted, offered, who, lambda: ours, theirs, secure=bool(ours))
    assert words in str(refused.value)
    assert refused.value.cause == "not-offered"


ACCOUNTS = {"crow": "secret"}
EVERYTHING = Policy(tls=True, password=ACCOUNTS.get, mechanisms=MECHANISMS, owner={"t0ken": "crow"}.get)


def pair(
    login: Login = CROW,
    policy: Policy = EVERYTHING,
    *,
    client: dict[str, bytes] = EXPORTER,
    server: dict[str, bytes] = EXPORTER,
    certified: str = "",
) -> Pair:
    """Both ends with TLS as each of them sees it."""
    one, other = ClientStream(login), ServerStream(policy)
    one.bindings, other.bindings = (lambda: client), (lambda: server)
    other.certified = lambda: certified
    return Pair(login, policy, client=one, server=other)


@pytest.mark.parametrize("name", MECHANISMS)
def test_every_mechanism_logs_in(name: str) -> None:
    login = replace(CROW, sasl=name, token="t0ken", certificate=True)
    both = pair(login, certified="crow")
    assert both.client.ready
    assert f"mechanism='{name}'".encode() in both.client.sent
    if name != "ANONYMOUS":
        assert both.client.ready == "crow@localhost/tree"
    assert b"<channel-binding type='tls-exporter'/>" in both.server.sent


def test_the_strongest_is_bound_to_the_channel() -> None:
    both = pair()
    assert both.client.ready
    assert b"mechanism='SCRAM-SHA-512-PLUS'" in both.client.sent


def test_somebody_between_two_channels_is_noticed() -> None:
    both = pair(client={"tls-exporter": b"mine"}, server={"tls-exporter": b"yours"})
    assert isinstance(both.client.error, AuthFailed)
    assert not both.server.ready


@pytest.mark.parametrize("taken", ["", "SCRAM-SHA-512", "SCRAM-SHA-256"])
def test_an_offer_that_was_taken_away_on_the_way_is_noticed(taken: str) -> None:
    """Somebody edits the server's features: all -PLUS are gone, and the server hears that we could have."""

    class Tampered(ServerStream):
        def _advertise(self, feature: Feature) -> str:
            text = super()._advertise(feature)
            for name in (*PLUS, taken):
                text = text.replace(f"<mechanism>{name}</mechanism>", "")
            return text

    one, other = ClientStream(CROW), Tampered(replace(EVERYTHING, mechanisms=STRENGTH))
    one.bindings, other.bindings = (lambda: EXPORTER), (lambda: EXPORTER)
    both = Pair(client=one, server=other)
    assert isinstance(both.client.error, AuthFailed)
    assert both.client.error.cause == "downgrade"
    assert "server-does-support-channel-binding" in str(both.client.error)
    assert not both.server.ready


def test_a_refused_token_says_why() -> None:
    both = pair(replace(CROW, token="stolen"))
    assert isinstance(both.client.error, AuthFailed)
    assert both.client.error.mechanism == "OAUTHBEARER"
    assert both.client.error.cause == "not-authorized"


def test_every_mechanism_is_in_the_manual() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "xmpp.md").read_text()
    for name in MECHANISMS:
        assert f"`{name}`" in manual, name
