"""What scenarios use: one user's connection to its server.

    async with connect(user_id) as client:
        client.send_presence()
        client.send_message(jid_of(user_id + 1), "hello")
        stanza = await client.receive("message", timeout=5)

A client belongs to the task that opened it. Its sends are plain calls: what is sent within a tick of the loop
leaves in one write. Nothing here makes a task; what waits are futures, and they are gone when whoever waits is
cancelled. Its layers are modules of their own: `session`, `sending`, `asking`, `receiving`.

Counted, besides what `connecting` counts: `xmpp.disconnected` (sessions that the scenario did not end itself),
`xmpp.inbox_overflow` (stanzas dropped because nobody received them), `xmpp.answers_dropped` (answers to requests
that a server which does not read was not sent).
"""

from amoc.xmpp.core.management import Management
from amoc.xmpp.errors import Disconnected, XmppError
from amoc.xmpp.receiving import Handler, Receiving
from amoc.xmpp.session import News

__all__ = ["Client", "Handler", "News"]


class Client(Receiving):
    """A user's session. Made by `connect`; `jid` is its full address, `user_id` the user's number."""

    __slots__ = ()

    @property
    def management(self) -> Management | None:
        """The counters of stream management (XEP-0198), None when the setting xmpp_stream_management is off."""
        return None

    async def resume(self) -> bool:
        """Connect again, cutting the connection if there still is one.

        True if the session goes on where it was (XEP-0198): what the server had not acknowledged is sent again, in
        front of everything else. False if it is a new one, because the setting xmpp_stream_management is not
        "resume", or because the server did not let the old one go on: presence and the like are to be sent again.
        The inbox and the handlers stay; who waited has been given Disconnected. Raises ConnectFailed: there is no
        connection then, and `resume` may be tried again.
        """
        from amoc.xmpp.connecting import log_in  # which imports this module

        self.kill()
        jid = self.jid
        self._begin_again()
        try:
            await log_in(self)
        except BaseException as error:
            self.jid = jid
            self._connection = None
            self._leaving = True
            self._over(error if isinstance(error, XmppError) else Disconnected("not connected"))
            raise
        return False
