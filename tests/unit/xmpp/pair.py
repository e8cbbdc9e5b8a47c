"""A client's stream and a server's, wired together without sockets; bytes are cut up on the way."""

from collections.abc import Callable, Iterable

from amoc.xmpp.core.accept import Policy, ServerStream
from amoc.xmpp.core.effects import Effect, Ended, Ready, StartTls, Write
from amoc.xmpp.core.element import Element
from amoc.xmpp.core.login import ClientStream, Login
from amoc.xmpp.core.stream import Stream
from amoc.xmpp.errors import XmppError

__all__ = ["CROW", "OPEN", "Pair", "whole"]

OPEN = Policy()
CROW = Login(domain="localhost", username="crow", password="secret", resource="tree")

Cut = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> Iterable[bytes]:
    """All at once."""
    return [data]


class End:
    """One side, and what has happened to it."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        stream.deliver = self._deliver
        self.sent = b""
        self.ready = ""
        self.stanzas: list[Element] = []
        self.tls = False
        self.ended = False
        self.error: XmppError | None = None

    def _deliver(self, stanza: Element) -> None:
        self.stanzas.append(stanza)


class Pair:
    """Both sides after as much of a login as was possible."""

    def __init__(
        self,
        login: Login = CROW,
        policy: Policy = OPEN,
        cut: Cut = whole,
        client: ClientStream | None = None,
        server: ServerStream | None = None,
    ) -> None:
        self.client = End(client or ClientStream(login))
        self.server = End(server or ServerStream(policy))
        self._cut = cut
        self._pump((self.client, self.client.stream.start()), (self.server, self.server.stream.start()))

    def send(self, end: End, data: bytes) -> None:
        """`end` writes `data`; all that follows from that happens."""
        self._pump((end, [Write(data)]))

    def other(self, end: End) -> End:
        """The opposite side."""
        return self.server if end is self.client else self.client

    def _pump(self, *work: tuple[End, list[Effect]]) -> None:
        todo = [(end, effect) for end, effects in work for effect in effects]
        while todo:
            end, effect = todo.pop(0)
            if isinstance(effect, Write):
                end.sent += effect.data
                other = self.other(end)
                for piece in self._cut(effect.data):
                    todo += [(other, following) for following in other.stream.receive(piece)]
            elif isinstance(effect, StartTls):
                end.tls = True
                if self.client.tls and self.server.tls:
                    for upgraded in (self.server, self.client):
                        todo += [(upgraded, following) for following in upgraded.stream.tls_started()]
            elif isinstance(effect, Ready):
                end.ready = effect.jid
            elif isinstance(effect, Ended):
                assert not end.ended
                end.ended, end.error = True, effect.error
            else:
                end.stanzas.append(effect)
