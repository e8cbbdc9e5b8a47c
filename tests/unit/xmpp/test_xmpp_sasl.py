"""SASL: the RFCs' own examples, client against server, and servers that lie."""

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amoc.xmpp.core.sasl import (
    STRENGTH,
    Accounts,
    Anonymous,
    Credentials,
    External,
    OAuthBearer,
    Plain,
    PlainServer,
    SaslFailure,
    client_mechanism,
    decode,
    encode,
    server_mechanism,
)
from amoc.xmpp.core.saslprep import saslprep
from amoc.xmpp.core.scram import MAX_ITERATIONS, Scram, ScramServer, salted

# RFC 5802, 5 and RFC 7677, 3: mechanism, nonce, challenge, our proof, the server's signature
EXAMPLES = {
    "SCRAM-SHA-1": (
        "fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "SCRAM-SHA-256": (
        "rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}
SCRAMS = list(EXAMPLES)


@pytest.mark.parametrize("name", SCRAMS)
def test_the_example_of_the_rfc(name: str) -> None:
    nonce, challenge, proof, signature = EXAMPLES[name]
    client = Scram(name, "user", "pencil", nonce)
    assert client.first() == f"n,,n=user,r={nonce}".encode()
    assert client.answer(challenge) == proof
    assert not client.done
    assert client.answer(signature) == b""
    assert client.done


@pytest.mark.parametrize(("keep", "computed"), [(True, 1), (False, 3)])
def test_a_salted_password_is_kept_for_the_next_login(
    keep: bool, computed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    pbkdf2 = hashlib.pbkdf2_hmac

    def counted(kind: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        calls.append(salt)
        return pbkdf2(kind, password, salt, iterations)

    salted.cache_clear()
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", counted)
    nonce, challenge, proof, signature = EXAMPLES["SCRAM-SHA-256"]
    for _ in range(3):
        client = Scram("SCRAM-SHA-256", "user", "pencil", nonce, keep=keep)
        assert client.answer(challenge) == proof
        client.answer(signature)
        assert client.done
    assert len(calls) == computed
    other = Scram("SCRAM-SHA-256", "user", "another password", nonce, keep=keep)
    assert other.answer(challenge) != proof


def test_an_account_of_our_server_keeps_its_salt() -> None:
    def salt(user: str) -> str:
        server = ScramServer("SCRAM-SHA-1", lambda _: "secret")
        _, challenge = server.step(f"n,,n={user},r=abc".encode())
        return challenge.decode().split(",")[1]

    assert salt("crow") == salt("crow") != salt("rook")


@pytest.mark.parametrize("name", SCRAMS)
@pytest.mark.parametrize(
    "lie", [b"v=" + base64.b64encode(b"x" * 20), b"v=", b"", b"nonsense", b"v=!", b"e=other-error", b"\xff"]
)
def test_a_forged_signature(name: str, lie: bytes) -> None:
    nonce, challenge, _, _ = EXAMPLES[name]
    client = Scram(name, "user", "pencil", nonce)
    client.answer(challenge)
    with pytest.raises(SaslFailure):
        client.answer(lie)
    assert not client.done


@pytest.mark.parametrize(
    "challenge",
    [
        b"r=another,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=mine,s=QSXCR+Q6sek8bf92,i=4096",  # the server has added nothing
        b"r=mineX,s=,i=4096",
        b"r=mineX,i=4096",
        b"r=mineX,s=!,i=4096",
        b"r=mineX,s=QSXCR+Q6sek8bf92",
        b"r=mineX,s=QSXCR+Q6sek8bf92,i=0",
        b"r=mineX,s=QSXCR+Q6sek8bf92,i=-1",
        b"r=mineX,s=QSXCR+Q6sek8bf92,i=x",
        b"r=mineX,s=QSXCR+Q6sek8bf92,i=" + str(MAX_ITERATIONS + 1).encode(),
        b"r=mineX,s=QSXCR+Q6sek8bf92,i=" + b"9" * 5000,
        b"m=new,r=mineX,s=QSXCR+Q6sek8bf92,i=4096",
        b"",
        b"\xff\xfe",
    ],
)
def test_a_bad_challenge(challenge: bytes) -> None:
    with pytest.raises(SaslFailure):
        Scram("SCRAM-SHA-1", "user", "pencil", "mine").answer(challenge)


def exchange(name: str, username: str, password: str, known: dict[str, str]) -> str:
    """The user name that the server has accepted."""
    client = client_mechanism(name, Credentials(username, password))
    accounts = Accounts(lambda user, given: known.get(user) == given, known.get, lambda token: None)
    server = server_mechanism(name, accounts)
    proved, data = server.step(client.first())
    while not proved:
        proved, data = server.step(client.answer(data))
    if data:
        client.answer(data)
    assert client.done
    return server.username


@pytest.mark.parametrize("name", STRENGTH)
def test_client_and_server_agree(name: str) -> None:
    assert exchange(name, "crow", "secret", {"crow": "secret"}) == "crow"


@pytest.mark.parametrize("name", STRENGTH)
@pytest.mark.parametrize(("username", "password"), [("crow", "Secret"), ("raven", "secret"), ("Crow", "secret")])
def test_wrong_credentials(name: str, username: str, password: str) -> None:
    with pytest.raises(SaslFailure) as refused:
        exchange(name, username, password, {"crow": "secret"})
    assert refused.value.condition == "not-authorized"


printable = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=20)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(STRENGTH), printable, printable)
def test_any_printable_name_and_password(name: str, username: str, password: str) -> None:
    assert exchange(name, username, password, {username: password}) == username


@pytest.mark.parametrize(
    "message", [b"", b"crow\0secret", b"\0crow\0", b"\0\0secret", b"\0crow\0secret\0more", b"\0\xff\0secret"]
)
def test_plain_refuses_what_is_not_three_fields(message: bytes) -> None:
    with pytest.raises(SaslFailure) as refused:
        PlainServer(lambda *_: True).step(message)
    assert refused.value.condition == "malformed-request"


def test_nobody_acts_for_somebody_else() -> None:
    for server, message in (
        (PlainServer(lambda *_: True), b"raven\0crow\0secret"),
        (ScramServer("SCRAM-SHA-1", lambda _: "secret"), b"n,a=raven,n=crow,r=abc"),
    ):
        with pytest.raises(SaslFailure) as refused:
            server.step(message)
        assert refused.value.condition == "invalid-authzid"


@pytest.mark.parametrize("message", [b"", b"p=tls-exporter,,n=crow,r=abc", b"n,,n=crow", b"n,,r=abc", b"\xff,,\xff"])
def test_scram_refuses_a_bad_first_message(message: bytes) -> None:
    with pytest.raises(SaslFailure) as refused:
        ScramServer("SCRAM-SHA-1", lambda _: "secret").step(message)
    assert refused.value.condition == "malformed-request"


@pytest.mark.parametrize("change", [(b"c=biws", b"c=eSws"), (b",r=", b",r=x"), (b",p=", b",p=!"), (b",p=", b",q=")])
def test_scram_refuses_a_changed_proof(change: tuple[bytes, bytes]) -> None:
    client, server = Scram("SCRAM-SHA-1", "crow", "secret"), ScramServer("SCRAM-SHA-1", lambda _: "secret")
    _, challenge = server.step(client.first())
    with pytest.raises(SaslFailure):
        server.step(client.answer(challenge).replace(*change))


BOUND = {"tls-exporter": b"\x00one channel\xff", "tls-unique": b"another"}


def bound(
    name: str = "SCRAM-SHA-256-PLUS", kind: str = "tls-exporter", data: bytes = BOUND["tls-exporter"]
) -> tuple[Scram, ScramServer]:
    """A client that binds, and a server that knows its own connection's bindings."""
    client = Scram(name, "crow", "secret", binding=(kind, data))
    return client, ScramServer(name, lambda _: "secret", BOUND)


@pytest.mark.parametrize("name", ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS"])
def test_channel_binding(name: str) -> None:
    client, server = bound(name)
    assert client.first().startswith(b"p=tls-exporter,,n=crow,r=")
    _, challenge = server.step(client.first())
    proved, signature = server.step(client.answer(challenge))
    assert proved
    client.answer(signature)
    assert client.done


def test_another_channel_than_the_servers_is_found_out() -> None:
    client, server = bound(data=b"the channel to whoever sits between")
    _, challenge = server.step(client.first())
    with pytest.raises(SaslFailure, match="header"):
        server.step(client.answer(challenge))


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("SCRAM-SHA-1-PLUS", b"p=tls-server-end-point,,n=crow,r=abc"),
        ("SCRAM-SHA-1-PLUS", b"n,,n=crow,r=abc"),
        ("SCRAM-SHA-1-PLUS", b"y,,n=crow,r=abc"),
        ("SCRAM-SHA-1", b"p=tls-unique,,n=crow,r=abc"),
        ("SCRAM-SHA-1", b"y,,n=crow,r=abc"),
    ],
)
def test_a_binding_that_does_not_fit_the_mechanism(name: str, first: bytes) -> None:
    with pytest.raises(SaslFailure):
        ScramServer(name, lambda _: "secret", BOUND).step(first)


@pytest.mark.parametrize("at", ["challenge", "signature"])
def test_a_server_that_says_that_its_offer_was_taken_away(at: str) -> None:
    client = Scram("SCRAM-SHA-1", "crow", "secret", able=True)
    assert client.first().startswith(b"y,,")
    if at == "signature":
        _, challenge = ScramServer("SCRAM-SHA-1", lambda _: "secret").step(client.first())
        client.answer(challenge)
    with pytest.raises(SaslFailure, match="taken the server's offer of channel binding away") as failed:
        client.answer(b"e=server-does-support-channel-binding")
    assert failed.value.condition == "downgrade"


def accounts(certified: str = "") -> Accounts:
    return Accounts(lambda *_: False, lambda _: None, {"t0ken": "crow"}.get, certified)


def test_oauth_bearer() -> None:
    client = OAuthBearer("cr=w,", "localhost", "t0ken")
    assert client.first() == b"n,a=cr=3Dw=2C@localhost,\x01host=localhost\x01auth=Bearer t0ken\x01\x01"
    server = server_mechanism("OAUTHBEARER", accounts())
    assert server.step(OAuthBearer("crow", "localhost", "t0ken").first()) == (True, b"")
    assert server.username == "crow"


@pytest.mark.parametrize(("username", "token"), [("crow", "wrong"), ("raven", "t0ken")])
def test_oauth_bearer_refused(username: str, token: str) -> None:
    client = OAuthBearer(username, "localhost", token)
    server = server_mechanism("OAUTHBEARER", accounts())
    proved, challenge = server.step(client.first())
    assert not proved
    assert client.answer(challenge) == b"\x01"
    assert "invalid_token" in client.said
    with pytest.raises(SaslFailure, match="not valid"):
        server.step(b"\x01")


@pytest.mark.parametrize("token", ["", "two words", "a\x01b", "schlüssel"])
def test_a_token_that_cannot_be_one(token: str) -> None:
    with pytest.raises(SaslFailure, match="printable ASCII"):
        OAuthBearer("crow", "localhost", token)


@pytest.mark.parametrize(
    "message", [b"", b"n,,", b"\x01\x01", b"n,,\x01auth=Basic x\x01\x01", b"\xff", b"auth=Bearer t0ken"]
)
def test_oauth_bearer_refuses_what_is_no_token(message: bytes) -> None:
    with pytest.raises(SaslFailure, match="not a token"):
        server_mechanism("OAUTHBEARER", accounts()).step(message)


def test_external_and_anonymous() -> None:
    assert External().first() == b""
    server = server_mechanism("EXTERNAL", accounts("crow"))
    assert server.step(External("crow@localhost").first()) == (True, b"")
    assert server.username == "crow"
    for certified, wanted in (("", ""), ("crow", "raven@localhost")):
        with pytest.raises(SaslFailure):
            server_mechanism("EXTERNAL", accounts(certified)).step(External(wanted).first())
    servers = [server_mechanism("ANONYMOUS", accounts()) for _ in range(2)]
    assert all(server.step(Anonymous("trace").first()) == (True, b"") for server in servers)
    assert servers[0].username != servers[1].username


# RFC 4013, 3
@pytest.mark.parametrize(
    ("text", "prepared"), [("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"), ("\u2168", "IX")]
)
def test_saslprep(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize("text", ["\x07", "\u0627\u0031", "a\u0221\ufffd", "\ud800"])
def test_saslprep_refuses(text: str) -> None:
    with pytest.raises(SaslFailure):
        saslprep(text)


def test_base64_of_nothing_is_an_equals_sign() -> None:
    assert encode(b"") == "="
    assert decode("=") == b""
    assert decode(encode(b"\0a\0b")) == b"\0a\0b"
    with pytest.raises(SaslFailure, match="base64"):
        decode("???")
    assert Plain("a", "b").answer(b"") == Plain("a", "b").first() == b"\0a\0b"
