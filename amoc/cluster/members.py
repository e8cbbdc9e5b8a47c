"""The nodes that the master knows: who is registered under which name, when each was heard, who is missed.

Pure: `now` is the master's monotonic clock. A node that is silent for `SUSPECT` seconds is suspect, for `LOST` seconds
lost. A name belongs to one incarnation at a time: another gets it when the present one is at least suspect, and from
then on the former one is turned away for good.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from amoc.control import Beat, Hello, NodeLoad, Refused, WorkerFigures

__all__ = ["LOST", "SUSPECT", "Known", "Member", "Members"]

BEAT = 1.0  # seconds between the beats of a node
SUSPECT = 3 * BEAT
LOST = 10 * BEAT
HELD_UP = 1.0  # seconds between two looks that are no more than the loop's own work
MOST_FORMER = 10_000  # incarnations remembered in order to turn them away


_TOLD = ("applied", "state", "run_id", "seat", "phase", "led", "error", "alone", "data", "workers", "load")


class Member(msgspec.Struct):
    """A node as it was last heard of, at `heard`; `condition` is up, suspect or lost. The rest is as in its beats."""

    name: str
    incarnation: str
    version: str
    cores: int
    address: str
    heard: float
    condition: str = "up"
    applied: int = 0
    state: str = "idle"
    run_id: str | None = None
    seat: int = 0
    phase: str | None = None
    led: bool = False
    error: str | None = None
    alone: bool = False
    data: Any = None
    workers: list[WorkerFigures] = []
    load: NodeLoad = NodeLoad()
    idle: bool = True  # no user is planned or present
    starts_per_s: float = 0.0
    starts: int = 0
    starts_at: float = 0.0

    def take(self, beat: Beat, now: float) -> bool:
        """What the beat says of what is; whether it may concern the master's next decision."""
        before = self._told()
        for name in _TOLD:
            setattr(self, name, getattr(beat, name))
        self.idle = not (beat.counts.planned or beat.counts.present)
        if now - self.starts_at >= BEAT:
            rate = max(0, beat.counts.starts - self.starts) / (now - self.starts_at) if self.starts_at else 0.0
            self.starts_per_s = round(rate, 1)
            self.starts, self.starts_at = beat.counts.starts, now
        return before != self._told()

    def _told(self) -> tuple[object, ...]:
        return self.run_id, self.seat, self.phase, self.led, self.error, self.idle


class Known(msgspec.Struct, frozen=True):
    """What of a node outlives the master's process."""

    name: str
    incarnation: str
    version: str
    cores: int
    address: str


class Members:
    """All nodes by name. `former`: the name that an earlier incarnation had, and when it was last heard."""

    def __init__(self) -> None:
        self.by_name: dict[str, Member] = {}
        self.former: dict[str, tuple[str, float]] = {}
        self._looked: float | None = None

    def __repr__(self) -> str:
        return f"<Members {', '.join(f'{m.name} {m.condition}' for m in self.by_name.values())}>"

    def get(self, name: str) -> Member | None:
        """The node of that name."""
        return self.by_name.get(name)

    def register(self, hello: Hello, now: float) -> Refused | None:
        """A node says hello: it is registered, or refused."""
        name = hello.node
        if hello.incarnation in self.former:
            return superseded(name)
        member = self.by_name.get(name)
        if member is not None and member.incarnation == hello.incarnation:
            self.hear(member, now)
            return None
        if member is not None and now - member.heard < SUSPECT:
            return Refused(f"a node named {name} is connected already: give this one another node_name", "twice")
        if member is not None:
            self.former[member.incarnation] = (name, member.heard)
            while len(self.former) > MOST_FORMER:
                del self.former[next(iter(self.former))]
        self.by_name[name] = Member(name, hello.incarnation, hello.version, hello.cores, hello.address, now)
        return None

    def hear(self, member: Member, now: float) -> bool:
        """The node has been heard; whether it had been missed."""
        member.heard = now
        missed, member.condition = member.condition != "up", "up"
        return missed

    def look(self, now: float) -> list[Member]:
        """Who is in another condition than before, because of silence.

        Silence that the master could not have heard, because it was held up itself, is not held against anybody.
        """
        if self._looked is not None and (held_up := now - self._looked - HELD_UP) > 0:
            for member in self.by_name.values():
                member.heard = min(now, member.heard + held_up)
        self._looked = now
        changed: list[Member] = []
        for member in self.by_name.values():
            silent = now - member.heard
            condition = "lost" if silent >= LOST else "suspect" if silent >= SUSPECT else "up"
            if condition != member.condition:
                member.condition = condition
                changed.append(member)
        return changed

    def heard(self, incarnation: str) -> float | None:
        """When an incarnation, present or former, was last heard; None if it is not known."""
        former = self.former.get(incarnation)
        if former is not None:
            return former[1]
        return next((m.heard for m in self.by_name.values() if m.incarnation == incarnation), None)

    def known(self) -> list[Known]:
        """For the master's file."""
        return [Known(m.name, m.incarnation, m.version, m.cores, m.address) for m in self.by_name.values()]

    def restore(self, known: Iterable[Known], former: dict[str, str], now: float) -> None:
        """As they were, each of them as if heard just now: nobody could be heard while the master was away."""
        for node in known:
            self.by_name[node.name] = Member(node.name, node.incarnation, node.version, node.cores, node.address, now)
        self.former = {incarnation: (name, now) for incarnation, name in former.items()}


def superseded(name: str) -> Refused:
    """The answer to an incarnation that has lost its name."""
    return Refused(f"another node has taken the name {name}: this one ends", "superseded")
