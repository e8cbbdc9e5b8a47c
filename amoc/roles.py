"""The composition root: wires the parts of a node for its role.

local    master and agent in this process over the memory bus: the distributed path with one node
master   the master over ZeroMQ; it runs no users, and can start its slaves over ssh
slave    an agent over ZeroMQ

Workers are processes of their own under each agent.
"""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amoc import __version__, config
from amoc.cluster import Events, Journal, Master
from amoc.config import Config, Layer
from amoc.control import MemoryBus
from amoc.control.keys import MASTER, KeyRing, check_name, read_pair, read_public
from amoc.control.zmq_master import ZmqMasterBus
from amoc.control.zmq_node import ZmqNodeBus
from amoc.errors import BadInput
from amoc.launch import Fleet, read_hosts
from amoc.node import Agent, NodeState
from amoc.operations import Context
from amoc.scenario import Store
from amoc.xmpp.settings import SETTINGS as XMPP_SETTINGS

__all__ = ["EXTRA_SETTINGS", "NodeOptions", "build_config", "local_node", "node", "scenario_store"]

EXTRA_SETTINGS = ("amoc.xmpp.settings",)
LOCAL = "local"  # the name of the one node in local mode
MASTER_END = 10.0  # seconds that a master that ends waits for its slaves to end their users


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


def node(options: NodeOptions) -> AbstractAsyncContextManager[Context]:
    """A node of the role that its settings say. Raises ConfigError for settings that cannot be used."""
    role = build_config(options).get("role")
    return {"local": local_node, "master": master_node, "slave": slave_node}[role](options)


@asynccontextmanager
async def local_node(options: NodeOptions) -> AsyncIterator[Context]:
    """A whole local node in the running loop; leaving ends its test and all its processes.

    Raises ConfigError for settings that cannot be used.
    """
    configuration = build_config(options)
    config.use(configuration)
    bus = MemoryBus()
    events = Events()
    master = Master(LOCAL, __version__, configuration, events, bus, EXTRA_SETTINGS)
    state = NodeState(LOCAL, _workers(configuration, options), _own_layer(configuration), EXTRA_SETTINGS)
    agent = Agent(state, bus, __version__)
    await agent.start()
    try:
        yield Context("local", LOCAL, scenario_store(configuration), events, master.status, master)
    finally:
        try:
            await master.close()
        finally:
            await agent.close()


@asynccontextmanager
async def master_node(options: NodeOptions) -> AsyncIterator[Context]:
    """The master of a cluster in the running loop; leaving ends the test, and leaves the slaves to themselves.

    Raises ConfigError for settings, BadInput for keys, hosts and ports that cannot be used, Failed for a state_dir.
    """
    configuration = build_config(options)
    config.use(configuration)
    name = check_name(configuration.get("node_name", MASTER))
    keys = Path(configuration.get("keys_dir"))
    pair, ring = read_pair(keys, MASTER), KeyRing(keys)
    fleet = _fleet(configuration, ring)
    events = Events()
    port = configuration.get("control_port")
    bus = ZmqMasterBus(configuration.get("control_host"), port, port + 1, pair, ring.owner, _say(events))
    try:
        journal = Journal(Path(configuration.get("state_dir")))
        master = Master(name, __version__, configuration, events, bus, EXTRA_SETTINGS, journal)
        try:
            yield Context("master", name, scenario_store(configuration), events, master.status, master, fleet)
        finally:
            # Slaves that do not hear of the end stop their users when they have missed their master for long enough.
            with suppress(TimeoutError):
                async with asyncio.timeout(MASTER_END):
                    await master.close()
    finally:
        bus.close()


@asynccontextmanager
async def slave_node(options: NodeOptions) -> AsyncIterator[Context]:
    """A slave in the running loop; leaving ends its users and workers.

    Raises ConfigError for settings, BadInput for a name or keys that cannot be used. The master need not be there.
    """
    configuration = build_config(options)
    config.use(configuration)
    name = check_name(configuration.get("node_name", socket.gethostname()))
    keys = Path(configuration.get("keys_dir"))
    pair, master_key = read_pair(keys, name), read_public(keys, MASTER)
    host, port = configuration.get("master_host"), configuration.get("control_port")
    events = Events()
    bus = ZmqNodeBus(host, port, port + 1, pair, master_key, say=_say(events))
    state = NodeState(name, _workers(configuration, options), _own_layer(configuration), EXTRA_SETTINGS)
    agent = Agent(state, bus, __version__, _address_towards(host, port))
    try:
        status = _slave_status(agent, bus, f"{host}:{port}")
        context = Context("slave", name, scenario_store(configuration), events, status)
        agent.begin()
        ending = asyncio.create_task(_end_with(agent, context))
        try:
            yield context
        finally:
            ending.cancel()
            await agent.close()
    finally:
        bus.close()


def _own_layer(configuration: Config) -> Layer:
    """The settings that workers have from their node; the master's run-time values, which come with a run, go above.

    What was set for this node alone is put where it gives way to them. In local mode the master's are the node's own,
    and may be taken back in a run: only what cannot change in a run stays with the node.
    """
    layer = configuration.layer()
    own = layer["runtime"]
    if configuration.get("role") == "local":
        own = {name: value for name, value in own.items() if configuration.setting(name).change == "restart"}
    return Layer(file={**layer["file"], **own}, file_path=layer["file_path"], runtime={})


def _workers(configuration: Config, options: NodeOptions) -> int:
    return options.workers or configuration.get("workers") or os.cpu_count() or 1


def _fleet(configuration: Config, ring: KeyRing) -> Fleet | None:
    hosts = read_hosts(configuration.get("hosts"))
    if not hosts:
        return None
    path = configuration.get("path", None)
    if path is None:
        raise BadInput("hosts names slaves to be started, but path is not set: where is amoc installed on them?")
    return Fleet(hosts, path, lambda: ring.names)


def _say(events: Events) -> Callable[[str], None]:
    return lambda text: events.say("control", text, "WARNING")


async def _end_with(agent: Agent, context: Context) -> None:
    """A slave whose name another has taken does not go on."""
    context.events.say("node", await agent.over(), "ERROR")
    context.closing.set()


def _slave_status(agent: Agent, bus: ZmqNodeBus, master: str) -> Callable[[], dict[str, Any]]:
    """What `node.status` shows on a slave: the part of `local.status` that it knows by itself."""
    born = time.time()

    def status() -> dict[str, Any]:
        return {
            "node": agent.state.name,
            "role": "slave",
            "master": master,
            "trouble": bus.trouble or agent.trouble,
            "version": __version__,
            "pid": os.getpid(),
            "uptime": round(time.time() - born, 1),
            "state": agent.state.state,
            "files": agent.files.limit,
            "shortage": agent.files.shortage,
        }

    return status


def _address_towards(host: str, port: int) -> str:
    """The address of this machine by which it reaches a host; empty if there is no way to it. Nothing is sent."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:
        return ""
