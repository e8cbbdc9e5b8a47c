"""SASL mechanisms, both sides: PLAIN (RFC 4616) and SCRAM (RFC 5802, 7677), without channel binding.

A client mechanism is asked for `first()` and then answers each challenge with `answer(challenge)`;
`done` says whether the server has proved what the mechanism lets it prove. A server mechanism is given
each response with `step(response)`. Both raise SaslFailure.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import stringprep
import unicodedata
from collections.abc import Callable
from typing import Final, Protocol

__all__ = [
    "STRENGTH",
    "ClientMechanism",
    "Plain",
    "PlainServer",
    "SaslFailure",
    "Scram",
    "ScramServer",
    "ServerMechanism",
    "client_mechanism",
    "decode",
    "encode",
    "saslprep",
    "server_mechanism",
]

# What we speak, weakest first.
STRENGTH: Final = ("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256")
_HASHES: Final = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}
# RFC 5802, 5.1 asks for at least 4096, servers are set to 4096 … 100,000. Meanwhile the event loop stands
# still: at this limit for about 0.1 s, and no lying server can stop the other users for longer.
MAX_ITERATIONS: Final = 200_000
_SERVER_ITERATIONS: Final = 4096


class SaslFailure(Exception):
    """The exchange failed. `condition` is a SASL error (RFC 6120, 6.5), `text` says what was wrong."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text


class ClientMechanism(Protocol):
    """The client's side of an exchange."""

    name: str

    def first(self) -> bytes:
        """The initial response."""

    def answer(self, challenge: bytes) -> bytes:
        """The response to a challenge, or to what came along with success."""

    @property
    def done(self) -> bool:
        """Whether the server may say success now."""


class ServerMechanism(Protocol):
    """The server's side of an exchange. `username` is known once `step` has returned True."""

    username: str

    def step(self, response: bytes) -> tuple[bool, bytes]:
        """Take a response; (False, challenge) to go on, (True, data for success) when it is proved."""


def encode(data: bytes) -> str:
    """Base64 as RFC 6120, 6.4.2 has it: nothing at all is "="."""
    return base64.b64encode(data).decode() or "="


def decode(text: str) -> bytes:
    """The bytes of an element's base64 text. Raises SaslFailure("incorrect-encoding")."""
    if text == "=":
        return b""
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (ValueError, binascii.Error):
        raise SaslFailure("incorrect-encoding", "not base64") from None


def saslprep(text: str) -> str:
    """The form in which user names and passwords are compared (RFC 4013). Raises SaslFailure."""
    if text.isascii() and text.isprintable():
        return text
    text = "".join(" " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char))
    text = unicodedata.normalize("NFKC", text)
    prohibited = (
        stringprep.in_table_c12,
        stringprep.in_table_c21_c22,
        stringprep.in_table_c3,
        stringprep.in_table_c4,
        stringprep.in_table_c5,
        stringprep.in_table_c6,
        stringprep.in_table_c7,
        stringprep.in_table_c8,
        stringprep.in_table_c9,
    )
    if any(forbidden(char) for char in text for forbidden in prohibited):
        raise SaslFailure("malformed-request", "a character that user names and passwords cannot have")
    if any(map(stringprep.in_table_d1, text)) and (
        any(map(stringprep.in_table_d2, text))
        or not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1]))
    ):
        raise SaslFailure("malformed-request", "a mixture of writing directions (RFC 3454, 6)")
    return text


class Plain:
    """PLAIN: user name and password in the clear."""

    name = "PLAIN"
    done = True

    def __init__(self, username: str, password: str) -> None:
        self._message = b"\0" + saslprep(username).encode() + b"\0" + saslprep(password).encode()

    def first(self) -> bytes:
        """The only message."""
        return self._message

    def answer(self, challenge: bytes) -> bytes:
        """There is nothing to say to a challenge but the message."""
        return self._message


class Scram:
    """SCRAM: neither side shows the password, and the server proves that it knows it."""

    def __init__(self, name: str, username: str, password: str, nonce: str = "") -> None:
        self.name = name
        self._hash = _HASHES[name]
        self._password = saslprep(password).encode()
        self._nonce = nonce or secrets.token_urlsafe(18)
        user = saslprep(username).replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={user},r={self._nonce}"
        self._signature: bytes | None = None
        self._proved = False

    @property
    def done(self) -> bool:
        """Whether the server's signature has been seen and is right."""
        return self._proved

    def first(self) -> bytes:
        """client-first-message, which says that we do no channel binding."""
        return f"n,,{self._bare}".encode()

    def answer(self, challenge: bytes) -> bytes:
        """client-final-message, or nothing after the server's signature was found right."""
        if self._signature is None:
            return self._final(challenge)
        if self._proved:
            raise SaslFailure("malformed-request", "a challenge after the exchange was over")
        fields = _fields(challenge)
        if "e" in fields:
            raise SaslFailure("not-authorized", f"the server says {fields['e']}")
        if not hmac.compare_digest(_unbase64(fields.get("v", "")), self._signature):
            raise SaslFailure("not-authorized", "the server's signature is wrong: it does not know the password")
        self._proved = True
        return b""

    def _final(self, challenge: bytes) -> bytes:
        fields = _fields(challenge)
        if "m" in fields:
            raise SaslFailure("malformed-request", "an extension that we do not know is mandatory")
        nonce, salt = fields.get("r", ""), _unbase64(fields.get("s", ""))
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise SaslFailure("malformed-request", "the server's nonce does not continue ours")
        text = fields.get("i", "")
        iterations = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if not salt or not 0 < iterations <= MAX_ITERATIONS:
            raise SaslFailure("malformed-request", f"no salt, or impossible iteration count {text[:20]!r}")
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, iterations)
        final = f"c=biws,r={nonce}"  # biws is base64 of "n,,"
        message = b",".join((self._bare.encode(), challenge, final.encode()))
        client_key = hmac.digest(salted, b"Client Key", self._hash)
        stored_key = hashlib.new(self._hash, client_key).digest()
        proof = _xor(client_key, hmac.digest(stored_key, message, self._hash))
        self._signature = hmac.digest(hmac.digest(salted, b"Server Key", self._hash), message, self._hash)
        return f"{final},p={base64.b64encode(proof).decode()}".encode()


class PlainServer:
    """PLAIN, the server's side. `check(username, password)` decides."""

    def __init__(self, check: Callable[[str, str], bool]) -> None:
        self.username = ""
        self._check = check

    def step(self, response: bytes) -> tuple[bool, bytes]:
        """Take the only message."""
        try:
            authorize, username, password = response.decode().split("\0")
        except ValueError:
            raise SaslFailure("malformed-request", "not three fields of UTF-8") from None
        if not username or not password:
            raise SaslFailure("malformed-request", "no user name or no password")
        if authorize and authorize.partition("@")[0] != username:
            raise SaslFailure("invalid-authzid", "nobody may act for somebody else")
        if not self._check(username, password):
            raise SaslFailure("not-authorized", "wrong password")
        self.username = username
        return True, b""


class ScramServer:
    """SCRAM, the server's side. `password(username)` is the account's password, None if there is none."""

    def __init__(self, name: str, password: Callable[[str], str | None]) -> None:
        self.username = ""
        self._hash = _HASHES[name]
        self._password = password
        self._salted = b""
        self._first = b""  # client-first-message-bare and server-first-message
        self._nonce = ""
        self._header = ""

    def step(self, response: bytes) -> tuple[bool, bytes]:
        """Take client-first-message, then client-final-message."""
        return self._challenge(response) if not self._nonce else self._check(response)

    def _challenge(self, response: bytes) -> tuple[bool, bytes]:
        flag, _, rest = response.partition(b",")
        authorize, _, bare = rest.partition(b",")
        fields = _fields(bare)
        if flag not in (b"n", b"y") or not fields.get("r") or not fields.get("n"):
            raise SaslFailure("malformed-request", "not a client-first-message without channel binding")
        self.username = fields["n"].replace("=2C", ",").replace("=3D", "=")
        if authorize and authorize[2:].decode(errors="replace").partition("@")[0] != self.username:
            raise SaslFailure("invalid-authzid", "nobody may act for somebody else")
        password = self._password(self.username)
        if password is None:
            raise SaslFailure("not-authorized", "no such account")
        salt = secrets.token_bytes(16)
        self._salted = hashlib.pbkdf2_hmac(self._hash, saslprep(password).encode(), salt, _SERVER_ITERATIONS)
        self._nonce = fields["r"] + secrets.token_urlsafe(18)
        self._header = base64.b64encode(flag + b"," + authorize + b",").decode()
        challenge = f"r={self._nonce},s={base64.b64encode(salt).decode()},i={_SERVER_ITERATIONS}".encode()
        self._first = bare + b"," + challenge
        return False, challenge

    def _check(self, response: bytes) -> tuple[bool, bytes]:
        without_proof, _, proof = response.rpartition(b",p=")
        fields = _fields(without_proof)
        if fields.get("r") != self._nonce or fields.get("c") != self._header:
            raise SaslFailure("malformed-request", "not the nonce, or not the header, of this exchange")
        message = self._first + b"," + without_proof
        client_key = hmac.digest(self._salted, b"Client Key", self._hash)
        stored_key = hashlib.new(self._hash, client_key).digest()
        expected = _xor(client_key, hmac.digest(stored_key, message, self._hash))
        if not hmac.compare_digest(_unbase64(proof.decode("ascii", "replace")), expected):
            raise SaslFailure("not-authorized", "wrong password")
        server_key = hmac.digest(self._salted, b"Server Key", self._hash)
        signature = hmac.digest(server_key, message, self._hash)
        return True, b"v=" + base64.b64encode(signature)


def client_mechanism(name: str, username: str, password: str) -> ClientMechanism:
    """The client's side of mechanism `name`, one of STRENGTH. Raises SaslFailure on impossible names."""
    return Plain(username, password) if name == "PLAIN" else Scram(name, username, password)


def server_mechanism(
    name: str, check: Callable[[str, str], bool], password: Callable[[str], str | None]
) -> ServerMechanism:
    """The server's side of mechanism `name`, one of STRENGTH."""
    return PlainServer(check) if name == "PLAIN" else ScramServer(name, password)


def _fields(message: bytes) -> dict[str, str]:
    """The a=value fields of a SCRAM message."""
    try:
        parts = message.decode().split(",")
    except UnicodeDecodeError:
        raise SaslFailure("malformed-request", "a SCRAM message that is not UTF-8") from None
    return {part[:1]: part[2:] for part in parts if part[1:2] == "="}


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except ValueError:
        raise SaslFailure("malformed-request", "a SCRAM field that is not base64") from None


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(len(a), "big")
