"""ssh of a lab: a key pair for the operator, a host key for each host, and who is who in known_hosts.

All are made on this machine, so that the first connection is to a known host: nothing is trusted on first use.
"""

from collections.abc import Mapping
from pathlib import Path

from tests.support.lab.command import run

__all__ = ["CONFIG", "KEY", "USER", "close_connections", "make_key", "write_config"]

USER = "deploy"
CONFIG = "ssh_config"
KEY = "id_ed25519"


def make_key(path: Path, comment: str) -> str:
    """Make `path` (0600) and `path`.pub; the public key."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
    return path.with_name(path.name + ".pub").read_text()


def write_config(folder: Path, hosts: Mapping[str, tuple[str, str]]) -> None:
    """Write `folder`/ssh_config and known_hosts for the hosts, name to address and public host key."""
    lines = []
    for name, (address, _) in hosts.items():
        lines += [f"Host {name} {address}", f"  HostName {address}", f"  HostKeyAlias {name}"]
    lines += [
        "Host *",
        f"  User {USER}",
        f"  IdentityFile {folder / KEY}",
        "  IdentitiesOnly yes",
        f"  UserKnownHostsFile {folder / 'known_hosts'}",
        "  GlobalKnownHostsFile /dev/null",
        "  StrictHostKeyChecking yes",
    ]
    (folder / CONFIG).write_text("\n".join(lines) + "\n")
    known = [f"{name},{address} {key}" for name, (address, key) in hosts.items()]
    (folder / "known_hosts").write_text("".join(known))


def close_connections(folder: Path) -> None:
    """End the shared connections whose sockets are in `folder`: ansible keeps them for a minute.

    One that outlives its host would be taken for the way to the next host with that address.
    """
    for socket in folder.glob("*"):
        run("ssh", "-F", "/dev/null", "-o", f"ControlPath={socket}", "-O", "exit", "any", check=False)
