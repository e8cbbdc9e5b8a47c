"""What the master knows, and the questions that its decisions ask of it.

Pure: no I/O; `now` is the master's monotonic clock.
"""

from collections.abc import Collection

from amoc.cluster.books import Books
from amoc.cluster.distribution import Place
from amoc.cluster.members import Member, Members
from amoc.cluster.removals import Chooser, Removing
from amoc.cluster.rules import MARGIN, Rules
from amoc.control import Counts, Desired, IdRange, IdSet, Run, Seat, count, granted, not_before
from amoc.metrics import Store
from amoc.scenario import Source

__all__ = ["Knowledge"]


class Knowledge:
    """The desired state, the nodes, their books and metrics, the ids in use.

    `absent`: incarnations that may still have users of this run or an earlier one without being in it, by their names.
    `through`: incarnations that have told the end of this run, and have no users of it whatever becomes of them.
    `removings`: removals that are not answered by all. `released`: ids that nodes have let go, to be handed on at
    once. `moving`: ids that are to be let go. `balanced`: seats that have got their share. `changes` rises with
    whatever is worth to be written down. `due`: something has happened after which the master may have to act.
    """

    def __init__(self, rules: Rules, number: int = 0) -> None:
        self.rules = rules
        self.desired = Desired(number)
        self.members = Members()
        self.books = Books()
        self.store = Store()
        self.source: Source | None = None
        self.absent: dict[str, str] = {}
        self.changes = 0
        self.due = False
        self.clear()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} #{self.desired.number} {self.desired.phase} {self.members}>"

    def clear(self) -> None:
        """A new run begins."""
        self.books.clear()
        self.store = Store()
        self.chooser = Chooser()
        self.removings: list[Removing] = []
        self.released: dict[str, list[IdRange]] = {}
        self.moving = IdSet()
        self.balanced: set[tuple[str, int]] = set()
        self.told: set[str] = set()
        self.through: set[str] = set()

    # The run

    @property
    def run(self) -> Run:
        """The present run, or the last one; there has to be one."""
        assert self.desired.run is not None
        return self.desired.run

    def active(self) -> bool:
        """Whether a run is under way, in whichever phase."""
        return self.desired.run is not None and self.desired.phase != "over"

    def ending(self) -> bool:
        """Whether a run is being taken to its end, and some node that can be reached is not there yet."""
        return self.desired.run is not None and not_before(self.desired.phase, "stop") and not self.reached("over")

    # Nodes of the run

    def reachable(self, node: str) -> bool:
        """Whether the node is there in its seat: not lost, and not another incarnation."""
        seat, member = self.desired.seats.get(node), self.members.get(node)
        return (
            seat is not None
            and member is not None
            and member.incarnation == seat.incarnation
            and member.condition != "lost"
        )

    def error(self, node: str) -> str | None:
        """What is wrong with a node of the run that can be reached."""
        member = self.members.by_name[node]
        return member.error if self._in_seat(member) else None

    def _in_seat(self, member: Member) -> bool:
        """Whether what the node last told is of its present seat in this run."""
        return member.run_id == self.run.id and member.seat == self.desired.seats[member.name].number

    def healthy(self) -> list[Member]:
        """The nodes of the run that can be reached and are not in error."""
        names = [node for node in self.desired.seats if self.reachable(node) and self.error(node) is None]
        return [self.members.by_name[node] for node in names]

    def done(self, member: Member, phase: str) -> bool:
        """Whether a node of the run has done `phase`."""
        return self._in_seat(member) and member.phase is not None and not_before(member.phase, phase)

    def reached(self, phase: str) -> bool:
        """Whether every node of the run that can be reached has done `phase`.

        On the way up there must be one, and those in error do not count; the leader has to have run `setup()`.
        """
        run = self.desired.run
        if run is None:
            return False
        if not_before(phase, "stop"):
            nodes = [self.members.by_name[node] for node in self.desired.seats if self.reachable(node)]
            return all(self.done(member, phase) for member in nodes)
        nodes = self.healthy()
        if phase == "setup" and not any(m.name == self.desired.leader and m.led for m in nodes):
            return False
        return bool(nodes) and all(self.done(member, phase) for member in nodes)

    def places(self) -> list[Place]:
        """The nodes that take users, in the order of their names."""
        return [
            Place(member.name, member.cores, self._users(member.name))
            for member in sorted(self.healthy(), key=lambda member: member.name)
            if member.condition == "up" and self.done(member, "init")
        ]

    def _users(self, node: str) -> int:
        counts = self.books.account(node, self.desired.seats[node]).counts
        return counts.planned + counts.present

    def acknowledged(self, number: int, nodes: Collection[str]) -> bool:
        """Whether those of the nodes that can be reached have heard command `number`."""
        return all(self.members.by_name[node].applied >= number for node in nodes if self.reachable(node))

    def failure(self) -> str | None:
        """Why the run cannot go on, if it cannot."""
        if self.desired.run is None:
            return None
        begun = not_before(self.desired.phase, "run")
        errors: dict[str, str] = {}
        for node in self.desired.seats:
            if self.reachable(node) and (error := self.error(node)) is not None:
                errors[node] = error
                if not begun and not self.members.by_name[node].alone:
                    return f"{node}: {error}"
        if begun and (not errors or len(errors) < len(self.desired.seats)):
            return None
        if not begun and self.healthy():
            return None
        return next((f"{node}: {error}" for node, error in errors.items()), "all its nodes are lost")

    # Users

    def left(self, node: str, seat: Seat) -> list[IdRange]:
        """The ids of a seat whose life is not over."""
        return self.books.ended.rest(granted(seat.grants))

    def counts(self, *, shown: bool = False) -> Counts:
        """All users of the run, as the nodes have told it; `shown`: as people are to see it."""
        missing = {node for node in self.desired.seats if not self.reachable(node)}
        counts = self.books.counts(self.desired.seats, missing, shown=shown)
        counts.lost += count(self.desired.orphans)
        return counts

    # Leases

    def gone_at(self, incarnation: str) -> float | None:
        """When an incarnation that cannot be reached has certainly no users any more; None: never."""
        if self.desired.run is None or self.run.lease is None:
            return None
        heard = self.members.heard(incarnation)
        return -1.0 if heard is None else heard + self.run.lease + MARGIN

    def unfinished(self) -> dict[str, str]:
        """Incarnations in a seat of the run that have not told its end, by their names."""
        seats = self.desired.seats.items()
        return {seat.incarnation: node for node, seat in seats if seat.incarnation not in self.through}

    def quiet_at(self) -> float:
        """When no node can have users any more that are not in the books."""
        times = [self.gone_at(incarnation) for incarnation in {**self.absent, **self.unfinished()}]
        return max((at for at in times if at is not None), default=0.0)
