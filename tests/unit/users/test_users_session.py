"""One scenario in one worker: its callbacks, its settings, what `init` and `setup` hand on."""

import asyncio
import sys
import textwrap
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest

from amoc import config
from amoc.config import ConfigError
from amoc.metrics import Registry
from amoc.scenario import ScenarioError, Source
from amoc.users import Leg, Session, setup_data

Load = Callable[..., Session]
SEEN: list[Any] = []


@pytest.fixture
def load(registry: Registry) -> Iterator[Load]:
    """Makes a session of a scenario's text; `seen` in that is a list of the test's."""
    before, modules, path = config.current(), set(sys.modules), list(sys.path)
    SEEN.clear()

    def make(text: str, layers: dict[str, Any] | None = None, **settings: Any) -> Session:
        text = f"from {__name__} import SEEN as seen\n" + textwrap.dedent(text)
        return Session(Source.of("scene", text, "/nowhere/scene.py"), layers or {"env": {}}, (), settings)

    yield make
    config.use(before)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


async def run(session: Session, last: int = 1) -> None:
    """Let users run once; all are finished."""
    assert session.crowd is not None
    session.crowd.plan([Leg(1, last, 1, monotonic(), 0.0)])
    async with asyncio.timeout(30):
        while session.crowd.tally().finished < last:
            await asyncio.sleep(0)
    session.crowd.stop()


@pytest.mark.parametrize("way", ["def", "async def"])
async def test_callbacks_plain_and_async(load: Load, way: str) -> None:
    session = load(
        f"""
        {way} setup(): seen.append("setup"); return {{"room": 5}}
        {way} init(): seen.append("init"); return ["state"]
        async def start(user_id, state): seen.append((user_id, state))
        {way} terminate(state): seen.append(("terminate", state))
        {way} teardown(data): seen.append(("teardown", data))
        """,
        repeat_num=0,
    )
    assert session.crowd is None
    data = await session.setup()
    await session.init(data, asyncio.get_running_loop())
    await run(session)
    await session.terminate()
    await session.teardown(data)
    assert SEEN == [
        "setup",
        "init",
        (1, ["state"]),
        ("terminate", ["state"]),
        ("teardown", {"room": 5}),
    ]
    assert SEEN[2][1] is SEEN[3][1]


async def test_only_start_is_required(load: Load) -> None:
    session = load("async def start(user_id): seen.append(user_id)", repeat_num=0)
    assert await session.setup() is None
    await session.init(None, asyncio.get_running_loop())
    await run(session, 3)
    await session.terminate()
    await session.teardown(None)
    assert SEEN == [1, 2, 3]


async def test_setup_data_reaches_every_callback(load: Load) -> None:
    session = load(
        """
        from amoc.users import setup_data
        def init(): seen.append(setup_data())
        async def start(user_id): seen.append(setup_data())
        """,
        repeat_num=0,
    )
    await session.init([1, 2], asyncio.get_running_loop())
    await run(session)
    assert SEEN == [[1, 2], [1, 2]]
    assert setup_data() == [1, 2]


@pytest.mark.parametrize("callback", ["setup", "init", "terminate"])
@pytest.mark.parametrize("way", ["def", "async def"])
async def test_what_a_callback_raises_is_passed_on(load: Load, callback: str, way: str) -> None:
    session = load(f"async def start(user_id): pass\n{way} {callback}(): raise OSError('no accounts')")
    steps: dict[str, Callable[[], Any]] = {
        "setup": session.setup,
        "init": lambda: session.init(None, asyncio.get_running_loop()),
        "terminate": session.terminate,
    }
    with pytest.raises(OSError, match="no accounts"):
        await steps[callback]()
    assert session.crowd is None


DECLARED = """
    from amoc.config import Setting
    from amoc import config
    SETTINGS = [Setting("rounds", int, 3, "", lambda value: value > 0)]
    async def start(user_id): seen.append(config.get("rounds"))
"""


async def test_settings_in_layers_and_live(load: Load) -> None:
    """The file's value, then the run's; a change takes the place of all run-time values before."""
    session = load(DECLARED, {"env": {}, "file": {"rounds": 4}}, repeat_num=0)
    assert config.get("rounds") == 4
    session.change({"rounds": 9, "repeat_num": 0})
    assert config.get("rounds") == 9
    await session.init(None, asyncio.get_running_loop())
    await run(session)
    assert SEEN == [9]
    session.change({"rounds": 5})
    assert (config.get("rounds"), config.current().source("repeat_num")) == (5, "default")
    session.change({})
    assert config.get("rounds") == 4


@pytest.mark.parametrize("settings", [{"rounds": 0}, {"rounds": "x"}, {"runds": 3}])
def test_settings_that_do_not_fit(load: Load, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        load(DECLARED, **settings)


@pytest.mark.parametrize("text", ["x = 1", "def start(): pass", "1/0", "import sys; sys.exit(3)"])
def test_a_scenario_that_does_not_load(load: Load, text: str) -> None:
    with pytest.raises(ScenarioError, match=r"/nowhere/scene\.py"):
        load(text)
