"""The master: what it wants of its slaves, how it knows them, what it does for an operator.

Runs in the master's process (in local mode: the node process).
May import: control, scenario, metrics, annotations, config.
"""

from amoc.cluster.events import Events
from amoc.cluster.journal import Journal
from amoc.cluster.master import Master

__all__ = ["Events", "Journal", "Master"]
