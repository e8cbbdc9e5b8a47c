"""The settings of the XMPP client, and `Options`: what one login makes of them.

`connect(user_id, resource="tablet")` overrides a setting for one connection, by its name without `xmpp_`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amoc import config
from amoc.config import Setting, at_least, not_empty
from amoc.xmpp.core.login import TlsPolicy
from amoc.xmpp.core.parser import MAX_STANZA_SIZE
from amoc.xmpp.core.sasl import STRENGTH

__all__ = ["SETTINGS", "Options", "parse_address"]

PORT = 5222  # RFC 6120, 3.2.1


def parse_address(text: str) -> tuple[str, int]:
    """(host, port) of "host", "host:port", "[v6]", "[v6]:port" or a bare IPv6 address. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is not [address]:port")
        colon, port = rest[:1], rest[1:]
    elif text.count(":") > 1 or not colon:  # an IPv6 address, or no port
        host, colon, port = text, "", ""
    if not host or host != host.strip() or any(char.isspace() for char in host):
        raise ValueError(f"{text!r} is not host or host:port")
    if not colon:
        return host, PORT
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r}: the port must be a number from 1 to 65535")
    return host, int(port)


def _addresses(servers: list[str]) -> None:
    not_empty(servers)
    for server in servers:
        parse_address(server)


def _pattern(text: str) -> None:
    try:
        text.format(id=1)
    except (LookupError, ValueError, AttributeError) as error:
        raise ValueError("only {id} can stand in braces; write {{ for a brace") from error


def _mechanism(name: str) -> None:
    if name and name not in STRENGTH:
        raise ValueError(f"must be empty (the strongest that the server offers) or one of {', '.join(STRENGTH)}")


def _readable(path: str) -> None:
    if path and not Path(path).is_file():
        raise ValueError("there is no such file")


SETTINGS = (
    Setting(
        "xmpp_servers",
        list[str],
        ["127.0.0.1:5222"],
        "servers as host[:port]; users are spread over them by their ids",
        check=_addresses,
    ),
    Setting("xmpp_domain", str, "localhost", "the domain that users log in to", check=not_empty),
    Setting("xmpp_resource", str, "res1", "resource of each user; empty: the server chooses"),
    Setting(
        "xmpp_username", str, "user_{id}", "user name, {id} being the id of the user", check=_pattern
    ),
    Setting(
        "xmpp_password", str, "password_{id}", "password, {id} being the id", check=_pattern, secret=True
    ),
    Setting(
        "xmpp_tls",
        TlsPolicy,
        "optional",
        "STARTTLS: if the server offers it; refuse a server without; do not use it",
    ),
    Setting("xmpp_accept_any_certificate", bool, False, "do not check the certificates of servers"),
    Setting(
        "xmpp_ca_file", str, "", "authorities (PEM) to check certificates with; empty: the system's", check=_readable
    ),
    Setting("xmpp_sasl", str, "", "SASL mechanism; empty: the strongest that the server offers", check=_mechanism),
    Setting("xmpp_login_timeout", float, 30.0, "seconds for a whole login", check=at_least(0.001)),
    Setting("xmpp_iq_timeout", float, 10.0, "seconds to wait for the answer to an iq", check=at_least(0.001)),
    Setting("xmpp_close_timeout", float, 2.0, "seconds to wait for the server's goodbye", check=at_least(0)),
    Setting("xmpp_inbox", int, 1000, "stanzas kept per user; the oldest are dropped, counted", check=at_least(1)),
    Setting("xmpp_max_stanza_size", int, MAX_STANZA_SIZE, "bytes of a stanza from the server", check=at_least(1024)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """What one login needs to know: every setting by its name without `xmpp_`."""

    servers: list[str]
    domain: str
    resource: str
    username: str
    password: str = field(repr=False)
    tls: TlsPolicy
    accept_any_certificate: bool
    ca_file: str
    sasl: str
    login_timeout: float
    iq_timeout: float
    close_timeout: float
    inbox: int
    max_stanza_size: int

    @classmethod
    def read(cls, overrides: dict[str, Any]) -> "Options":
        """The settings in force, but for `overrides`. Raises ConfigError for a wrong name or value."""
        values = {setting.name.removeprefix("xmpp_"): config.get(setting.name) for setting in SETTINGS}
        if overrides:
            accepted = config.current().accept(
                {f"xmpp_{name}": value for name, value in overrides.items()}, "given to connect"
            )
            values |= {name.removeprefix("xmpp_"): value for name, value in accepted.items()}
        options = cls(**values)
        last = _last[0]
        if last is not None and options == last:  # tens of thousands of clients share one
            return last
        _last[0] = options
        return options

    def account(self, user_id: int) -> str:
        """The user name of a user."""
        return self.username.format(id=user_id)

    def server(self, user_id: int) -> str:
        """The server of a user, as it is set."""
        return self.servers[(user_id - 1) % len(self.servers)]

    def who(self, user_id: int) -> str:
        """The user, its account and its server, as errors name them."""
        return f"user {user_id} ({self.account(user_id)}@{self.domain} at {self.server(user_id)})"


_last: list[Options | None] = [None]
