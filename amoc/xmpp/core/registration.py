"""Making an account on a stream that has not logged in (XEP-0077 2.4, 3.1): what is sent, and the negotiation."""

from collections.abc import Generator, Mapping

from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.effects import Ready
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.features import State
from amoc.xmpp.core.framing import DOCUMENT, Framing
from amoc.xmpp.core.login import ClientStream, Login
from amoc.xmpp.core.management import Management
from amoc.xmpp.core.parser import MAX_STANZA_SIZE
from amoc.xmpp.core.stream import Incoming, Negotiation
from amoc.xmpp.errors import IqError

__all__ = ["NS", "RegistrationStream", "query"]

NS = "jabber:iq:register"


def query(fields: Mapping[str, str]) -> Element:
    """What asks for an account with these fields: username, password, email, …"""
    return Element(f"{{{NS}}}query", *(Element(name, value) for name, value in fields.items()))


class RegistrationStream(ClientStream):
    """A stream that makes the account of `login`, over TLS if that is wanted, and goes no further.

    It is ready, with the bare address, when the account is there; `created` is False if it was before.
    """

    __slots__ = ("created",)

    def __init__(
        self,
        login: Login,
        max_stanza_size: int = MAX_STANZA_SIZE,
        framing: Framing = DOCUMENT,
        *,
        secure: bool = False,
        management: Management | None = None,
    ) -> None:
        super().__init__(login, max_stanza_size, framing, secure=secure, management=management)
        self.created = False

    def _negotiate(self) -> Negotiation:
        features = yield from self._open()
        if State.SECURE not in self.state:
            self.step = "starttls"
            if (yield from self._step_starttls(features.find("starttls", ns.TLS))):
                self.state |= State.SECURE
                self.ended("tls")
                yield from self._open()
        self.step = "register"
        self.created = yield from self._register()
        self.ended("register")
        self.step = "ready"
        self._effects.append(Ready(f"{self._login.username}@{self._login.domain}"))

    def _register(self) -> Generator[None, Incoming, bool]:
        wanted = query({"username": self._login.username, "password": self._login.password})
        try:
            yield from self._ask("register", str(wanted))
        except IqError as error:
            if error.condition != "conflict":
                raise
            return False
        return True
