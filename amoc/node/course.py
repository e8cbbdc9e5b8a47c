"""A node follows the master's desired state, from phase to phase: what is asked for and not done yet.

Pure: no I/O. Following a state that has been followed has no effect.
"""

from amoc.control import not_before
from amoc.node.effects import BeatNow, Effect, FetchSource, Quit, Send, Spawn
from amoc.node.losses import kill, lose
from amoc.node.part import Part
from amoc.worker import messages
from amoc.worker.messages import Leg

__all__ = ["follow", "spawn"]


def spawn(part: Part, now: float) -> list[Effect]:
    """Start all workers."""
    for index in range(part.size):
        part.crew.add(index, now)
    return [Spawn(index) for index in range(part.size)]


def follow(part: Part, now: float) -> list[Effect]:
    """Do what the desired phase asks for and is not done yet."""
    wanted = part.desired.phase
    if not_before(wanted, "stop"):
        return _follow_stop(part, wanted, now)
    if part.lapsed:
        return _follow_lapse(part, now)
    if part.error is not None:  # whom the master gives us before it knows never starts
        for index in _take_granted(part, now):
            lose(part, index, part.error)
        return []
    effects: list[Effect] = []
    if wanted == "setup" and part.leads and "setup" not in part.begun and part.crew.all("loaded"):
        part.begun.add("setup")
        return part.crew.order(part.crew.alive[:1], "setup", now)
    if not part.reached("setup") and part.crew.all("loaded"):
        effects += part.finish("setup")
    ready = part.reached("setup") and part.crew.all("loaded")
    if not_before(wanted, "init") and ready and "init" not in part.begun:
        part.begun.add("init")
        effects += part.crew.order(part.crew.at("loaded"), "init", now, part.desired.data)
    if not part.reached("init") and part.crew.all("ready"):
        effects += part.finish("init")
    if wanted == "run" and part.reached("init"):
        if not part.reached("run"):
            part.state = "running"
            effects += part.finish("run")
        effects += _follow_users(part, now)
    return effects


def _follow_users(part: Part, now: float) -> list[Effect]:
    effects: list[Effect] = []
    ready = part.crew.at("ready")
    settings = part.own_settings()
    if settings != part.settings:
        part.settings = settings
        effects += [Send(index, messages.Change(settings)) for index in ready]
    stretch = part.ledger.plan.repace(part.own_interval(), now)
    if stretch is not None:
        effects += [Send(index, messages.Repace(*stretch)) for index in ready]
    legs = _take_granted(part, now)
    if legs:
        effects += [Send(i, messages.Legs(new)) for i, new in legs.items() if i in ready]
        for index in legs:
            if part.crew[index].step == "dead":
                lose(part, index, f"worker {index} is gone; its users are lost")
        effects.append(BeatNow())
    seat = part.own_seat()
    for removal in seat.removed if seat is not None else ():
        if removal.number <= part.removals:
            continue
        part.removals = removal.number
        drop = messages.Drop(removal.number, removal.ids, removal.force, removal.moved)
        effects += [Send(index, drop) for index in ready]
        if removal.moved:
            part.ledger.move(removal.ids, ready)
        elif part.ledger.remove(removal.number, removal.ids, ready):
            effects.append(BeatNow())
    return effects


def _take_granted(part: Part, now: float) -> dict[int, list[Leg]]:
    """Plan the ids given since the last call, so that they count; their legs by worker."""
    new: dict[int, list[Leg]] = {}
    seat = part.own_seat()
    for grant in seat.grants if seat is not None else ():
        if grant.number > part.granted:
            part.granted = grant.number
            for index, legs in part.ledger.assign(grant.ids, now).items():
                new.setdefault(index, []).extend(legs)
    return new


def _follow_stop(part: Part, wanted: str, now: float) -> list[Effect]:
    effects: list[Effect] = []
    _take_granted(part, now)  # a snapshot may bring users and the stop at once
    force = part.desired.force
    if not part.stopping:
        part.begun.add("stop")
        if part.state != "error":
            part.state = "terminating"
        if not force and part.reached("init"):
            effects += part.crew.order(part.crew.at("ready"), "stop", now)
        elif not force and part.leads and part.reached("setup"):
            # what setup() made is taken down even if init() failed, by a worker that is not busy with it
            for index in part.crew.at("loaded", "ready", "failed")[:1]:
                part.crew[index].go("done", now)
    ending = () if force else ("stop", "terminate", "done", "teardown")
    effects += kill(part, [i for i in part.crew.alive if part.crew[i].step not in ending], now)
    if not part.reached("stop") and all(part.crew[i].step == "done" for i in part.crew.alive):
        effects += part.finish("stop")
    if not_before(wanted, "teardown") and part.reached("stop"):
        effects += _follow_teardown(part, wanted, now)
    return effects


def _follow_teardown(part: Part, wanted: str, now: float) -> list[Effect]:
    effects: list[Effect] = []
    if "teardown" not in part.begun:
        part.begun.add("teardown")
        if part.leads and (done := part.crew.at("done")):
            data = part.desired.data if part.data is None else part.data
            return part.crew.order(done[:1], "teardown", now, data)
    if not part.crew.at("teardown"):
        effects += _quit(part, now)
    if not part.crew.alive and not part.reached("teardown"):
        effects += part.finish("teardown")
    if wanted == "over" and part.reached("teardown") and not part.reached("over"):
        part.state = "error" if part.error is not None else "finished"
        effects += part.finish("over")
    return effects


def _follow_lapse(part: Part, now: float) -> list[Effect]:
    """Once the workers are gone and the master is back: go on in the same seat, with new ones."""
    alive = part.crew.alive
    if alive:
        return _quit(part, now) if all(part.crew[i].step == "done" for i in alive) else []
    if not part.fresh or part.lease.lapsed(now) or part.run is None:
        return []
    part.lapsed = part.fresh = False
    part.state = "starting"
    part.phase = None
    part.begun = {"setup"} if part.led else set()  # what setup() made is there
    return [FetchSource(part.run.version)] if part.source is None else spawn(part, now)


def _quit(part: Part, now: float) -> list[Effect]:
    """Let workers that are done with everything end by themselves."""
    done = part.crew.at("done")
    for index in done:
        part.crew[index].go("quit", now)
    return [Quit()] if done else []
