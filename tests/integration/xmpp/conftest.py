"""The settings of tests that log users in to a real server (fixture `server`), and metrics of their own."""

from collections.abc import Callable, Iterator

import pytest

from amoc import config, metrics
from amoc.config import CORE, Config
from amoc.xmpp import jid_of
from amoc.xmpp.settings import SETTINGS
from tests.support.servers import Server


@pytest.fixture
def settings(server: Server) -> Iterator[Config]:
    """Clients go to the server, domain `localhost`, where anybody may log in."""
    before, registry = config.current(), metrics.current()
    own = Config((*CORE, *SETTINGS), env={})
    config.use(own)
    metrics.use(metrics.Registry())
    own.set_all({"xmpp_servers": [server.address], "xmpp_tls": "never"})
    yield own
    config.use(before)
    metrics.use(registry)


@pytest.fixture
def accounts(server: Server, settings: Config) -> Callable[..., None]:
    """`accounts(1, 2)`: these users log in to `scram.local`, where accounts, rosters and archives stay."""
    settings.set_all({"xmpp_domain": "scram.local", "xmpp_sasl": "PLAIN"})

    def make(*users: int) -> None:
        there = server.accounts()
        server.register({jid_of(user): f"password_{user}" for user in users if jid_of(user) not in there})

    return make
