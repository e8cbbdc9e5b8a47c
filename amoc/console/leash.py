"""Child processes that say when they are ready, and that end when their parent does.

Parent and child share a socket pair. The child writes any number of lines `{"said": "…"}`, for people, and at last
`{"ready": {…}}` or `{"error": {…}}`; if it dies before, the parent sees the end of the stream. A child on a *leash*
keeps its end open and leaves when the parent's end closes, which the kernel does however the parent ends, kill -9
included.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from amoc.console.lines import clean
from amoc.console.protocol import Problem
from amoc.errors import Failed

__all__ = ["Child", "Parent", "how_ended", "launch"]

# Until a child's next line. It imports and binds, or says how far it is; a minute is for a machine that is busy.
START_TIMEOUT = 60.0
# One log of the past is kept when a new child starts with more than this.
LOG_LIMIT = 16 << 20


class _Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the child: exactly one of the three."""

    said: str | None = None
    ready: dict[str, Any] | None = None
    error: Problem | None = None


@dataclass(slots=True)
class Child:
    """A child that is ready. `facts` is what it said with that; on a leash, `leash` holds it."""

    process: subprocess.Popen[bytes]
    facts: dict[str, Any]
    leash: socket.socket | None

    def release(self, grace: float) -> None:
        """Let go of the leash, wait up to `grace` seconds for the child to leave, then kill it."""
        if self.leash is not None:
            self.leash.close()
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Parent:
    """The child's view of its parent; of nobody, if `descriptor` is None."""

    def __init__(self, descriptor: int | None) -> None:
        self._socket = None if descriptor is None else socket.socket(fileno=descriptor)
        if self._socket is not None:
            self._socket.set_inheritable(False)

    def say(self, text: str) -> None:
        """Say how far the start is."""
        self._say(_Word(said=text))

    def ready(self, **facts: Any) -> None:
        """Say that the work can begin. Nothing may be said afterwards."""
        self._say(_Word(ready=facts))

    def refuse(self, error: BaseException) -> None:
        """Say why there will be no work."""
        self._say(_Word(error=Problem.of(error)))

    def let_go(self) -> None:
        """Live on without the parent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def gone(self) -> None:
        """Return when the parent has ended or let go of the leash; never, if there is no parent."""
        if self._socket is None:
            await asyncio.get_running_loop().create_future()
            return
        self._socket.setblocking(False)
        while await asyncio.get_running_loop().sock_recv(self._socket, 64):
            pass

    def _say(self, word: _Word) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendall(msgspec.json.encode(word) + b"\n")
        except OSError:
            pass  # the parent is gone already; `gone` tells


def launch(
    arguments: Sequence[str],
    *,
    log: Path,
    leash: bool = True,
    timeout: float = START_TIMEOUT,
    tell: Callable[[str], None] | None = None,
) -> Child:
    """Start `amoc` with `arguments` in a session of its own and wait until it is ready.

    The command gets `--parent-fd N` (and `--leash`) added. Its output is appended to `log`; what it says of its
    start goes to `tell`. Raises what the child refused with, and Failed with the log's last lines when it ended
    without a word or says nothing for `timeout` seconds.
    """
    ours, theirs = socket.socketpair()
    extra = ["--parent-fd", str(theirs.fileno()), *(["--leash"] if leash else [])]
    _rotate(log)
    with theirs, open(log, "ab", opener=_private) as output:
        start = output.tell()
        # -P: a file of the current directory must not stand in for a module of the library.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "amoc", *arguments, *extra],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    try:
        word = _hear(ours, timeout, tell)
    except BaseException:  # Ctrl+C as well
        process.kill()
        process.wait()
        ours.close()
        raise
    if word.error is None and word.ready is not None:
        if not leash:
            ours.close()
        return Child(process, word.ready, ours if leash else None)
    ours.close()
    code = _end(process)
    if word.error is not None:
        raise word.error.error()
    raise Failed(f"`amoc {arguments[0]}` {how_ended(code)} before it was ready, see {log}: {_last_line(log, start)}")


def how_ended(code: int) -> str:
    """A child's return code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    return f"was killed by signal {-code}{name}"


def _hear(ours: socket.socket, timeout: float, tell: Callable[[str], None] | None) -> _Word:
    """The child's last line; an empty word if it ended without one."""
    ours.settimeout(timeout)
    buffer = b""
    while True:
        try:
            data = ours.recv(1 << 16)
        except TimeoutError:
            raise Failed(f"the process was not ready within {timeout:g} s") from None
        except ConnectionError:
            data = b""
        if not data:
            return _Word()
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            word = msgspec.json.decode(line, type=_Word)
            if word.said is None:
                ours.settimeout(None)
                return word
            if tell is not None:
                tell(word.said)


def _end(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process that is about to end; its return code."""
    try:
        return process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _rotate(log: Path) -> None:
    try:
        if log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
    except FileNotFoundError:
        pass


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _last_line(log: Path, start: int) -> str:
    """The last line that was written to `log` after `start`."""
    with open(log, "rb") as file:
        file.seek(max(start, file.seek(0, os.SEEK_END) - 4096))
        lines = file.read().decode(errors="replace").split("\n")
    return next((clean(line) for line in reversed(lines) if line.strip()), "it wrote nothing")
