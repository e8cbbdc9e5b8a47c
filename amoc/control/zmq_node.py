"""A node's bus to its master: SUB for commands, REQ for requests, both behind CURVE.

docs/control-protocol.md specifies it.
"""

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec
import zmq

from amoc.control import messages
from amoc.control.complaints import Complaints
from amoc.control.desired import Command
from amoc.control.keys import KeyPair
from amoc.control.limits import REPLY_LIMIT, REQUEST_LIMIT, REQUEST_TIMEOUT, TRIES
from amoc.control.messages import Reply, Request
from amoc.control.zmq_line import Line
from amoc.control.zmq_sockets import Context, Socket, curve_client, endpoint
from amoc.errors import Failed

__all__ = ["ZmqNodeBus"]

COMMANDS_QUEUED = 1000  # what is dropped beyond it comes with a snapshot
REQUESTS_QUEUED = 10

_log = logging.getLogger(__name__)


class ZmqNodeBus:
    """Connects to the master at `host` in the running loop; it need not be there yet.

    `keys` is the node's own pair, `master` the master's public key (32 bytes). `timeout`: seconds that a request
    waits for its reply. `say` gets a line for a person when something was refused, rarely. Many buses of one process
    may share a `context`, which then is not closed with them.
    """

    def __init__(
        self,
        host: str,
        pub_port: int,
        rep_port: int,
        keys: KeyPair,
        master: bytes,
        *,
        timeout: float = REQUEST_TIMEOUT,
        say: Callable[[str], None] = _log.warning,
        context: Context | None = None,
    ) -> None:
        self._shared = context is not None
        self._context: Context = context or zmq.Context()
        self._timeout = timeout
        self._complaints = Complaints(say)
        self._handlers: list[Callable[[Command], None]] = []
        self._turn = asyncio.Lock()
        self._unsent: bytes | None = None
        self._asked = False  # REQ may be read only after something was sent on it
        self._reply: asyncio.Future[Reply] | None = None
        self._failures = 0
        self._closed = False

        def subscriber() -> Socket:
            socket = curve_client(self._context, zmq.SUB, keys, master, COMMANDS_QUEUED, REPLY_LIMIT)
            socket.ipv6 = ":" in host
            socket.subscribe(b"")
            return socket

        def requester() -> Socket:
            socket = curve_client(self._context, zmq.REQ, keys, master, REQUESTS_QUEUED, REPLY_LIMIT)
            socket.ipv6 = ":" in host
            socket.req_relaxed = socket.req_correlate = True
            socket.immediate = True
            return socket

        self._commands = Line(subscriber, endpoint(host, pub_port), self._take_command)
        self._requests = Line(requester, endpoint(host, rep_port), self._exchange, self._connection_lost)

    def __repr__(self) -> str:
        return f"<ZmqNodeBus to {self._requests.address}{': ' if self.trouble else ''}{self.trouble}>"

    @property
    def trouble(self) -> str:
        """Why there is no connection to the master, for a person; empty while there is one."""
        return self._requests.trouble or self._commands.trouble

    async def request(self, message: Request) -> Reply:
        """The master's reply; one request is under way at a time, others wait for it.

        Raises TimeoutError, with the reason, when there is none in time, and Failed for a message that is too
        long to send.
        """
        data = messages.encode(message)
        if len(data) > REQUEST_LIMIT:
            what = f"a {type(message).__name__} of {len(data)} bytes"
            raise Failed(f"node {message.node}: {what} cannot be sent, the most is {REQUEST_LIMIT}")
        async with self._turn:
            if self._closed:
                raise TimeoutError("the connection to the master is closed")
            self._mend()
            self._reply = asyncio.get_running_loop().create_future()
            self._unsent = data
            self._requests.wake()
            try:
                async with asyncio.timeout(self._timeout):
                    reply = await self._reply
            except TimeoutError as error:
                if not self._requests.trouble:  # without a connection it is up to libzmq to make one
                    self._failures += 1
                raise TimeoutError(str(error) or self._silence()) from None
            finally:
                self._reply = self._unsent = None
            self._failures = 0
            return reply

    def listen(self, handler: Callable[[Command], None]) -> None:
        """Call `handler` with every command that arrives, in a turn of the loop of its own."""
        self._handlers.append(handler)

    def close(self) -> None:
        """Close all sockets at once; a request under way fails. Calling it again changes nothing."""
        self._closed = True
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(TimeoutError("the connection to the master is closed"))
        self._commands.close()
        self._requests.close()
        if not self._shared:
            self._context.destroy(linger=0)

    def _mend(self) -> None:
        """Make those sockets anew that are of no use any more."""
        if self._commands.dead:
            self._commands.renew()
        if self._requests.dead or self._failures >= TRIES:
            self._requests.renew()
            self._asked, self._failures = False, 0

    def _connection_lost(self) -> None:
        """What was asked will not be answered: the master answers on the connection that brought the question."""
        if self._asked and self._reply is not None and not self._reply.done():
            self._reply.set_exception(TimeoutError(self._requests.trouble))

    def _silence(self) -> str:
        reason = self._requests.trouble or "it is busy, or the network loses what is sent"
        return f"no answer from the master within {self._timeout:g} s: {reason}"

    def _exchange(self) -> None:
        """Send the request when there is a connection; take the reply. Raises zmq.Again when there is nothing to do."""
        socket = self._requests.socket
        _ = socket.events  # takes libzmq's hint away, whatever comes of it
        if self._unsent is not None:
            socket.send(self._unsent, zmq.NOBLOCK)
            self._unsent, self._asked = None, True
        if not self._asked:
            raise zmq.Again
        frames = socket.recv_multipart(zmq.NOBLOCK)
        self._asked = False
        if self._reply is None or self._reply.done():  # it came too late
            return
        try:
            self._reply.set_result(messages.decode_reply(frames[0]))
        except (msgspec.DecodeError, ValueError) as error:
            text = f"the master's answer cannot be read ({error}): another amoc there?"
            self._reply.set_exception(TimeoutError(text))

    def _take_command(self) -> None:
        frames = self._commands.socket.recv_multipart(zmq.NOBLOCK)
        try:
            command = messages.decode_command(frames[0])
        except (msgspec.DecodeError, ValueError) as error:
            text = f"a command of the master cannot be read ({error}): another amoc there?"
            self._complaints.note("decode", "", text, time.monotonic())
            return
        loop = asyncio.get_running_loop()
        for handler in self._handlers:
            loop.call_soon(handler, command)
