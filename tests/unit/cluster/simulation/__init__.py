"""A whole cluster in one process and in simulated time: the real state machines, a bad network, tiny workers.

`World` has the clock, the network and what is wrong with it; `MasterProcess` and `NodeProcess` do what the shells
(amoc/cluster/keeper.py, amoc/node/agent.py) do; `WorkerProcess` has users. Everything that happens is chosen by
one random generator, so a seed is a schedule. Messages are encoded and decoded on their way, as on a real bus.
"""

from tests.unit.cluster.simulation.master import MasterProcess
from tests.unit.cluster.simulation.node import NodeProcess
from tests.unit.cluster.simulation.story import Story
from tests.unit.cluster.simulation.worker import WorkerProcess
from tests.unit.cluster.simulation.world import World

__all__ = ["MasterProcess", "NodeProcess", "Story", "WorkerProcess", "World"]
