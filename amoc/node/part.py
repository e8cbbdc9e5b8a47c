"""The part that a node takes in a run: what the node knows of it, and the questions that decisions ask.

Pure: no I/O. `state` takes in what happens, `course` follows the master's desired state, `losses` and `replacing`
say what becomes of users and workers that are gone.
"""

from typing import Any

from amoc.control import Desired, ErrorCount, Run, Seat, not_before
from amoc.node.crew import Crew
from amoc.node.effects import BeatNow, Effect
from amoc.node.gather import Gathered
from amoc.node.lease import Lease
from amoc.node.ledger import Ledger
from amoc.scenario import Source

__all__ = ["Part"]


class Part:
    """Node `name`, with `size` workers, in the run that the master wants, or in none.

    `incarnation` is of this process of the node; a seat of another one is not its own.
    """

    def __init__(self, name: str, size: int, incarnation: str) -> None:
        self.name = name
        self.size = size
        self.incarnation = incarnation
        self.desired = Desired()
        self.heard = 0.0  # when the last request was sent that the master has answered
        self.clear(None, Seat("", 0))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.state} {self.crew}>"

    def clear(self, run: Run | None, seat: Seat) -> None:
        """Take part in a run, in that seat; or in none."""
        self.run = run
        self.state = "idle" if run is None else "starting"
        self.lapsed = False  # the lease was over, and what ran then is being ended
        self.seat = seat.number  # the number of the command that gave it
        self.lease = Lease(None if run is None else run.lease, self.heard)
        self.fresh = False  # the desired state was asked for after the lease was over
        self.source: Source | None = None
        self.phase: str | None = None  # the last one done
        self.error: str | None = None
        self.alone = False  # `error` concerns only this node
        self.led = False  # `setup()` was run here, and returned `data`
        self.data: Any = None
        self.crew = Crew()
        self.gathered = Gathered()
        self.ledger = Ledger(self.size, 0.0)
        self.settings: dict[str, Any] = {}
        self.granted = 0  # number of the last command whose ids are planned
        self.removals = 0  # number of the last removal that workers were told of
        self.fresh_errors: list[ErrorCount] = []  # for the next beat
        self.begun: set[str] = set()  # phases whose work was ordered
        self.seen_errors: set[str] = set()  # keys of failures that people were shown

    def own_seat(self) -> Seat | None:
        """This incarnation's seat in the run; None if it has none."""
        seat = self.desired.seats.get(self.name)
        return seat if seat is not None and seat.incarnation == self.incarnation else None

    def own_settings(self) -> dict[str, Any]:
        """The run-time settings that hold here."""
        seat = self.own_seat()
        own = seat.own if seat is not None else None
        return self.desired.settings if own is None else {**self.desired.settings, **own.settings}

    def own_interval(self) -> float:
        """Seconds between two starts here."""
        seat = self.own_seat()
        own = seat.own.interval if seat is not None and seat.own is not None else None
        return self.desired.interval if own is None else own

    @property
    def stopping(self) -> bool:
        """Whether the users are being ended, or have been."""
        return "stop" in self.begun

    @property
    def leads(self) -> bool:
        """Whether this node runs `setup()` and `teardown()`."""
        return self.desired.leader == self.name

    def reached(self, phase: str) -> bool:
        """Whether `phase` is done here."""
        return self.phase is not None and not_before(self.phase, phase)

    def finish(self, phase: str) -> list[Effect]:
        """`phase` is done here, which the master waits for."""
        self.phase = phase
        return [BeatNow()]
