"""A real OpenSSH server on loopback, for the user who runs the tests; and a home with what its client needs.

`Sshd(folder)` starts it with a host key of its own; `home` is a HOME whose ssh trusts that key and logs in with one
that the server accepts. It can listen on several ports, each a host to its clients. Nothing of the machine's own ssh is
touched or used.
"""

import getpass
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.support.servers.process import ServerProcess, free_ports

__all__ = ["Sshd"]

SSHD = "/usr/sbin/sshd"
READY_SECONDS = 60.0


class Sshd:
    """The server: `entry` is what the setting `hosts` takes, `home` the client's home directory."""

    def __init__(self, folder: Path, ports: int = 1) -> None:
        self.folder = folder
        self.user = getpass.getuser()
        self.ports = free_ports(ports)
        self.home = folder / "home"
        self._ssh = self.home / ".ssh"
        self._ssh.mkdir(parents=True, mode=0o700)
        for path in (folder / "host_key", self._ssh / "id_ed25519"):
            make_key(path)
        (self._ssh / "id_ed25519.pub").rename(folder / "authorized_keys")
        self.trust()
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd of root separates its privileges there
        self._write_configuration()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The first port."""
        return self.ports[0]

    @property
    def entry(self) -> str:
        """USER@HOST:PORT of the first port."""
        return f"{self.user}@127.0.0.1:{self.port}"

    def trust(self) -> None:
        """Have the client know this server's key."""
        key = (self.folder / "host_key.pub").read_text().rpartition(" ")[0]
        (self._ssh / "known_hosts").write_text("".join(f"[127.0.0.1]:{port} {key}\n" for port in self.ports))

    def forget(self) -> None:
        """Have the client know no host at all."""
        (self._ssh / "known_hosts").write_text("")

    def change_host_key(self) -> None:
        """Another key, as if another machine answered at the address."""
        self.stop()
        for name in ("host_key", "host_key.pub"):
            (self.folder / name).unlink()
        make_key(self.folder / "host_key")
        self.start()

    def lock_out(self) -> None:
        """Accept nobody's key any more."""
        (self.folder / "authorized_keys").write_text("")

    def start(self) -> None:
        """Start the server and wait until it greets."""
        self._process = ServerProcess([SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")], self.folder, {})
        deadline = time.monotonic() + READY_SECONDS
        while not self._greets():
            log = self._process.output.read_text()
            assert self._process.running, f"sshd does not start: {log}"
            assert time.monotonic() < deadline, f"sshd does not answer: {log}"
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server and its connections; what was started over them lives on."""
        self._process.terminate()

    def log(self) -> str:
        """What the server has logged."""
        return self._process.output.read_text()

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
                return client.recv(4) == b"SSH-"
        except OSError:
            return False

    def _write_configuration(self) -> None:
        lines = [
            *(f"Port {port}" for port in self.ports),
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder / 'host_key'}",
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}",
            f"PidFile {self.folder / 'sshd.pid'}",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "StrictModes no",  # the folder of a test may be anybody's
            "UsePAM no",
            "MaxStartups 200",
            "LogLevel VERBOSE",
        ]
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")


def make_key(path: Path) -> None:
    """A new key pair at `path` and `path`.pub, without a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)
