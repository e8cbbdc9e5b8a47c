"""The settings of the XMPP client, and `Options`: what one login makes of them.

`connect(user_id, resource="tablet")` overrides a setting for one connection, by its name without `xmpp_`.
"""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from amoc import config
from amoc.config import ConfigError, Setting, at_least, not_empty
from amoc.xmpp.accounts_file import Account, AccountsFile, load
from amoc.xmpp.core.address import parse_address
from amoc.xmpp.core.login import TlsPolicy
from amoc.xmpp.core.management import REQUEST_AFTER
from amoc.xmpp.core.parser import MAX_STANZA_SIZE
from amoc.xmpp.core.sasl import MECHANISMS
from amoc.xmpp.keepalive import KeepaliveKind
from amoc.xmpp.patterns import check_pattern, fill

__all__ = ["SETTINGS", "Options"]


def _servers(servers: list[str]) -> None:
    not_empty(servers)
    for server in servers:
        parse_address(server)


def _local_addresses(addresses: list[str]) -> None:
    for address in addresses:
        ipaddress.ip_address(address)


def _mechanism(name: str) -> None:
    if name and name not in MECHANISMS:
        raise ValueError(f"must be empty (the strongest that the server offers) or one of {', '.join(MECHANISMS)}")


def _readable(path: str) -> None:
    if path and not Path(path).is_file():
        raise ValueError("there is no such file")


def _accounts(path: str) -> None:
    if path:
        load(path)


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
    Setting(
        "xmpp_username", str, "user_{id}", "user name; {id}, {id:06d}, {id:%100} stand for the user's id", check_pattern
    ),
    Setting("xmpp_password", str, "password_{id}", "password, {id} as above", check_pattern, secret=True),
    Setting("xmpp_resource", str, "res1", "resource, {id} as above; empty: the server chooses", check_pattern),
    Setting(
        "xmpp_accounts_file",
        str,
        "",
        "CSV with columns username or jid, password, domain, resource: row N is the account of user N; empty: none",
        check=_accounts,
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
    Setting(
        "xmpp_scram_cache",
        bool,
        True,
        "keep a user's salted password for its next login by SCRAM; off: each login computes it",
    ),
    Setting("xmpp_token", str, "", "OAuth token instead of a password, {id} as above", check_pattern, secret=True),
    Setting("xmpp_client_certificate", str, "", "our certificate and its key (PEM), {id} as above", check_pattern),
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
    """What one login needs to know: every setting by its name without `xmpp_`.

    `accounts` is the accounts file, None without, and `given` the names of what was overridden, which goes before it.
    """

    servers: list[str]
    source_addresses: list[str]
    domain: str
    username: str
    password: str = field(repr=False)
    resource: str
    accounts_file: str
    tls: TlsPolicy
    accept_any_certificate: bool
    ca_file: str
    sasl: str
    scram_cache: bool
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
    accounts: AccountsFile | None = None
    given: frozenset[str] = frozenset()

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
        options = cls(**values, accounts=_accounts_in(values["accounts_file"]), given=frozenset(overrides))
        if key:
            if len(_known) >= KNOWN:
                _known.clear()
            _known[key] = options
        return options

    def own(self, user_id: int) -> Account:
        """The account of a user. Raises ConfigError when the accounts file has none for it."""
        usual = Account(
            username=fill(self.username, user_id),
            password=fill(self.password, user_id),
            domain=self.domain,
            resource=fill(self.resource, user_id),
        )
        if self.accounts is None:
            return usual
        row = self._row(self.accounts, user_id)
        return Account(
            username=usual.username if "username" in self.given else row.username,
            password=usual.password if "password" in self.given else row.password,
            domain=usual.domain if "domain" in self.given else row.domain or usual.domain,
            resource=usual.resource if "resource" in self.given else row.resource or usual.resource,
        )

    def jid(self, user_id: int) -> str:
        """The bare address of a user. Raises ConfigError as `own`."""
        if self.accounts is None:
            return f"{fill(self.username, user_id)}@{self.domain}"
        row = self._row(self.accounts, user_id)
        username = fill(self.username, user_id) if "username" in self.given else row.username
        return f"{username}@{self.domain if 'domain' in self.given or not row.domain else row.domain}"

    def server(self, user_id: int) -> str:
        """The server of a user, as it is set."""
        return self.servers[(user_id - 1) % len(self.servers)]

    def who(self, user_id: int) -> str:
        """The user, its account and its server, as errors name them."""
        try:
            account = self.jid(user_id)
        except ConfigError:  # it has no account, which is what the error is about
            account = "no account"
        return f"user {user_id} ({account} at {self.server(user_id)})"

    def _row(self, accounts: AccountsFile, user_id: int) -> Account:
        try:
            return accounts[user_id]
        except KeyError:
            has = f"xmpp_accounts_file {accounts.path} has {len(accounts)} accounts, and none for user {user_id}"
            raise ConfigError(f"{has}: add rows, or start fewer users") from None


def _accounts_in(path: str) -> AccountsFile | None:
    if not path:
        return None
    try:
        return load(path)
    except ValueError as error:  # it has changed since the setting was checked
        raise ConfigError(f"xmpp_accounts_file {path}: {error}") from error


_known: dict[tuple[object, ...], Options] = {}
