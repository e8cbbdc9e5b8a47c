"""A command on another machine, by Fabric: the user's ssh configuration and keys, host keys always checked.

Fabric trusts whatever key an unknown host shows (its AutoAddPolicy); a load generator has a login on many machines,
so here an unknown key is refused, and known_hosts is only read. Every failure is a Failed of one line.
"""

import logging
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from fabric import Config, Connection
from invoke.exceptions import CommandTimedOut
from paramiko import MissingHostKeyPolicy, PKey, SSHClient
from paramiko.ssh_exception import AuthenticationException, BadHostKeyException, NoValidConnectionsError, SSHException

from amoc.errors import Failed
from amoc.launch.hosts import Host

__all__ = ["Answer", "Shell"]

# Of one TCP connection; and of the server's greeting, login and channel after that.
CONNECT_TIMEOUT = 10
ANSWER_TIMEOUT = 15
KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts")  # as OpenSSH's client

# What it logs at other levels is said again by our errors, with tracebacks that help nobody.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to: exit code and output."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """The last line that it wrote, of its errors if there are any."""
        lines = [line.strip() for line in (self.err.strip() or self.out.strip()).splitlines()]
        return lines[-1] if lines else "no output"


class Shell:
    """A shell on a host, used from one thread; `abort` may come from another and ends what is under way."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._aborted = threading.Event()
        self._connection: Connection | None = None

    def __repr__(self) -> str:
        return f"<Shell on {self.host}>"

    def run(self, command: str, timeout: float) -> Answer:
        """Run `command` there. Raises Failed that says what is wrong with the host, without its name."""
        try:
            self._connection = connection = self._prepared()
            if self._aborted.is_set():
                raise Failed("given up")
            done = connection.run(command, hide=True, warn=True, in_stream=False, timeout=timeout)
        except CommandTimedOut:
            raise Failed(f"the command has not ended within {timeout:g} s") from None
        except Exception as error:
            raise Failed("given up" if self._aborted.is_set() else _reason(error, self.host)) from None
        finally:
            self._close()
        return Answer(done.return_code, done.stdout, done.stderr)

    def abort(self) -> None:
        """End a command under way; its `run` raises Failed."""
        self._aborted.set()
        self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.client.close()  # Connection.close does nothing when the login failed

    def _prepared(self) -> Connection:
        """A connection that is not open yet."""
        connection = Connection(
            self.host.host,
            user=self.host.user,
            port=self.host.port,
            config=Config(),
            connect_timeout=CONNECT_TIMEOUT,
            connect_kwargs={f"{step}_timeout": ANSWER_TIMEOUT for step in ("banner", "auth", "channel")},
        )
        named = str(connection.ssh_config.get("userknownhostsfile", "")).split()
        for file in [Path(name).expanduser() for name in (*named, *KNOWN_HOSTS)]:
            if file.is_file():
                connection.client.load_system_host_keys(str(file))
        connection.client.set_missing_host_key_policy(_Refuse())
        return connection


class _UnknownKey(SSHException):  # type: ignore[misc]  # paramiko has no types
    """The host is not in known_hosts."""


class _Refuse(MissingHostKeyPolicy):  # type: ignore[misc]  # paramiko has no types
    """No host is trusted at first sight."""

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:
        raise _UnknownKey(f"{key.get_name()} {key.fingerprint}")


def _reason(error: Exception, host: Host) -> str:
    """Why ssh failed, for people: what is wrong and what to do."""
    at = f"{host.host}:{host.port}" if host.port else host.host
    known = f"'[{host.host}]:{host.port}'" if host.port else host.host
    scan = f"ssh-keyscan -H {f'-p {host.port} ' if host.port else ''}{host.host} >> ~/.ssh/known_hosts"
    login = f"ssh {f'-p {host.port} ' if host.port else ''}{f'{host.user}@' if host.user else ''}{host.host}"
    match error:
        case _UnknownKey():
            return f"its host key is not known ({error}): compare it on that machine, then `{scan}`"
        case BadHostKeyException():
            return (
                f"its host key is not the one in known_hosts ({error.key.get_name()} {error.key.fingerprint}): "
                f"somebody may be in between; if the machine is a new one, `ssh-keygen -R {known}` and `{scan}`"
            )
        case AuthenticationException():
            return f"ssh does not let us in ({_text(error)}): `{login}` must work without a password"
        case NoValidConnectionsError():
            causes = sorted({(cause.strerror or str(cause)).lower() for cause in error.errors.values()})
            return f"ssh cannot reach {at}: {', '.join(causes)}"
        case socket.gaierror():
            return f"ssh cannot reach {at}: there is no such host ({error.strerror})"
        case TimeoutError():
            return f"ssh cannot reach {at}: no answer within {CONNECT_TIMEOUT} s"
        case OSError():
            return f"ssh cannot reach {at}: {error.strerror or _text(error)}"
        case _:
            return f"ssh failed: {_text(error)}; does `{login}` work?"


def _text(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
