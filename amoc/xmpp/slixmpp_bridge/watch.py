"""What can be seen of slixmpp's login from outside: its steps, timed, and why it fails, in the words of `amoc.xmpp`.

slixmpp tells neither: it tries a weaker mechanism after a refusal, goes on without TLS where there is none, takes a
refused session for a session, and waits for ever where the server does not say what it should. So each element is
looked at before slixmpp is given it.
"""

from typing import Final
from xml.etree.ElementTree import Element

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.conditions import SASL_ERRORS, STANZA_ERRORS, STREAM_ERRORS
from amoc.xmpp.core.sasl import PLUS, STRENGTH
from amoc.xmpp.errors import AuthFailed, ConnectFailed, StreamError, XmppError
from amoc.xmpp.settings import Options
from amoc.xmpp.waterfall import Waterfall

__all__ = ["LoginWatch", "mechanisms", "stream_error"]

_HEADER: Final = f"{{{ns.STREAM}}}stream"
_FEATURES: Final = f"{{{ns.STREAM}}}features"
_ERROR: Final = f"{{{ns.STREAM}}}error"
_STARTTLS: Final = f"{{{ns.TLS}}}starttls"
_SUCCESS: Final = f"{{{ns.SASL}}}success"
_SASL: Final = (f"{{{ns.SASL}}}challenge", _SUCCESS)
_PROCEED: Final = f"{{{ns.TLS}}}proceed"
_BIND: Final = f"{{{ns.BIND}}}bind"
_SESSION: Final = f"{{{ns.SESSION}}}session"
_IQ: Final = f"{{{ns.CLIENT}}}iq"


def mechanisms(options: Options) -> set[str]:
    """The SASL mechanisms that slixmpp may take, of which it takes the strongest that is offered."""
    if options.sasl:
        return {options.sasl}
    return {*STRENGTH, *PLUS} | ({"EXTERNAL"} if options.client_certificate else set())


class LoginWatch:
    """One login. `step` is the one under way; `mechanism` is the SASL mechanism that slixmpp has taken, once it has."""

    __slots__ = ("_authenticated", "_options", "_secure", "_wants_session", "mechanism", "step", "waterfall")

    def __init__(self, options: Options, *, secure: bool) -> None:
        self._options = options
        self._secure = secure  # TLS is on
        self._authenticated = False
        self._wants_session = False
        self.mechanism = ""
        self.step = "resolve"
        self.waterfall = Waterfall()

    def __repr__(self) -> str:
        return f"<LoginWatch {self.step} {self.waterfall!r}>"

    def ended(self, step: str) -> None:
        """A step has ended."""
        self.waterfall.ended(step)

    def went_on(self, step: str) -> None:
        """The step under way has ended, `step` is the next one."""
        self.waterfall.ended(self.step)
        self.step = step

    def connected(self) -> None:
        """The connection is there, or STARTTLS is done."""
        self._secure = self._secure or self.step == "tls"
        self.went_on("stream")

    def authenticated(self) -> None:
        """SASL is done, the server has proved what it can prove."""
        self._authenticated = True
        self.went_on("stream")

    def opened(self, header: Element) -> ConnectFailed | None:
        """The server has opened its stream; what is wrong with that, if anything."""
        if header.tag != _HEADER or self.step != "stream":
            return self._nonsense("the answer is no XMPP stream" if self.step == "stream" else "a new stream")
        if header.get("version", "0.9").partition(".")[0] in ("", "0"):
            return self._nonsense("the server does not speak XMPP 1.0")
        self.went_on("features")
        return None

    def see(self, element: Element) -> ConnectFailed | None:
        """The server has sent an element; why the login cannot go on, if so. slixmpp must not see it then."""
        tag, step = element.tag, self.step
        if tag == _ERROR:
            return self._ended_by(stream_error(element))
        if step == "tls":
            return self._nonsense(f"{_brief(element)} before TLS is on")
        if step in ("stream", "features"):
            return self._features(element) if tag == _FEATURES else self._nonsense(f"{_brief(element)} before features")
        if step == "starttls":
            return self._proceed(element)
        if step == "sasl":
            return self._sasl(element)
        if step in ("bind", "session") and tag == _IQ and element.get("type") in ("result", "error"):
            return self._answered(element)
        return None

    def without_mechanism(self) -> AuthFailed:
        """There are mechanisms that the server offers and the settings allow, but slixmpp cannot use them here."""
        allowed = " ".join(sorted(mechanisms(self._options)))
        reason = f"slixmpp cannot use {allowed} here: of channel bindings it has only tls-unique, up to TLS 1.2"
        return AuthFailed(reason, cause="not-offered")

    def handled_badly(self, element: Element, error: Exception) -> ConnectFailed:
        """Given an element, slixmpp has raised."""
        if element.tag == _SUCCESS:
            return self._unproved()
        failed = self._nonsense(f"{_brief(element)}: {type(error).__name__} {error}".rstrip())
        if self.step == "sasl":
            failed = AuthFailed(failed.reason, mechanism=self.mechanism, cause=failed.cause)
        failed.__cause__ = error
        return failed

    def given_up(self, reason: str) -> ConnectFailed:
        """slixmpp, or a handler of the scenario, has ended the connection."""
        if self.step == "sasl":
            if self.mechanism:
                return self._unproved()
            reason = "slixmpp does not take the user name or the password: they are no text that SASL has (RFC 4013)"
        return ConnectFailed(self.step, reason or "slixmpp has given up", cause="given-up")

    def failed(self, error: XmppError) -> ConnectFailed:
        """What would have ended a session has ended the login."""
        if isinstance(error, StreamError):
            return self._nonsense(f"{error.condition}, {error.text}")
        failed = ConnectFailed(self.step, error.what(), cause="given-up")
        failed.__cause__ = error.__cause__
        return failed

    def lost(self, error: BaseException | None, reason: str) -> ConnectFailed:
        """The connection is gone."""
        return ConnectFailed(self.step, reason, cause="closed" if error is None else "lost")

    # -- one function for each kind of element -------------------------------------------------------------

    def _features(self, features: Element) -> ConnectFailed | None:
        self.went_on("sasl")
        tls, policy = features.find(_STARTTLS), self._options.tls
        if not self._secure and not self._authenticated:
            if policy == "never":
                if tls is not None and tls.find(f"{{{ns.TLS}}}required") is not None:
                    reason = "the server requires TLS, but xmpp_tls is never"
                    return ConnectFailed("starttls", reason, cause="required")
            elif tls is not None:
                self.step = "starttls"
                return None
            elif policy == "required":
                reason = "xmpp_tls is required, but the server does not offer TLS"
                return ConnectFailed("starttls", reason, cause="not-offered")
        if not self._authenticated:
            return self._offered([item.text or "" for item in features.iter(f"{{{ns.SASL}}}mechanism")])
        self.step = "bind"
        if features.find(_BIND) is None:
            return ConnectFailed("bind", "the server does not offer to bind a resource", cause="not-offered")
        session = features.find(_SESSION)
        # offered without <optional/> the server answers nothing before it (MongooseIM)
        self._wants_session = session is not None and session.find(f"{{{ns.SESSION}}}optional") is None
        return None

    def _offered(self, names: list[str]) -> ConnectFailed | None:
        allowed = mechanisms(self._options)
        if not allowed.isdisjoint(names):
            return None
        listed = " ".join(names) or "nothing"
        if self._options.sasl:
            reason = f"xmpp_sasl is {self._options.sasl}, but the server offers {listed}: no weaker one is tried"
        else:
            reason = f"no mechanism in common: the server offers {listed}, slixmpp may use {' '.join(sorted(allowed))}"
        return AuthFailed(reason, cause="not-offered")

    def _proceed(self, element: Element) -> ConnectFailed | None:
        if element.tag != _PROCEED:
            reason = "the server offers TLS, but does not start it"
            return ConnectFailed("starttls", reason, _brief(element), cause="nonsense")
        self.went_on("tls")
        return None

    def _sasl(self, element: Element) -> ConnectFailed | None:
        if element.tag == f"{{{ns.SASL}}}failure":
            return self._refused(element)
        if element.tag in _SASL or element.tag == _IQ:  # an iq: slixmpp can register the account before (XEP-0077)
            return None
        reason = f"{_brief(element)} instead of an answer to {self.mechanism or 'nothing'}"
        return AuthFailed(reason, mechanism=self.mechanism, cause="nonsense")

    def _refused(self, failure: Element) -> AuthFailed:
        condition, text = _condition(failure)
        cause = "downgrade" if text == "server-does-support-channel-binding" else _known(condition, SASL_ERRORS)
        return AuthFailed(
            f"{self.mechanism} was refused",
            _said(condition, text),
            mechanism=self.mechanism,
            condition=condition,
            cause=cause,
        )

    def _unproved(self) -> AuthFailed:
        reason = f"{self.mechanism}: the server claims success without proving that it knows the password"
        return AuthFailed(reason, mechanism=self.mechanism, cause="unproved")

    def _answered(self, iq: Element) -> ConnectFailed | None:
        if iq.get("type") == "error":
            error = iq.find(f"{{{ns.CLIENT}}}error")
            condition, text = _condition(error) if error is not None else ("undefined-condition", "")
            cause = _known(condition, STANZA_ERRORS)
            return ConnectFailed(self.step, "the server refused", _said(condition, text), cause=cause)
        if self.step == "bind":
            jid = iq.findtext(f"{_BIND}/{{{ns.BIND}}}jid") or ""
            if "@" not in jid or "/" not in jid:
                return ConnectFailed("bind", f"the server bound no full address, but {jid!r}", cause="nonsense")
        self.went_on("session" if self.step == "bind" and self._wants_session else "ready")
        return None

    def _ended_by(self, error: StreamError) -> ConnectFailed:
        said, cause = _said(error.condition, error.text), _known(error.condition, STREAM_ERRORS)
        return ConnectFailed(self.step, "the server ended the stream with an error", said, cause=cause)

    def _nonsense(self, what: str) -> ConnectFailed:
        return ConnectFailed(self.step, f"the server sent what makes no sense here: {what}", cause="nonsense")


def stream_error(element: Element) -> StreamError:
    """What a <stream:error/> says."""
    return StreamError(*_condition(element))


def _condition(parent: Element) -> tuple[str, str]:
    """The defined condition and the text in an error element of any kind."""
    condition, text = "undefined-condition", ""
    for child in parent:
        namespace, _, name = child.tag[1:].partition("}")
        if name == "text":
            text = child.text or ""
        elif namespace in (ns.STREAMS, ns.SASL, ns.STANZAS):
            condition = name
    return condition, text


def _said(condition: str, text: str) -> str:
    return condition + (f", {text}" if text else "")


def _known(condition: str, conditions: frozenset[str]) -> str:
    """The condition as a cause: a server must not be able to make up names of metrics."""
    return condition if condition in conditions else "other"


def _brief(element: Element) -> str:
    """What came, in a few words for an error message."""
    return f"<{element.tag.rpartition('}')[2][:100]}/>"
