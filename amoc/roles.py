"""The composition root: wires the parts of a node for its role. At present one role: local.

Local mode is the distributed path with one node: master and agent in this process over the memory bus,
workers as processes of their own.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amoc import __version__, config
from amoc.cluster import Events, Master
from amoc.config import Config
from amoc.control import MemoryBus
from amoc.node import Agent, NodeState
from amoc.operations import Context
from amoc.scenario import Store
from amoc.xmpp.settings import SETTINGS as XMPP_SETTINGS

__all__ = ["EXTRA_SETTINGS", "NodeOptions", "build_config", "local_node", "scenario_store"]

EXTRA_SETTINGS = ("amoc.xmpp.settings",)
LOCAL = "local"  # the name of the one node in local mode


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """How to run a node. `settings` are run-time values from the command line.

    `config_file`: None takes `app.config` in the current directory if there is one.
    `workers`: None takes the setting `workers`, and that, when it is 0, one per core.
    """

    config_file: Path | None = None
    workers: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def build_config(options: NodeOptions) -> Config:
    """The node's settings: environment, command line, app.config, defaults. ConfigError names all that is wrong."""
    path = options.config_file or Path("app.config")
    values = config.read_file(path) if options.config_file is not None or path.exists() else {}
    configuration = Config(file=values, file_path=str(path))
    configuration.declare(XMPP_SETTINGS)
    configuration.set_all(options.settings)
    # The scenarios' own settings may stand in the file too; their values are checked when such a one is started.
    configuration.validate(also=scenario_store(configuration).declared_names())
    return configuration


def scenario_store(configuration: Config) -> Store:
    """The scenarios at hand: those in `scenarios_dir`."""
    return Store([Path(configuration.get("scenarios_dir"))])


@asynccontextmanager
async def local_node(options: NodeOptions) -> AsyncIterator[Context]:
    """A whole local node in the running loop; leaving ends its test and all its processes.

    Raises ConfigError for settings that cannot be used.
    """
    configuration = build_config(options)
    config.use(configuration)
    workers = options.workers or configuration.get("workers") or os.cpu_count() or 1
    bus = MemoryBus()
    events = Events()
    master = Master(LOCAL, __version__, configuration, events, bus, EXTRA_SETTINGS)
    layer = {**configuration.layer(), "runtime": {}}  # the run-time values travel with the desired state
    agent = Agent(NodeState(LOCAL, workers, layer, EXTRA_SETTINGS), bus, __version__)
    await agent.start()
    try:
        yield Context(master=master, store=scenario_store(configuration), events=events)
    finally:
        try:
            await master.close()
        finally:
            await agent.close()
