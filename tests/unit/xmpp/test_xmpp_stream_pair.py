"""The client's core against the server's: logins of every kind, cut at every byte, and refusals."""

import random
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amoc.xmpp import AuthFailed, ConnectFailed, StreamError
from amoc.xmpp.core.accept import Policy
from amoc.xmpp.core.features import State
from amoc.xmpp.core.login import Login
from amoc.xmpp.core.sasl import STRENGTH
from tests.unit.xmpp.pair import CROW, Pair
from tests.unit.xmpp.samples import STANZAS

ACCOUNTS = {"crow": "secret"}
FULL = Policy(tls=True, password=ACCOUNTS.get, strict=True)
POLICIES = {
    "open": Policy(),
    "tls": Policy(tls=True),
    "tls required": Policy(tls=True, tls_required=True),
    "scram": Policy(password=ACCOUNTS.get),
    "strict": Policy(strict=True),
    "everything": FULL,
}


def talk(pair: Pair) -> None:
    """Both say every sample stanza to the other, and both hear all of it."""
    for end in (pair.client, pair.server):
        for text in STANZAS:
            pair.send(end, text.encode())
    assert list(map(str, pair.client.stanzas)) == list(map(str, pair.server.stanzas))
    assert len(pair.client.stanzas) == len(STANZAS)


@pytest.mark.parametrize("name", POLICIES)
def test_login(name: str) -> None:
    policy = POLICIES[name]
    pair = Pair(policy=policy)
    assert pair.client.ready == pair.server.ready == "crow@localhost/tree"
    assert pair.client.tls == pair.server.tls == policy.tls
    assert (State.SESSION in pair.client.stream.state) == policy.strict
    assert pair.client.stream.step == pair.server.stream.step == "ready"
    talk(pair)


@pytest.mark.parametrize("mechanism", STRENGTH)
def test_the_mechanism_can_be_fixed(mechanism: str) -> None:
    pair = Pair(replace(CROW, sasl=mechanism), FULL)
    assert pair.client.ready
    assert f"mechanism='{mechanism}'".encode() in pair.client.sent


def test_the_strongest_mechanism_is_chosen() -> None:
    for known in (STRENGTH, STRENGTH[:2], STRENGTH[:1]):
        pair = Pair(policy=Policy(password=ACCOUNTS.get, mechanisms=known))
        assert f"mechanism='{known[-1]}'".encode() in pair.client.sent


def test_the_server_chooses_a_resource_when_the_client_does_not() -> None:
    one, two = Pair(replace(CROW, resource="")), Pair(replace(CROW, resource=""))
    assert one.client.ready.startswith("crow@localhost/")
    assert one.client.ready != two.client.ready


def cut(at: int, data: bytes) -> list[bytes]:
    return [data[:at], data[at:]]


def test_a_login_cut_at_every_byte() -> None:
    for at in range(1, 400):
        pair = Pair(policy=POLICIES["strict"], cut=partial(cut, at))
        assert pair.client.ready, f"cut at {at}"
        assert pair.server.ready, f"cut at {at}"


@pytest.mark.parametrize("name", POLICIES)
def test_a_login_byte_by_byte(name: str) -> None:
    pair = Pair(policy=POLICIES[name], cut=lambda data: [data[at : at + 1] for at in range(len(data))])
    assert pair.client.ready == pair.server.ready == "crow@localhost/tree"
    talk(pair)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(POLICIES)), st.integers(0, 2**32))
def test_a_login_in_random_pieces(name: str, seed: int) -> None:
    chance = random.Random(seed)

    def cut(data: bytes) -> Iterable[bytes]:
        while data:
            size = chance.randrange(1, len(data) + 1)
            yield data[:size]
            data = data[size:]

    pair = Pair(policy=POLICIES[name], cut=cut)
    assert pair.client.ready
    talk(pair)


@pytest.mark.parametrize(
    ("login", "policy", "step", "words"),
    [
        (replace(CROW, domain="elsewhere"), Policy(), "features", "host-unknown"),
        (replace(CROW, tls="required"), Policy(), "starttls", "does not offer TLS"),
        (replace(CROW, tls="never"), Policy(tls=True, tls_required=True), "starttls", "requires TLS"),
        (CROW, Policy(password=ACCOUNTS.get, mechanisms=()), "sasl", "the server offers nothing, we know PLAIN"),
        (replace(CROW, sasl="SCRAM-SHA-256"), Policy(), "sasl", "is SCRAM-SHA-256, but the server offers PLAIN"),
        (replace(CROW, password="x"), FULL, "sasl", "SCRAM-SHA-512 was refused (the server said: not-authorized"),
        (replace(CROW, username="rook"), FULL, "sasl", "no such account"),
        (replace(CROW, username="ro\0ok"), Policy(), "sasl", "a character that user names"),
        (replace(CROW, username="r o/ok"), Policy(), "sasl", "not-authorized"),
    ],
)  # fmt: skip
def test_refusals_say_where_and_why(login: Login, policy: Policy, step: str, words: str) -> None:
    pair = Pair(login, policy)
    error = pair.client.error
    assert isinstance(error, ConnectFailed)
    assert isinstance(error, AuthFailed) == (step == "sasl" and "r o" not in str(login))
    assert error.step == step
    assert words in str(error)
    assert pair.client.sent.endswith(b"</stream:stream>")
    assert not pair.client.ready
    assert not pair.server.ready
    assert pair.server.ended


def test_closing_a_stream_closes_the_other() -> None:
    pair = Pair()
    pair.send(pair.client, pair.client.stream.close() or b"")
    assert pair.server.ended
    assert pair.server.error is None
    assert pair.server.sent.endswith(b"</stream:stream>")
    assert pair.client.ended
    assert pair.client.error is None
    assert pair.client.stream.close() is None


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<a></b>", "not-well-formed"),
        (b"<message>" + b"x" * 300_000, "policy-violation"),
        (b"<!-- hi -->", "restricted-xml"),
        (b"hello", "bad-format"),
        (b"<stream:features/>", "unsupported-stanza-type"),
    ],
)
def test_nonsense_after_the_login_ends_the_stream(side: str, data: bytes, condition: str) -> None:
    pair = Pair()
    talker, victim = (pair.client, pair.server) if side == "client" else (pair.server, pair.client)
    pair.send(talker, b"<presence/>" + data)
    assert [stanza.name for stanza in victim.stanzas] == ["presence"]
    assert isinstance(victim.error, StreamError)
    assert (victim.error.condition, victim.error.ours) == (condition, True)
    assert f"<{condition} ".encode() in victim.sent
    assert victim.sent.endswith(b"</stream:stream>")
    assert isinstance(talker.error, StreamError)
    assert (talker.error.condition, talker.error.ours) == (condition, False)
    # nothing that comes afterwards counts
    assert victim.stream.receive(b"<presence/>") == []


def test_a_stream_error_of_the_server() -> None:
    pair = Pair()
    namespace = "urn:ietf:params:xml:ns:xmpp-streams"
    error = f"<stream:error><conflict xmlns='{namespace}'/><text xmlns='{namespace}'>bye</text></stream:error>"
    pair.send(pair.server, error.encode())
    assert isinstance(pair.client.error, StreamError)
    assert (pair.client.error.condition, pair.client.error.text) == ("conflict", "bye")
    assert str(pair.client.error) == "stream error from the server: conflict (bye)"
