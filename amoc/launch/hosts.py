"""The setting `hosts`: which machines are slaves, and what each one is called.

Pure: text in, hosts or BadInput out. An entry is `[NAME=][USER@]HOST[:PORT]`; without a name the node is called as
its host. User, port and everything else that is not said here come from ssh's own configuration.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from amoc.errors import BadInput

__all__ = ["Host", "read_hosts"]

MASTER = "master"
# A name is a file name (of its key), a word of tables and, in Graphite, a part of a path.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_ENTRY = re.compile(
    r"(?:(?P<name>[^=@\s]+)=)?"
    r"(?:(?P<user>[^@\s:=-][^@\s:=]*)@)?"
    r"(?:(?P<bare>[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)"  # IPv6: with a port only in brackets
    r"|(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\]|(?P<host>\w(?:[\w.-]*\w)?))(?::(?P<port>\d{1,5}))?)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Host:
    """A machine with a slave called `name`; `user` and `port` are None where ssh's configuration decides."""

    name: str
    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        """For people: `slave1 (amoc@10.0.0.1:2222)`."""
        host = f"[{self.host}]" if ":" in self.host and self.port else self.host
        port = f":{self.port}" if self.port else ""
        address = f"{self.user}@{host}{port}" if self.user else f"{host}{port}"
        return self.name if address == self.name else f"{self.name} ({address})"


def read_hosts(entries: Sequence[str]) -> list[Host]:
    """The hosts of the setting. Raises BadInput for an entry that is none, and for a name that is there twice."""
    hosts: dict[str, Host] = {}
    for entry in entries:
        host = _read(entry)
        if host.name in hosts:
            raise BadInput(
                f"hosts: two slaves are called {host.name} ({hosts[host.name]} and {entry}): "
                f"give them names, as in `first={host.host}`"
            )
        hosts[host.name] = host
    return list(hosts.values())


def _read(entry: str) -> Host:
    match = _ENTRY.fullmatch(entry.strip())
    port = int(match["port"]) if match and match["port"] else None
    if match is None or (port is not None and not 0 < port < 65536):
        raise BadInput(f"hosts: {entry!r} is not [NAME=][USER@]HOST[:PORT]")
    host = match["bare"] or match["bracketed"] or match["host"]
    name = match["name"] or host
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"hosts: a node cannot be called {name!r} (letters, digits, and . _ - between them): "
            f"give it a name, as in `slave1={host}`"
        )
    if name == MASTER:
        raise BadInput(f"hosts: {entry!r}: only the master is called {MASTER}; give the slave another name")
    return Host(name, host, match["user"], port)
