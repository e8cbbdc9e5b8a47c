"""How a user's session sends: plain calls, and what is sent within a tick of the loop leaves in one write."""

import itertools
import secrets
from time import perf_counter
from typing import Final

from amoc.xmpp.core.element import Element
from amoc.xmpp.core.escape import escape, needs_escape
from amoc.xmpp.errors import InvalidXml, SendOverflow, XmppError
from amoc.xmpp.session import Session
from amoc.xmpp.settings import Options

__all__ = ["ID_PREFIX", "REFLECTED", "Sending", "ids"]

# The id of a stanza: this, and the next of `ids`. Ids differ between the processes of a test.
ID_PREFIX: Final = secrets.token_hex(4) + "-"
ids = itertools.count(1)

NOT_SENT, REFLECTED = 0.0, -1.0


class Sending(Session):
    """The layer that sends."""

    __slots__ = ("_presence",)

    def __init__(self, user_id: int, options: Options) -> None:
        super().__init__(user_id, options)
        self._presence = NOT_SENT  # when the first one left, until the server has reflected it

    def send(self, stanza: Element | str | bytes) -> None:
        """Send an element, or XML as text or bytes, as it is.

        Raises Disconnected, SendOverflow (the server does not read), InvalidXml.
        """
        if not isinstance(stanza, bytes):
            try:
                stanza = stanza.encode()
            except ValueError as error:
                raise self._unsendable(error) from None
        self._transmit(stanza)

    def _transmit(self, stanza: bytes) -> None:
        """Send one stanza, or what is none."""
        connection = self._connection
        if self._reason is not None or connection is None:
            raise self._error()
        try:
            connection.send(stanza)
        except SendOverflow as error:
            error.who = self.who
            raise

    def send_presence(self, type: str | None = None, to: str | None = None) -> None:
        """Send a presence: available, to everybody who is subscribed, unless told otherwise.

        The first available one is timed until the server reflects it (RFC 6121, 4.2.2): amoc.times.login.presence.
        """
        try:
            attributes = (f" type='{escape(type)}'" if type else "") + (f" to='{escape(to)}'" if to else "")
        except InvalidXml as error:
            raise self._named(error) from None
        if self._presence == NOT_SENT and not type and not to:
            self._presence = perf_counter()
        self._transmit(f"<presence{attributes}/>".encode())

    def send_message(self, to: str, body: str, *, type: str = "chat", id: str | None = None, extra: str = "") -> str:
        """Send a message, return its id. `extra` is XML to stand behind its body, as it is."""
        if id is None:
            id = f"{ID_PREFIX}{next(ids)}"
        if needs_escape(f"{to}{type}{id}{body}"):  # one search costs less than four
            try:
                to, type, written, body = map(escape, (to, type, id, body))
            except InvalidXml as error:
                raise self._named(error) from None
        else:
            written = id
        self._transmit(f"<message to='{to}' type='{type}' id='{written}'><body>{body}</body>{extra}</message>".encode())
        return id

    async def acknowledged(self, timeout: float | None = None) -> None:
        """Wait until the server has acknowledged all that was sent so far: see `ManagedClient`."""
        raise ValueError("nothing is acknowledged while xmpp_stream_management is off")

    async def drain(self) -> None:
        """Wait until the server has read most of what was sent. Raises Disconnected."""
        if self._connection is not None:
            await self._connection.drain()
        if self._reason is not None:
            raise self._error()

    def _unsendable(self, error: ValueError) -> XmppError:
        """What to raise for something that cannot be encoded."""
        if isinstance(error, UnicodeEncodeError):  # half a surrogate pair
            wrong = f"U+{ord(error.object[error.start]):04X} at position {error.start}"
            error = InvalidXml(f"{wrong} cannot be sent in XML: remove it")
        assert isinstance(error, InvalidXml)
        return self._named(error)

    def _begin_again(self) -> None:
        super()._begin_again()
        self._presence = NOT_SENT
