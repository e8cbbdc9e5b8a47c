"""Workers that die: before the node is ready that fails the run, later they are replaced, until it is too often.

Pure: no I/O. A replacement has its predecessor's index, and starts its users again under their own ids at its own pace.
After `MOST_CRASHES` deaths within `CRASH_WINDOW` a worker is given up, and its users are counted as failed.
"""

from amoc.node.course import follow
from amoc.node.crew import Worker, named
from amoc.node.effects import BeatNow, Effect, Emit, Spawn
from amoc.node.losses import fail, fold, lose
from amoc.node.part import Part

__all__ = ["CRASH_WINDOW", "MOST_CRASHES", "PAUSE", "ended_by"]

MOST_CRASHES = 3
CRASH_WINDOW = 60.0
PAUSE = 1.0  # seconds, times the crashes so far, before a replacement that could not be started is tried again


def ended_by(part: Part, index: int, worker: Worker, text: str, now: float, *, up: bool = True) -> list[Effect]:
    """A worker is no more; `text` says why, `up` whether it was there at all."""
    step = worker.step
    fold(part, index, worker)
    worker.go("dead", now)
    if part.stopping:
        said = step in ("done", "quit")
        return [*([] if said else [Emit("worker", "WARNING", f"{text} while stopping", index)]), *follow(part, now)]
    if part.lapsed or part.error is not None or step in ("done", "quit"):
        return follow(part, now)
    if not part.reached("init"):
        during = text if step == "spawning" else f"{text} during {named(step)}"
        return fail(part, during, now, alone=step in ("spawning", "loading"))
    return _replace(part, index, worker, step, text, now, up)


def _replace(part: Part, index: int, worker: Worker, step: str, text: str, now: float, up: bool) -> list[Effect]:
    effects: list[Effect] = [BeatNow()] if part.ledger.bury(index) else []
    worker.crashes = [at for at in worker.crashes if now - at < CRASH_WINDOW] + [now]
    if len(worker.crashes) > MOST_CRASHES:
        return effects + _give_up(part, index, text, now)
    worker.figures.restarts += 1
    if step == "ready":
        text += (
            f": {part.ledger.restarting(index, now)} users start again in a new one "
            f"(what it counted since its last report, up to 1 s, is lost)"
        )
    else:
        text += ", as the replacement of another; it is tried again"
    say = Emit("worker", "ERROR", text, index)
    if not up:
        worker.go("pausing", now, within=PAUSE * len(worker.crashes))
        return [*effects, say, BeatNow()]
    worker.go("spawning", now)
    return [*effects, say, Spawn(index), BeatNow()]


def _give_up(part: Part, index: int, text: str, now: float) -> list[Effect]:
    reason = f"{text}, more than {MOST_CRASHES} times within {CRASH_WINDOW:.0f} s"
    lost = lose(part, index, f"{reason}; its users are lost")
    say = Emit("worker", "ERROR", f"{reason}; it is not replaced, {lost} users are lost", index)
    if not part.crew.alive:
        return [say, *fail(part, f"{reason}; no worker is left", now, alone=True)]
    return [say, BeatNow()]
