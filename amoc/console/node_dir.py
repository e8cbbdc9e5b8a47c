"""The node dir: where a node keeps its socket, pid, log, history and results; one node per directory.

The lock on `node.pid` says whether a node runs here: the kernel drops it however the node ends, so there
is no stale lock. The pid in the file is for people; it is emptied at a clean end.
"""

import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from amoc.errors import BadInput

__all__ = ["DEFAULT", "NodeDir"]

DEFAULT = ".amoc"

# sockaddr_un's sun_path holds 108 bytes with the closing zero (unix(7)).
SOCKET_PATH_LIMIT = 107


@dataclass(frozen=True, slots=True)
class NodeDir:
    """The paths below one node dir, and whether a node runs in it."""

    path: Path

    @classmethod
    def chosen(cls, argument: str | None) -> "NodeDir":
        """The directory of `--dir`, of the environment's AMOC_DIR, or `.amoc` here."""
        return cls(Path(argument or os.environ.get("AMOC_DIR") or DEFAULT))

    @property
    def socket_path(self) -> Path:
        """The node's socket, by the shorter of its absolute and its relative path."""
        path = self.path / "node.sock"
        relative, absolute = os.path.relpath(path), os.path.abspath(path)
        return Path(min(relative, absolute, key=len))

    @property
    def pid_file(self) -> Path:
        """Locked while a node runs here; holds its pid."""
        return self.path / "node.pid"

    @property
    def log(self) -> Path:
        """What a background node writes to its standard output and error."""
        return self.path / "node.log"

    @property
    def results(self) -> Path:
        """The results of runs, one JSON file each."""
        return self.path / "results"

    def prepare(self) -> None:
        """Make the directory, private to this user. Raises BadInput if that cannot be."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = self.path.stat().st_mode
            os.close(self._open_pid_file())
        except OSError as error:
            raise BadInput(
                f"the node's directory {self.path} cannot be used: {error.strerror}; "
                "choose another with --dir or AMOC_DIR"
            ) from None
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise BadInput(
                f"the node's directory {self.path} can be written by other users, who could then control "
                f"the node: chmod go-w {self.path}, or choose another with --dir or AMOC_DIR"
            )

    def running_pid(self) -> int | None:
        """The pid of the node that runs here (0 if it has not written it yet), or None if none does."""
        try:
            descriptor = os.open(self.pid_file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _number(os.read(descriptor, 32))
        finally:
            os.close(descriptor)
        return None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one node of this directory. Raises BadInput if another is."""
        descriptor = self._open_pid_file()
        try:
            if not _lock(descriptor):
                pid = _number(os.read(descriptor, 32))
                raise BadInput(
                    f"a node already runs in {self.path} (pid {pid}): use it with `amoc attach`, end it "
                    "with `amoc stop`, or choose another directory with --dir"
                )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            try:
                yield
            finally:
                # Emptied, not removed: removing a locked file lets two nodes hold "the" lock.
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def listen(self) -> socket.socket:
        """The listening socket, mode 0600; a stale one of a killed node is replaced. Needs the lock."""
        if (length := len(os.fsencode(self.socket_path))) > SOCKET_PATH_LIMIT:
            raise BadInput(
                f"the path of the node's socket, {self.socket_path}, has {length} bytes, the system "
                f"allows {SOCKET_PATH_LIMIT}: choose a shorter --dir"
            )
        self.socket_path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        before = os.umask(0o177)
        try:
            listener.bind(os.fspath(self.socket_path))
            listener.listen(16)
        except OSError as error:
            listener.close()
            raise BadInput(f"the node's socket {self.socket_path} cannot be made: {error.strerror}") from None
        finally:
            os.umask(before)
        listener.setblocking(False)
        return listener

    def _open_pid_file(self) -> int:
        return os.open(self.pid_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(descriptor: int) -> bool:
    """Take the lock; tried for a moment, because `running_pid` holds it for one when it looks."""
    for _ in range(5):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def _number(text: bytes) -> int:
    text = text.strip()
    return int(text) if text.isdigit() else 0
