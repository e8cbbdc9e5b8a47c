"""A master's state with nodes that are played: what they say is made up, what the master does with it is real."""

from collections.abc import Sequence
from typing import Any

from amoc.cluster.effects import Publish, Say
from amoc.cluster.rules import FixedRules, Rules
from amoc.cluster.state import ClusterState
from amoc.control import (
    PROTOCOL,
    Beat,
    BeatReply,
    Command,
    Hello,
    IdRange,
    Remove,
    Reply,
    Run,
    Seat,
)
from amoc.scenario import Source

__all__ = ["SOURCE", "Played", "ids"]

SOURCE = Source.of("chat", "async def start(user_id): ...", "/chat.py", {"_rooms.py": "ROOMS = 3"})


class Played:
    """`state` is the master's; `now` its clock; `commands` and `said` what it has done since the last `forget`."""

    def __init__(self, nodes: Sequence[str] = ("a", "b", "c"), rules: Rules | None = None) -> None:
        self.state = ClusterState(rules or FixedRules(), "0.1")
        self.now = 100.0
        self.seqs: dict[str, int] = {}
        self.commands: list[Command] = []
        self.said: list[str] = []
        for name in nodes:
            self.hello(name)

    def forget(self) -> None:
        """What was done is looked at no more."""
        self.commands.clear()
        self.said.clear()

    def _take(self) -> None:
        for effect in self.state.take():
            if isinstance(effect, Publish):
                self.commands.append(effect.command)
            elif isinstance(effect, Say):
                self.said.append(effect.text)

    def ask(self, request: Any) -> Reply:
        """A request, and all that follows from it."""
        reply = self.state.answer(request, self.now, self.now)
        self.advance()
        return reply

    def advance(self) -> None:
        """What is due."""
        self.state.advance(self.now, self.now)
        self._take()

    def hello(self, name: str, incarnation: str = "1", **fields: Any) -> Reply:
        """A node registers."""
        return self.ask(
            Hello(name, f"{name}{incarnation}", **{"protocol": PROTOCOL, "version": "0.1", "cores": 2, **fields})
        )

    def beat(self, name: str, incarnation: str | None = None, **fields: Any) -> Reply:
        """The next beat of a node, in its seat."""
        seat = self.seat(name)
        who = f"{name}{incarnation}" if incarnation else seat.incarnation
        self.seqs[who] = seq = fields.pop("seq", self.seqs.get(who, 0) + 1)
        run = self.state.desired.run
        common: dict[str, Any] = {"run_id": run.id if run else None, "seat": seat.number, "state": "running"}
        beat = Beat(name, who, seq, **{"applied": self.state.desired.number, **common, **fields})
        return self.ask(beat)

    def seat(self, name: str) -> Seat:
        """The node's seat, or one that nobody has."""
        member = self.state.members.get(name)
        found = self.state.desired.seats.get(name)
        return found or Seat(member.incarnation if member else f"{name}1", 0)

    def tick(self, seconds: float = 0.25, alive: Sequence[str] = ()) -> None:
        """Time passes, during which some nodes beat."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.5)
            for name in alive:
                self.beat(name, phase="run")
            self.state.tick(self.now, self.now)
            self._take()

    def start(self, last: int = 0, run_id: str = "r1", nodes: Sequence[str] | None = None, **fields: Any) -> None:
        """A run is started; its nodes have nothing to say yet."""
        chosen = list(self.state.members.by_name) if nodes is None else list(nodes)
        run = Run(run_id, "chat", SOURCE.version, {}, chosen, self.now, 1, 1, last, **fields)
        self.state.start(run, SOURCE, chosen)
        self.advance()

    def running(self, last: int = 0, **fields: Any) -> "Played":
        """A run whose users are handed out."""
        self.start(last, **fields)
        seats = list(self.state.desired.seats)
        for phase in ("setup", "init", "run"):
            for name in seats:
                self.beat(name, phase=phase, led=name == seats[0], data={"room": 7} if name == seats[0] else None)
        assert self.state.desired.phase == "run"
        self.forget()
        return self

    def counted(self, reply: Reply) -> int:
        """Up to which beat the master has the news."""
        assert isinstance(reply, BeatReply)
        return reply.seq


def ids(found: dict[str, list[IdRange]] | Remove | None) -> dict[str, list[int]]:
    """Every id, by node."""
    assert found is not None
    ranges = found.ids if isinstance(found, Remove) else found
    return {node: sorted(i for r in many for i in r) for node, many in ranges.items()}
