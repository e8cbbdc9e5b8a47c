"""The settings of the XMPP client, and `Options`: what one login makes of them.

`connect(user_id, resource="tablet")` overrides a setting for one connection, by its name without `xmpp_`.
"""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from amoc import config
from amoc.config import Setting, at_least, not_empty
from amoc.xmpp.core.address import parse_address
from amoc.xmpp.core.login import TlsPolicy
from amoc.xmpp.core.management import REQUEST_AFTER
from amoc.xmpp.core.parser import MAX_STANZA_SIZE
from amoc.xmpp.core.sasl import MECHANISMS
from amoc.xmpp.keepalive import KeepaliveKind

__all__ = ["SETTINGS", "Options"]


def _servers(servers: list[str]) -> None:
    not_empty(servers)
    for server in servers:
        parse_address(server)


def _local_addresses(addresses: list[str]) -> None:
    for address in addresses:
        ipaddress.ip_address(address)


def _pattern(text: str) -> None:
    try:
        text.format(id=1)
    except (LookupError, ValueError, AttributeError) as error:
        raise ValueError("only {id} can stand in braces; write {{ for a brace") from error


def _mechanism(name: str) -> None:
    if name and name not in MECHANISMS:
        raise ValueError(f"must be empty (the strongest that the server offers) or one of {', '.join(MECHANISMS)}")


def _readable(path: str) -> None:
    if path and not Path(path).is_file():
        raise ValueError("there is no such file")


SETTINGS = (
    Setting(
        "xmpp_servers",
        list[str],
        ["127.0.0.1:5222"],
        "servers as host[:port], tls://host, wss://host/path, https://host/path …: users are spread over them by id",
        check=_servers,
    ),
    Setting(
        "xmpp_source_addresses",
        list[str],
        [],
        "addresses of this machine to connect from, in turn: one has some 28,000 ports for each server",
        check=_local_addresses,
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
    Setting("xmpp_token", str, "", "OAuth token instead of a password, {id} as above", check=_pattern, secret=True),
    Setting(
        "xmpp_client_certificate", str, "", "our certificate and its key (PEM), {id} as above", check=_pattern
    ),
    Setting("xmpp_login_timeout", float, 30.0, "seconds for a whole login", check=at_least(0.001)),
    Setting("xmpp_iq_timeout", float, 10.0, "seconds to wait for the answer to an iq", check=at_least(0.001)),
    Setting("xmpp_close_timeout", float, 2.0, "seconds to wait for the server's goodbye", check=at_least(0)),
    Setting(
        "xmpp_stream_management",
        Literal["off", "on", "resume"],
        "off",
        "XEP-0198: count and acknowledge stanzas; resume: and let a session outlive its connection",
    ),
    Setting("xmpp_ack_every", int, REQUEST_AFTER, "stanzas between two requests to acknowledge", check=at_least(1)),
    Setting("xmpp_keepalive", float, 0.0, "seconds between two signs of life; 0: none", check=at_least(0)),
    Setting(
        "xmpp_keepalive_by",
        KeepaliveKind,
        "whitespace",
        "sign of life: white space (on TCP), or a ping, which ends the session unless it is answered",
    ),
    Setting("xmpp_inbox", int, 1000, "stanzas kept per user; the oldest are dropped, counted", check=at_least(1)),
    Setting("xmpp_max_stanza_size", int, MAX_STANZA_SIZE, "bytes of a stanza from the server", check=at_least(1024)),
)  # fmt: skip

KNOWN = 64  # options kept to be shared, by overrides: scenarios connect in a few ways, or in one for each user


@dataclass(frozen=True, slots=True)
class Options:
    """What one login needs to know: every setting by its name without `xmpp_`."""

    servers: list[str]
    source_addresses: list[str]
    domain: str
    resource: str
    username: str
    password: str = field(repr=False)
    tls: TlsPolicy
    accept_any_certificate: bool
    ca_file: str
    sasl: str
    token: str = field(repr=False)
    client_certificate: str
    login_timeout: float
    iq_timeout: float
    close_timeout: float
    stream_management: Literal["off", "on", "resume"]
    ack_every: int
    keepalive: float
    keepalive_by: KeepaliveKind
    inbox: int
    max_stanza_size: int

    @classmethod
    def read(cls, overrides: dict[str, Any]) -> "Options":
        """The settings in force, but for `overrides`. Raises ConfigError for a wrong name or value."""
        configuration = config.current()
        try:
            key = (configuration, configuration.changes, *overrides.items())
            known = _known.get(key)
        except TypeError:  # a list among the overrides
            key, known = (), None
        if known is not None:  # tens of thousands of clients share one
            return known
        values = {setting.name.removeprefix("xmpp_"): configuration.get(setting.name) for setting in SETTINGS}
        if overrides:
            accepted = configuration.accept(
                {f"xmpp_{name}": value for name, value in overrides.items()}, "given to connect"
            )
            values |= {name.removeprefix("xmpp_"): value for name, value in accepted.items()}
        options = cls(**values)
        if key:
            if len(_known) >= KNOWN:
                _known.clear()
            _known[key] = options
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


_known: dict[tuple[object, ...], Options] = {}
