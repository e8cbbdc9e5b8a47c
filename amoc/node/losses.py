"""What becomes of the users when a worker is gone, is ended, or the node cannot go on.

Pure: no I/O; every user stays in exactly one of the ledger's counts.
"""

from amoc.control import ErrorCount
from amoc.node.crew import Worker
from amoc.node.effects import BeatNow, Effect, Emit
from amoc.node.part import Part
from amoc.worker.messages import Tally

__all__ = ["error_count", "fail", "fold", "kill", "lose"]


def lose(part: Part, index: int, reason: str) -> int:
    """The users of a worker that is not replaced have failed; returns how many they are."""
    lost = part.ledger.give_up(index)
    if lost:
        part.fresh_errors.append(error_count("WorkerLost", "worker", reason, count=len(lost), user=lost[0]))
    return len(lost)


def fold(part: Part, index: int, worker: Worker) -> None:
    """Keep the counts of a worker that is gone; what its users were doing is over."""
    part.gathered.forget(index)
    tally, shown = worker.fold()
    # A user whose end was not reported starts again, except when nobody starts any more.
    part.ledger.fold(shown if part.stopping else tally, stopping=part.stopping)
    if not part.stopping:
        _end_users(part, index, tally)


def _end_users(part: Part, index: int, tally: Tally) -> None:
    """The worker is gone and nobody takes its place: what becomes of its users."""
    if part.lapsed:
        part.ledger.bury(index)
        part.ledger.lose(index, tally)
    elif part.error is not None:
        part.ledger.bury(index)
        lose(part, index, part.error)


def kill(part: Part, indices: list[int], now: float) -> list[Effect]:
    """End workers at once; their deaths are wanted."""
    effects = part.crew.kill(indices, now)
    if not part.stopping:
        for index in indices:
            if part.crew[index].step == "dead":  # it had no process: nothing more will be heard of it
                _end_users(part, index, Tally())
    return effects


def fail(part: Part, text: str, now: float, *, alone: bool = False, said: bool = False) -> list[Effect]:
    """This node cannot go on; `alone`: others may; `said`: people know already."""
    if part.error is not None:
        return []
    part.error, part.alone = text, alone
    part.state = "error"
    effects: list[Effect] = [BeatNow()] if said else [Emit("run", "ERROR", text), BeatNow()]
    if alone or part.reached("init"):
        effects += kill(part, part.crew.alive, now)
    return effects


def error_count(kind: str, where: str, text: str, trace: str = "", *, count: int = 1, user: int = 0) -> ErrorCount:
    """A failure that happened here, not to one user: for the next beat."""
    name = kind.partition(":")[0].rpartition(" ")[2]
    return ErrorCount(f"{where}:{text}", name, where, text, trace, user, count)
