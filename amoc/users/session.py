"""A scenario loaded into this worker process: its settings, its callbacks, its users.

The callbacks of a run, in order: `setup` (first worker of the first node), `init` (every worker), `start`
(every user, see crowd), `terminate` (every worker), `teardown` (where `setup` ran). Each may be plain or async.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from amoc import config
from amoc.scenario import Scenario, Source, load
from amoc.users.crowd import Crowd

__all__ = ["Session", "setup_data"]

_data: Any = None


def setup_data() -> Any:
    """What the scenario's `setup()` returned, in every worker and for every user; None without one."""
    return _data


class Session:
    """One scenario in one worker. Raises ScenarioError or ConfigError when it does not load."""

    def __init__(
        self,
        source: Source,
        layers: Mapping[str, Any],
        extra_settings: tuple[str, ...],
        settings: Mapping[str, Any],
    ) -> None:
        configuration = config.Config(**layers)
        for module in extra_settings:
            configuration.declare(import_module(module).SETTINGS)
        config.use(configuration)
        self.scenario: Scenario = load(source)
        configuration.set_all(settings)
        self._configuration = configuration
        self._state: Any = None
        self.crowd: Crowd | None = None

    def change(self, settings: Mapping[str, Any]) -> None:
        """Make `settings` the run-time settings, in place of those before."""
        for name in self._configuration.runtime():
            if name not in settings:
                self._configuration.unset(name)
        self._configuration.set_all(settings)

    async def setup(self) -> Any:
        """Run `setup()`, if there is one; returns its data."""
        return await _run(self.scenario.setup)

    async def init(self, data: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Run `init()`; afterwards users may be planned."""
        global _data
        _data = data
        self._state = await _run(self.scenario.init)
        self.crowd = Crowd(self.scenario, self._state, loop)

    async def terminate(self) -> None:
        """Run `terminate()`, with the state if it wants it."""
        arguments = (self._state,) if self.scenario.terminate_takes_state else ()
        await _run(self.scenario.terminate, *arguments)

    async def teardown(self, data: Any) -> None:
        """Run `teardown(data)`."""
        await _run(self.scenario.teardown, data)


async def _run(callback: Callable[..., Any] | None, *arguments: Any) -> Any:
    if callback is None:
        return None
    result = callback(*arguments)
    return await result if inspect.isawaitable(result) else result
