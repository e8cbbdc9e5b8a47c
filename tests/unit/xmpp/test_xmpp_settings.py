"""Settings, addresses, accounts."""

import pytest

from amoc.config import Config, ConfigError
from amoc.xmpp import jid_of, neighbours
from amoc.xmpp.settings import SETTINGS, Options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("xmpp_servers", []),
        ("xmpp_servers", ["host:x"]),
        ("xmpp_servers", ["ftp://host"]),
        ("xmpp_source_addresses", ["localhost"]),
        ("xmpp_domain", ""),
        ("xmpp_username", "user_{number}"),
        ("xmpp_username", "user_{"),
        ("xmpp_username", "user_{id.real.x}"),
        ("xmpp_username", "{}"),
        ("xmpp_tls", "sometimes"),
        ("xmpp_sasl", "DIGEST-MD5"),
        ("xmpp_ca_file", "no/such/file.pem"),
        ("xmpp_login_timeout", 0),
        ("xmpp_iq_timeout", -1),
        ("xmpp_inbox", 0),
        ("xmpp_max_stanza_size", 10),
    ],
)
def test_bad_values_are_refused(settings: Config, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        settings.set(name, value)


def test_a_password_is_a_secret(settings: Config) -> None:
    settings.set("xmpp_password", "hunter2")
    assert settings.all()["xmpp_password"].value == "***"
    assert "hunter2" not in repr(Options.read({}))


def test_servers_from_the_environment_are_separated_by_spaces() -> None:
    own = Config(SETTINGS, env={"AMOC_XMPP_SERVERS": "one two:5223"})
    assert own.get("xmpp_servers") == ["one", "two:5223"]


def test_options_are_shared_until_a_setting_changes(settings: Config) -> None:
    first = Options.read({})
    assert Options.read({}) is first
    assert Options.read({"resource": "tablet"}).resource == "tablet"
    settings.set("xmpp_domain", "example.org")
    assert Options.read({}).domain == "example.org"
    assert jid_of(7) == "user_7@example.org"
    assert Options.read({}).who(7) == "user 7 (user_7@example.org at 127.0.0.1:5222)"


def test_neighbours() -> None:
    assert neighbours(10, 4) == [6, 7, 8, 9, 11, 12, 13, 14]
    assert neighbours(2, 4) == [1, 3, 4, 5, 6]
    assert neighbours(1, 0) == []
