"""The client's side of a stream: header, features, STARTTLS, SASL, bind, session (RFC 6120, 4 to 7)."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final, Literal

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.choice import choose, mechanisms, their_bindings
from amoc.xmpp.core.conditions import SASL_ERRORS, STANZA_ERRORS, STREAM_ERRORS
from amoc.xmpp.core.effects import Ready
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape
from amoc.xmpp.core.features import FEATURES, State
from amoc.xmpp.core.framing import DOCUMENT, Framing
from amoc.xmpp.core.management import Management
from amoc.xmpp.core.parser import MAX_STANZA_SIZE, StreamHeader
from amoc.xmpp.core.sasl import Credentials, SaslFailure, client_mechanism, decode, encode
from amoc.xmpp.core.stream import Incoming, Negotiation, Stream
from amoc.xmpp.errors import AuthFailed, ConnectFailed, IqError, StreamError, XmppError

__all__ = ["ClientStream", "Login", "TlsPolicy"]

TlsPolicy = Literal["optional", "required", "never"]


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in, and how.

    `sasl` fixes the mechanism, "" takes the strongest; "" as `resource` lets the server choose one. `token` takes
    the place of the password (OAUTHBEARER); `certificate`: TLS shows one of ours, which may do for both (EXTERNAL).
    `scram_cache`: the salted password is kept for the next login.
    """

    domain: str
    username: str
    password: str = field(repr=False)
    resource: str = ""
    tls: TlsPolicy = "optional"
    sasl: str = ""
    token: str = field(default="", repr=False)
    certificate: bool = False
    scram_cache: bool = True


class ClientStream(Stream):
    """A stream that logs in as `login` says; `jid` is the full address once it is bound.

    With `management` the session is a managed one (XEP-0198), and that of before is resumed if there is one.
    """

    __slots__ = ("_login", "_management", "_their_bindings", "jid")

    def __init__(
        self,
        login: Login,
        max_stanza_size: int = MAX_STANZA_SIZE,
        framing: Framing = DOCUMENT,
        *,
        secure: bool = False,
        management: Management | None = None,
    ) -> None:
        super().__init__(max_stanza_size, framing, secure=secure)
        self._login = login
        self._management = management
        self._their_bindings: list[str] | None = None
        self.jid = ""

    def _negotiate(self) -> Negotiation:
        while True:
            features = yield from self._open()
            for feature in FEATURES:
                if not feature.usable(self.state):
                    continue
                self.step = feature.name
                offer = features.find(feature.element, feature.ns)
                achieved = yield from _STEPS[feature.name](self, offer)
                if not achieved:
                    continue
                self.state |= achieved
                self.ended(self.step)
                if feature.restarts:
                    break
            else:
                self.step = "ready"
                self._effects.append(Ready(self.jid))
                return

    def _open(self) -> Generator[None, Incoming, Element]:
        """Open a stream, return the server's features."""
        self.step = "stream"
        self._write_header(to=self._login.domain)
        header = yield
        if not isinstance(header, StreamHeader) or (header.ns, header.name) != (ns.STREAM, "stream"):
            raise StreamError("invalid-namespace", "the answer is no XMPP stream", ours=True)
        if header.attrs.get("version", "0.9").partition(".")[0] in ("", "0"):
            raise StreamError("unsupported-version", "the server does not speak XMPP 1.0", ours=True)
        self.ended("stream")
        self.step = "features"
        features = yield
        if not isinstance(features, Element) or (features.ns, features.name) != (ns.STREAM, "features"):
            raise StreamError("unsupported-stanza-type", f"{_brief(features)} instead of features", ours=True)
        self._their_bindings = their_bindings(features)
        self.ended("features")
        return features

    def _failure(self, error: XmppError) -> XmppError:
        if isinstance(error, ConnectFailed):
            return error
        if isinstance(error, StreamError):
            said = error.condition + (f", {error.text}" if error.text else "")
            if not error.ours:
                cause = _known(error.condition, STREAM_ERRORS)
                return ConnectFailed(self.step, "the server ended the stream with an error", said, cause=cause)
            return ConnectFailed(self.step, f"the server sent what makes no sense here: {said}", cause="nonsense")
        if isinstance(error, IqError):
            said = error.condition + (f", {error.text}" if error.text else "")
            return ConnectFailed(self.step, "the server refused", said, cause=_known(error.condition, STANZA_ERRORS))
        return ConnectFailed(self.step, "the server closed the stream", cause="closed")

    # -- the steps: each is given the server's offer, and says what it has achieved, if anything ------

    def _step_starttls(self, offer: Element | None) -> Generator[None, Incoming, State]:
        if self._login.tls == "never":
            if offer is not None and offer.find("required") is not None:
                raise ConnectFailed("starttls", "the server requires TLS, but xmpp_tls is never", cause="required")
            return State.NOTHING
        if offer is None:
            if self._login.tls == "required":
                reason = "xmpp_tls is required, but the server does not offer TLS"
                raise ConnectFailed("starttls", reason, cause="not-offered")
            return State.NOTHING
        self._write(f"<starttls xmlns='{ns.TLS}'/>")
        answer = yield
        if not isinstance(answer, Element) or (answer.ns, answer.name) != (ns.TLS, "proceed"):
            reason = "the server offers TLS, but does not start it"
            raise ConnectFailed("starttls", reason, _brief(answer), cause="nonsense")
        self.ended("starttls")
        self.step = "tls"
        self._start_tls()
        yield  # until it is on
        return State.SECURE

    def _step_sasl(self, offer: Element | None) -> Generator[None, Incoming, State]:
        login, offered = self._login, mechanisms(offer)
        who = Credentials(login.username, login.password, login.token, login.domain, login.certificate)
        secure = State.SECURE in self.state
        choice = choose(login.sasl, offered, who, self.bindings, self._their_bindings, secure=secure)
        name = choice.name
        try:
            mechanism = client_mechanism(name, who, binding=choice.binding, able=choice.able, keep=login.scram_cache)
            self._write(f"<auth xmlns='{ns.SASL}' mechanism='{name}'>{encode(mechanism.first())}</auth>")
            while True:
                answer = yield
                if not isinstance(answer, Element) or answer.ns != ns.SASL:
                    raise AuthFailed(
                        f"{_brief(answer)} instead of an answer to {name}", mechanism=name, cause="nonsense"
                    )
                if answer.name == "failure":
                    raise _refused(answer, name, mechanism.said)
                if answer.name == "challenge":
                    response = mechanism.answer(decode(answer.text))
                    self._write(f"<response xmlns='{ns.SASL}'>{encode(response) if response else ''}</response>")
                    continue
                if answer.name != "success":
                    raise AuthFailed(
                        f"<{answer.name}/> instead of an answer to {name}", mechanism=name, cause="nonsense"
                    )
                if answer.text:
                    mechanism.answer(decode(answer.text))
                if not mechanism.done:
                    reason = f"{name}: the server claims success without proving that it knows the password"
                    raise AuthFailed(reason, mechanism=name, cause="unproved")
                break
        except SaslFailure as failure:
            cause = {"not-authorized": "unproved", "downgrade": "downgrade"}.get(failure.condition, "nonsense")
            raise AuthFailed(f"{name}: {failure.text}", mechanism=name, cause=cause) from None
        self._restart()
        return State.AUTHENTICATED

    def _step_bind(self, offer: Element | None) -> Generator[None, Incoming, State]:
        if offer is None:
            raise ConnectFailed("bind", "the server does not offer to bind a resource", cause="not-offered")
        resource = self._login.resource
        child = f"<resource>{escape(resource)}</resource>" if resource else ""
        answer = yield from self._ask("bind", f"<bind xmlns='{ns.BIND}'>{child}</bind>")
        bind = answer.find("bind", ns.BIND)
        jid = bind.findtext("jid", default="") if bind is not None else ""
        if "@" not in jid or "/" not in jid:
            raise ConnectFailed("bind", f"the server bound no full address, but {jid!r}", cause="nonsense")
        self.jid = jid
        return State.BOUND

    def _step_session(self, offer: Element | None) -> Generator[None, Incoming, State]:
        # offered without <optional/> the server answers nothing before it (MongooseIM)
        if offer is None or offer.find("optional") is not None:
            return State.NOTHING
        yield from self._ask("session", f"<session xmlns='{ns.SESSION}'/>")
        return State.SESSION

    def _step_resume(self, offer: Element | None) -> Generator[None, Incoming, State]:
        management = self._management
        if management is None or not management.ident or offer is None:
            return State.NOTHING
        previd, h = escape(management.ident), management.handled
        self._write(f"<resume xmlns='{ns.SM}' previd='{previd}' h='{h}'/>")
        answer = yield
        if not isinstance(answer, Element) or answer.ns != ns.SM or answer.name not in ("resumed", "failed"):
            raise ConnectFailed("resume", "the server answers neither yes nor no", _brief(answer), cause="nonsense")
        if answer.name == "resumed":
            management.resumed_at(answer.get("h"))
            self.jid = management.jid
            return State.BOUND | State.SESSION | State.MANAGED
        if answer.get("h") is not None:
            management.acknowledge(answer.get("h"))
        management.forget()
        self.ended("resume")
        return State.NOTHING

    def _step_enable(self, offer: Element | None) -> Generator[None, Incoming, State]:
        management = self._management
        if management is None:
            return State.NOTHING
        if offer is None:
            reason = "xmpp_stream_management is not off, but the server does not offer it"
            raise ConnectFailed("enable", reason, cause="not-offered")
        resume = " resume='true'" if management.resume else ""
        self._write(f"<enable xmlns='{ns.SM}'{resume}/>")
        while True:
            answer = yield
            if isinstance(answer, Element) and answer.ns == ns.CLIENT:
                self._effects.append(answer)
                continue
            if not isinstance(answer, Element) or answer.ns != ns.SM or answer.name not in ("enabled", "failed"):
                raise ConnectFailed("enable", "the server answers neither yes nor no", _brief(answer), cause="nonsense")
            break
        if answer.name == "failed":
            condition = next((child.name for child in answer), "")
            cause = _known(condition, STANZA_ERRORS)
            raise ConnectFailed("enable", "the server refused stream management", condition, cause=cause)
        ident = answer.get("id", "") if answer.get("resume") in ("true", "1") else ""
        if management.resume and not ident:
            reason = "xmpp_stream_management is resume, but the server does not let sessions be resumed"
            raise ConnectFailed("enable", reason, cause="not-offered")
        timeout = answer.get("max", "")
        management.enabled(ident, int(timeout) if timeout.isascii() and timeout.isdigit() else None, self.jid)
        return State.MANAGED

    def _ask(self, ident: str, payload: str) -> Generator[None, Incoming, Element]:
        """Send an iq set to the server, return its result; other stanzas pass by. Raises IqError."""
        self._write(f"<iq type='set' id='{ident}'>{payload}</iq>")
        while True:
            answer = yield
            if not isinstance(answer, Element):
                raise StreamError("policy-violation", "a new stream in the middle of the login", ours=True)
            if answer.name != "iq" or answer.get("id") != ident:
                self._effects.append(answer)
            elif answer.get("type") == "error":
                raise IqError(answer)
            else:
                return answer


_STEPS: Final[dict[str, Callable[[ClientStream, Element | None], Generator[None, Incoming, State]]]] = {
    "starttls": ClientStream._step_starttls,
    "sasl": ClientStream._step_sasl,
    "resume": ClientStream._step_resume,
    "bind": ClientStream._step_bind,
    "session": ClientStream._step_session,
    "enable": ClientStream._step_enable,
}


def _refused(failure: Element, mechanism: str, before: str) -> AuthFailed:
    condition, text = "", failure.findtext("text", default="") or before
    for child in failure:
        if child.name != "text":
            condition = child.name
    said = condition + (f", {text}" if text else "")
    cause = "downgrade" if text == "server-does-support-channel-binding" else _known(condition, SASL_ERRORS)
    return AuthFailed(f"{mechanism} was refused", said, mechanism=mechanism, condition=condition, cause=cause)


def _known(condition: str, conditions: frozenset[str]) -> str:
    """The condition as a cause: a server must not be able to make up names of metrics."""
    return condition if condition in conditions else "other"


def _brief(incoming: Incoming) -> str:
    """What came, in a few words for an error message."""
    if isinstance(incoming, Element):
        return str(incoming)[:200]
    return "a stream header" if incoming is not None else "nothing"
