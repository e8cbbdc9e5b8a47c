"""What the master knows: the desired state, its nodes, the ids in use.

Pure: no I/O. Its methods return the command that is to be published, already applied to `desired`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from amoc.cluster.distribution import round_robin
from amoc.control import (
    PHASES,
    Assign,
    Beat,
    Change,
    Command,
    Counts,
    Desired,
    ErrorCount,
    Hello,
    IdRange,
    IdSet,
    NodeLoad,
    Ping,
    Remove,
    Run,
    Start,
    Step,
    Stop,
    WorkerFigures,
    apply,
    compress,
    newest,
)

__all__ = ["ClusterState", "NodeView"]

MOST_ERRORS = 200  # distinct failures kept for the report; workers keep 100 each

C = TypeVar("C", bound=Command)


class NodeView(msgspec.Struct):
    """A node as its last beat showed it; `heard` is in monotonic seconds."""

    name: str
    incarnation: str
    version: str
    cores: int
    heard: float
    seq: int = 0
    applied: int = 0
    state: str = "idle"
    run_id: str | None = None
    phase: str | None = None
    error: str | None = None
    data: Any = None
    counts: Counts = msgspec.field(default_factory=Counts)
    workers: list[WorkerFigures] = []
    dropped: dict[int, int] = msgspec.field(default_factory=dict)
    address: str = ""
    load: NodeLoad = NodeLoad()


class ClusterState:
    """All that decisions are made from."""

    def __init__(self) -> None:
        self.desired = Desired()
        self.nodes: dict[str, NodeView] = {}
        self.errors: dict[str, ErrorCount] = {}
        self._clear()

    def __repr__(self) -> str:
        return f"<ClusterState #{self.desired.number} {self.desired.phase} {sorted(self.nodes)}>"

    def _clear(self) -> None:
        self.highest = 0
        self.given = 0
        self._ended = IdSet()
        self._live: dict[str, list[IdRange]] = {}
        self._counts = Counts()  # of all nodes of the run: with 1000 beats a second nothing may go through all nodes
        self.errors.clear()

    # What nodes say

    def hello(self, hello: Hello, now: float) -> None:
        """A node registers, or comes back."""
        if hello.node in self.nodes:
            self._counts.exchange(self._in_run(self.nodes[hello.node]), Counts())
        self.nodes[hello.node] = NodeView(
            hello.node, hello.incarnation, hello.version, hello.cores, now, address=hello.address
        )

    def beat(self, beat: Beat, now: float) -> bool:
        """Take in a beat; False if it was taken in before or its sender is unknown, and nothing changed."""
        node = self.nodes.get(beat.node)
        if node is None or node.incarnation != beat.incarnation:
            return False
        node.heard = now
        if beat.seq <= node.seq:
            return False
        before = self._in_run(node)
        for name in ("seq", "applied", "state", "run_id", "phase", "error", "data", "counts", "workers", "load"):
            setattr(node, name, getattr(beat, name))
        self._counts.exchange(before, self._in_run(node))
        if self.desired.run is not None and beat.run_id == self.desired.run.id:
            node.dropped.update(beat.dropped)
            self._ended.update(beat.ended)
            for error in beat.errors:
                self._count_error(error)
        return True

    def _count_error(self, error: ErrorCount) -> None:
        known = self.errors.get(error.key)
        if known is None and len(self.errors) >= MOST_ERRORS:
            error.key = f"{error.type}:more"
            known = self.errors.get(error.key)
        if known is None:
            self.errors[error.key] = error
        else:
            known.count += error.count

    # Commands

    def start(self, run: Run, interval: float) -> Start:
        """Begin a run."""
        self._clear()
        for node in self.nodes.values():
            node.counts, node.workers, node.dropped = Counts(), [], {}
        return self._command(Start(self._next, run, interval))

    def step(self, phase: str, data: Any = None) -> Step:
        """Move the run on."""
        return self._command(Step(self._next, self._run.id, phase, data))

    def stop(self, force: bool) -> Stop:
        """End the run's users."""
        return self._command(Stop(self._next, self._run.id, force))

    def change(self, settings: Mapping[str, Any], interval: float) -> Change:
        """Other settings, and the interval that follows from them."""
        return self._command(Change(self._next, self._run.id, dict(settings), interval))

    def ping(self) -> Ping:
        """Something for the nodes to hear."""
        return self._command(Ping(self._next))

    def assign(self, first: int, last: int, nodes: Sequence[str] | None = None) -> Assign:
        """Deal out more ids to the run's nodes, or to some of them."""
        ids = round_robin(first, last, nodes or self._run.nodes, self.given)
        self.given += last - first + 1
        self.highest = max(self.highest, last)
        for node, ranges in ids.items():
            self._live.setdefault(node, []).extend(ranges)
        return self._command(Assign(self._next, self._run.id, ids))

    def remove(self, count: int, force: bool, nodes: Sequence[str] | None = None) -> Remove | None:
        """Remove the `count` newest users that are, as far as is known, still there; none: no command.

        Some may end by themselves before the command arrives: `dropped` tells how many it really met.
        """
        live = {name: ranges for name, ranges in self._live.items() if nodes is None or name in nodes}
        everywhere = [r for ranges in live.values() for r in ranges]
        chosen = newest(everywhere, count, self._ended)
        if not chosen:
            return None
        lowest = chosen[-1]
        ids: dict[str, list[IdRange]] = {}
        for node, ranges in live.items():
            mine = [i for r in ranges for i in _from(r, lowest) if i not in self._ended]
            if mine:
                ids[node] = compress(mine)
            # Whoever is at or above `lowest` is gone or going: later removals look only below it.
            below = [r.before(-(-(lowest - r.first) // r.step)) for r in ranges]
            self._live[node] = [r for r in below if r is not None]
        return self._command(Remove(self._next, self._run.id, ids, force))

    def _command(self, command: C) -> C:
        self.desired = apply(self.desired, command)
        return command

    @property
    def _next(self) -> int:
        return self.desired.number + 1

    @property
    def _run(self) -> Run:
        assert self.desired.run is not None
        return self.desired.run

    # Questions

    def active(self) -> bool:
        """Whether a run is under way, in whichever phase."""
        return self.desired.run is not None and self.desired.phase != "over"

    def of_run(self) -> list[NodeView]:
        """The run's nodes."""
        run = self.desired.run
        return [] if run is None else [self.nodes[name] for name in run.nodes if name in self.nodes]

    def reached(self, phase: str) -> bool:
        """Whether every node of the run has done `phase`."""
        run = self.desired.run
        return run is not None and all(
            node.run_id == run.id and node.phase is not None and PHASES.index(node.phase) >= PHASES.index(phase)
            for node in self.of_run()
        )

    def applied(self, number: int) -> bool:
        """Whether every node of the run has acknowledged command `number`."""
        return all(node.applied >= number for node in self.of_run())

    def dropped(self, command: Remove) -> dict[str, int] | None:
        """What the nodes addressed have removed, when all have said so."""
        found: dict[str, int] = {}
        for name in command.ids:
            node = self.nodes.get(name)
            if node is None or command.number not in node.dropped:
                return None
            found[name] = node.dropped[command.number]
        return found

    @property
    def removed(self) -> int:
        """How many users the remove commands of this run have met, as far as the nodes have said so."""
        return sum(number for node in self.of_run() for number in node.dropped.values())

    def failure(self) -> tuple[str, str] | None:
        """The first node of the run that is in error, and why."""
        run = self.desired.run
        for node in self.of_run():
            if node.error is not None and run is not None and node.run_id == run.id:
                return node.name, node.error
        return None

    def counts(self) -> Counts:
        """All users of the run."""
        return self._counts.plus(Counts())

    def _in_run(self, node: NodeView) -> Counts:
        """The users that a node has in the present run."""
        run = self.desired.run
        return node.counts if run is not None and node.run_id == run.id else Counts()


def _from(ids: IdRange, lowest: int) -> Iterable[int]:
    skipped = max(0, -(-(lowest - ids.first) // ids.step))
    rest = ids.after(skipped)
    return rest if rest is not None else ()
