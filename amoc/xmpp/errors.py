"""What can go wrong between a user and its server.

XmppError
├── ConnectFailed     the login did not get through: .step says where, .said what the server said
│   └── AuthFailed    ... because of SASL: refused, no acceptable mechanism, or the server proved nothing
├── Disconnected      there is no connection (any more)
│   └── StreamError   ... because the stream ended in an error, theirs or ours: .condition, .text, .ours
├── StanzaError       somebody answered with an error stanza: .type, .condition, .text, .stanza
│   └── IqError       ... to an iq
├── XmppTimeout       the server did not say in time what was waited for (also a TimeoutError)
│   ├── IqTimeout
│   └── ReceiveTimeout
├── SendOverflow      the server does not read; what waits to be written has reached its limit
└── InvalidXml        what the scenario wanted to send is not XML (also a ValueError)

The users of `amoc.xmpp.slixmpp_bridge` are given the same. Only InvalidXml is the caller's own mistake; the others
come from outside. `user` and `server` are filled
in by the client, so that every message names them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amoc.xmpp.core.element import Element

__all__ = [
    "AuthFailed",
    "ConnectFailed",
    "Disconnected",
    "InvalidXml",
    "IqError",
    "IqTimeout",
    "ReceiveTimeout",
    "SendOverflow",
    "StanzaError",
    "StreamError",
    "XmppError",
    "XmppTimeout",
]


class XmppError(Exception):
    """Base of every error of `amoc.xmpp`. `who` says which user it happened to, once that is known."""

    who = ""

    def what(self) -> str:
        """What happened, without saying to whom."""
        return ", ".join(str(arg) for arg in self.args)

    def __str__(self) -> str:
        return f"{self.who}: {self.what()}" if self.who else self.what()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)  # copies and pickles, whatever __init__ takes


def _rebuild(kind: type[XmppError], args: tuple[object, ...], state: dict[str, object]) -> XmppError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ConnectFailed(XmppError):
    """The login did not get through.

    `step` is one of resolve, connect, tls, websocket, stream, features, starttls, sasl, resume, bind, session,
    enable; `reason` is what went wrong; `said` is what the server said, if it said something. `cause` is a word
    to count it by: the server's error condition, or one of closed (by the server), nonsense (what the server sent
    makes none), not-offered, downgrade, unproved (the server has not proved that it knows the password), timeout,
    http-404 and the like, given-up (by a slixmpp client: see `slixmpp_bridge`); "" when the exception that this one
    comes from says it.
    """

    def __init__(self, step: str, reason: str, said: str = "", *, cause: str = "") -> None:
        super().__init__(step, reason, said)
        self.step = step
        self.reason = reason
        self.said = said
        self.cause = cause

    def what(self) -> str:  # noqa: D102 - inherited
        said = f" (the server said: {self.said})" if self.said else ""
        return f"login failed at step {self.step}: {self.reason}{said}"


class AuthFailed(ConnectFailed):
    """SASL failed: credentials refused, no acceptable mechanism, or a server that cannot prove itself.

    `mechanism` is the one that was tried ("" if none), `condition` the server's (RFC 6120, 6.5), or "".
    """

    def __init__(
        self, reason: str, said: str = "", *, mechanism: str = "", condition: str = "", cause: str = ""
    ) -> None:
        super().__init__("sasl", reason, said, cause=cause)
        self.mechanism = mechanism
        self.condition = condition


class Disconnected(XmppError):
    """There is no connection: it was lost, closed by the server, or closed by the scenario itself."""


class StreamError(Disconnected):
    """The stream ended in an error (RFC 6120, 4.9): the server's, or ours about what the server sent.

    `condition` is a defined condition such as "conflict", `text` its explanation or "".
    """

    def __init__(self, condition: str, text: str = "", *, ours: bool = False) -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text
        self.ours = ours

    def what(self) -> str:  # noqa: D102 - inherited
        blame = "stream ended because of what the peer sent" if self.ours else "stream error from the server"
        return f"{blame}: {self.condition}" + (f" ({self.text})" if self.text else "")


class StanzaError(XmppError):
    """An error stanza (RFC 6120, 8.3). `type` is cancel, continue, modify, auth or wait."""

    def __init__(self, stanza: "Element") -> None:
        super().__init__(stanza)
        error = stanza.find("error")
        self.stanza = stanza
        self.type = error.get("type", "") if error is not None else ""
        self.condition = "undefined-condition"
        self.text = ""
        for child in error or ():
            if child.name == "text":
                self.text = child.text
            elif child.ns == "urn:ietf:params:xml:ns:xmpp-stanzas":
                self.condition = child.name

    def what(self) -> str:  # noqa: D102 - inherited
        sender = self.stanza.get("from") or "the server"
        text = f" ({self.text})" if self.text else ""
        return f"{self.stanza.name} {self.stanza.get('id', '')}: {sender} answered {self.condition}{text}"


class IqError(StanzaError):
    """The answer to an iq was an error. `asked` is the name of what the iq held, such as "ping"."""

    def __init__(self, stanza: "Element", asked: str = "") -> None:
        super().__init__(stanza)
        self.asked = asked

    def what(self) -> str:  # noqa: D102 - inherited
        sender = self.stanza.get("from") or "the server"
        asked = f" ({self.asked})" if self.asked else ""
        text = f" ({self.text})" if self.text else ""
        return f"iq {self.stanza.get('id', '')}{asked}: {sender} answered {self.condition}{text}"


class XmppTimeout(XmppError, TimeoutError):
    """What was waited for did not come in time."""


class IqTimeout(XmppTimeout):
    """No answer to an iq in time."""


class ReceiveTimeout(XmppTimeout):
    """No (matching) stanza in time."""


class SendOverflow(XmppError):
    """The server does not read: what waits to be written has reached its limit."""


class InvalidXml(XmppError, ValueError):
    """What should be sent is not XML: a bad name, or a character that XML cannot carry."""
