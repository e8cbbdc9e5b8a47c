"""The state that the master wants, the commands that change it, and the one function that applies them.

Pure: no I/O. Master and slaves run the same `apply` on the same numbered commands, so that a slave's copy
equals the master's, or the slave asks for a snapshot (the "Clone" pattern of the ZeroMQ Guide, chapter 5).
The state is declarative: applying a command again, or a snapshot of a state already reached, changes nothing.

A run goes through phases in order. The master moves on when every node of the run has done the present one:

    setup     every node: workers up, scenario loaded; the leader also runs `setup()`
    init      every worker runs `init()`
    run       users are started, repeated, added, removed
    stop      users end, every worker runs `terminate()`
    teardown  the leader runs `teardown(data)`; workers end
    over      nothing is left of it on any node

A node takes part by its *seat*: the seat names the incarnation that it was given to and the command that gave
it. Whoever finds its seat gone, given to another incarnation, or given anew, has to end what it runs: the
number of the seat is the fence between what a node had and what it may have now.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from amoc.control.ids import IdRange, subtract

__all__ = [
    "PHASES",
    "Assign",
    "Change",
    "Close",
    "Command",
    "Desired",
    "Grant",
    "Join",
    "Lead",
    "Own",
    "Phase",
    "Ping",
    "Removal",
    "Remove",
    "Run",
    "Seat",
    "Start",
    "Step",
    "Stop",
    "apply",
    "granted",
    "not_before",
]

Phase = str
PHASES: tuple[Phase, ...] = ("setup", "init", "run", "stop", "teardown", "over")
_ORDER = {phase: index for index, phase in enumerate(PHASES)}


class Run(msgspec.Struct, frozen=True):
    """One test run, as it was asked for: users `first` to `last` (none if `last` is the lower) on `nodes`.

    `open`: other nodes may join later. `lease`: seconds that a node's users go on without the master; None: for ever.
    """

    id: str
    scenario: str
    version: str
    settings: dict[str, Any]
    nodes: list[str]
    started_at: float
    seed: int
    first: int = 1
    last: int = 0
    open: bool = True
    lease: float | None = None
    comment: str = ""


class Grant(msgspec.Struct, frozen=True):
    """Ids that a node was given by command `number`."""

    number: int
    ids: list[IdRange]


class Removal(msgspec.Struct, frozen=True):
    """Ids that shall end, gently or at once; `number` is that of the command that asked for it.

    `moved`: they are to go on elsewhere, and do not count as removed.
    """

    number: int
    ids: list[IdRange]
    force: bool
    moved: bool = False


class Own(msgspec.Struct, frozen=True):
    """Settings that one node has in place of the common ones, and its interval if that differs."""

    settings: dict[str, Any]
    interval: float | None = None


class Seat(msgspec.Struct, frozen=True):
    """A node's place in the run. `number`: of the command that gave it."""

    incarnation: str
    number: int
    grants: list[Grant] = []
    removed: list[Removal] = []
    own: Own | None = None


class Desired(msgspec.Struct, frozen=True):
    """Everything the master wants of its slaves. `number` is that of the last command applied.

    `leader` runs `setup()` and `teardown()`. `given` and `highest` tell of all ids ever assigned. `orphans` are ids
    whose node is gone and which wait for another. `reason`: why the run was ended; `failed`: it could not go on.
    """

    number: int = 0
    run: Run | None = None
    phase: Phase = "over"
    data: Any = None
    interval: float = 0.05
    force: bool = False
    settings: dict[str, Any] = {}
    seats: dict[str, Seat] = {}
    leader: str = ""
    given: int = 0
    highest: int = 0
    orphans: list[IdRange] = []
    reason: str | None = None
    failed: bool = False
    ended_at: float | None = None


class Command(msgspec.Struct, frozen=True, tag_field="command"):
    """A numbered change of the desired state; numbers rise by one."""

    number: int


class Start(Command, frozen=True, tag="start"):
    """Begin a run: its phase becomes `setup`. `interval`: seconds between two starts on one node.

    `seats`: the nodes that take part, each with its incarnation; the first of them leads.
    """

    run: Run
    interval: float
    seats: dict[str, str]


class Step(Command, frozen=True, tag="step"):
    """Move the run on to a later phase at `time`; `data` is what `setup()` returned."""

    run_id: str
    phase: Phase
    data: Any = None
    time: float = 0.0


class Lead(Command, frozen=True, tag="lead"):
    """Another node runs `setup()` and `teardown()`, because the leader is gone."""

    run_id: str
    node: str


class Assign(Command, frozen=True, tag="assign"):
    """More ids for the nodes named.

    With `orphans` they are not new: those that are left without a node afterwards. `taken` are those that nodes have
    given back for it.
    """

    run_id: str
    ids: dict[str, list[IdRange]]
    orphans: list[IdRange] | None = None
    taken: dict[str, list[IdRange]] = {}


class Remove(Command, frozen=True, tag="remove"):
    """Ids that shall end, by node; `moved`: to be given to other nodes when they have."""

    run_id: str
    ids: dict[str, list[IdRange]]
    force: bool
    moved: bool = False


class Change(Command, frozen=True, tag="change"):
    """All run-time settings as they now are, the interval that follows from them, and what single nodes have."""

    run_id: str
    settings: dict[str, Any]
    interval: float
    own: dict[str, Own] = {}


class Stop(Command, frozen=True, tag="stop"):
    """End the run's users and terminate; `force`: do not wait for anything. The first reason given stays."""

    run_id: str
    force: bool
    reason: str = "stopped"
    failed: bool = False


class Join(Command, frozen=True, tag="join"):
    """A node gets a seat in the run, in place of the one it may have had; what that one's ids are for is over."""

    run_id: str
    node: str
    incarnation: str


class Close(Command, frozen=True, tag="close"):
    """A node loses its seat; `orphans` are all ids that now wait for another node."""

    run_id: str
    node: str
    orphans: list[IdRange]


class Ping(Command, frozen=True, tag="ping"):
    """Changes nothing but the number: a node that beats with it has heard it."""


def apply(state: Desired, command: Command) -> Desired:
    """The state after `command`. A command of another run, or a step backwards, changes only the number.

    Raises ValueError if the number does not follow the state's: the caller must ask for a snapshot.
    """
    if command.number <= state.number:
        return state
    if command.number != state.number + 1:
        raise ValueError(f"command {command.number} does not follow {state.number}")
    state = msgspec.structs.replace(state, number=command.number)
    if isinstance(command, Start):
        run = command.run
        seats = {node: Seat(incarnation, command.number) for node, incarnation in command.seats.items()}
        leader = next(iter(seats), "")
        return Desired(command.number, run, "setup", None, command.interval, False, run.settings, seats, leader)
    if state.run is None or getattr(command, "run_id", None) != state.run.id:
        return state
    return _changed(state, command)


def _changed(state: Desired, command: Command) -> Desired:
    """The state after a command of its run."""
    replace = msgspec.structs.replace
    match command:
        case Step(phase=phase, data=data, time=time):
            if not_before(state.phase, phase):
                return state
            ended_at = time if not_before(phase, "teardown") and state.ended_at is None else state.ended_at
            return replace(state, phase=phase, data=state.data if data is None else data, ended_at=ended_at)
        case Stop(force=force, reason=reason, failed=failed):
            phase = state.phase if not_before(state.phase, "stop") else "stop"
            if state.reason is not None:
                reason, failed = state.reason, state.failed
            return replace(state, phase=phase, force=state.force or force, reason=reason, failed=failed)
        case Lead(node=node):
            return replace(state, leader=node)
        case Assign():
            return _assigned(state, command)
        case Remove(number=number, ids=ids, force=force, moved=moved):
            seats = dict(state.seats)
            for node, ranges in ids.items():
                if (seat := seats.get(node)) is not None:
                    seats[node] = replace(seat, removed=[*seat.removed, Removal(number, ranges, force, moved)])
            return replace(state, seats=seats)
        case Change(settings=settings, interval=interval, own=own):
            seats = {
                node: seat if seat.own == own.get(node) else replace(seat, own=own.get(node))
                for node, seat in state.seats.items()
            }
            return replace(state, settings=settings, interval=interval, seats=seats)
        case Join(number=number, node=node, incarnation=incarnation):
            return replace(state, seats=state.seats | {node: Seat(incarnation, number)})
        case Close(node=node, orphans=orphans):
            seats = {name: seat for name, seat in state.seats.items() if name != node}
            return replace(state, seats=seats, orphans=orphans)
    return state


def _assigned(state: Desired, command: Assign) -> Desired:
    replace = msgspec.structs.replace
    seats = dict(state.seats)
    for node, ranges in command.taken.items():
        if (seat := seats.get(node)) is not None:
            grants = [replace(grant, ids=subtract(grant.ids, ranges)) for grant in seat.grants]
            seats[node] = replace(seat, grants=[grant for grant in grants if grant.ids])
    for node, ranges in command.ids.items():
        if (seat := seats.get(node)) is not None:
            seats[node] = replace(seat, grants=[*seat.grants, Grant(command.number, ranges)])
    if command.orphans is not None:
        return replace(state, seats=seats, orphans=command.orphans)
    new = [ids for ranges in command.ids.values() for ids in ranges]
    given = state.given + sum(map(len, new))
    return replace(state, seats=seats, given=given, highest=max([state.highest, *(ids.last for ids in new)]))


def not_before(phase: Phase, other: Phase) -> bool:
    """Whether `phase` is the other or comes after it."""
    return _ORDER[phase] >= _ORDER[other]


def granted(grants: Iterable[Grant]) -> list[IdRange]:
    """All ids of the grants."""
    return [ids for grant in grants for ids in grant.ids]
