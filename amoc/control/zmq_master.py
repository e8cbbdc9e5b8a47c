"""The master's bus between machines: PUB for commands, REP for requests, both behind CURVE and ZAP.

docs/control-protocol.md specifies it. Nothing here waits for a node: sockets are drained in the loop's callbacks,
a request is answered before the next one is read, and what a node does not take is dropped for that node alone.
"""

import errno
import logging
import time
from collections import Counter
from collections.abc import Callable

import zmq
from zmq.utils import z85

from amoc.control import messages, zap
from amoc.control.complaints import Complaints
from amoc.control.desired import Command, Desired
from amoc.control.gate import Refusal, admit
from amoc.control.keys import KeyPair
from amoc.control.limits import REPLY_LIMIT, REQUEST_LIMIT
from amoc.control.messages import Refused, Reply, Request, SnapshotReply
from amoc.control.zmq_sockets import FAILED_HANDSHAKES, Context, Drain, Monitor, Socket, bind, curve_server, endpoint
from amoc.errors import BadInput

__all__ = ["ZmqMasterBus"]

COMMANDS_QUEUED = 1000  # per slave; what is dropped beyond it comes with a snapshot
REQUESTS_QUEUED = 10  # per slave, which has one under way

_log = logging.getLogger(__name__)


class ZmqMasterBus:
    """Binds both ports of `host` in the running loop; port 0 takes a free one.

    `keys` is the master's pair; `owner_of` says which node a public key (32 bytes) belongs to, None: it may not
    connect. `say` gets a line for a person when something was refused, rarely. Raises BadInput when the address
    cannot be used.
    """

    def __init__(
        self,
        host: str,
        pub_port: int,
        rep_port: int,
        keys: KeyPair,
        owner_of: Callable[[bytes], str | None],
        say: Callable[[str], None] = _log.warning,
    ) -> None:
        self._owner_of = owner_of
        self._complaints = Complaints(say)
        self._context: Context = zmq.Context()
        self._monitors: list[Monitor] = []
        self._drains: list[Drain] = []
        self._snapshot: tuple[Desired, bytes] | None = None  # the last that was asked for, which nothing changes
        try:
            self._zap = self._context.socket(zmq.REP)
            self._zap.linger = 0
            self._zap.bind(zap.ENDPOINT)  # before anybody can connect
            self._drained(self._zap, self._decide)
            self._pub = self._listening(zmq.PUB, keys, COMMANDS_QUEUED)
            self._rep = self._listening(zmq.REP, keys, REQUESTS_QUEUED)
            self.pub_port = self._bound(self._pub, host, pub_port)
            self.rep_port = self._bound(self._rep, host, rep_port)
        except BaseException:
            self.close()
            raise
        self._host = host
        self._drained(self._pub, self._look)

    def __repr__(self) -> str:
        return f"<ZmqMasterBus {self._host}:{self.pub_port}, {self.rep_port}>"

    @property
    def refused(self) -> Counter[str]:
        """How often what was refused: key, handshake, accept, size, decode, owner, version."""
        return self._complaints.counts

    def publish(self, command: Command) -> None:
        """Send a command to all nodes that are connected; whoever misses it asks for a snapshot."""
        data = messages.encode(command)
        if len(data) > REPLY_LIMIT:
            self._complain("size", "", f"command {command.number} of {len(data)} bytes is not sent: too long")
            return
        self._pub.send(data, zmq.NOBLOCK)

    def serve(self, handler: Callable[[Request], Reply]) -> None:
        """Answer every request with what `handler` returns."""
        self._drained(self._rep, lambda: self._serve_one(handler))

    def close(self) -> None:
        """Close all sockets at once; calling it again changes nothing."""
        for monitor in self._monitors:
            monitor.close()
        for drain in reversed(self._drains):  # ZAP last
            drain.close()
        self._context.destroy(linger=0)

    # Sockets

    def _listening(self, kind: int, keys: KeyPair, queue: int) -> Socket:
        socket = curve_server(self._context, kind, keys, zap.DOMAIN, queue, REQUEST_LIMIT)
        self._monitors.append(Monitor(socket, FAILED_HANDSHAKES | zmq.EVENT_ACCEPT_FAILED, self._connection_failed))
        return socket

    def _bound(self, socket: Socket, host: str, port: int) -> int:
        try:
            return bind(socket, host, port)
        except zmq.ZMQError as error:
            raise BadInput(
                f"the master cannot listen on {endpoint(host, port)}: {error.strerror}; "
                "set control_host to an address of this machine and control_port to a free port"
            ) from None

    def _drained(self, socket: Socket, step: Callable[[], None]) -> None:
        self._drains.append(Drain(socket, step))

    def _look(self) -> None:
        """PUB has nothing to read; looking lets libzmq take in who has subscribed and who has gone."""
        _ = self._pub.events
        raise zmq.Again

    # Who may connect

    def _decide(self) -> None:
        decision = zap.decide(self._zap.recv_multipart(zmq.NOBLOCK), self._owner_of)
        self._zap.send_multipart(decision.reply, zmq.NOBLOCK)
        if decision.owner is None:
            key = z85.encode(decision.key).decode() if len(decision.key) == zap.KEY_SIZE else "none"
            self._complain(
                "key", key, f"a node at {decision.address} was turned away: its key {key} is in no file of keys_dir"
            )

    def _connection_failed(self, event: int, value: int) -> None:
        if event == zmq.EVENT_ACCEPT_FAILED:
            reason = errno.errorcode.get(value, str(value))
            text = f"a connection could not be accepted ({reason}): is the limit of open files too low?"
            self._complain("accept", "", text)
        elif event != zmq.EVENT_HANDSHAKE_FAILED_AUTH:  # those are counted, with their key, in _decide
            text = "a connection was ended: damaged, or its peer speaks no CURVE, or not with this master's key"
            self._complain("handshake", "", text)

    # Requests

    def _serve_one(self, handler: Callable[[Request], Reply]) -> None:
        frame = self._rep.recv(zmq.NOBLOCK, copy=False)
        frames, more = 1, frame.more
        while more:
            more = self._rep.recv(zmq.NOBLOCK, copy=False).more
            frames += 1
        owner = str(frame.get("User-Id"))
        if frames == 1:
            request = admit(frame.bytes, owner)
        else:
            request = Refusal("decode", f"a request of node {owner} has {frames} frames: the most is 1")
        self._rep.send(self._reply(request, owner, handler), zmq.NOBLOCK)

    def _reply(self, request: Request | Refusal, owner: str, handler: Callable[[Request], Reply]) -> bytes:
        """The answer. There is one to everything: REP takes the next request only afterwards."""
        if isinstance(request, Refusal):
            self._complain(request.kind, owner, request.reason)
            return messages.encode(Refused(request.reason, request.kind))
        try:
            reply = self._encoded(handler(request))
        except Exception:  # a mistake of the master's own: that one node is told, and all others are served
            _log.exception("a request of node %s could not be answered", owner)
            return messages.encode(Refused("the master could not answer: an internal error, see its log"))
        if len(reply) > REPLY_LIMIT:
            reason = f"the answer to node {owner} would be {len(reply)} bytes: the most is {REPLY_LIMIT}"
            self._complain("size", owner, reason)
            return messages.encode(Refused(reason, "size"))
        return reply

    def _encoded(self, reply: Reply) -> bytes:
        """The reply as it travels; the state that all slaves ask for after a command is encoded once."""
        if not isinstance(reply, SnapshotReply):
            return messages.encode(reply)
        if self._snapshot is None or self._snapshot[0] is not reply.desired:
            self._snapshot = reply.desired, messages.encode(reply)
        return self._snapshot[1]

    def _complain(self, kind: str, who: str, text: str) -> None:
        self._complaints.note(kind, who, text, time.monotonic())
