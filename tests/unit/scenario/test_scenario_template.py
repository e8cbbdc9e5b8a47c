"""The template runs as it is: users log in to the embedded server and hear from each other."""

import asyncio
from pathlib import Path

import pytest

from amoc import config, metrics
from amoc.config import CORE, Config
from amoc.metrics import registry
from amoc.scenario import Store, load
from amoc.xmpp import SETTINGS
from amoc.xmpp.server import serve


async def test_users_of_a_new_scenario_hear_from_their_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store([tmp_path])
    store.new("my_test")
    async with await serve(port=0) as server:
        config.use(Config((*CORE, *SETTINGS), env={}, runtime={"xmpp_servers": [f"127.0.0.1:{server.port}"]}))
        monkeypatch.setattr(registry, "_current", metrics.Registry())
        scenario = load(store.source("my_test"))
        config.set_all({"rounds": 2, "pause": 0.2})
        assert scenario.init is not None
        assert scenario.terminate is not None
        state = scenario.init()
        await asyncio.gather(*(scenario.start(user_id, state) for user_id in (1, 2, 3)))
        scenario.terminate(state)
        assert server.counters.logins == 3
    counted = metrics.current().flush().counters
    # two rounds; users 1, 2, 3 have 2, 3, 4 neighbours by number, of which 2 are logged in
    assert counted["messages_sent"] == 2 * (2 + 3 + 4)
    assert 0 < counted["messages_received"] <= 2 * 3 * 2
