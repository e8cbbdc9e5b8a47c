"""A node's socket to its master that outlives what libzmq gives up on.

libzmq connects again by itself when a connection is lost or cannot be made. It does not when the peer refused
the handshake or sent what cannot be right: it just reads no more, and nothing but a monitor says so.
"""

import time
from collections.abc import Callable

import zmq

from amoc.control.zmq_sockets import FAILED_HANDSHAKES, Drain, Monitor, Socket

__all__ = ["Line"]

_WATCHED = FAILED_HANDSHAKES | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED
_DENIED = 400  # ZAP's status for a key that is not listed
_SETTLE = 1.0  # seconds after a loss until which libzmq says that it tries again, if it does


class Line:
    """Keeps the socket that `make` returns connected to `address`, and drained by `step`.

    `lost` is called when a connection has ended. `trouble`: why there is no connection, for a person; empty while
    there is one.
    """

    def __init__(
        self, make: Callable[[], Socket], address: str, step: Callable[[], None], lost: Callable[[], None] | None = None
    ) -> None:
        self._make, self._step, self._lost = make, step, lost
        self.address = address
        self._open()

    def __repr__(self) -> str:
        return f"<Line to {self.address}{': ' if self.trouble else ''}{self.trouble}>"

    @property
    def dead(self) -> bool:
        """Whether it will not connect again until `renew`."""
        return self._refused or (self._ended is not None and time.monotonic() - self._ended > _SETTLE)

    def _open(self) -> None:
        self._refused = False  # or what came was damaged: nothing more is read
        self._ended: float | None = None  # when a connection did, unless there was another attempt since
        self.trouble = f"nothing answers at {self.address}"
        self.socket = self._make()
        self._monitor = Monitor(self.socket, _WATCHED, self._hear)
        self._drain = Drain(self.socket, self._step)
        self.socket.connect(self.address)

    def wake(self) -> None:
        """Let the socket be looked at now."""
        self._drain.wake()

    def renew(self) -> None:
        """Replace the socket, whatever it is at."""
        self.close()
        self._open()

    def close(self) -> None:
        """Close the socket; calling it again changes nothing."""
        self._monitor.close()
        self._drain.close()

    def _hear(self, event: int, value: int) -> None:
        match event:
            case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._refused, self._ended, self.trouble = False, None, ""
            case zmq.EVENT_DISCONNECTED:
                self._ended = time.monotonic()
                self.trouble = self.trouble or f"the connection to {self.address} was lost"
                if self._lost is not None:
                    self._lost()
            case zmq.EVENT_CONNECT_RETRIED:
                self._refused, self._ended = False, None
            case zmq.EVENT_HANDSHAKE_FAILED_AUTH if value == _DENIED:
                self._refused = True
                self.trouble = "the master does not list this node's key: put its .key file into the master's keys_dir"
            case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                self.trouble = f"{self.address} ends the handshake: is master.key the key of that master?"
            case _:
                self._refused = True
                self.trouble = f"{self.address} does not speak this protocol, or what came was damaged"
