"""What a user's session asks and is asked: iqs and their answers, and pings that show that the server is there."""

import asyncio

from amoc import metrics
from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.element import Element
from amoc.xmpp.errors import Disconnected, IqError, IqTimeout, SendOverflow
from amoc.xmpp.keepalive import Keepalive
from amoc.xmpp.questions import Questions, automatic_answer, recording
from amoc.xmpp.sending import ID_PREFIX, Sending, ids
from amoc.xmpp.settings import Options
from amoc.xmpp.transport.tcp import TcpConnection

__all__ = ["Asking"]


class Asking(Sending):
    """The layer that asks."""

    __slots__ = ("_keepalive", "_questions")

    def __init__(self, user_id: int, options: Options) -> None:
        super().__init__(user_id, options)
        self._questions: Questions | None = None
        self._keepalive: Keepalive | None = None

    async def iq(
        self,
        stanza: Element | str,
        to: str | None = None,
        payload: Element | None = None,
        *,
        timeout: float | None = None,
        timed: str | None = None,
    ) -> Element:
        """Send an iq and return its result: `iq(element)`, or `iq("get", to, payload)`.

        `timeout` in seconds, default the setting xmpp_iq_timeout. `timed` names a histogram that is given the
        microseconds from the sending to the result's arrival. Raises IqError for an error in answer, IqTimeout,
        Disconnected.
        """
        if isinstance(stanza, str):
            stanza = Element("iq", {"type": stanza, "to": to}, *([payload] if payload is not None else ()))
        if stanza.name != "iq" or stanza.get("type") not in ("get", "set"):
            raise ValueError(f"only an iq of type get or set is answered, not {stanza!r}")
        stanza.attrs.setdefault("id", ID_PREFIX + str(next(ids)))
        try:
            seconds = self._options.iq_timeout if timeout is None else timeout
            arrived = None if timed is None else recording(timed)
            answer = await self._asked().ask(stanza, self.send, seconds, arrived)
        except IqTimeout as error:
            error.who = self.who
            raise
        if answer.get("type") == "error":
            raise self._named(IqError(answer, asked=next((child.name for child in stanza), "")))
        return answer

    def _asked(self) -> Questions:
        if self._questions is None:
            self._questions = Questions()
        return self._questions

    def _answer(self, stanza: Element) -> None:
        """Answer a request that nobody here wants."""
        if self.connected:
            try:
                self._transmit(automatic_answer(stanza, self.jid).encode())
            except SendOverflow:
                metrics.increment("xmpp.answers_dropped")

    def _deny(self) -> None:
        if self._keepalive is not None:
            self._keepalive.stop()
            self._keepalive = None
        if self._questions is not None:
            self._questions.fail(self._error)

    # -- signs of life ---------------------------------------------------------------------------------

    def on_ready(self, jid: str) -> None:
        """The login is done."""
        self.jid = jid
        if self._options.keepalive:
            self._keepalive = Keepalive(self._options.keepalive, self._sign, self._silent)
        self._tell("ready")

    def _sign(self) -> "asyncio.Future[Element] | None":
        """Send a sign of life; its answer to come, if it has one. Raises SendOverflow."""
        if self._options.keepalive_by == "whitespace" and type(self._connection) is TcpConnection:
            self._connection.send(b" ")
            return None
        ping = Element("iq", {"type": "get", "id": ID_PREFIX + str(next(ids))}, Element(f"{{{ns.PING}}}ping"))
        return self._asked().put(ping, self.send)

    def _silent(self) -> None:
        """The server has not answered a ping: it is gone."""
        connection, self._connection = self._connection, None
        self._over(Disconnected(f"the server did not answer a ping within {self._options.keepalive:g} s"))
        if connection is not None:
            connection.abort()
