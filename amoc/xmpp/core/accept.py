"""The server's side of a stream: the mirror of `login`, for the embedded server and for tests in pairs."""

import re
import secrets
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.effects import Ready
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.features import Feature, State, usable
from amoc.xmpp.core.framing import DOCUMENT, Framing
from amoc.xmpp.core.management import Management
from amoc.xmpp.core.parser import MAX_STANZA_SIZE, StreamHeader
from amoc.xmpp.core.sasl import MECHANISMS, STRENGTH, Accounts, SaslFailure, decode, encode, server_mechanism
from amoc.xmpp.core.scram import HASHES
from amoc.xmpp.core.stream import Incoming, Negotiation, Stream
from amoc.xmpp.errors import Disconnected, StreamError, XmppError

__all__ = ["Policy", "ServerStream", "Suspended"]

_LOCALPART = re.compile(r"[^\s\"&'/:<>@\x00-\x1f]{1,1023}")  # RFC 7622, 3.3


class Suspended(Protocol):
    """The sessions that a server lets its clients resume (XEP-0198, 5)."""

    def find(self, username: str, ident: str) -> Management | None:
        """The session of this user that goes by `ident`, if there is one."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a server offers and whom it lets in.

    `password(username)` is an account's password (None: no such account); without it anybody may come in,
    with any password, and only by PLAIN. Of `mechanisms`, ANONYMOUS lets anybody in, too, EXTERNAL whom TLS knows by
    a certificate (the stream's `certified`), OAUTHBEARER the owner of a token (`owner(token)`, None: nobody's); a
    -PLUS is offered as soon as the connection has a channel binding. `strict` asks for the session iq and answers
    nothing before it.
    `suspended` makes it offer stream management; enabling it is up to the owner, since that comes after the login.
    """

    domain: str = "localhost"
    tls: bool = False
    tls_required: bool = False
    mechanisms: tuple[str, ...] = STRENGTH
    password: Callable[[str], str | None] | None = None
    owner: Callable[[str], str | None] | None = None
    strict: bool = False
    suspended: Suspended | None = None

    def offered(self, *, bound: bool = False, certified: bool = False) -> tuple[str, ...]:
        """The mechanisms to advertise, strongest first, over a connection with a channel binding or a certificate."""
        able = set(STRENGTH if self.password is not None else ("PLAIN",)) & set(self.mechanisms)
        able |= {"ANONYMOUS"} & set(self.mechanisms)
        if bound:
            able |= {f"{name}-PLUS" for name in able if name in HASHES}
        if certified:
            able |= {"EXTERNAL"} & set(self.mechanisms)
        if self.owner is not None:
            able |= {"OAUTHBEARER"}
        return tuple(name for name in reversed(MECHANISMS) if name in able)


class ServerStream(Stream):
    """A stream that lets a client log in as `policy` says; `jid` is its address once it has bound one.

    `resumed` is the session that the client has gone on with instead; `certified` gives the user whose
    certificate TLS has seen.
    """

    __slots__ = ("_bound", "_certified", "_policy", "_username", "certified", "jid", "resumed")

    def __init__(
        self,
        policy: Policy,
        max_stanza_size: int = MAX_STANZA_SIZE,
        framing: Framing = DOCUMENT,
        *,
        secure: bool = False,
    ) -> None:
        super().__init__(max_stanza_size, framing, secure=secure)
        self._policy = policy
        self._username = ""
        self._bound: Mapping[str, bytes] = {}
        self._certified = ""
        self.certified: Callable[[], str] = str
        self.jid = ""
        self.resumed: Management | None = None

    def _negotiate(self) -> Negotiation:
        while not self.state & State.BOUND:
            yield from self._open()
            restarted = False
            while not restarted and not self._done():
                step, request = yield from self._request()
                self.step = step.name
                if (yield from _STEPS[step.name](self, request)):
                    self.state |= step.gives
                    restarted = step.restarts
        self.step = "ready"
        self._effects.append(Ready(self.jid))

    def _done(self) -> bool:
        return bool(self.state & State.BOUND) and (not self._policy.strict or bool(self.state & State.SESSION))

    def _open(self) -> Generator[None, Incoming, None]:
        header = yield
        self.step = "stream"
        ident = secrets.token_hex(8)
        self._write_header(**{"from": self._policy.domain, "id": ident})
        if not isinstance(header, StreamHeader) or (header.ns, header.name) != (ns.STREAM, "stream"):
            raise StreamError("invalid-namespace", "not a stream of XMPP", ours=True)
        if header.prefixes.get("") != ns.CLIENT:
            raise StreamError("invalid-namespace", "not a stream of jabber:client", ours=True)
        if header.attrs.get("to", "").lower() != self._policy.domain:
            raise StreamError("host-unknown", f"this is {self._policy.domain}", ours=True)
        if header.attrs.get("version", "0.9").partition(".")[0] in ("", "0"):
            raise StreamError("unsupported-version", "XMPP 1.0 it must be", ours=True)
        self._write(f"<stream:features>{''.join(map(self._advertise, self._open_steps()))}</stream:features>")
        self.step = "features"

    def _open_steps(self) -> list[Feature]:
        """The steps that a client may take now, whether by the table or by the policy."""
        policy, steps = self._policy, []
        for feature in usable(self.state):
            if feature.name == "starttls" and not policy.tls:
                continue
            if feature.name == "sasl" and policy.tls_required and not self.state & State.SECURE:
                continue
            if feature.ns == ns.SM and policy.suspended is None:
                continue
            steps.append(feature)
        if State.AUTHENTICATED in self.state and State.BOUND not in self.state:
            steps += [feature for feature in usable(self.state | State.BOUND) if feature.name == "session"]
        return steps

    def _advertise(self, feature: Feature) -> str:
        inner = after = ""
        if feature.name == "starttls" and self._policy.tls_required:
            inner = "<required/>"
        elif feature.name == "sasl":
            self._bound, self._certified = self.bindings(), self.certified()
            inner = "".join(f"<mechanism>{name}</mechanism>" for name in self._offered())
            if self._bound:
                kinds = "".join(f"<channel-binding type='{kind}'/>" for kind in self._bound)
                after = f"<sasl-channel-binding xmlns='{ns.CHANNEL_BINDING}'>{kinds}</sasl-channel-binding>"
        elif feature.name == "session" and not self._policy.strict:
            inner = "<optional/>"
        return f"<{feature.element} xmlns='{feature.ns}'>{inner}</{feature.element}>{after}"

    def _request(self) -> Generator[None, Incoming, tuple[Feature, Element]]:
        """The next request for a step that may be taken now; anything else ends the stream."""
        while True:
            request = yield
            if not isinstance(request, Element):
                raise StreamError("policy-violation", "a stream header within a stream", ours=True)
            step = self._step_of(request)
            if step is not None:
                return step, request
            if State.BOUND not in self.state:
                raise StreamError("not-authorized", f"<{request.name}/> before the login", ours=True)
            # strict, and bound: like MongooseIM, silence until the session iq

    def _step_of(self, request: Element) -> Feature | None:
        asked = {"starttls": "starttls", "auth": "sasl", "resume": "resume"}.get(request.name)
        payload = request
        if request.name == "iq" and request.get("type") == "set":
            payload = next(iter(request), request)
            asked = payload.name
        for feature in self._open_steps():
            if feature.name == asked and feature.ns == payload.ns and feature.needs in self.state:
                return feature
        return None

    def _failure(self, error: XmppError) -> XmppError:
        return error if isinstance(error, Disconnected) else Disconnected(error.what())

    # -- the steps: each says whether the feature was negotiated ---------------------------------------

    def _step_starttls(self, request: Element) -> Generator[None, Incoming, bool]:
        self._write(f"<proceed xmlns='{ns.TLS}'/>")
        self.step = "tls"
        self._start_tls()
        yield  # until it is on
        return True

    def _step_sasl(self, request: Element) -> Generator[None, Incoming, bool]:
        try:
            name = request.get("mechanism", "")
            if name not in self._offered():
                raise SaslFailure("invalid-mechanism", f"{name} is not offered")
            owner = self._policy.owner or (lambda token: None)
            accounts = Accounts(self._check, self._password, owner, self._certified, self._bound)
            mechanism = server_mechanism(name, accounts)
            response, proved, data = request, False, b""
            if response.text:
                proved, data = mechanism.step(decode(response.text))
            while not proved:
                self._write(f"<challenge xmlns='{ns.SASL}'>{encode(data) if data else ''}</challenge>")
                answer = yield
                if not isinstance(answer, Element) or (answer.ns, answer.name) != (ns.SASL, "response"):
                    raise SaslFailure("aborted", "no response")
                proved, data = mechanism.step(decode(answer.text))
        except SaslFailure as failure:
            text = f"<text xml:lang='en'>{escape(failure.text)}</text>"
            self._write(f"<failure xmlns='{ns.SASL}'><{failure.condition}/>{text}</failure>")
            return False
        if _LOCALPART.fullmatch(mechanism.username) is None:
            raise StreamError("not-authorized", "a user name that makes no address", ours=True)
        self._username = mechanism.username.lower()
        self._write(f"<success xmlns='{ns.SASL}'>{encode(data) if data else ''}</success>")
        self._restart()
        return True

    def _offered(self) -> tuple[str, ...]:
        return self._policy.offered(bound=bool(self._bound), certified=bool(self._certified))

    def _check(self, username: str, password: str) -> bool:
        return self._policy.password is None or self._policy.password(username) == password

    def _password(self, username: str) -> str | None:
        return None if self._policy.password is None else self._policy.password(username)

    def _step_resume(self, request: Element) -> Generator[None, Incoming, bool]:
        ident = request.get("previd", "")
        assert self._policy.suspended is not None  # else it is no step
        management = self._policy.suspended.find(self._username, ident)
        if management is None:
            self._write(f"<failed xmlns='{ns.SM}'><item-not-found xmlns='{ns.STANZAS}'/></failed>")
            return False
        management.resumed_at(request.get("h"))
        self.jid, self.resumed = management.jid, management
        self._write(f"<resumed xmlns='{ns.SM}' previd='{escape(ident)}' h='{management.handled}'/>")
        yield from ()
        return True

    def _step_bind(self, request: Element) -> Generator[None, Incoming, bool]:
        bind = request.find("bind", ns.BIND)
        wanted = bind.findtext("resource", default="") if bind is not None else ""
        self.jid = f"{self._username}@{self._policy.domain}/{wanted or secrets.token_hex(8)}"
        result = f"<bind xmlns='{ns.BIND}'><jid>{escape(self.jid)}</jid></bind>"
        self._write(f"<iq type='result' id='{escape(request.get('id', ''))}'>{result}</iq>")
        yield from ()  # a step is a generator, even where it has nothing to wait for
        return True

    def _step_session(self, request: Element) -> Generator[None, Incoming, bool]:
        self._write(f"<iq type='result' id='{escape(request.get('id', ''))}'/>")
        yield from ()
        return True


_STEPS: Final[dict[str, Callable[[ServerStream, Element], Generator[None, Incoming, bool]]]] = {
    "starttls": ServerStream._step_starttls,
    "sasl": ServerStream._step_sasl,
    "resume": ServerStream._step_resume,
    "bind": ServerStream._step_bind,
    "session": ServerStream._step_session,
}
