"""SCRAM, both sides (RFC 5802, 7677), with and without channel binding (RFC 5929, 9266)."""

import base64
import functools
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Final

from amoc.xmpp.core.saslprep import SaslFailure, saslprep

__all__ = ["HASHES", "MAX_ITERATIONS", "Binding", "Scram", "ScramServer", "salted"]

HASHES: Final = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
# RFC 5802, 5.1 asks for at least 4096, servers are set to 4096 … 100,000. Meanwhile the event loop stands
# still: at this limit for about 0.1 s, and no lying server can stop the other users for longer.
MAX_ITERATIONS: Final = 200_000
_SERVER_ITERATIONS: Final = 4096
# Salted passwords that a process keeps, each some 500 bytes.
_KEPT: Final = 10_000
# What the salts of our server's accounts are made of: as everywhere, an account keeps its salt.
_SALTS: Final = secrets.token_bytes(16)

Binding = tuple[str, bytes]
"""A channel binding: its type (RFC 5929, 9266) and its data."""


class Scram:
    """SCRAM: neither side shows the password, and the server proves that it knows it.

    `binding` is the channel binding (type, data) of a mechanism whose name ends in -PLUS. Without one, `able` says
    whether we could have bound, but the server does not offer to: a server that did offer it then refuses us,
    because somebody between has taken its offer away (RFC 5802, 6). With `keep` the salted password of a login is
    kept for the user's next one, as clients do (RFC 5802, 5.1); without it is computed anew.
    """

    said = ""

    def __init__(
        self, name: str, username: str, password: str, nonce: str = "", *, binding: Binding | None = None,
        able: bool = False, keep: bool = True,
    ) -> None:  # fmt: skip
        self.name = name
        self._salt = salted if keep else salted.__wrapped__
        self._hash = HASHES[name.removesuffix("-PLUS")]
        flag = f"p={binding[0]}" if binding is not None else "y" if able else "n"
        self._header = f"{flag},,"
        self._bound = self._header.encode() + (binding[1] if binding is not None else b"")
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
        """client-first-message."""
        return f"{self._header}{self._bare}".encode()

    def answer(self, challenge: bytes) -> bytes:
        """client-final-message, or nothing after the server's signature was found right."""
        if self._signature is None:
            return self._final(challenge)
        if self._proved:
            raise SaslFailure("malformed-request", "a challenge after the exchange was over")
        fields = _fields(challenge)
        if "e" in fields:
            raise _error(fields["e"])
        if not hmac.compare_digest(_unbase64(fields.get("v", "")), self._signature):
            raise SaslFailure("not-authorized", "the server's signature is wrong: it does not know the password")
        self._proved = True
        return b""

    def _final(self, challenge: bytes) -> bytes:
        fields = _fields(challenge)
        if "e" in fields:
            raise _error(fields["e"])
        if "m" in fields:
            raise SaslFailure("malformed-request", "an extension that we do not know is mandatory")
        nonce, salt = fields.get("r", ""), _unbase64(fields.get("s", ""))
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise SaslFailure("malformed-request", "the server's nonce does not continue ours")
        text = fields.get("i", "")
        iterations = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if not salt or not 0 < iterations <= MAX_ITERATIONS:
            raise SaslFailure("malformed-request", f"no salt, or impossible iteration count {text[:20]!r}")
        key = self._salt(self._hash, self._password, salt, iterations)
        final = f"c={base64.b64encode(self._bound).decode()},r={nonce}"
        message = b",".join((self._bare.encode(), challenge, final.encode()))
        client_key = hmac.digest(key, b"Client Key", self._hash)
        stored_key = hashlib.new(self._hash, client_key).digest()
        proof = _xor(client_key, hmac.digest(stored_key, message, self._hash))
        self._signature = hmac.digest(hmac.digest(key, b"Server Key", self._hash), message, self._hash)
        return f"{final},p={base64.b64encode(proof).decode()}".encode()


class ScramServer:
    """SCRAM, the server's side. `password(username)` is the account's password, None if there is none.

    `bindings` are the connection's channel bindings, by type; with any, -PLUS is offered.
    """

    def __init__(
        self, name: str, password: Callable[[str], str | None], bindings: Mapping[str, bytes] | None = None
    ) -> None:
        self.username = ""
        self._hash = HASHES[name.removesuffix("-PLUS")]
        self._plus = name.endswith("-PLUS")
        self._bindings = bindings or {}
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
        kind = flag.removeprefix(b"p=").decode(errors="replace")
        if not fields.get("r") or not fields.get("n") or (flag not in (b"n", b"y") and not flag.startswith(b"p=")):
            raise SaslFailure("malformed-request", "not a client-first-message")
        if self._plus != flag.startswith(b"p=") or (self._plus and kind not in self._bindings):
            raise SaslFailure("malformed-request", "not the channel binding of this mechanism and connection")
        if flag == b"y" and self._bindings:
            raise SaslFailure("not-authorized", "server-does-support-channel-binding")
        self.username = fields["n"].replace("=2C", ",").replace("=3D", "=")
        if authorize and authorize[2:].decode(errors="replace").partition("@")[0] != self.username:
            raise SaslFailure("invalid-authzid", "nobody may act for somebody else")
        password = self._password(self.username)
        if password is None:
            raise SaslFailure("not-authorized", "no such account")
        salt = hmac.digest(_SALTS, self.username.encode(), "sha256")[:16]
        self._salted = salted(self._hash, saslprep(password).encode(), salt, _SERVER_ITERATIONS)
        self._nonce = fields["r"] + secrets.token_urlsafe(18)
        bound = self._bindings[kind] if self._plus else b""
        self._header = base64.b64encode(flag + b"," + authorize + b"," + bound).decode()
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


@functools.lru_cache(maxsize=_KEPT)
def salted(kind: str, password: bytes, salt: bytes, iterations: int) -> bytes:
    """SaltedPassword of RFC 5802, 3, `kind` being the hash: nearly all that a login by SCRAM costs."""
    return hashlib.pbkdf2_hmac(kind, password, salt, iterations)


def _error(value: str) -> SaslFailure:
    """What the server says is wrong (RFC 5802, 7)."""
    if value == "server-does-support-channel-binding":
        return SaslFailure("downgrade", "somebody between has taken the server's offer of channel binding away")
    return SaslFailure("not-authorized", f"the server says {value}")


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
