"""A server's process: started in a folder, ended by its pid together with all its children."""

import os
import random
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

__all__ = ["ServerProcess", "free_pair", "free_ports"]

OUR_PORTS = (20000, 32000)  # below the kernel's own choice; each process of pytest-xdist has a part of them
if number := re.search(r"\d+", os.environ.get("PYTEST_XDIST_WORKER", "")):
    OUR_PORTS = (20000 + int(number[0]) % 8 * 1500, 21500 + int(number[0]) % 8 * 1500)
STOP_SECONDS = 30.0  # ejabberd closes its tables in about 3 s


class ServerProcess:
    """One running server; its output goes to `output.log` in `folder`.

    It dies with the thread that started it (`setpriv --pdeathsig`), so that a killed test run leaves none
    behind: start servers in the main thread.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.output = folder / "output.log"
        setpriv = shutil.which("setpriv")
        guarded = [setpriv, "--pdeathsig", "KILL", *command] if setpriv else list(command)
        with self.output.open("ab") as output:
            self._popen = subprocess.Popen(
                guarded,
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def __repr__(self) -> str:
        return f"<ServerProcess {self.pid} {'running' if self.running else 'ended'}>"

    @property
    def running(self) -> bool:
        """False once the process has ended."""
        return self._popen.poll() is None

    def terminate(self) -> None:
        """Ask the server to shut down; use force on what of it is still there after `STOP_SECONDS`."""
        self._end(self._popen.terminate)

    def kill(self) -> None:
        """End the server as a crash would: no goodbye to its clients."""
        self._end(self._popen.kill)

    def _end(self, ask: Callable[[], None]) -> None:
        family = _family(self.pid)
        ask()
        _, stubborn = psutil.wait_procs(family, timeout=STOP_SECONDS)
        for process in stubborn:
            process.kill()
        psutil.wait_procs(stubborn, timeout=STOP_SECONDS)
        self._popen.wait(timeout=STOP_SECONDS)


def _family(pid: int) -> list[psutil.Process]:
    """The process and everything it started; empty when it has ended already."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that are free now, below the range of the kernel's outgoing connections."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(*OUR_PORTS)
        if port not in found and _is_free(port):
            found.append(port)
    return found


def free_pair() -> int:
    """The first of two neighbouring ports that are free now, as a master needs them."""
    while True:
        (port,) = free_ports(1)
        if _is_free(port + 1):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
