"""SASL mechanisms, both sides: the simple ones, and which there are; `scram` has the others.

PLAIN (RFC 4616), ANONYMOUS (RFC 4505), EXTERNAL (RFC 4422, A), OAUTHBEARER (RFC 7628), SCRAM (RFC 5802, 7677).

A client mechanism is asked for `first()` and then answers each challenge with `answer(challenge)`;
`done` says whether the server has proved what the mechanism lets it prove. A server mechanism is given
each response with `step(response)`. Both raise SaslFailure.
"""

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from amoc.xmpp.core.saslprep import SaslFailure, saslprep
from amoc.xmpp.core.scram import HASHES, Binding, Scram, ScramServer

__all__ = [
    "BINDINGS",
    "MECHANISMS",
    "STRENGTH",
    "Accounts",
    "Anonymous",
    "ClientMechanism",
    "Credentials",
    "External",
    "OAuthBearer",
    "Plain",
    "PlainServer",
    "SaslFailure",
    "ServerMechanism",
    "client_mechanism",
    "decode",
    "encode",
    "server_mechanism",
]

# What we speak with a user name and a password, weakest first.
STRENGTH: Final = ("PLAIN", *HASHES)
PLUS: Final = tuple(f"{name}-PLUS" for name in HASHES)
# All that we speak, weakest first.
MECHANISMS: Final = ("ANONYMOUS", *STRENGTH, *PLUS, "OAUTHBEARER", "EXTERNAL")
# Types of channel binding, best first: what a server is taken to know that names none is the second (RFC 5802, 6.1).
BINDINGS: Final = ("tls-exporter", "tls-unique", "tls-server-end-point")


class ClientMechanism(Protocol):
    """The client's side of an exchange. `said` is what the server said, apart from proving itself."""

    name: str
    said: str

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


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in to `domain`, and by what: a password, a token, or (`certificate`) what TLS has shown already."""

    username: str
    password: str = field(repr=False)
    token: str = field(default="", repr=False)
    domain: str = ""
    certificate: bool = False


class Plain:
    """PLAIN: user name and password in the clear."""

    name = "PLAIN"
    said = ""
    done = True

    def __init__(self, username: str, password: str) -> None:
        self._message = b"\0" + saslprep(username).encode() + b"\0" + saslprep(password).encode()

    def first(self) -> bytes:
        """The only message."""
        return self._message

    def answer(self, challenge: bytes) -> bytes:
        """There is nothing to say to a challenge but the message."""
        return self._message


class Anonymous:
    """ANONYMOUS: the server makes an account for the time of the session. `trace` is who to ask (RFC 4505, 2)."""

    name = "ANONYMOUS"
    said = ""
    done = True

    def __init__(self, trace: str = "") -> None:
        self._trace = trace.encode()

    def first(self) -> bytes:
        """The only message."""
        return self._trace

    def answer(self, challenge: bytes) -> bytes:
        """There is nothing more to say."""
        return self._trace


class External:
    """EXTERNAL: the server knows by the TLS certificate who we are; `authorize` says it when it names several."""

    name = "EXTERNAL"
    said = ""
    done = True

    def __init__(self, authorize: str = "") -> None:
        self._authorize = authorize.encode()

    def first(self) -> bytes:
        """The only message."""
        return self._authorize

    def answer(self, challenge: bytes) -> bytes:
        """There is nothing more to say."""
        return self._authorize


class OAuthBearer:
    """OAUTHBEARER: a token instead of a password. What the server has against it comes as a challenge: `said`."""

    name = "OAUTHBEARER"
    done = True

    def __init__(self, username: str, domain: str, token: str) -> None:
        user = f"{saslprep(username)}@{domain}".replace("=", "=3D").replace(",", "=2C")
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise SaslFailure("malformed-request", "a token is printable ASCII without spaces (RFC 6750, 2.1)")
        self._message = f"n,a={user},\x01host={domain}\x01auth=Bearer {token}\x01\x01".encode()
        self.said = ""

    def first(self) -> bytes:
        """The only message."""
        return self._message

    def answer(self, challenge: bytes) -> bytes:
        """Take note of the error, so that the server goes on to refuse us (RFC 7628, 3.2.3)."""
        self.said = challenge.decode(errors="replace")[:500]
        return b"\x01"


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


class AnonymousServer:
    """ANONYMOUS, the server's side: anybody, under a name that nobody else has."""

    def __init__(self) -> None:
        self.username = ""

    def step(self, response: bytes) -> tuple[bool, bytes]:
        """Take the only message."""
        self.username = f"anonymous-{secrets.token_hex(8)}"
        return True, b""


class ExternalServer:
    """EXTERNAL, the server's side. `certified` is whose certificate TLS has seen, "" if none."""

    def __init__(self, certified: str) -> None:
        self.username = ""
        self._certified = certified

    def step(self, response: bytes) -> tuple[bool, bytes]:
        """Take the only message."""
        wanted = response.decode(errors="replace").partition("@")[0]
        if not self._certified:
            raise SaslFailure("not-authorized", "no certificate of a user")
        if wanted and wanted != self._certified:
            raise SaslFailure("invalid-authzid", "the certificate is somebody else's")
        self.username = self._certified
        return True, b""


class OAuthBearerServer:
    """OAUTHBEARER, the server's side. `owner(token)` is whose token it is, None if it is nobody's."""

    def __init__(self, owner: Callable[[str], str | None]) -> None:
        self.username = ""
        self._owner = owner
        self._refused = False

    def step(self, response: bytes) -> tuple[bool, bytes]:
        """Take the token; when it is no good, say so in a challenge, and refuse what is answered to that."""
        if self._refused:
            raise SaslFailure("not-authorized", "the token is not valid")
        header, *pairs = response.decode(errors="replace").split("\x01")
        token = next((pair[len("auth=Bearer ") :] for pair in pairs if pair.startswith("auth=Bearer ")), "")
        if not header.startswith("n,") or not token:
            raise SaslFailure("malformed-request", "not a token")
        owner = self._owner(token)
        authorize = header[2:].rstrip(",").removeprefix("a=").partition("@")[0]
        if owner is None or (authorize and authorize != owner):
            self._refused = True
            return False, b'{"status":"invalid_token"}'
        self.username = owner
        return True, b""


@dataclass(frozen=True, slots=True)
class Accounts:
    """What a server checks its users with; see `accept.Policy`. `certified`, `bindings`: those of the connection."""

    check: Callable[[str, str], bool]
    password: Callable[[str], str | None]
    owner: Callable[[str], str | None]
    certified: str = ""
    bindings: Mapping[str, bytes] = field(default_factory=dict)


def client_mechanism(
    name: str, who: Credentials, *, binding: Binding | None = None, able: bool = False, keep: bool = True
) -> ClientMechanism:
    """The client's side of mechanism `name`, one of MECHANISMS. Raises SaslFailure on impossible names.

    `binding`, `able` and `keep`: see `Scram`.
    """
    if name == "PLAIN":
        return Plain(who.username, who.password)
    if name == "ANONYMOUS":
        return Anonymous()
    if name == "EXTERNAL":
        return External()
    if name == "OAUTHBEARER":
        return OAuthBearer(who.username, who.domain, who.token)
    return Scram(name, who.username, who.password, binding=binding, able=able, keep=keep)


def server_mechanism(name: str, accounts: Accounts) -> ServerMechanism:
    """The server's side of mechanism `name`, one of MECHANISMS."""
    if name == "PLAIN":
        return PlainServer(accounts.check)
    if name == "ANONYMOUS":
        return AnonymousServer()
    if name == "EXTERNAL":
        return ExternalServer(accounts.certified)
    if name == "OAUTHBEARER":
        return OAuthBearerServer(accounts.owner)
    return ScramServer(name, accounts.password, accounts.bindings)
