"""A slave node: the agent process that turns the master's desired state into users on worker processes.

Runs in every slave's agent process; in local mode, in the one node process beside the master.
May import: worker, control, scenario, metrics, config.
"""

from amoc.node.agent import Agent
from amoc.node.state import NodeState

__all__ = ["Agent", "NodeState"]
