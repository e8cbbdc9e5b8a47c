"""ZeroMQ sockets in an event loop: how they are made, read and closed.

A ZeroMQ socket's descriptor does not say "readable" but "look again": it becomes readable when something has
happened, and any call on the socket may take that hint away. So after every hint, and after every send, the socket
is asked until it has nothing more (`zmq.Again`). That is done here, without pyzmq's asyncio layer, which costs a
future and several turns of the loop for each message: a master with 1000 slaves has a thousand a second.

docs/control-protocol.md explains the options.
"""

import asyncio
import struct
import time
from collections.abc import Callable
from typing import TypeAlias

import zmq

from amoc.control.keys import KeyPair
from amoc.control.limits import CUT_OFF_SLACK

__all__ = [
    "FAILED_HANDSHAKES",
    "Context",
    "Drain",
    "Monitor",
    "Socket",
    "bind",
    "curve_client",
    "curve_server",
    "endpoint",
]

Socket: TypeAlias = zmq.Socket[bytes]
Context: TypeAlias = zmq.Context[Socket]

# Seconds of the loop that one socket may take before others have their turn.
TURN = 0.02

FAILED_HANDSHAKES = (
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)

# Milliseconds.
_HANDSHAKE = 10_000
_HEARTBEAT, _HEARTBEAT_TIMEOUT, _HEARTBEAT_TTL = 5_000, 10_000, 20_000
_CONNECT_TIMEOUT = 5_000
_RECONNECT, _RECONNECT_MAX = 200, 2_000
_EVENT = struct.Struct("=HI")  # what a monitor's first frame holds: event, value

# Connections that wait to be accepted: all slaves come at once when a master returns.
_BACKLOG = 4096


def endpoint(host: str, port: int) -> str:
    """The address as libzmq writes it; port 0: any."""
    return f"tcp://{f'[{host}]' if ':' in host else host}:{port or '*'}"


def curve_server(context: Context, kind: int, keys: KeyPair, domain: bytes, queue: int, limit: int) -> Socket:
    """A socket to bind, open to those alone whom ZAP lets in; `queue`: messages per peer, `limit`: bytes of one."""
    socket = _socket(context, kind, queue, limit)
    socket.curve_server = True
    socket.curve_secretkey = keys.secret
    socket.zap_domain = domain
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without this, nobody to ask would mean that all may enter
    socket.backlog = _BACKLOG
    return socket


def curve_client(context: Context, kind: int, keys: KeyPair, server: bytes, queue: int, limit: int) -> Socket:
    """A socket to connect, to the owner of the public key `server` alone."""
    socket = _socket(context, kind, queue, limit)
    socket.curve_publickey = keys.public
    socket.curve_secretkey = keys.secret
    socket.curve_serverkey = server
    socket.heartbeat_ivl = _HEARTBEAT
    socket.heartbeat_timeout = _HEARTBEAT_TIMEOUT
    socket.heartbeat_ttl = _HEARTBEAT_TTL
    socket.connect_timeout = _CONNECT_TIMEOUT
    socket.reconnect_ivl = _RECONNECT
    socket.reconnect_ivl_max = _RECONNECT_MAX
    return socket


def _socket(context: Context, kind: int, queue: int, limit: int) -> Socket:
    socket = context.socket(kind)
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = queue
    socket.maxmsgsize = limit + CUT_OFF_SLACK
    socket.handshake_ivl = _HANDSHAKE
    return socket


def bind(socket: Socket, host: str, port: int) -> int:
    """Bind to an address of this machine; the port, which libzmq chooses for 0. Raises zmq.ZMQError."""
    socket.ipv6 = ":" in host
    socket.bind(endpoint(host, port))
    return int(str(socket.getsockopt_string(zmq.LAST_ENDPOINT)).rsplit(":", 1)[1])


class Drain:
    """Keeps a socket drained: calls `step` until it raises `zmq.Again`, at every hint of the running loop.

    `step` handles one message or raises. `wake` makes it look by itself, needed after a send from elsewhere.
    """

    def __init__(self, socket: Socket, step: Callable[[], None]) -> None:
        self.socket = socket
        self._step = step
        self._loop = asyncio.get_running_loop()
        self._fd = int(socket.fd)
        self._soon: asyncio.Handle | None = None
        self._loop.add_reader(self._fd, self.wake)
        self._later()

    def wake(self) -> None:
        """Handle what is there; after `TURN` seconds the rest waits for the loop's next turn."""
        end = time.monotonic() + TURN
        try:
            while not self.socket.closed and time.monotonic() < end:
                self._step()
        except zmq.Again:
            return
        except BaseException:
            self._later()  # what is left would otherwise wait for the next hint
            raise
        self._later()

    def _later(self) -> None:
        if self._soon is None and not self.socket.closed:
            self._soon = self._loop.call_soon(self._again)

    def _again(self) -> None:
        self._soon = None
        self.wake()

    def close(self) -> None:
        """Stop, and close the socket; calling it again changes nothing."""
        if self.socket.closed:
            return
        self._loop.remove_reader(self._fd)
        if self._soon is not None:
            self._soon.cancel()
        self.socket.close()


class Monitor:
    """Hears what happens to a socket's connections: calls `hear(event, value)` for the `events` of the mask.

    libzmq's I/O thread would wait for a monitor that nobody reads: close it before the socket that it watches.
    """

    def __init__(self, watched: Socket, events: int, hear: Callable[[int, int], None]) -> None:
        self._watched = watched
        self._hear = hear
        self._drain = Drain(watched.get_monitor_socket(events), self._step)

    def _step(self) -> None:
        description, _ = self._drain.socket.recv_multipart(zmq.NOBLOCK)
        self._hear(*_EVENT.unpack(description))

    def close(self) -> None:
        """Stop watching."""
        if not self._drain.socket.closed:
            self._watched.disable_monitor()
            self._drain.close()
