"""What the node's state machine asks its shell to do.

Pure: values only.
"""

from dataclasses import dataclass

from amoc.worker.messages import ToWorker

__all__ = ["BeatNow", "Effect", "Emit", "FetchSource", "Kill", "Quit", "Send", "Spawn"]


@dataclass(frozen=True, slots=True)
class FetchSource:
    """Get the scenario's source of this version and give it back by `source_arrived`."""

    version: str


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start worker `index`; tell `worker_up` when it is there, `worker_not_up` when it cannot be started."""

    index: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send `message` to worker `index`."""

    index: int
    message: ToWorker


@dataclass(frozen=True, slots=True)
class Kill:
    """End worker `index` at once."""

    index: int


@dataclass(frozen=True, slots=True)
class Quit:
    """Let all workers end by themselves; their deaths are wanted."""


@dataclass(frozen=True, slots=True)
class BeatNow:
    """Something the master waits for has happened: beat at once."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell people, in one line; `event` is the kind, `worker` the index if it is about one."""

    event: str
    level: str
    text: str
    worker: int | None = None


Effect = FetchSource | Spawn | Send | Kill | Quit | BeatNow | Emit
