"""A console's end of the node's socket: blocking calls, and a thread that receives.

One receiving thread per connection hands replies to the waiting calls and events to a callback. The
connection ends once: then every waiting call raises NodeGone and `on_end` is told, from that thread.
"""

import itertools
import os
import queue
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from amoc.console.protocol import (
    REPLY_LIMIT,
    REQUEST_LIMIT,
    SUBSCRIBE,
    VERSION,
    Answer,
    Hello,
    Lines,
    ProtocolError,
    Request,
    encode,
    read_answer,
)
from amoc.errors import BadInput, Failed

__all__ = ["Connection", "NoNode", "NodeGone"]

# A node answers its greeting from its event loop; one that cannot within this time is not usable.
GREETING_TIMEOUT = 10.0


class NoNode(Failed):
    """Nothing answers at the socket."""


class NodeGone(Failed):
    """The connection to the node ended."""


class Connection:
    """A connection to the node behind the socket at `path`.

    Raises NoNode when none listens, NodeGone when it refuses this console. `on_event` and `on_end` are
    called from the receiving thread; `on_end` with the node's farewell, or None if it left without one.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_event: Callable[[dict[str, Any]], None] | None = None,
        on_end: Callable[[str | None], None] | None = None,
    ) -> None:
        self._on_event = on_event
        self._on_end = on_end
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._waiting: dict[int, queue.SimpleQueue[Answer | None]] = {}
        self._ended = False
        self._lines = Lines(REPLY_LIMIT)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._early: list[bytes] = []
            self.hello = self._greeting(path)
        except BaseException:
            self._socket.close()
            raise
        self._receiver = threading.Thread(target=self._receive, name="node connection", daemon=True)
        self._receiver.start()

    def __repr__(self) -> str:
        return f"<Connection to node {self.hello.pid}{' (ended)' if self._ended else ''}>"

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ended(self) -> bool:
        """Whether the node has hung up, or `close` was called."""
        return self._ended

    def call(
        self,
        op: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> Any:
        """Carry out operation `op` in the node and return its plain data.

        Raises what the operation raised (BadInput, Failed), NodeGone when the connection ended, Failed
        after `timeout` seconds. KeyboardInterrupt gets through; the node then still finishes the request.
        """
        reply: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        number = next(self._ids)
        line = _request_line(Request(number, op, list(args), dict(kwargs or {})))
        with self._lock:
            if self._ended:
                raise NodeGone("the node has hung up")
            self._waiting[number] = reply
        try:
            with self._sending:
                self._socket.sendall(line)
            answer = reply.get(timeout=timeout)
        except OSError:
            answer = None
        except queue.Empty:
            raise Failed(f"the node has not answered {op} for {timeout:g} s") from None
        finally:
            self._waiting.pop(number, None)
        if answer is None:
            raise NodeGone("the node hung up before it answered")
        if answer.error is not None:
            raise answer.error.error()
        return answer.ok

    def subscribe(self) -> None:
        """Have `on_event` called with the node's events from now on."""
        self.call(SUBSCRIBE)

    def close(self) -> None:
        """Hang up; `on_end` is not told."""
        self._on_end = None
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has hung up already
        if threading.current_thread() is not self._receiver:
            self._receiver.join()

    def _greeting(self, path: Path) -> Hello:
        self._socket.settimeout(GREETING_TIMEOUT)
        try:
            self._socket.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            raise NoNode(f"no node listens at {path}") from None
        except OSError as error:
            raise NoNode(f"the node's socket {path} cannot be used: {error}") from None
        try:
            while not self._early:
                if not (data := self._socket.recv(1 << 16)):
                    raise NodeGone("the node hung up without a greeting")
                self._early += self._lines.feed(data)
        except OSError as error:
            raise NodeGone(f"the node at {path} does not greet: {error}") from None
        first = read_answer(self._early.pop(0))
        if first.bye is not None:
            raise NodeGone(f"the node refused this console: {first.bye}")
        if first.hello is None:
            raise ProtocolError(f"{path} is not a node's socket")
        if first.hello.protocol != VERSION:
            raise Failed(
                f"the node (pid {first.hello.pid}) is amoc {first.hello.version} and speaks another "
                "protocol: use the amoc that started it"
            )
        self._socket.settimeout(None)
        return first.hello

    def _receive(self) -> None:
        farewell: str | None = None
        try:
            lines = self._early
            while True:
                for line in lines:
                    answer = read_answer(line)
                    farewell = answer.bye or farewell
                    self._deliver(answer)
                if not (data := self._socket.recv(1 << 18)):
                    break
                lines = list(self._lines.feed(data))
        except (OSError, ProtocolError) as error:
            farewell = farewell or f"the connection broke: {error}"
        with self._lock:
            self._ended = True
            waiting = list(self._waiting.values())
        self._socket.close()
        for reply in waiting:
            reply.put(None)
        if self._on_end is not None:
            self._on_end(farewell)

    def _deliver(self, answer: Answer) -> None:
        if answer.id is not None:
            # Absent: the caller was interrupted and no longer waits.
            if (reply := self._waiting.get(answer.id)) is not None:
                reply.put(answer)
        elif answer.event is not None and self._on_event is not None:
            self._on_event(answer.event)


def _request_line(request: Request) -> bytes:
    try:
        line = encode(request)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"{request.op}: an argument cannot be sent to the node: {error}") from None
    if len(line) > REQUEST_LIMIT:
        raise BadInput(f"{request.op}: the arguments have {len(line)} bytes, the limit is {REQUEST_LIMIT}")
    return line
