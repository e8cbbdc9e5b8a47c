"""The state that the master wants, the commands that change it, and the one function that applies them.

Pure: no I/O. Master and slaves run the same `apply` on the same numbered commands, so that a slave's copy
equals the master's, or the slave asks for a snapshot (the "Clone" pattern of the ZeroMQ Guide, chapter 5).
The state is declarative: applying a command again, or a snapshot of a state already reached, changes nothing.

A run goes through phases in order. The master moves on when every node of the run has done the present one:

    setup     every node: workers up, scenario loaded; the first node also runs `setup()`
    init      every worker runs `init()`
    run       users are started, repeated, added, removed
    stop      users end, every worker runs `terminate()`
    teardown  the first node runs `teardown(data)`; workers end
    over      nothing is left of it on any node
"""

from typing import Any, TypeVar

import msgspec

from amoc.control.ids import IdRange

__all__ = [
    "PHASES",
    "Assign",
    "Change",
    "Command",
    "Desired",
    "Phase",
    "Ping",
    "Removal",
    "Remove",
    "Run",
    "Start",
    "Step",
    "Stop",
    "apply",
]

T = TypeVar("T")
Phase = str
PHASES: tuple[Phase, ...] = ("setup", "init", "run", "stop", "teardown", "over")


class Run(msgspec.Struct, frozen=True):
    """One test run, as it was asked for."""

    id: str
    scenario: str
    version: str
    settings: dict[str, Any]
    nodes: list[str]
    started_at: float
    seed: int


class Removal(msgspec.Struct, frozen=True):
    """Ids that shall end, gently or at once; `number` is that of the command that asked for it."""

    number: int
    ids: list[IdRange]
    force: bool


class Desired(msgspec.Struct, frozen=True):
    """Everything the master wants of its slaves. `number` is that of the last command applied."""

    number: int = 0
    run: Run | None = None
    phase: Phase = "over"
    data: Any = None
    interval: float = 0.05
    force: bool = False
    settings: dict[str, Any] = {}
    assigned: dict[str, list[IdRange]] = {}
    removed: dict[str, list[Removal]] = {}


class Command(msgspec.Struct, frozen=True, tag_field="command"):
    """A numbered change of the desired state; numbers rise by one."""

    number: int


class Start(Command, frozen=True, tag="start"):
    """Begin a run: its phase becomes `setup`. `interval`: seconds between two starts on one node."""

    run: Run
    interval: float


class Step(Command, frozen=True, tag="step"):
    """Move the run on to a later phase; `data` is what `setup()` returned."""

    run_id: str
    phase: Phase
    data: Any = None


class Assign(Command, frozen=True, tag="assign"):
    """More ids for the nodes named."""

    run_id: str
    ids: dict[str, list[IdRange]]


class Remove(Command, frozen=True, tag="remove"):
    """Ids that shall end, by node."""

    run_id: str
    ids: dict[str, list[IdRange]]
    force: bool


class Change(Command, frozen=True, tag="change"):
    """All run-time settings as they now are, and the interval that follows from them."""

    run_id: str
    settings: dict[str, Any]
    interval: float


class Stop(Command, frozen=True, tag="stop"):
    """End the run's users and terminate; `force`: do not wait for anything."""

    run_id: str
    force: bool


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
        return Desired(command.number, run, "setup", None, command.interval, False, run.settings)
    if state.run is None or getattr(command, "run_id", None) != state.run.id:
        return state
    match command:
        case Step(phase=phase, data=data):
            if PHASES.index(phase) <= PHASES.index(state.phase):
                return state
            return msgspec.structs.replace(state, phase=phase, data=state.data if data is None else data)
        case Stop(force=force):
            later = max(PHASES.index(state.phase), PHASES.index("stop"))
            return msgspec.structs.replace(state, phase=PHASES[later], force=state.force or force)
        case Assign(ids=ids):
            return msgspec.structs.replace(state, assigned=_joined(state.assigned, ids))
        case Remove(ids=ids, force=force):
            removals = {node: [Removal(command.number, ranges, force)] for node, ranges in ids.items()}
            return msgspec.structs.replace(state, removed=_joined(state.removed, removals))
        case Change(settings=settings, interval=interval):
            return msgspec.structs.replace(state, settings=settings, interval=interval)
    return state


def _joined(old: dict[str, list[T]], new: dict[str, list[T]]) -> dict[str, list[T]]:
    return {node: [*old.get(node, ()), *new.get(node, ())] for node in {**old, **new}}
