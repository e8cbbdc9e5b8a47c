"""A client whose session is managed (XEP-0198): what it sends is acknowledged, and sent again after a resumption.

`connect` makes one when the setting xmpp_stream_management is not off; a client without pays nothing for it.

Counted, in stanzas: `xmpp.sm.acknowledged`, `xmpp.sm.resent` (after a resumption, because the server had not
acknowledged them), `xmpp.sm.lost` (sent, and never acknowledged: the session is over); in sessions: `xmpp.sm.resumed`,
and `xmpp.sm.refused`, which the server did not let go on.
"""

import asyncio
from collections.abc import Iterable
from types import TracebackType

from amoc import metrics
from amoc.xmpp.client import Client
from amoc.xmpp.core import namespaces as ns
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.management import Management
from amoc.xmpp.core.parser import BadXml, parse_elements
from amoc.xmpp.core.stream import stream_error
from amoc.xmpp.errors import Disconnected, InvalidXml, ReceiveTimeout, SendOverflow, StreamError, XmppError
from amoc.xmpp.inbox import forget
from amoc.xmpp.settings import Options

__all__ = ["ManagedClient"]


class ManagedClient(Client):
    """A client that counts."""

    __slots__ = ("_counted", "_early", "_management", "_ready", "_settling")

    def __init__(self, user_id: int, options: Options) -> None:
        super().__init__(user_id, options)
        self._management = Management(resume=options.stream_management == "resume", every=options.ack_every)
        self._ready = False  # the login is done
        self._early: list[Element] = []  # stanzas that came before: an answer to one would not be counted right
        self._counted = (0, 0)  # acknowledged and lost, as far as the metrics know
        self._settling: list[tuple[int, asyncio.Future[None]]] = []  # who waits for so many acknowledgements

    @property
    def management(self) -> Management:
        """The counters of the session."""
        return self._management

    # -- sending ---------------------------------------------------------------------------------------

    def send(self, stanza: Element | str | bytes) -> None:
        """Send an element, or XML as text or bytes: whole elements, since they are counted.

        Raises Disconnected, SendOverflow (the server does not read, or does not acknowledge), InvalidXml.
        """
        try:
            data = stanza if isinstance(stanza, bytes) else stanza.encode()
        except ValueError as error:
            raise self._unsendable(error) from None
        if isinstance(stanza, Element):
            self._send_element(stanza, data)
            return
        try:
            elements = list(_elements(data, self._options.max_stanza_size))
        except InvalidXml as error:
            raise self._named(error) from None
        if len(elements) == 1:
            self._send_element(elements[0], data)
            return
        for element in elements:
            self._send_element(element, element.encode())

    async def acknowledged(self, timeout: float | None = None) -> None:
        """Wait until the server has acknowledged all that was sent so far.

        Raises ReceiveTimeout after `timeout` seconds (default: xmpp_iq_timeout), Disconnected.
        """
        if not self.connected:
            raise self._error()
        if not self._management:
            return
        self._say(self._management.ask())
        entry = (self._management.acknowledged + len(self._management), asyncio.get_running_loop().create_future())
        self._settling.append(entry)
        seconds = self._options.iq_timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(seconds):
                await entry[1]
        except TimeoutError:
            waiting = f"{len(self._management)} stanzas were not acknowledged within {seconds:g} s"
            raise self._named(ReceiveTimeout(waiting)) from None
        finally:
            forget(entry[1])
            if entry in self._settling:
                self._settling.remove(entry)

    def _send_element(self, element: Element, data: bytes) -> None:
        if element.ns is None or element.ns == ns.CLIENT:
            self._transmit(data)
        else:
            super()._transmit(data)  # not a stanza: nobody counts it

    def _transmit(self, stanza: bytes) -> None:
        management = self._management
        try:
            management.room(stanza)
        except SendOverflow as error:
            raise self._named(error) from None
        super()._transmit(stanza)
        if management.sent(stanza):
            self._say(management.ask())

    def _say(self, data: bytes) -> None:
        """Send what is not counted. A server that does not read is found out by the next stanza."""
        if self._connection is not None and not self._leaving:
            try:
                self._connection.send(data)
            except SendOverflow:
                pass

    # -- ending ----------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Say goodbye, once what was handled is acknowledged on both sides, and close the connection.

        The session is over for good: what the server has not acknowledged by then is lost.
        """
        try:
            if self.connected and self._management:
                try:  # behind the goodbye the answer might not come: over BOSH it does not
                    await self.acknowledged(self._options.close_timeout)
                except (ReceiveTimeout, Disconnected):
                    pass
            if self.connected:
                self._say(self._management.answer())
            await super().close()
        finally:
            self._give_up()

    def kill(self) -> None:
        """Cut the connection without a word; a session that can be resumed waits for `resume` or `close`."""
        super().kill()
        if not self._management.ident:
            self._give_up()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            self._give_up()

    async def resume(self) -> bool:
        """Connect again and go on with the session, as `Client.resume`."""
        ident = self._management.ident
        try:
            await super().resume()
        finally:
            self._count()
            if ident and not self._management.resumed and self._management.ident != ident:
                metrics.increment("xmpp.sm.refused")
        return self._management.resumed

    # -- the connection's owner ------------------------------------------------------------------------

    def on_ready(self, jid: str) -> None:
        """The login is done: everything is counted from here on."""
        management = self._management
        self._ready = True
        if management.resumed:
            metrics.increment("xmpp.sm.resumed")
            again = management.unacknowledged()
            for data in again:
                super()._transmit(data)
            if again:
                metrics.increment("xmpp.sm.resent", len(again))
                self._say(management.ask())
        super().on_ready(jid)
        self._count()
        early, self._early = self._early, []
        for stanza in early:
            super().on_stanza(stanza)

    def on_stanza(self, stanza: Element) -> None:
        """Count a stanza, and hand it to who waits for it."""
        if not self._ready:
            self._early.append(stanza)
        elif stanza.ns == ns.SM:
            self._control(stanza)
        else:
            if self._management.received():
                self._say(self._management.answer())
            super().on_stanza(stanza)

    def _control(self, element: Element) -> None:
        management = self._management
        try:
            answer = management.control(element)
        except StreamError as error:
            connection, self._connection = self._connection, None
            self._over(error)
            if connection is not None:
                connection.close(stream_error(error.condition, error.text))
            return
        if answer:
            self._say(answer)
        self._count()
        for target, future in self._settling:
            if target <= management.acknowledged and not future.done():
                future.set_result(None)

    def _begin_again(self) -> None:
        super()._begin_again()
        self._ready = False
        self._early = []
        self._management.suspend()

    def _over(self, reason: XmppError) -> None:
        first = self._reason is None
        super()._over(reason)
        if first:
            for _, future in self._settling:
                if not future.done():
                    future.set_exception(self._error())
            if not self._leaving and not self._management.ident:
                self._give_up()

    def _give_up(self) -> None:
        """The session is over for good."""
        self._management.forget()
        self._count()

    def _count(self) -> None:
        management = self._management
        acknowledged, lost = self._counted
        self._counted = (management.acknowledged, management.lost)
        if management.acknowledged > acknowledged:
            metrics.increment("xmpp.sm.acknowledged", management.acknowledged - acknowledged)
        if management.lost > lost:
            metrics.increment("xmpp.sm.lost", management.lost - lost)


def _elements(data: bytes, limit: int) -> Iterable[Element]:
    """The elements that a scenario sends as text. Raises InvalidXml unless they are whole."""
    for event in parse_elements(data, limit):
        if isinstance(event, Element):
            yield event
        elif isinstance(event, BadXml):
            raise InvalidXml(f"with stream management only whole stanzas can be sent: {event.text}")
