"""The console's node: reached, lost, reached again. Runs in the console's process.

A *guest* (`amoc attach`) uses a node that others started; when it is gone, each call looks whether there is
one again. An *owner* (`amoc console`) has its own node as a child on a leash: a node that dies is replaced
at once, and one that was stopped is replaced at the next call. Events and what happens to the node are told
by `tell`, one line each, from the receiving thread.
"""

import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from amoc.console import daemon
from amoc.console.client import Connection, NodeGone
from amoc.console.leash import Child, how_ended
from amoc.console.node_dir import NodeDir
from amoc.errors import AmocError, Failed

__all__ = ["Guest", "Owner", "Session"]

# A node that dies sooner than this after it was ready is not replaced until it is needed: it would die again.
MIN_LIFE = 2.0
# How long the node of a console may take to end when the console is left.
LEAVE_TIMEOUT = 30.0
# How long a process may take to end after it hung up.
END_TIMEOUT = 5.0

Tell = Callable[[dict[str, Any]], None]


class Session(ABC):
    """A node to call, whichever process it is at the moment."""

    def __init__(self, node_dir: NodeDir, tell: Tell) -> None:
        self.node_dir = node_dir
        self._tell = tell
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._leaving = False
        # What was started from here, as far as this console knows.
        self._test: str | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the node in use."""
        return self._connection.hello.pid if self._connection else None

    @property
    def alive(self) -> bool:
        """Whether the node is connected now; `call` may get another one otherwise."""
        return self._connection is not None and not self._connection.ended

    def call(self, op: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Carry out an operation in the node. Raises AmocError, each of one line."""
        connection = self.connected()
        before = self._test
        if op.endswith(".do"):
            self._test = "{scenario}, users {first} to {last}".format_map(_Given(args, kwargs or {}))
        try:
            reply = connection.call(op, args, kwargs)
        except NodeGone:
            raise Failed(f"{op}: the node ended before it answered; {self.remedy}") from None
        except AmocError:
            self._test = before
            raise
        if op.endswith(".stop"):
            self._test = None
        return reply

    def connected(self) -> Connection:
        """The connection to the node; a new one if need be."""
        with self._lock:
            if self._connection is None or self._connection.ended:
                again = self._connection is not None
                self._connection = self._reach()
                self._connection.subscribe()
                if again:
                    self._say(f"connected to node {self.pid}", "INFO")
            return self._connection

    def leave(self) -> None:
        """Hang up."""
        self._leaving = True
        if self._connection is not None:
            self._connection.close()

    @property
    @abstractmethod
    def remedy(self) -> str:
        """What a person can do when the node is gone."""

    @abstractmethod
    def _reach(self) -> Connection:
        """A new connection; the lock is held."""

    def _loss(self) -> str:
        """What is lost with the node."""
        if self._connection is not None and self._connection.hello.role == "master":
            return "its slaves keep their users for master_timeout; a master that is started again takes them over"
        test, self._test = self._test, None
        return f"its test is lost ({test})" if test else "its test, if one ran, is lost"

    def _say(self, text: str, level: str) -> None:
        self._tell({"event": "node", "time": time.time(), "level": level, "logger": "amoc", "text": text})


class Guest(Session):
    """A session with a node that somebody else started."""

    remedy = "start one with `amoc start` in another terminal, this console then uses it"

    def _reach(self) -> Connection:
        return daemon.connect(self.node_dir, on_event=self._tell, on_end=self._lost)

    def _lost(self, farewell: str | None) -> None:
        if not self._leaving:
            loss = self._loss()
            how = farewell or f"it left without a word (killed?), {loss}"
            self._say(f"the node (pid {self.pid}) is gone: {how}; {self.remedy}", "ERROR")


class Owner(Session):
    """A session with a node of its own; `options` are those of `amoc foreground`."""

    remedy = "the next call uses a new one"

    def __init__(self, node_dir: NodeDir, tell: Tell, options: Sequence[str] = ()) -> None:
        super().__init__(node_dir, tell)
        self._options = options
        self._child: Child | None = None
        self._born = 0.0

    def leave(self) -> None:
        """End the test and the node."""
        self._leaving = True
        try:
            if self.alive and self._connection is not None:
                self._connection.call("node.stop", timeout=LEAVE_TIMEOUT)
        except AmocError:
            pass  # without its leash it ends as well
        super().leave()
        if self._child is not None:
            self._child.release(LEAVE_TIMEOUT)

    def _reach(self) -> Connection:
        if self._child is None or _ended(self._child, END_TIMEOUT):
            self._child = daemon.start(self.node_dir, self._options, leash=True)
            self._born = time.monotonic()
        child = self._child
        return daemon.connect(self.node_dir, on_event=self._tell, on_end=lambda farewell: self._lost(child, farewell))

    def _lost(self, child: Child, farewell: str | None) -> None:
        if self._leaving:
            return
        pid, loss = child.process.pid, self._loss()
        if not _ended(child, END_TIMEOUT):
            self._say(f"the node (pid {pid}) hung up: {farewell}; {self.remedy}", "ERROR")
            return
        if child.process.returncode == 0:
            self._say(f"the node (pid {pid}) has ended: {farewell}; the next call starts another", "WARNING")
            return
        how = f"the node (pid {pid}) {how_ended(child.process.returncode)}, {loss}"
        if time.monotonic() - self._born < MIN_LIFE:
            self._say(f"{how}; it was young, so only the next call starts another", "ERROR")
            return
        self._say(f"{how}; starting another", "ERROR")
        try:
            self.connected()
        except AmocError as error:
            self._say(f"{error}; the next call tries again", "ERROR")


class _Given(dict[str, Any]):
    """The arguments of `do` by name, however they were given; a question mark for one that is missing."""

    def __init__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        super().__init__({**dict(zip(("scenario", "first", "last"), args, strict=False)), **kwargs})

    def __missing__(self, name: str) -> str:
        return "?"


def _ended(child: Child, timeout: float) -> bool:
    """Whether the child has ended; one whose connection ended is given `timeout` seconds for it."""
    try:
        child.process.wait(timeout)
    except subprocess.TimeoutExpired:
        return False
    return True
