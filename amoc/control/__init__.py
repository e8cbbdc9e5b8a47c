"""What master and slaves say to each other: ids, the desired state, the messages, and the bus that carries them.

Runs in the master's and in every slave's process (in local mode: in one and the same).
May import: errors.
"""

from amoc.control.bus import MasterBus, NodeBus
from amoc.control.desired import (
    PHASES,
    Assign,
    Change,
    Command,
    Desired,
    Phase,
    Removal,
    Remove,
    Run,
    Start,
    Step,
    Stop,
    apply,
)
from amoc.control.ids import HIGHEST, IdRange, IdSet, compress, count, newest
from amoc.control.memory_bus import MemoryBus
from amoc.control.messages import (
    Beat,
    BeatReply,
    Counts,
    ErrorCount,
    Event,
    Fetch,
    Fetched,
    Hello,
    Refused,
    Reply,
    Request,
    Snapshot,
    SnapshotReply,
    Welcome,
    WorkerFigures,
)

__all__ = [
    "HIGHEST",
    "PHASES",
    "Assign",
    "Beat",
    "BeatReply",
    "Change",
    "Command",
    "Counts",
    "Desired",
    "ErrorCount",
    "Event",
    "Fetch",
    "Fetched",
    "Hello",
    "IdRange",
    "IdSet",
    "MasterBus",
    "MemoryBus",
    "NodeBus",
    "Phase",
    "Refused",
    "Removal",
    "Remove",
    "Reply",
    "Request",
    "Run",
    "Snapshot",
    "SnapshotReply",
    "Start",
    "Step",
    "Stop",
    "Welcome",
    "WorkerFigures",
    "apply",
    "compress",
    "count",
    "newest",
]
