"""What the master knows and wants: the desired state, its nodes, their books, the ids in use.

Pure: no I/O; `now` is the master's monotonic clock, `wall` Unix time. Nodes' requests come in by `answer`, time by
`tick`, an operator's wishes by the other methods; what is to be done goes out as effects, by `take`. What follows by
itself, whoever asks for it, is decided in `upkeep`.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from amoc.cluster import upkeep
from amoc.cluster.effects import Effect, Pass, Publish, Say
from amoc.cluster.knowledge import Knowledge
from amoc.cluster.members import Member, superseded
from amoc.cluster.removals import Removing
from amoc.cluster.rules import Rules
from amoc.control import (
    PROTOCOL,
    Assign,
    Beat,
    BeatReply,
    Change,
    Close,
    Command,
    Fetch,
    Fetched,
    Hello,
    IdRange,
    Join,
    Lead,
    Own,
    Ping,
    Refused,
    Remove,
    Reply,
    Request,
    Run,
    Seat,
    Snapshot,
    SnapshotReply,
    Start,
    Step,
    Stop,
    Welcome,
    apply,
    shown,
)
from amoc.metrics import unpack
from amoc.scenario import Source

__all__ = ["ClusterState"]

C = TypeVar("C", bound=Command)

LOOK = 1.0
"""Seconds between two looks at all that may be due when nothing has happened: time passes, settings change."""


class ClusterState(Knowledge):
    """All that decisions are made from.

    `version` is amoc's, for people; `number` that of the command before the first. `durable`: the beats that are on
    disk, by incarnation; None if there is no disk to wait for.
    """

    def __init__(self, rules: Rules, version: str = "", number: int = 0) -> None:
        super().__init__(rules, number)
        self.version = version
        self.durable: dict[str, int] | None = None
        self._effects: list[Effect] = []
        self._advanced = 0.0

    def take(self) -> list[Effect]:
        """What is to be done, in order."""
        effects, self._effects = self._effects, []
        return effects

    # What nodes say

    def answer(self, request: Request, now: float, wall: float) -> Reply:
        """A node's request; returns the answer."""
        if isinstance(request, Hello):
            return self._hello(request, now, wall)
        member = self.members.get(request.node)
        if member is None or member.incarnation != request.incarnation:
            return self._stranger(request, now, wall)
        if self.members.hear(member, now):
            self.due = True
            self._say_back(member)
        match request:
            case Beat():
                return self._beat(request, member, now, wall)
            case Snapshot():
                return SnapshotReply(self.desired)
            case Fetch(version=version):
                source = self.source
                if source is None or source.version != version:
                    return Refused(f"no scenario of version {version[:12]} is being run")
                return Fetched(source.name, source.path, source.text, source.version, source.helpers)
        return Refused("this master does not know that request")

    def _stranger(self, request: Request, now: float, wall: float) -> Reply:
        """A request of an incarnation that is not registered, or not any more."""
        if request.incarnation not in self.members.former:
            return Refused(f"node {request.node} is not registered: say hello first", "unregistered")
        if isinstance(request, Beat) and self.books.lacks(request):  # what it has counted has happened
            with suppress(msgspec.DecodeError):
                self._news(request, now)
            if self.released:
                self.advance(now, wall)
        return superseded(request.node)

    def _hello(self, hello: Hello, now: float, wall: float) -> Reply:
        if hello.protocol != PROTOCOL:
            text = (
                f"node {hello.node} runs amoc {hello.version} (control protocol {hello.protocol}), "
                f"this master amoc {self.version} (control protocol {PROTOCOL}): install the same amoc on both"
            )
            return Refused(text, "version")
        before = self.members.get(hello.node)
        refused = self.members.register(hello, now)
        if refused is not None:
            return refused
        if before is None or before.incarnation != hello.incarnation:
            text = "is connected" if before is None else "has been started anew, and is connected again"
            self.say("node", f"{hello.node} {text}", node=hello.node)
            self.changes += 1
            self.due = True
        return Welcome(self.desired.number, self.books.seqs.get(hello.incarnation, 0))

    def _beat(self, beat: Beat, member: Member, now: float, wall: float) -> Reply:
        if self.books.lacks(beat):
            try:
                self._news(beat, now)
            except msgspec.DecodeError as error:
                return Refused(f"the metrics of node {beat.node} cannot be read: {error}", "decode")
            self.due |= member.take(beat, now) or bool(beat.dropped)
            if self.released:  # they are entered and handed on in one step, or neither
                self.advance(now, wall)
        known = self.books.seqs.get(beat.incarnation, 0)
        durable = known if self.durable is None else self.durable.get(beat.incarnation, 0)
        return BeatReply(known, self.desired.number, durable, wall, wall)

    def _news(self, beat: Beat, now: float) -> None:
        """Enter into the books what is new. Raises msgspec.DecodeError if it cannot be read: nothing is entered."""
        delta = unpack(beat.metrics)
        run = self.desired.run
        of_run = run is not None and beat.run_id == run.id
        account = self.books.take(beat, of_run=of_run)
        self.changes += 1
        self._effects += [Pass(event) for event in beat.events]
        if not of_run or beat.phase == "over":
            self.absent.pop(beat.incarnation, None)
        if account is None:
            return
        self.store.apply(beat.node, delta, now)
        if account.settled is not None:
            return
        for number, met in beat.dropped.items():
            for removing in self.removings:
                if removing.answered(beat.node, number, met):
                    break
        if beat.released:
            self.released.setdefault(beat.node, []).extend(beat.released)

    def tick(self, now: float, wall: float) -> None:
        """Time has passed: who is missed, and what follows from it."""
        missed = self.members.look(now)
        for member in missed:
            self._say_missed(member, now)
        if missed or self.due or not 0 <= now - self._advanced < LOOK:
            self.advance(now, wall)

    def advance(self, now: float, wall: float) -> None:
        """Do what is due."""
        self.due, self._advanced = False, now
        upkeep.advance(self, now, wall)
        self._notice_end()

    def _say_missed(self, member: Member, now: float) -> None:
        silent = f"no beat for {now - member.heard:.0f} s"
        level = "ERROR" if member.condition == "lost" else "WARNING"
        self.say("node", f"{member.name} is {member.condition}: {silent}{self._affected(member)}", level, member.name)

    def _say_back(self, member: Member) -> None:
        self.say("node", f"{member.name} is back{self._affected(member)}", node=member.name)

    def _affected(self, member: Member) -> str:
        """The users whom it concerns, for people."""
        seat = self.desired.seats.get(member.name)
        if seat is None or seat.incarnation != member.incarnation or not self.active():
            return ""
        return f"; {shown(self.left(member.name, seat))}"

    def _notice_end(self) -> None:
        if "end" in self.told or self.desired.phase != "run" or not self.desired.given:
            return
        counts = self.counts()
        if (
            counts.over != self.desired.given
            or self.desired.orphans
            or not all(map(self.reachable, self.desired.seats))
        ):
            return
        self.told.add("end")
        how = f"{counts.finished} finished, {counts.failed} failed, {counts.removed} removed"
        self.say("run", f"all users have ended: {how}" + (f", {counts.lost} lost" if counts.lost else ""))

    # Commands

    def start(self, run: Run, source: Source, nodes: Iterable[str]) -> None:
        """Begin a run on these nodes, which are up."""
        for node, seat in self.desired.seats.items():
            if not (self.reachable(node) and self.done(self.members.by_name[node], "over")):
                self.absent[seat.incarnation] = node
        seats = {node: self.members.by_name[node].incarnation for node in nodes}
        self.source = source
        self.clear()
        self.issue(Start(self.next, run, self.rules.interval(len(seats)), seats))
        for node, seat in self.desired.seats.items():
            self.books.open(node, seat)
            self.balanced.add((node, seat.number))

    def step(self, phase: str, wall: float, data: Any = None) -> None:
        """Move the run on."""
        self.issue(Step(self.next, self.run.id, phase, data, wall))

    def stop(self, force: bool, reason: str = "stopped", *, failed: bool = False) -> None:
        """End the run's users."""
        self.issue(Stop(self.next, self.run.id, force, reason, failed))

    def change(self, settings: Mapping[str, Any], interval: float, own: Mapping[str, Own]) -> Change:
        """Other settings, and the interval that follows from them; `own`: those of single nodes."""
        return self.issue(Change(self.next, self.run.id, dict(settings), interval, dict(own)))

    def ping(self) -> Ping:
        """Something for the nodes to hear."""
        return self.issue(Ping(self.next))

    def assign(self, first: int, last: int, nodes: Sequence[str] | None = None) -> Assign:
        """Deal out new ids to the nodes that take users, or to some of them."""
        places = [place for place in self.places() if nodes is None or place.name in nodes]
        ids = self.rules.deal(first, last, places, self.desired.given)
        self.told.discard("end")
        return self._assign(Assign(self.next, self.run.id, ids))

    def hand_on(self, ids: dict[str, list[IdRange]], orphans: list[IdRange], taken: dict[str, list[IdRange]]) -> None:
        """Give ids that were given before to other nodes; `orphans` are left without one."""
        for node, ranges in taken.items():
            self.chooser.taken(node, ranges)
            for user_id in (i for ids in ranges for i in ids):
                self.moving.discard(user_id)
        self._assign(Assign(self.next, self.run.id, ids, orphans, taken))

    def _assign(self, command: Assign) -> Assign:
        self.issue(command)
        for node, ranges in command.ids.items():
            self.chooser.given(node, ranges)
        return command

    def remove(self, wanted: int, force: bool, nodes: Sequence[str] | None = None) -> Removing | None:
        """Begin to remove the newest users, of some nodes or of all that can be reached; None if there is none."""
        removing = Removing(self.next, wanted, force, None if nodes is None else list(nodes), owed=wanted)
        if not self.remove_more(removing):
            return None
        self.removings.append(removing)
        return removing

    def remove_more(self, removing: Removing) -> bool:
        """Choose those who are still owed; False if there are no more."""
        places = [p.name for p in self.places() if removing.nodes is None or p.name in removing.nodes]
        ids = self.chooser.choose(removing.owed, places, self.books.ended)
        removing.ask(self.next, ids)
        if ids:
            self.issue(Remove(self.next, self.run.id, ids, removing.force))
        return bool(ids)

    def removed(self, removing: Removing) -> bool:
        """Whether a removal has come as far as it can: who has not answered is not to be reached."""
        return not removing.owed and not removing.open([node for node in self.desired.seats if self.reachable(node)])

    def move(self, ids: dict[str, list[IdRange]]) -> None:
        """Let nodes give up users, who are to go on at others."""
        for ranges in ids.values():
            self.moving.update(ranges)
        self.issue(Remove(self.next, self.run.id, ids, force=False, moved=True))

    def join(self, member: Member) -> None:
        """A node takes part from now on; the seat of its earlier incarnation is given up, whose users are lost."""
        seat = self.desired.seats.get(member.name)
        if seat is not None:
            self.absent[seat.incarnation] = member.name
            self._settle(member.name, seat, lose=True)
        else:
            self.say("node", f"{member.name} joins the test", node=member.name)
        self.issue(Join(self.next, self.run.id, member.name, member.incarnation))
        self.books.open(member.name, self.desired.seats[member.name])

    def close(self, node: str, seat: Seat) -> None:
        """A node's users are certainly gone: they wait for another node."""
        rest = self._settle(node, seat, lose=False)
        self.issue(Close(self.next, self.run.id, node, [*self.desired.orphans, *rest]))

    def _settle(self, node: str, seat: Seat, *, lose: bool) -> list[IdRange]:
        rest = self.books.close(node, seat, lose=lose)
        self.chooser.closed(node)
        for removing in self.removings:
            removing.closed(node)
        self.store.forget(node)
        fate = "are lost: the node was started anew" if lose else "go on at other nodes"
        self.say("node", f"{node}: {shown(rest)} {fate}", "ERROR" if lose and rest else "WARNING", node)
        return rest

    def lead(self, node: str) -> None:
        """Another node runs setup() and teardown()."""
        self.say("node", f"{node} takes the place of {self.desired.leader}, for setup() and teardown()", node=node)
        self.issue(Lead(self.next, self.run.id, node))

    def issue(self, command: C) -> C:
        """Apply a command here and have it published."""
        self.desired = apply(self.desired, command)
        self.changes += 1
        self._effects.append(Publish(command))
        return command

    def say(self, event: str, text: str, level: str = "INFO", node: str = "") -> None:
        """Tell people."""
        self._effects.append(Say(event, text, level, node))

    @property
    def next(self) -> int:
        """The number of the next command."""
        return self.desired.number + 1
