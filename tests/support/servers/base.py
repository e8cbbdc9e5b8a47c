"""What a test may ask of a running server, whichever it is: counts, sessions, accounts.

The answers come from `mod_amoc_counter`, a module of ours inside the server (`mod_amoc_counter.erl`,
`mod_amoc_counter.lua`), over HTTP on loopback. It counts at the client connections: every message stanza
read from a client and every one written to a client, so that offline storage, bounces and copies to
several resources change both sides alike.
"""

import asyncio
import http.client
import json
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.servers import certificates
from tests.support.servers.process import ServerProcess, free_ports

__all__ = ["Counts", "Server", "ServerError"]

READY_SECONDS = 60.0
VHOSTS = ["localhost", "scram.local", "sha1.local", "sha256.local", "sha512.local", "anonymous.local"]


class ServerError(Exception):
    """The server did not start, or did not answer; the message holds the end of its log."""


@dataclass(frozen=True)
class Counts:
    """What the server has seen at its client connections since it started.

    Subtract two to get what happened between. `opened` and `closed`: sessions bound and ended. `messages_in`:
    message stanzas read from clients, `messages_out`: written to clients, both without those of type error,
    which are in `errors_in` and `errors_out`.
    """

    opened: int
    closed: int
    messages_in: int
    messages_out: int
    errors_in: int
    errors_out: int

    @property
    def sessions(self) -> int:
        """Sessions open now (of totals), or by how many they grew (of a difference)."""
        return self.opened - self.closed

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(**{name: value - getattr(other, name) for name, value in vars(self).items()})


class Server(ABC):
    """A running server.

    `address` is what the setting `xmpp_servers` takes; `authority` is the PEM file that its certificate is
    checked with (`xmpp_ca_file`).
    """

    name: str
    websocket_path: str
    bosh_path: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = certificates.issue(folder, VHOSTS)
        self.authority = self.certificate.authority
        self.port, self.tls_port, self.http_port, self.https_port = free_ports(4)
        self.start()

    def __repr__(self) -> str:
        return f"<{self.name} at {self.address}, {self.process!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, scheme: str) -> str:
        """What `xmpp_servers` takes for another transport: `scheme` is tls, ws, wss, http or https."""
        if scheme == "tls":
            return f"tls://127.0.0.1:{self.tls_port}"
        port = self.https_port if scheme in ("wss", "https") else self.http_port
        return f"{scheme}://127.0.0.1:{port}{self.websocket_path if scheme.startswith('ws') else self.bosh_path}"

    @abstractmethod
    def _start(self) -> ServerProcess:
        """Write the configuration into the folder and start the server."""

    @property
    def address(self) -> str:
        """host:port of the client port; STARTTLS is offered there."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server, at first or again after its end: same folder, same ports, counts from 0."""
        self.process = self._start()
        try:
            self._wait_until_ready()
        except BaseException:
            self.process.kill()
            raise

    def counts(self) -> Counts:
        """The totals since the server started."""
        return Counts(**self.request("GET", "/amoc/counts"))

    def sessions(self) -> list[str]:
        """The full JIDs that are connected now, sorted."""
        return sorted(self.request("GET", "/amoc/sessions"))

    def accounts(self) -> list[str]:
        """The bare JIDs registered on scram.local, sorted."""
        return sorted(self.request("GET", "/amoc/accounts"))

    def register(self, accounts: Mapping[str, str]) -> None:
        """Make accounts, bare JID to password; raises ServerError when the server refuses one."""
        if not accounts:
            return
        lines = "\n".join(f"{jid} {password}" for jid, password in accounts.items())
        if refused := self.request("POST", "/amoc/accounts", lines):
            raise ServerError(f"{self.name} refused: {refused}")

    def wait_until(self, condition: Callable[[Counts], bool], timeout: float = 60.0) -> Counts:
        """Wait until the counts fulfil the condition and return them; TimeoutError shows the last ones."""
        deadline = time.monotonic() + timeout
        while not condition(counts := self.counts()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} after {timeout} s: {counts}")
            time.sleep(0.02)
        return counts

    async def until(self, condition: Callable[[Counts], bool], timeout: float = 60.0) -> Counts:
        """`wait_until`, while the event loop goes on."""
        return await asyncio.to_thread(self.wait_until, condition, timeout)

    def stop(self) -> None:
        """Shut the server down as its operator would; nothing happens when it has ended already."""
        self.process.terminate()

    def log(self) -> str:
        """What the server has written to its logs so far."""
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')}" for file in files)

    def request(self, method: str, path: str, body: str | None = None) -> Any:
        """One HTTP request to the server; the JSON of its reply. ServerError when the status is not 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            content = response.read().decode()
        finally:
            connection.close()
        if response.status != 200:
            raise ServerError(f"{self.name}: {method} {path}: {response.status} {content}")
        return json.loads(content)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.counts()
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return
            except OSError:
                if not self.process.running or time.monotonic() > deadline:
                    raise ServerError(f"{self.name} does not answer:\n{self.log()[-3000:]}") from None
            time.sleep(0.05)
